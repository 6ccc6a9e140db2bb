"""Finding the code, the literal or the call that answers a question in what a model wrote.

The rules for final numbers would mangle code: they undress answers and look for sentences. Here an
answer is a fence, or all that stands behind the thought.
"""

import ast
import re
import textwrap
from typing import Final

from datagen.verify.extract import Extraction, visible_part
from datagen.verify.python_literals import literal_spans, syntax_tree

_MAX_CHARS: Final = 100_000
_LOOK_BACK_CHARS: Final = 2_000

_FENCE = re.compile(
    r"^(?P<indent>[ \t]*)(?P<mark>`{3,}|~{3,})[ \t]*(?P<language>[\w+#.-]*)[^\n]*\n"
    # A fence inside a docstring is indented further, and closes nothing.
    r"(?P<body>.*?)(?:^(?:(?P=indent))?(?P=mark)[ \t]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_DEFINES = re.compile(
    r"^[ \t]*(?:async[ ]+def|def|class)[ ]+\w|^\w+[ ]*(?::[^=\n]*)?=(?!=)", re.MULTILINE
)
_FIRST_CODE = re.compile(r"^(?:(?:async def|def|class|import|from)\b|@)", re.MULTILINE)
_PYTHON: Final = {"", "python", "python3", "py", "py3"}


def _visible(text: str) -> str | None:
    _, visible = visible_part(text)
    return visible if visible and visible.strip() and len(visible) <= _MAX_CHARS else None


def _fences(text: str) -> list[tuple[str, str, bool]]:
    """Language, body and whether it is closed, of each fence that is not empty."""
    return [
        (
            found["language"].lower(),
            textwrap.dedent(found["body"]) if found["indent"] else found["body"],
            found[0].rstrip().endswith(found["mark"]),
        )
        for found in _FENCE.finditer(text)
        if found["body"].strip()
    ]


def extract_program(text: str) -> Extraction | None:
    """Python code: the last fence that defines a function, or all that is visible.

    A fence of examples or output behind it is not the answer, but one that was cut off is. Without
    a fence the text must define something, and prose before the first line of code is left
    out if the whole does not parse.
    """
    if (visible := _visible(text)) is None:
        return None
    fences = [fence for fence in _fences(visible) if fence[0] in _PYTHON]
    if fences:
        _, body, closed = fences[-1]
        if closed or not _DEFINES.search(body):
            _, body, closed = max(reversed(fences), key=lambda fence: what_it_defines(fence[1]))
        return Extraction(body, "code", closed)
    if not _DEFINES.search(visible):
        return None
    if syntax_tree(visible) is None and (start := _FIRST_CODE.search(visible)):
        visible = visible[start.start() :]
    return Extraction(visible.strip("\n"), "code", closed=False)


def what_it_defines(code: str) -> int:
    """2 for Python that defines a function or class, 1 for other names, 0 for nothing."""
    body = tree.body if (tree := syntax_tree(code)) else []
    if any(isinstance(node, _DEFINITIONS) for node in body):
        return 2
    assigned = [node.value for node in body if isinstance(node, ast.Assign | ast.AnnAssign)]
    return 2 if any(isinstance(value, ast.Lambda) for value in assigned) else int(bool(assigned))


_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def extract_text(text: str) -> Extraction | None:
    """Text for a program to judge: the last fence of any language, or all that is visible."""
    if (visible := _visible(text)) is None:
        return None
    if fences := _fences(visible):
        return Extraction(fences[-1][1], "code", fences[-1][2])
    return Extraction(visible.strip("\n") + "\n", "code", closed=False)


def extract_visible(text: str) -> Extraction | None:
    """All that is visible, for whoever reads it whole."""
    visible = _visible(text)
    return None if visible is None else Extraction(visible.strip(), "markup", closed=False)


def extract_call(text: str) -> Extraction | None:
    """What holds a call or its arguments: the last fence, or all that is visible."""
    if (found := extract_text(text)) is None:
        return None
    answer = found.answer.strip()
    return Extraction(answer, "code", found.closed or answer.endswith((")", "]", "}", "`", ".")))


def extract_literal(text: str) -> Extraction | None:
    """A Python literal: the last fence or the whole text, if it is one, else the last in it."""
    if (visible := _visible(text)) is None:
        return None
    wholes = [(body, closed) for _, body, closed in _fences(visible)[-1:]]
    for body, closed in [*wholes, (visible, False)]:
        answer = body.strip().strip("`*").strip()
        spans = literal_spans(answer[-_LOOK_BACK_CHARS:])
        if len(spans) == 1 and spans[0] == answer:
            return Extraction(answer, "literal", closed or answer[-1] in "])}'\"")
    tail = visible[-_LOOK_BACK_CHARS:]
    spans = literal_spans(tail)
    if not spans:
        return None
    after = tail[tail.rfind(spans[-1]) + len(spans[-1]) :]
    return Extraction(spans[-1], "literal", bool(after) or spans[-1][-1] in "])}'\"")
