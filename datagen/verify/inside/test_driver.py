"""Runs a seed's tests against a solution that lives in another sandbox.

The tests call a proxy. It sends the arguments out and gets plain data back, so nothing that the
solution does to its own process (to ``print``, ``assert``, pytest, the exit status) reaches the
tests, and the verdict is formed here alone.

Each ``assert`` is rewritten to go through a counter: a run in which no check was executed did not
pass, it tested nothing.
"""

# pyright: basic

import ast
import sys
import types

from .checks import COUNTER, Checks, Counted
from .proxies import Solution, UnsendableError, shown

_SOURCE = "<tests>"


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
            from .doctest_run import run_examples

            return run_examples(job, proxy)
        return "error", f"the tests do not parse: {error.msg} (line {error.lineno})"
    sys.path.extend(job["packages"])
    n_asserts = sum(isinstance(node, ast.Assert) for node in ast.walk(tree))
    _offer(tree, name, solution)
    if _needs_pytest(tree):
        from .pytest_run import run_module

        return run_module(job, tree, proxy, checks)
    module = types.ModuleType("tests")
    sys.modules["tests"] = module
    names = module.__dict__
    exec(compile(job["prelude"], "<prelude>", "exec", dont_inherit=True), names)
    names[name] = proxy
    names[COUNTER] = checks
    tree = ast.fix_missing_locations(Counted().visit(tree))
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
