"""The verifiers ``python_output`` and ``python_input``: what a call returns, and what to call.

A predicted input is model-written, so nothing but literals is taken from it: the call that runs is
built anew.
"""

import ast
import re
from typing import Any

from datagen.verify.gold import read_gold
from datagen.verify.python_literals import (
    MAX_CHARS,
    bracket_end,
    literal_spans,
    read_expression,
    read_value,
    same_value,
    value_of,
)
from datagen.verify.sandbox import default_sandbox
from datagen.verify.verdict import Verdict, correct, shown, unverifiable, wrong


def python_output(answer_text: str, gold: str, /) -> Verdict:
    """Compare two Python literals by value."""
    try:
        expected = read_value(gold)
    except ValueError:
        return unverifiable(answer_text, f"the gold answer {shown(gold)} is no Python literal")
    try:
        answer = read_value(answer_text)
    except ValueError:
        return unverifiable(answer_text, f"{shown(answer_text)} is no Python literal")
    if same_value(answer, expected):
        return correct(answer_text, "equal values")
    return wrong(answer_text, f"{shown(answer_text)} is not {shown(gold)}")


def _read(gold: str) -> dict[str, Any] | str:
    return read_gold(gold, required={"code": str, "entry_point": str, "output": str})


def read_call(text: str, entry_point: str) -> str | None:
    """The call that an answer names, built of its literals alone, or ``None``.

    Read are ``f([1], k=2)`` anywhere (the last one), and an argument list such as ``[1], 2``.
    """
    text = text.strip().strip("`").strip()
    candidates = [f"{entry_point}{spot}" for spot in _after_name(text, entry_point)]
    candidates += [f"{entry_point}({text})"]
    candidates += [f"{entry_point}({line.strip().strip('`')})" for line in text.split("\n")[-1:]]
    candidates += [f"{entry_point}({span})" for span in literal_spans(text)[-1:]]
    for candidate in candidates:
        try:
            node = read_expression(candidate)
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            for value in [*node.args, *(keyword.value for keyword in node.keywords)]:
                value_of(value)
            if all(keyword.arg for keyword in node.keywords) and node.func.id == entry_point:
                return ast.unparse(node)
        except ValueError:
            continue
    return None


def _after_name(text: str, entry_point: str) -> list[str]:
    """The argument lists, with brackets, behind each mention of the name; last first."""
    found: list[str] = []
    for mention in re.finditer(rf"\b{re.escape(entry_point)}(?=\()", text):
        end = bracket_end(text, mention.end())
        found += [text[mention.end() : end]] if end > 0 else []
    return found[::-1]


class PythonInputVerifier:
    """Runs the predicted call of ``{"code": …, "entry_point": …, "output": repr}``."""

    def __call__(self, answer_text: str, gold: str, /) -> Verdict:
        """Judge a call, or its arguments."""
        fields = _read(gold)
        if isinstance(fields, str):
            return unverifiable(answer_text, fields)
        name, output = fields["entry_point"], fields["output"]
        call = read_call(answer_text[:MAX_CHARS], name)
        if call is None:
            reason = f"{shown(answer_text)} holds no call of {name} with literal arguments"
            return unverifiable(answer_text, reason)
        function, result = default_sandbox().evaluate(fields["code"], [name, call])
        if function.value is None:
            return unverifiable(answer_text, f"the gold code has no {name}: {function.error}")
        if result.value is None:
            return wrong(answer_text, f"{shown(call)} gave no value: {result.error}")
        if result.value == output or _same_repr(result.value, output):
            return correct(answer_text, f"{shown(call)} returns the output")
        return wrong(answer_text, f"{shown(call)} returned {shown(result.value)}")

    def gold_is_parseable(self, gold: str) -> bool:
        """Whether the gold answer is an object with the keys that are needed."""
        return not isinstance(_read(gold), str)


def _same_repr(left: str, right: str) -> bool:
    try:
        return same_value(read_value(left), read_value(right))
    except ValueError:
        return False
