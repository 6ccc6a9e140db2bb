"""Reads thought-factor tags in a thought that a person wrote, keeping every character.

The surprising fact: :mod:`datagen.traces.markup` reads what a *model* wrote and must match the
tokenizer to the space, while people put line breaks, indents and remarks around their tags. So here
white space beside a tag is free and text between steps is allowed, but the tags themselves must be
right: a misspelt factor would silently lose the annotation that the seed was written for.
"""

import re
from typing import Final

from datagen.factors.taxonomy import Factor
from datagen.traces.markup import unescape

_TAG: Final = re.compile(r"<ACT_([A-Za-z]+)-(Start|End)>")
_REST_OF_LINE: Final = re.compile(r"[^\S\n]*+\n?")
_WRAPPER: Final = re.compile(r"(?:\s|<Think_Start>|<Think_End>)*+")
_FACTORS: Final = {factor.value: factor for factor in Factor}


def has_tags(text: str) -> bool:
    """Whether ``text`` holds an unescaped tag that opens or closes a step."""
    return _TAG.search(text) is not None


def tagged_cuts(text: str) -> list[int]:
    """Offsets where a tagged step starts or has ended (with the rest of its line), rising."""
    cuts: list[int] = []
    for tag in _TAG.finditer(text):
        if tag[2] == "Start":
            cuts.append(tag.start())
        else:
            rest = _REST_OF_LINE.match(text, tag.end())
            cuts.append(rest.end() if rest else tag.end())
    return cuts


def is_wrapper(text: str) -> bool:
    """Whether ``text`` is only white space and the tags around the whole thought."""
    return _WRAPPER.fullmatch(text) is not None


def tag_problem(text: str) -> str | None:
    """Say what is wrong with the tags of ``text`` and the fix; ``None`` if nothing is."""
    opened: str | None = None
    for tag in _TAG.finditer(text):
        name = tag[1]
        if name not in _FACTORS:
            return f"the tag {tag[0]!r} names no known factor; use one of {', '.join(_FACTORS)}"
        if tag[2] == "Start":
            if opened is not None:
                return f"<ACT_{name}-Start> opens inside {opened}; close {opened} before it"
            opened = name
        elif name != opened:
            inside = "no open step" if opened is None else f"the open step {opened}"
            return f"<ACT_{name}-End> does not match {inside}; correct or remove one of the two"
        else:
            opened = None
    return None if opened is None else f"the step {opened} is not closed; add <ACT_{opened}-End>"


def factor_of(piece: str) -> Factor:
    """The factor of the first tag in ``piece``; ``Factor.OTHER`` without a known one."""
    tag = _TAG.search(piece)
    return Factor.OTHER if tag is None else _FACTORS.get(tag[1], Factor.OTHER)


def words_of(piece: str) -> str:
    """The words between the tags of one step, unescaped; ``piece`` itself if it has no tags.

    Takes off the one space that :func:`~datagen.traces.markup.render_step` puts beside each tag, so
    that it is that function's inverse.
    """
    tags = list(_TAG.finditer(piece))
    if not tags:
        return piece
    inner = piece[tags[0].end() : tags[-1].start() if len(tags) > 1 else len(piece)]
    return unescape(inner.removeprefix(" ").removesuffix(" "))
