"""Runs a seed's tests against a solution that lives in another sandbox.

The tests call a proxy. It sends the arguments out and gets plain data back, so nothing that the
solution does to its own process (to ``print``, ``assert``, pytest, the exit status) reaches the
tests, and the verdict is formed here alone.

Each ``assert`` is rewritten to go through a counter: a run in which no check was executed did not
pass, it tested nothing.
"""

# pyright: basic, reportMissingImports=false

import ast
import builtins
import os
import reprlib
import sys
import types

import plain_data

_SOURCE = "<tests>"
_COUNTER = "__checks__"


class UnsendableError(Exception):
    """A test passes something that is not plain data: the test's fault, not the solution's."""


_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 60
_short.maxlist = _short.maxtuple = _short.maxdict = _short.maxset = 8


def shown(value) -> str:
    """A short ``repr`` in one line, of anything."""
    try:
        return " ".join(_short.repr(value).split())
    except Exception:  # an integer of too many digits, say
        return f"<{type(value).__name__}>"


class Solution:
    """The other side: makes proxies, and remembers the last call for a reason."""

    def __init__(self, ask) -> None:
        """Talk through ``ask(what is asked in words, frame) -> frame``."""
        self._ask = ask
        self.last = ("", None)
        self.n_raised = 0
        self.raised: BaseException | None = None

    def proxy(self, name: str):
        """A function that calls the solution's function of this name."""

        def call(*args, **kwargs):
            told = [shown(value) for value in args]
            told += [f"{key}={shown(value)}" for key, value in kwargs.items()]
            text = f"{name}({', '.join(told)})"
            reply = self._reply(text, [name, list(args), kwargs])
            passed = [*args, *kwargs.values()]
            for idx, now in (reply.get("changed") or {}).items():
                plain_data.overwrite(passed[idx], now)
            value = passed[reply["is_argument"]] if "is_argument" in reply else reply["value"]
            self.last = (text, value)
            return value

        call.__name__ = call.__qualname__ = name
        return call

    def _reply(self, text: str, request: list):
        try:
            frame = plain_data.dump(["call", *request] if request[0] != "next" else request)
        except (plain_data.NotPlainError, RecursionError) as error:
            raise UnsendableError(f"{text}: the argument cannot be sent: {error}") from None
        line = self._ask(text, frame)
        if not line:
            os._exit(1)  # the parent has ended the run
        self.last = (text, None)
        try:
            reply: dict = plain_data.load(line, fetch=self._iterator)  # type: ignore
            if "raise" not in reply:
                return reply
            kind, message = reply["raise"]
            kind, message = str(kind), str(message)
        except (ValueError, TypeError):
            kind, message = "RuntimeError", "the reply of the solution cannot be read"
        cls = getattr(builtins, kind, None)
        if not (isinstance(cls, type) and issubclass(cls, BaseException)):
            cls, message = RuntimeError, f"{kind}: {message}"
        self.n_raised += cls is not StopIteration
        try:
            self.raised = cls(message)
        except TypeError:  # UnicodeDecodeError and its like take five arguments
            self.raised = (ValueError if issubclass(cls, ValueError) else RuntimeError)(message)
        raise self.raised

    def _iterator(self, number: int):
        while True:
            try:
                reply = self._reply("next(…)", ["next", number])
            except StopIteration:
                return
            yield reply.get("value")


class Checks:
    """What rewritten assertions call; counts them and keeps the reason of the last failure."""

    def __init__(self, solution: Solution) -> None:
        """Look up in ``solution`` which call gave the value that was compared."""
        self._solution = solution
        self.n = 0
        self.reason = ""

    def equal(self, source: str, left, right):
        """Stands for ``left == right``."""
        self.n += 1
        same = left == right
        if not same:
            text, value = self._solution.last
            if text and value is left and value is not right:
                self.reason = f"{text} returned {shown(left)}, not {shown(right)}"
            else:
                self.reason = f"{source}: {shown(left)} is not {shown(right)}"
        return same

    def true(self, source: str, value):
        """Stands for any other condition."""
        self.n += 1
        if not value:
            text, returned = self._solution.last
            after = f" ({text} returned {shown(returned)})" if text else ""
            self.reason = f"{source} is false{after}"
        return value


