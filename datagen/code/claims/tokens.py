"""Cuts prose about code into tokens, with Python literals kept whole.

The surprising fact: literals are read *first*. A string such as ``'a, b. iteration 3'`` is one
token, so no rule about words, commas or loops can look inside a value.
"""

import ast
import re
import warnings
from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal["literal", "word", "ordinal", "op", "relation", "stop", "mark"]

_MAX_LITERAL: Final = 800
_OPEN: Final = {"(": ")", "[": "]", "{": "}"}
_NUMBER: Final = re.compile(
    r"(?:0[xX][0-9a-fA-F]+|(?:[0-9][0-9_]*(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?j?)(?!\w)"
)
_CONSTANT: Final = re.compile(r"(?:True|False|None)(?!\w)|set\(\)")
_ORDINAL: Final = re.compile(r"([0-9]{1,6})(?:st|nd|rd|th)(?!\w)")
_WORD: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*(?:['’][a-z]+)?")
_RELATION: Final = re.compile(r"->|=>|→|:=|==|!=|<=|>=|=|<|>|≤|≥|≠")
_OP: Final = re.compile(r"(?:\*\*|//|[-+*/%])=?|[×·÷−^&~≈±]")
_STRING: Final = re.compile(r"""b?(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")""")
_SAME: Final = {
    "×": "*", "·": "*", "÷": "/", "−": "-", "≤": "<=", "≥": ">=", "≠": "!=", "→": "->",
    "=>": "->", ":=": "=",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text; ``text`` has one spelling for each sign, and ``start:end`` is the source."""

    kind: Kind
    text: str
    start: int
    end: int

    @property
    def low(self) -> str:
        """The word in lower case; empty for anything that is no word."""
        return self.text.lower().replace("’", "'") if self.kind == "word" else ""


def words(text: str) -> tuple[str, ...]:
    """The words of a list that is written as one line."""
    return tuple(text.split())


def literal_value(text: str) -> Any:
    """The plain data that ``text`` stands for.

    Raises:
        ValueError: if it is no literal.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"{text[:80]!r} is no Python literal") from error


def is_literal(text: str) -> bool:
    """Whether ``text`` is a Python literal."""
    try:
        literal_value(text)
    except ValueError:
        return False
    return True


def read_literal(text: str, at: int) -> int | None:
    """Where the literal that begins at ``at`` ends, or ``None`` if none begins there.

    A sign is not part of it: ``- 4`` is an operator and a literal.
    """
    first = text[at]
    if first in _OPEN:
        end = _closing(text, at)
    elif first in "'\"b" and not (at and (text[at - 1].isalnum() or text[at - 1] in "_'\"")):
        found = _STRING.match(text, at)
        end = found.end() if found else None
        if end and end < len(text) and text[end].isalnum():  # 'tis the students' turn
            end = None
    else:
        end = None
    if end is None and (found := _NUMBER.match(text, at) or _CONSTANT.match(text, at)):
        end = found.end()
    return end if end is not None and is_literal(text[at:end]) else None


def _closing(text: str, at: int) -> int | None:
    expected: list[str] = []
    limit = min(len(text), at + _MAX_LITERAL)
    while at < limit:
        char = text[at]
        if char in "'\"":
            string = _STRING.match(text, at)
            if string is None:
                return None
            at = string.end()
            continue
        if char in _OPEN:
            expected.append(_OPEN[char])
        elif char in ")]}":
            if char != expected.pop():
                return None
            if not expected:
                return at + 1
        at += 1
    return None


def tokenise(text: str) -> tuple[Token, ...]:
    """The tokens of ``text``; white space, back-ticks, bold marks and bullets are dropped."""
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        token = _token(text, at)
        if token is None:
            at += 1
            continue
        if not _is_markup(text, token):
            tokens.append(token)
        at = token.end
    return tuple(tokens)


def _token(text: str, at: int) -> Token | None:
    char = text[at]
    if char == "\n":
        # The items of a list belong to the sentence before it.
        bullet = re.match(r"\s*(?:[-*•]|[0-9]{1,2}[.)])\s", text[at : at + 40])
        return Token("mark" if bullet else "stop", char, at, at + 1)
    if char.isspace() or char == "`":
        return None
    if (end := read_literal(text, at)) is not None:
        return Token("literal", text[at:end], at, end)
    kinds: tuple[tuple[Kind, re.Pattern[str]], ...] = (
        ("ordinal", _ORDINAL),
        ("word", _WORD),
        ("relation", _RELATION),
        ("op", _OP),
    )
    for kind, pattern in kinds:
        if found := pattern.match(text, at):
            return Token(kind, _SAME.get(found.group(), found.group()), at, found.end())
    if char in "!?;" or (char == "." and (at + 1 == len(text) or text[at + 1] in " \n\t)\"'*`]")):
        return Token("stop", char, at, at + 1)
    return Token("mark", char, at, at + 1)


def _is_markup(text: str, token: Token) -> bool:
    """A bullet, or one half of a pair of bold or italic marks."""
    if token.text not in ("*", "**", "-"):
        return False
    before, after = text[: token.start][-1:], text[token.end : token.end + 1]
    line = text[: token.start].rpartition("\n")[2]
    if not line.strip() and after.isspace():
        return True
    loose_before = not before or before.isspace() or before in "(,:;*"
    loose_after = not after or after.isspace() or after in ").,:;!?*"
    return token.text != "-" and loose_before != loose_after
