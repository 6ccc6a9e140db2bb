"""MBPP's fields, full and sanitized: a sentence, a function, and asserts that call it.

The surprising fact: no field names the function and neither does the sentence. So the function is
the one that the asserts call, and the first assert goes into the question, or nobody could know
the name (the convention of MBPP's own prompt).

Source: Austin et al. 2021, "Program Synthesis with Large Language Models"; the data is CC-BY-4.0.
"""

import ast
from collections import Counter
from typing import Final

from datagen.seeds.checks import DEFAULT_MAX_CHARS, text_of
from datagen.seeds.code.parsing import parsed
from datagen.seeds.code.rows import CodeDialect, lines_of
from datagen.seeds.refusals import Refused
from datagen.seeds.rows import Fields

_USED: Final = {
    *("task_id", "text", "prompt", "test_list"),
    *("test_setup_code", "test_imports", "challenge_test_list"),
}


def looks_like_mbpp(fields: Fields) -> bool:
    """Whether a row has MBPP's code and list of asserts."""
    return "code" in fields and "test_list" in fields


def from_mbpp(fields: Fields) -> Fields:
    """Our fields: the seed's id is ``MBPP/<task_id>``, the tests are all asserts after the set-up.

    Raises:
        Refused: if a field is no usable text, or the asserts call no function of the code.
    """
    sentence = text_of(fields, "prompt" if "prompt" in fields else "text", DEFAULT_MAX_CHARS)
    # The published file has Windows line ends in some rows.
    code = text_of(fields, "code", DEFAULT_MAX_CHARS).replace("\r\n", "\n")
    asserts = lines_of(fields, "test_list")
    if not asserts:
        raise Refused("test_list", "empty", "test_list is empty; write at least one assert")
    parts = [
        *(text for name in ("test_imports", "test_setup_code") for text in lines_of(fields, name)),
        *asserts,
        *lines_of(fields, "challenge_test_list"),
    ]
    task_id = fields.get("task_id")
    return {
        **{name: value for name, value in fields.items() if name not in _USED},
        "seed_id": None if task_id is None else f"MBPP/{task_id}",
        "question": f"{sentence}\nIt must pass: {asserts[0]}",
        "code": code,
        "entry_point": _entry_point(code, "\n".join(asserts)),
        "tests": "\n".join(part.replace("\r\n", "\n") for part in parts if part.strip()),
    }


def _entry_point(code: str, asserts: str) -> str:
    """The function of ``code`` that ``asserts`` call most often; of equals, the first in them."""
    defined = {
        node.name
        for node in parsed("code", code).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    called = Counter(
        node.func.id
        for node in ast.walk(parsed("test_list", asserts))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    )
    for name, _ in called.most_common():
        if name in defined:
            return name
    raise Refused(
        "test_list",
        "no entry point",
        f"test_list calls {', '.join(called) or 'nothing'}, the code defines "
        f"{', '.join(sorted(defined)) or 'nothing'}; let the asserts call a function of the code",
        asserts,
    )


MBPP: Final = CodeDialect(
    read=from_mbpp, required=("task_id", "code", "test_list"), license="CC-BY-4.0"
)
"""MBPP, from whichever container."""
