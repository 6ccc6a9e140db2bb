"""Reads the sides of a statement and what stands between them: ``total`` ``is now`` ``4 + 16``.

A side is the longest run of tokens that forms an expression, so ``total + x = 20`` is never taken
for a claim about ``x``.
"""

import ast
import keyword
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from datagen.code.claims.calls import call_of
from datagen.code.claims.closed import evaluate
from datagen.code.claims.tokens import Token, is_literal, words

SideKind = Literal["name", "element", "call", "literal", "closed", "open", "result"]

_BINARY: Final = frozenset({"+", "-", "*", "/", "//", "%", "**"})


@dataclass(frozen=True, slots=True)
class Side:
    """An expression in a text.

    Attributes:
        kind: a variable, an element of one (``xs[0]``), a call with literals of a known function,
            a literal, a closed expression, anything else; ``result``: of the call in view.
        text: the expression with one spelling for each sign.
        begin: index of its first token; ``end`` of the token after it.
        span: in the source.
        base: the variable, of a name or an element.
        value: the literal, or what a closed expression is worth.
        spaced: whether its signs have space around them (``3-5`` may be a range).
    """

    kind: SideKind
    text: str
    begin: int
    end: int
    span: tuple[int, int] = (0, 0)
    base: str = ""
    value: str | None = None
    spaced: bool = True


@dataclass(frozen=True, slots=True)
class Relation:
    """What stands between sides; ``sign`` is ``=`` for verbs such as *is*, *becomes*, *returns*."""

    sign: str
    end: int
    verb: bool = False


def read_side(tokens: Sequence[Token], at: int, functions: Collection[str]) -> Side | None:
    """The longest expression that begins at token ``at``; ``tokens`` ends with an empty stop."""
    end = _operand(tokens, at)
    if end is None:
        return None
    spaced = True
    while tokens[end].kind == "op" and tokens[end].text in _BINARY:
        after = _operand(tokens, end + 1)
        if after is None:
            break
        sign = tokens[end]
        spaced = spaced and tokens[end - 1].end < sign.start and sign.end < tokens[end + 1].start
        end = after
    text = " ".join(token.text for token in tokens[at:end])
    return _classified(text, at, end, (tokens[at].start, tokens[end - 1].end), spaced, functions)


def _operand(tokens: Sequence[Token], at: int) -> int | None:
    while tokens[at].kind == "op" and tokens[at].text in ("+", "-"):
        at += 1
    token = tokens[at]
    if token.text == "(":
        end = _group(tokens, at)
    elif token.kind == "literal" or (token.kind == "word" and not keyword.iskeyword(token.text)):
        end = at + 1
    else:
        return None
    while end is not None and tokens[end].start == tokens[end - 1].end:
        if tokens[end].kind == "literal" and tokens[end].text[0] in "([":
            end += 1
        elif tokens[end].text in ("(", "["):
            end = _group(tokens, end)
        else:
            break
    return end


def _group(tokens: Sequence[Token], at: int) -> int | None:
    depth = 0
    for idx in range(at, min(len(tokens), at + 60)):
        depth += (tokens[idx].text in ("(", "[")) - (tokens[idx].text in (")", "]"))
        if tokens[idx].kind == "stop":
            return None
        if depth == 0:
            return idx + 1
    return None


def _classified(
    text: str,
    begin: int,
    end: int,
    span: tuple[int, int],
    spaced: bool,
    functions: Collection[str],
) -> Side:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            node = ast.parse(text, mode="eval").body
            shown = ast.unparse(node)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return Side("open", text, begin, end, span)
    if isinstance(node, ast.Name):
        return Side("name", node.id, begin, end, span, node.id)
    call = call_of(node)
    if call is not None and call.name in functions:
        return Side("call", str(call), begin, end, span)
    literal = "".join(text.split(" ", 1)) if text.startswith("- ") else text
    if is_literal(literal):
        return Side("literal", literal, begin, end, span, value=literal)
    base = _base_of_element(node)
    if base:
        return Side("element", shown, begin, end, span, base)
    try:
        value = repr(evaluate(text))
    except ValueError:
        return Side("open", text, begin, end, span)
    return Side("closed", shown, begin, end, span, value=value, spaced=spaced)