class _Counted(ast.NodeTransformer):
    """Sends the condition of each ``assert`` through :class:`Checks`."""

    def visit_Assert(self, node: ast.Assert) -> ast.Assert:
        test = node.test
        source = " ".join(ast.unparse(node).split())
        source = source if len(source) <= 160 else source[:159] + "…"
        kind, parts = "true", [test]
        if isinstance(test, ast.Compare) and [type(op) for op in test.ops] == [ast.Eq]:
            kind, parts = "equal", [test.left, test.comparators[0]]
        counter = ast.Attribute(ast.Name(_COUNTER, ast.Load()), kind, ast.Load())
        node.test = ast.Call(counter, [ast.Constant(source), *parts], [])
        return node


def _needs_pytest(tree: ast.Module) -> bool:
    for node in ast.walk(tree):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        if {module.split(".")[0] for module in modules} & {"pytest", "unittest"}:
            return True
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            return True
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and node.args.args:
            return True  # fixtures
    return False


def run(job: dict, ask) -> tuple[str, str]:
    """Run one seed's tests.

    Returns:
        ``passed``, ``failed``, ``memory`` or ``error`` (the tests are of no use), and a reason.
    """
    solution = Solution(ask)
    checks = Checks(solution)
    try:
        return _run(job, solution, checks)
    except UnsendableError as error:
        return "error", str(error)
    except AssertionError as error:
        return "failed", checks.reason or f"AssertionError: {error}"
    except BaseException as error:
        text, returned = solution.last
        told = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")[:300]
        if error is solution.raised:
            if isinstance(error, MemoryError):
                return "memory", f"{text} ran out of memory"
            return "failed", f"{text} raised {told}"
        if text:
            return "failed", f"the tests raised {told} after {text} returned {shown(returned)}"
        return "error", f"the tests raised {told}"


def _run(job: dict, solution: Solution, checks: Checks) -> tuple[str, str]:
    name, tests = job["entry_point"], job["tests"]
    proxy = solution.proxy(name)
    try:
        tree = ast.parse(tests)
    except SyntaxError as error:
        if ">>>" in tests:
            return _run_doctest(job, proxy)
        return "error", f"the tests do not parse: {error.msg} (line {error.lineno})"
    sys.path.extend(job["packages"])
    n_asserts = sum(isinstance(node, ast.Assert) for node in ast.walk(tree))
    _offer(tree, name, solution)
    if _needs_pytest(tree):
        return _run_pytest(job, tree, proxy, checks)
    module = types.ModuleType("tests")
    sys.modules["tests"] = module
    names = module.__dict__
    exec(compile(job["prelude"], "<prelude>", "exec", dont_inherit=True), names)
    names[name] = proxy
    names[_COUNTER] = checks
    tree = ast.fix_missing_locations(_Counted().visit(tree))
    exec(compile(tree, _SOURCE, "exec", dont_inherit=True), names)
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    called = {
        node.value.func.id
        for node in tree.body
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
    }
    if "check" in defined and "check" not in called:
        names["check"](proxy)
    for test in dict.fromkeys(defined):
        if test.startswith("test_") and test not in called:
            names[test]()
    # A solution that rightly raises leaves the assertion behind the call unexecuted.
    n_checks = checks.n + (solution.n_raised if n_asserts else 0)
    if not n_checks:
        return "error", "the tests executed no check"
    return "passed", f"{n_checks} checks"


def _offer(tree: ast.Module, name: str, solution: Solution) -> None:
    """Make the solution importable under the names by which the tests import it.

    That is any top-level module that brings the entry point, or that is not installed.
    """
    import importlib.util

    def is_there(module: str) -> bool:
        try:
            return importlib.util.find_spec(module) is not None
        except (ImportError, ValueError):
            return False

    wanted: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            module = node.module or "solution"
            if name in names or not is_there(module.split(".")[0]):
                wanted.setdefault(module, set()).update(names - {"*"})
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if not is_there(alias.name.split(".")[0]):
                    wanted.setdefault(alias.name, set())
    for path, names in wanted.items():
        parts = path.split(".")
        for depth in range(1, len(parts) + 1):
            dotted = ".".join(parts[:depth])
            module = sys.modules.get(dotted) or types.ModuleType(dotted)
            module.__path__ = []
            sys.modules[dotted] = module
            if depth > 1:
                setattr(sys.modules[".".join(parts[: depth - 1])], parts[depth - 1], module)
        for each in names | {name}:
            setattr(sys.modules[path], each, solution.proxy(each))


