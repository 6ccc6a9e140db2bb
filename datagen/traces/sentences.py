"""Finds where sentences end in prose that is mixed with mathematics.

The surprising fact: the rules are lopsided on purpose. A missed end only makes a step longer; a
false one cuts "No. 5" or "J. Smith" in two and gives a step that cannot be judged. So a full stop
ends a sentence unless something speaks against it, and abbreviations that may go either way
("Inc.", initials) end one only before a word that typically opens a sentence.

English abbreviations; CJK full stops need no space after them.
"""

import re
from collections.abc import Iterator
from typing import Final

# Possessive quantifiers and the look-behind keep this linear on runs such as "......" or ".))))".
_STOP: Final = re.compile(
    r"""(?<![.!?…])(?P<stop>[.!?…]++)
        (?:["'”’»)\]}*_`$]|\\[)\]])*+     # quotes, brackets, emphasis and math ends belong to it
        (?:\s+\\[)\]])?\s+
      | [。！？]++["'”’」』）]*+\s*""",
    re.VERBOSE,
)
_BLANK_LINES: Final = re.compile(r"\n[^\S\n]*\n(?:[^\S\n]*\n)*")
_ITEM_LINE: Final = re.compile(r"\n(?=[ \t]*+(?:[-*•]|#{1,6}|\d{1,3}[.)])[ \t])")
_OPENING: Final = re.compile(r"""["'“‘«(\[{*_`]*+""")
_WORD_BEFORE: Final = re.compile(r"[\w.'’]+\Z")
_WORD_AFTER: Final = re.compile(r"[^\W\d_]{1,24}")
_VARIABLE: Final = re.compile(r"[a-z](?:\([a-z]\)|_?\d)?\s{0,3}(?:[=<>≤≥+*/^]|-\s)")
_MARKER: Final = re.compile(r"\d{1,3}|[A-Za-z]|[ivx]{1,5}|[IVX]{1,5}")
_NUMBERED_HEADING: Final = re.compile(
    r"(?:step|case|part|problem|question|example|exercise|claim|rule|way|method)\s{1,3}\Z", re.I
)
_INITIALS: Final = re.compile(r"(?:[A-Z]\.)*[A-Z]")
_CONTINUES: Final = frozenset("=+/<>≤≥,;:)]}|&%×÷")
_LOOK_BACK: Final = 40


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Never the end of a sentence.
_ABBREVIATIONS: Final = _words(
    "mr mrs ms mx dr prof rev hon gen col capt lt sgt gov sen rep pres messrs mme "
    "e.g i.e eg ie cf vs viz approx ca resp incl excl a.k.a w.r.t s.t i.i.d w.l.o.g "
    "fig figs eq eqs eqn al"
)
# An abbreviation only where a number follows: "No. 5", but "No. That is wrong."
_BEFORE_NUMBER: Final = _words(
    "no nos nr p pp ch chap sec vol art thm lem prop cor def ref refs "
    "jan feb mar apr jun jul aug sep sept oct nov dec"
)
# May end a sentence or not: only a typical opening word after it decides that it does.
_EITHER: Final = _words("inc ltd co corp bros st ave blvd rd mt jr sr ph.d m.d b.a m.a")
_OPENING_WORDS: Final = _words(
    "the a an this that these those it he she we they i you there here then so thus hence "
    "therefore now next since because if let but and or for in as at on to by with from when "
    "while where finally first second third also however our his her their its my your what "
    "which who how why is are do does can both each every all after before given using note "
    "recall wait hmm adding multiplying dividing subtracting substituting solving"
)
# A single capital after one of these is an initial ("by J. Smith"); after another small word it is
# the name of a thing ("jar A. Jar C", "point P. Draw"), which word problems are full of.
_BEFORE_NAMES: Final = _words(
    "by of from to with and or for that than when if as about but because while whom did does"
)


def sentence_cuts(text: str) -> Iterator[int]:
    """Offsets in ``text`` where a sentence starts, rising, each strictly inside the text.

    White space after a sentence stays with it, but the indent of a following line goes with that
    line. Blank lines and list items start a sentence too.
    """
    at_sentence = 0
    for match in _merged(text):
        cut = match.end()
        if match.re is _STOP and (stop := match["stop"]):
            if not _ends_sentence(text, match, stop, at_sentence):
                continue
            line_end = text.rfind("\n", match.start(), cut)
            cut = cut if line_end < 0 else line_end + 1
        if at_sentence < cut < len(text):
            yield cut
            at_sentence = cut


def blank_line_cuts(text: str) -> Iterator[int]:
    """Offsets just after each run of blank lines; the next line keeps its indent."""
    return (match.end() for match in _BLANK_LINES.finditer(text))


def _merged(text: str) -> Iterator[re.Match[str]]:
    """Matches of all three patterns, in the order in which they end."""
    found = [m for p in (_STOP, _BLANK_LINES, _ITEM_LINE) for m in p.finditer(text)]
    return iter(sorted(found, key=re.Match[str].end))


def _ends_sentence(text: str, match: re.Match[str], stop: str, at_sentence: int) -> bool:
    """Whether ``stop``, with what stands around it, ends a sentence."""
    opening = _OPENING.match(text, match.end())
    at_next = opening.end() if opening else match.end()
    following = text[at_next : at_next + 1]
    if stop == "." and _is_abbreviation(text, match.start(), at_next, at_sentence):
        return False
    if following.islower():
        return _VARIABLE.match(text, at_next) is not None
    return following not in _CONTINUES


def _is_abbreviation(text: str, at_stop: int, at_next: int, at_sentence: int) -> bool:
    """Whether the single full stop at ``at_stop`` belongs to the word before it."""
    before = text[max(0, at_stop - _LOOK_BACK) : at_stop]
    found = _WORD_BEFORE.search(before)
    if found is None:
        return False
    word, context = found[0], before[: found.start()]
    if _MARKER.fullmatch(word):
        at_word = at_stop - len(word)
        lead = text[max(at_sentence, at_word - _LOOK_BACK) : at_word]
        if not lead.rpartition("\n")[2].strip(" \t([*_#>-"):
            return True  # the "1." of a list
        if word.isdigit() and (heading := _NUMBERED_HEADING.search(lead)):
            return not lead[: heading.start()].strip(" \t([*_#>-\n")  # the "Step 1." of a heading
    lower = word.lower().lstrip("'’")
    if lower in _ABBREVIATIONS:
        return True
    if lower in _BEFORE_NUMBER:
        return text[at_next : at_next + 1].isdigit()
    next_word = _WORD_AFTER.match(text, at_next)
    if word != "I" and _INITIALS.fullmatch(word):
        return _is_initial(word, context, next_word)
    return lower in _EITHER and not _opens_sentence(next_word)


def _is_initial(word: str, context: str, next_word: re.Match[str] | None) -> bool:
    """Whether a capital letter (or "U.S") before a full stop is short for a name."""
    if next_word is None or _opens_sentence(next_word):
        return False
    if len(word) > 1:
        return True
    previous = context.split()[-1:]
    if not previous:
        return False
    last = previous[0]
    return last.endswith(".") or last[0].isupper() or last in _BEFORE_NAMES


def _opens_sentence(word: re.Match[str] | None) -> bool:
    """Whether ``word`` typically opens a sentence; "A." and "I." are initials instead."""
    return word is None or (
        word[0].lower() in _OPENING_WORDS and not word.string.startswith(".", word.end())
    )
