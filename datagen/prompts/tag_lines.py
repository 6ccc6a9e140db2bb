r"""The form in which instruct models think: each step begins a line with its factor's tag.

::

    [RestateGoal] find how many apples Tom has
    [Compute] 3 * 6 = 18
    [Answer] Tom has \boxed{18} apples.

A step ends where the next tag begins, so nothing inside a step may look like a tag. A line that
could is moved one space to the right, and whatever is a tag or a mark anywhere in a line gets a
backslash behind its first character (``[\Compute]``, ``<\think>``), one more than stands there
already. So the round trip is exact but for white space around a step, which no model keeps to, and
``\n[``, the stop string of a step, never occurs inside one.

Tags are recognised in every dress that models give them, which is why the escape knows as many.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from datagen.factors.taxonomy import Factor
from datagen.traces.model import Step

STOP: Final = "\n["
"""Ends every step but the last."""

_KNOWN: Final = "|".join(factor.value for factor in Factor)
_WORDS: Final = "|".join(re.sub(r"(?<=[a-z])(?=[A-Z])", "[ _-]?", f.value) for f in Factor)
_BARE: Final = rf"(?:{_WORDS}|formalize|hypothesize|final[ _-]?answer)"
_FACTORS: Final = {factor.value.lower(): factor for factor in Factor} | {
    "formalize": Factor.FORMALISE,
    "hypothesize": Factor.HYPOTHESISE,
    "finalanswer": Factor.ANSWER,
}

# Bullets, numbers, headings, quotations and emphasis that models put before a tag.
_DRESS: Final = (
    r"(?:[#>]{1,6}[ \t]*|[-•+–*][ \t]+|[*_`]{1,3}|\(?[0-9]{1,3}[.):][ \t]*"
    r"|step[ \t#]{0,2}[0-9]{1,3}[ \t]*[:.)–—-]?[*_]{0,3}[ \t]*){0,4}"
)
_LINE: Final = (
    rf"^(?P<dress>{_DRESS})(?:"
    r"(?P<open>[\[【(])[ \t]*"
    r"(?P<name>(?:step[ #]?[0-9]{1,3}[ \t]*[:.–-][ \t]*)?[A-Za-z][A-Za-z0-9 _-]{2,40})"
    r"[\]】)](?P<link>(?=[(\]]))?"
    r"(?P<after>[*_`]{0,3}[:：]?[*_`]{0,3})"
    rf"|\[(?P<within>{_BARE})[ \t]?:(?=[^\n]*\]$)"
    rf"|(?P<bare>{_BARE})(?P<colon>[*_`]{{0,3}}[ \t]?[:：][*_`]{{0,3}}|[*_`]{{2,3}}|[ \t]*$))"
)
_INLINE: Final = rf"(?:(?<=[^\w\s\[][ \t])|(?<=[0-9][ \t]))\[(?P<inline>(?-i:{_KNOWN}))\](?=\s)"
_NATIVE: Final = r"<ACT_(?P<native>[A-Za-z]{1,40})-Start>"
_TAG: Final = re.compile(f"{_LINE}|{_INLINE}|{_NATIVE}", re.IGNORECASE | re.MULTILINE)
_TAG_LINE: Final = re.compile(_LINE, re.IGNORECASE | re.MULTILINE)
_NUMBER: Final = re.compile(r"^step[ _#]?[0-9]{1,3}[ :.–-]*|[ _-]*[0-9]{1,3}$", re.IGNORECASE)

THOUGHT_OPENS: Final = re.compile(
    r"<think(?:ing)?>|<reasoning>|<thought>|\[THINK\]|◁think▷|<\|begin_of_thought\|>"
    r"|<\|channel\|>(?:analysis|commentary)<\|message\|>|<Think_Start>",
    re.IGNORECASE,
)
"""How reasoning models open what a reader of the reply does not see."""

THOUGHT_CLOSES: Final = re.compile(
    r"</think(?:ing)?>|</reasoning>|</thought>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>"
    r"|(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>final<\|message\|>|<Think_End>",
    re.IGNORECASE,
)

CLOSING_TAG: Final = re.compile(
    rf"(?:<ACT_[A-Za-z]{{1,40}}-End>|\[/(?:{_KNOWN})\])\s{{0,9}}\Z", re.IGNORECASE
)
"""What models put behind a step if they take the tag for one that must be closed."""

_REST_OF_MARK: Final = (
    rf"/?(?:{_KNOWN})\]|/?THINK\]|/?(?:think|reasoning|thought)|/?think▷"
    r"|\|(?:channel|end|start|begin_of_thought|end_of_thought)\|?|Think_|ACT_"
)
_MARK: Final = re.compile(rf"([\[<◁])(\\*)(?={_REST_OF_MARK})", re.IGNORECASE)
_ESCAPED: Final = re.compile(rf"([\[<◁])\\(\\*)(?={_REST_OF_MARK})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag found in a text.

    Attributes:
        begin: offset of the tag, with its dress; ``end`` behind it.
        end: see there.
        factor: what it names; ``OTHER`` for a name that is no factor.
        closes: what then stands at the end of the step and belongs to the tag, as in
            ``**[Compute] 3 * 6 = 18**``; empty for nothing.
    """

    begin: int
    end: int
    factor: Factor
    closes: str = ""


def opening(factor: Factor) -> str:
    """The tag of ``factor``; a space follows it, which tokenizers hold with the next word."""
    return f"[{factor.value}]"


def render_step(step: Step) -> str:
    """One step and its line end."""
    return f"{opening(step.factor)} {escape(step.text)}\n"


def render_steps(steps: Iterable[Step]) -> str:
    """The thought so far."""
    return "".join(map(render_step, steps))


def escape(text: str) -> str:
    """Write a step's text, without white space around it, so that nothing in it reads as a tag."""
    first, *lines = _MARK.sub(r"\1\\\2", text.strip()).split("\n")
    return "\n".join([first, *(f" {line}" if _looks_like_tag(line) else line for line in lines)])


def unescape(text: str) -> str:
    """Undo :func:`escape`."""
    first, *lines = text.strip().split("\n")
    lines = [line[1:] if line[:1] == " " and _looks_like_tag(line) else line for line in lines]
    return _ESCAPED.sub(r"\1\2", "\n".join([first, *lines]))


def _looks_like_tag(line: str) -> bool:
    words = line.lstrip(" ")
    return words.startswith("[") or _TAG_LINE.match(words) is not None


def tags(text: str) -> Iterator[Tag]:
    """Tags in ``text``, in order."""
    for found in _TAG.finditer(text):
        name = next(filter(None, found.group("native", "inline", "within", "bare", "name")))
        name = _NUMBER.sub("", name)
        factor = _FACTORS.get(re.sub(r"[^A-Za-z]", "", name).lower(), Factor.OTHER)
        if _is_tag(found, name, factor):
            behind = (found["after"] or "") + (found["colon"] or "")
            bold = "**" if "**" in (found["dress"] or "") and "**" not in behind else ""
            closes = "]" if found["within"] else bold
            yield Tag(found.start(), found.end(), factor, closes)


def _is_tag(found: re.Match[str], name: str, factor: Factor) -> bool:
    """Whether what looks like a tag is one: few words stand for themselves."""
    if found["bare"]:
        return ":" in found["colon"] or "：" in found["colon"] or found["dress"] != ""
    if found["open"] == "(":
        return factor is not Factor.OTHER and found["dress"] != ""
    if found["link"] is not None and factor is Factor.OTHER:
        return False
    return name == "" or sum(map(str.isalpha, name)) >= 3