def _run_doctest(job: dict, proxy) -> tuple[str, str]:
    import doctest

    names: dict = {}
    exec(compile(job["prelude"], "<prelude>", "exec", dont_inherit=True), names)
    names[job["entry_point"]] = proxy
    first: list[str] = []

    class Runner(doctest.DocTestRunner):
        def report_failure(self, out, test, example, got) -> None:
            told = (example.source, got, example.want)
            code, actual, expected = (" ".join(text.split())[:100] for text in told)
            first.append(f"{code} gave {actual}, not {expected}")

        def report_unexpected_exception(self, out, test, example, exc_info) -> None:
            if not isinstance(exc_info[1], Exception):
                raise exc_info[1]
            told = f"{exc_info[0].__name__}: {exc_info[1]}"[:200]
            first.append(f"{' '.join(example.source.split())[:100]} raised {told}")

    try:
        test = doctest.DocTestParser().get_doctest(job["tests"], names, "tests", None, 0)
    except ValueError as error:
        return "error", f"the tests do not parse: {error}"
    runner = Runner(verbose=False)
    runner.run(test, out=lambda text: None)
    if first:
        return "failed", first[0]
    if not any(example.want or example.exc_msg for example in test.examples):
        return "error", "the tests executed no check"
    return "passed", f"{len(test.examples)} examples"


def _run_pytest(job: dict, tree: ast.Module, proxy, checks: Checks) -> tuple[str, str]:
    try:
        import pytest
    except ImportError:
        return "error", "the tests need pytest, which is not installed beside this program"
    other_checks = any(
        isinstance(node, ast.Attribute)
        and (node.attr.startswith(("assert", "fail")) or node.attr in ("raises", "warns"))
        for node in ast.walk(tree)
    )
    prelude = ast.parse(job["prelude"])
    assign = f"from __proxy__ import {job['entry_point']}, {_COUNTER}\n"
    holder = types.ModuleType("__proxy__")
    setattr(holder, job["entry_point"], proxy)
    setattr(holder, _COUNTER, checks)
    sys.modules["__proxy__"] = holder
    # Our own counting replaces pytest's rewriting; imports of __future__ must stay in front.
    body = [*prelude.body, *ast.parse(assign).body, *_Counted().visit(tree).body]
    future = [n for n in body if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
    whole = ast.Module([*future, *(n for n in body if n not in future)], [])
    with open("test_seed.py", "w", encoding="utf-8") as file:
        file.write(ast.unparse(ast.fix_missing_locations(whole)))

    class Watch:
        n_passed = 0
        first = ""
        gone = None

        @pytest.hookimpl
        def pytest_runtest_logreport(self, report) -> None:
            if report.failed and not self.first:
                crash = getattr(report.longrepr, "reprcrash", None)
                told = crash.message if crash else str(report.longrepr).strip().split("\n")[-1]
                told = (told.startswith("AssertionError") and checks.reason) or told
                self.first = f"{report.nodeid.partition('::')[2]}: {told}"
            elif report.passed and report.when == "call":
                self.n_passed += 1

        @pytest.hookimpl
        def pytest_collectreport(self, report) -> None:
            if report.failed and not self.first:
                self.first = str(report.longrepr).strip().split("\n")[-1]

        @pytest.hookimpl
        def pytest_exception_interact(self, call) -> None:
            if isinstance(call.excinfo.value, UnsendableError | MemoryError):
                self.gone = self.gone or call.excinfo.value

    watch = Watch()
    options = ["-q", "--assert=plain", "-p", "no:cacheprovider", "--rootdir=.", "-c", os.devnull]
    status = pytest.main([*options, "-x", "test_seed.py"], plugins=[watch])
    if watch.gone is not None:
        raise watch.gone
    if watch.first or status not in (0, 5):
        reason = " ".join(watch.first.split())[:300]
        return "failed", reason or f"pytest ended with status {int(status)}"
    if not (checks.n or (other_checks and watch.n_passed)):
        return "error", "the tests executed no check"
    return "passed", f"{watch.n_passed} tests"
