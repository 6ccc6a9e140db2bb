"""What a code seed must show: it parses, its tests pass, and they fail for a function that is not.

The surprising fact: every seed is run twice. A function that always returns ``None`` takes its
place in the second run, and if the tests pass there too they test nothing: as a reward they would
praise every answer.
"""

import ast
import doctest
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from datagen.seeds.code.parsing import parsed
from datagen.seeds.refusals import Refused
from datagen.verify.sandbox import Sandbox, TestJob, TestReport

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HERE: Final = sys.stdlib_module_names | {"pytest"}
_MISSING_MODULE: Final = re.compile(r"No module named '([^']+)'")


def check_code(code: str, entry_point: str) -> None:
    """Hold that ``code`` parses and defines ``entry_point`` as a plain function.

    Raises:
        Refused: if not.
    """
    if not _NAME.fullmatch(entry_point):
        raise Refused(
            "entry_point",
            "no name",
            f"entry_point is {entry_point!r:.60}; write the function's name in ASCII letters, "
            "digits and underscores",
            entry_point,
        )
    bound = [node for node in _top_level(parsed("code", code).body) if _binds(node, entry_point)]
    match bound[-1] if bound else None:
        case ast.FunctionDef():
            return
        case ast.AsyncFunctionDef():
            kind, why = "async function", "is an async function; make it a plain one"
        case ast.ClassDef():
            kind, why = "class", "is a class; name a function"
        case None:
            kind, why = "not defined", "is not defined in code; define it there, or correct it"
        case _:
            kind, why = "no function", "is assigned, not defined by def; write it as a function"
    raise Refused("entry_point", kind, f"entry_point {entry_point!r} {why}", entry_point)


def check_tests(tests: str, entry_point: str) -> None:
    """Hold that ``tests`` are asserts, test functions or doctests, and check something.

    They may import the standard library, pytest, and the module that is to have the function.

    Raises:
        Refused: if not.
    """
    tree = None
    try:
        tree = parsed("tests", tests)
        holds_check = any(isinstance(n, ast.Assert) or _is_check(n) for n in ast.walk(tree))
    except Refused:
        if ">>>" not in tests:
            raise
        holds_check = _expects_something(tests)
    if not holds_check:
        raise Refused(
            "tests",
            "no check",
            "tests hold no assert (and no doctest with an expected value); write at least one",
            tests,
        )
    if tree is not None and (missing := _foreign_modules(tree, entry_point)):
        raise _missing_module("tests", missing[0], tests)


def run_all(rows: Sequence[Mapping[str, str]], sandbox: Sandbox) -> list[Refused | None]:
    """Per row of code seeds: why its tests do not tell right from wrong, ``None`` if they do."""
    jobs = [
        TestJob(code, row["tests"], row["entry_point"], row["prelude"])
        for row in rows
        for code in (row["code"], f"def {row['entry_point']}(*args, **kwargs):\n    return None\n")
    ]
    reports = sandbox.run_tests_many(jobs)
    return [
        _verdict(row, own, stub)
        for row, own, stub in zip(rows, reports[::2], reports[1::2], strict=True)
    ]


def _verdict(row: Mapping[str, str], own: TestReport, stub: TestReport) -> Refused | None:
    if not own.passed:
        if missing := _MISSING_MODULE.search(own.reason):
            imported = re.search(rf"\bimport\b.*\b{re.escape(missing[1])}\b", row["tests"])
            field = "tests" if imported else "code"
            return _missing_module(field, missing[1], row[field])
        return Refused(
            "tests",
            f"tests do not pass: {own.state}",
            f"its own tests do not pass ({own.state}: {own.reason}); mend the code or the tests",
            row["tests"],
        )
    if stub.passed:
        return Refused(
            "tests",
            "tests do not test",
            "tests do not test: a function that always returns None passes them as well; assert "
            "what the function returns",
            row["tests"],
        )
    return None


def _missing_module(field: str, module: str, value: str) -> Refused:
    return Refused(
        field,
        "missing module",
        f"{field} imports {module!r}, which the sandbox does not have (it has the standard "
        "library); write it without",
        value,
    )


def _foreign_modules(tree: ast.Module, entry_point: str) -> list[str]:
    """Modules that ``tree`` imports, not those of the sandbox or to take the entry point from."""
    users = {
        ast.unparse(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == entry_point
    }
    modules: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules += [a.name for a in node.names if (a.asname or a.name) not in users]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = {alias.name for alias in node.names}
            modules += [node.module or ""] if names.isdisjoint({entry_point, "*"}) else []
    return [module for module in modules if module.partition(".")[0] not in _HERE]


def _top_level(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """The statements of a module, those inside ``if``, ``try`` and ``with`` included."""
    found: list[ast.stmt] = []
    for node in body:
        found.append(node)
        if isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While):
            for _, value in ast.iter_fields(node):
                if isinstance(value, list):
                    found += _top_level([item for item in value if isinstance(item, ast.stmt)])
    return found


def _binds(node: ast.stmt, name: str) -> bool:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return node.name == name
        case ast.Assign():
            return any(isinstance(t, ast.Name) and t.id == name for t in node.targets)
        case ast.AnnAssign():
            return isinstance(node.target, ast.Name) and node.target.id == name
        case _:
            return False


def _expects_something(text: str) -> bool:
    try:
        examples = doctest.DocTestParser().get_examples(text)
    except ValueError:
        return False
    return any(example.want or example.exc_msg for example in examples)


def _is_check(node: ast.AST) -> bool:
    """``pytest.raises``, ``self.assertEqual`` and the like."""
    return isinstance(node, ast.Attribute) and (
        node.attr == "raises" or node.attr.startswith("assert")
    )