def _base_of_element(node: ast.expr) -> str:
    while isinstance(node, ast.Subscript):
        if not is_literal(ast.unparse(node.slice)):
            return ""
        node = node.value
        if isinstance(node, ast.Name):
            return node.id
    return ""


_ADVERBS: Final = frozenset(
    words("now still then again also just simply thus therefore currently finally exactly indeed")
)
_FILLERS: Final = frozenset(words("the list string tuple dict dictionary set value number empty"))
_VALUE_VERBS: Final = (
    *(("is", "equal", "to"), ("is", "updated", "to"), ("changes", "to"), ("stands", "at")),
    *(("stays", "at"), ("remains", "at"), ("ends", "up", "as"), ("ends", "up", "at")),
    *(("has", "the", "value"), ("has", "value")),
    *((verb,) for verb in words("is becomes become equals stays remains")),
)
_CALL_VERBS: Final = (
    *(("evaluates", "to"), ("will", "return"), ("is", "equal", "to")),
    *((verb,) for verb in words("returns return returned gives gave yields outputs produces is")),
    ("equals",),
)
_TRUTH: Final = {
    "holds": "True", "is true": "True", "is True": "True", "does not hold": "False",
    "is false": "False", "is False": "False", "fails": "False", "doesn't hold": "False",
    "-> True": "True", "-> False": "False",
}  # fmt: skip


def relation_at(
    tokens: Sequence[Token], at: int, after: SideKind, *, labelled: bool = False
) -> Relation | None:
    """The relation at token ``at`` after a side of the kind ``after``.

    Args:
        tokens: of the step, ended by an empty stop.
        at: index of a token.
        after: kind of the side before; verbs go with names, elements and calls.
        labelled: whether ``x: 4`` says what x is here.
    """
    token = tokens[at]
    if token.kind == "relation":
        arrow = token.text == "->"
        if arrow and after != "call":
            return None
        return Relation("=" if arrow else token.text, at + 1)
    if labelled and token.text == ":":
        return Relation("=", at + 1)
    if after not in ("name", "element", "call", "result"):
        return None
    while tokens[at].low in _ADVERBS:
        at += 1
    for verb in _CALL_VERBS if after == "call" else _VALUE_VERBS:
        if tuple(token.low for token in tokens[at : at + len(verb)]) == verb:
            at += len(verb)
            while tokens[at].low in _ADVERBS | _FILLERS or tokens[at].text == ":":
                at += 1
            return Relation("=", at, verb=True)
    return None


def truth_at(tokens: Sequence[Token], at: int) -> tuple[str, int] | None:
    """``holds``, ``is false``, …: what is said of a comparison, and the index after it."""
    for phrase, value in _TRUTH.items():
        parts = words(phrase)
        if tuple(token.text for token in tokens[at : at + len(parts)]) == parts:
            return value, at + len(parts)
    return None


_GOES_ON: Final = frozenset(
    words(
        "and but so then now after at before because since as again still here in during on while "
        "which giving making we it the this is too already exactly thus hence therefore finally "
        "meaning leaving also"
    )
)
_CONDITION: Final = frozenset(words("if when unless whenever until otherwise once provided or"))
_DISOWNED: Final = frozenset(words("wrong incorrect not impossible false no expected most least"))


def says_nothing_after(tokens: Sequence[Token], end: int) -> bool:
    """Whether a value that ends before token ``end`` is the whole value, said without condition."""
    token, after = tokens[end], tokens[min(end + 1, len(tokens) - 1)]
    if token.kind == "stop" or token.text in (")", "]", "|", "—", "–", "->", "\n"):
        return True
    if token.text in (",", ":", "("):
        goes_on = tokens[min(end + 2, len(tokens) - 1)].kind in ("op", "relation")
        listed = token.text == "," and (
            (after.kind == "literal" and not goes_on)  # 'x = 1, 2' but not 'x = 1, 2 + 2 = 4'
            or token.end == after.start  # '1,000'
            or after.kind == "ordinal"
            or after.text in ("…", ".")
        )
        return not listed and after.low not in _CONDITION
    if token.low in ("in", "on"):
        return after.low in ("the", "this", "iteration", "pass", "round", "its")
    return token.low in _GOES_ON and after.low not in _DISOWNED
