"""Reads the functions of Python modules, with their doctests or the pytest tests beside them.

The surprising fact: nothing is imported. Modules are only parsed, because importing a folder of
unknown code runs it; what its functions do is seen in the sandbox alone.
"""

import ast
import doctest
from collections.abc import Iterator, Sequence
from pathlib import Path

from datagen.errors import SeedError
from datagen.seeds.code.edits import without_main
from datagen.seeds.code.parsing import parsed
from datagen.seeds.code.pytest_modules import mentions, tests_without_import
from datagen.seeds.references import Reference
from datagen.seeds.refusals import Refused
from datagen.seeds.rows import Fields, Row


def holds_python(path: Path) -> bool:
    """Whether ``path`` is a Python module, or a folder with one in it."""
    return path.suffix == ".py" if path.is_file() else path.is_dir() and bool(_modules(path))


def python_reference(path: Path, text: str) -> Reference:
    """The reference of a folder or module.

    Raises:
        SeedError: if it is not there, or holds no Python.
    """
    if not path.exists():
        raise SeedError(f"{text!r} does not exist; give a folder of Python modules, or one module")
    if not holds_python(path):
        raise SeedError(f"{text!r} holds no .py file; give a folder of Python modules, or one")
    return Reference(text, path, path.resolve().name)


def read_functions(reference: Reference) -> Iterator[Row]:
    """Each public top-level function with its question, code and tests, numbered from 0.

    Modules come in order of their paths. A function without a docstring or without any tests is
    refused, and so is a module that cannot be read, as one row.

    Raises:
        SeedError: if the folder cannot be read.
    """
    path = reference.file
    folder = path.parent if path.is_file() else path
    try:
        modules = [path] if path.is_file() else _modules(path)
        rows = (row for module in modules for row in _functions(module, folder))
        yield from enumerate(rows)
    except OSError as error:
        raise SeedError(f"{reference.text!r} cannot be read: {error}") from error


def _modules(folder: Path) -> list[Path]:
    """Python files of a folder in order, without tests and what is hidden."""
    return [
        path
        for path in sorted(folder.rglob("*.py"))
        if not _is_test(path)
        and path.name != "conftest.py"
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _is_test(path: Path) -> bool:
    return path.stem.startswith("test_") or path.stem.endswith("_test")


def _functions(module: Path, folder: Path) -> Iterator[Fields | Refused]:
    where = module.relative_to(folder).as_posix()
    try:
        source = _source(module)
        tree = parsed("code", source)
        code = without_main(source, tree)
        tests = [
            text
            for beside in sorted(module.parent.glob("*.py"))
            if _is_test(beside)
            and (text := tests_without_import(_source(beside), module.stem)) is not None
        ]
    except Refused as refused:
        yield Refused(refused.field, refused.kind, f"{where}: {refused.reason}", where)
        return
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[0] != "_":
            try:
                yield {
                    "seed_id": f"{where}::{node.name}",
                    "question": _question(node),
                    "code": code,
                    "entry_point": node.name,
                    "tests": _tests(node, tests),
                }
            except Refused as refused:
                name = f"{where}::{node.name}"
                yield Refused(refused.field, refused.kind, f"{name} {refused.reason}", name)


def _source(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(
            "code",
            "not UTF-8",
            f"{path.name} is not UTF-8 at byte {error.start}; save it as UTF-8",
        ) from None


def _question(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    text = ast.get_docstring(node)
    if not text:
        raise Refused("question", "no docstring", "has no docstring; say there what it does")
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    gap = "\n" if text.startswith(">>>") else " "
    return f"Write a function `{node.name}({ast.unparse(node.args)}){returns}`.{gap}{text}"


def _tests(node: ast.FunctionDef | ast.AsyncFunctionDef, modules: Sequence[str]) -> str:
    """The first test module that uses the function, else the docstring with its doctests."""
    for text in modules:
        if mentions(text, node.name):
            return text
    docstring = ast.get_docstring(node) or ""
    try:
        if doctest.DocTestParser().get_examples(docstring):
            return docstring
    except ValueError as error:
        raise Refused("tests", "broken doctests", f"has doctests that do not parse: {error}") from (
            error
        )
    raise Refused(
        "tests",
        "no tests",
        "has no doctests, and no test_*.py or *_test.py beside it imports and uses it; write some",
    )
