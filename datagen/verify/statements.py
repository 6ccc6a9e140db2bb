r"""Reading "the answer is x": where the statement begins, and where the answer in it ends.

The end is the harder half. Models go on ("18 because …", "18. She sold …"), wrap the answer in
math, bold or a new line, and write sentences such as "this answer is correct" that state nothing.
All patterns have bounded repeats, so that hostile text costs linear time.
"""

import re
from collections.abc import Iterator
from typing import Final

from datagen.verify.notation import plain, undress
from datagen.verify.units import read_tail

_HEAD = re.compile(
    r"""(?<![A-Za-z])
    (?: answers? | ans\.? | (?:correct|right|best|final)\s(?:option|choice|result|value) )
    (?: \s(?:to|for|of)\s[^.:=\n]{1,80}? )?
    (?: [*_`]{0,3}\s?[:=：](?!=)[*_`]{0,3}
      | [*_`]{0,3}\s(?:is|are|was|equals|(?:should|would|must|will)\sbe|comes\s(?:out\s)?to)
        (?![A-Za-z'])[ ]?:?
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_TITLE = re.compile(
    r"^[ \t]{0,3}(?:#{1,6}[ \t]|\*\*)?(?:the )?(?:final )?answer[ \t*_]{0,4}$",
    re.IGNORECASE | re.MULTILINE,
)
_STATES_NOTHING = """
not correct incorrect right wrong reasonable unreasonable consistent valid invalid plausible
sensible in clear clearly obvious obviously unique given found obtained as expected supposed
probably likely maybe unknown unclear your required needed asked going what how
"""
# 'My answer is correct' and 'the answer is in dollars' hold no answer.
_NO_ANSWER: Final = frozenset(_STATES_NOTHING.split())
_FILLER = re.compile(
    r"(?:(?:therefore|thus|then|hence|so|simply|just|indeed|actually|also|exactly|approximately|"
    r"about|around|roughly|equal to|given by|either)(?![A-Za-z]),?|[:=≈>]|\\approx)\s*",
    re.IGNORECASE,
)
_BULLET = re.compile(r"^\s{0,3}\n\s{0,3}[-*•]\s+")
_ABBREVIATION = re.compile(
    r"(?:\b(?:a\.m|p\.m|rs|approx|mr|mrs|ms|dr|st|no|vs)|\bi\.e|\be\.g)$", re.I
)
_SENTENCE_END = re.compile(r"[.!?。][*_\"')$]{0,4}(?=\s|$)|。|;\s")
_CLAUSE = re.compile(
    r"[,:]?\s(?:\(?(?:because|since|as|which|where|meaning|i\.e\.|rounded|so)(?![A-Za-z])|—|–|--)"
    r"|,?\s(?:and\s(?:this|that|we|so|she|he|it|they|I))(?![A-Za-z])"
    r"|,\s(?:after|when|with|given|if)(?![A-Za-z])",
    re.IGNORECASE,
)
# '$18 dollars', '$18.' and no '$18 - 3 = 15$'.
_MONEY = re.compile(r"\$-?[0-9][0-9,.]*(?:\s+[A-Za-z]{2,}|[.,;!?)*]{1,3}(?:\s|$)|[ \t]*(?:\n|$))")
_SPANS: Final = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_JOINED = re.compile(r"\s*(?:,|,?\s*(?:and|or)(?![A-Za-z])|\\text\{\s*(?:and|or)\s*\})\s*(?=[$\\])")
_REGION: Final = 600


def stated_answers(text: str, *, limit: int) -> Iterator[tuple[str, bool]]:
    """Answers that the text states, the last one first.

    Yields:
        The answer, undressed, and whether it was complete (something follows that ends it).
    """
    heads = sorted((*_HEAD.finditer(text), *_TITLE.finditer(text)), key=re.Match[str].end)
    for head in heads[: -limit - 1 : -1]:
        region = text[head.end() : head.end() + _REGION]
        answer, closed = answer_in(_BULLET.sub("", region))
        first = re.match(r"[A-Za-z]+", answer)
        if answer and not (first and first.group().lower() in _NO_ANSWER):
            yield answer, closed


def answer_in(region: str) -> tuple[str, bool]:
    """Cut the answer out of a text that begins with it, and say whether its end was seen."""
    region = region.lstrip(" \t\r\n:")
    while (filler := _FILLER.match(region)) and filler.end() < len(region):
        region = region[filler.end() :]
    if region.startswith("**"):
        bold, closing, after = region[2:].partition("**")
        if closing and "\n" not in bold and undress(bold) and bold.strip()[-1] != ":":
            return _with_tail(undress(bold), after)
    span_end = _math_end(region)
    if span_end:
        return _with_tail(region[:span_end], region[span_end:])
    line, newline, _ = region.partition("\n")
    cut = _cut(line)
    if line.startswith("?", len(cut)):
        return "", False  # 'So the answer is 12? Wait' asks, and does not state
    answer = undress(cut).replace("**", "")
    if answer.endswith(")") and "(" not in answer:
        answer = undress(answer[:-1])  # '(Answer: 5)'
    # A full stop that ends the text may be the decimal point of a number that was cut off.
    return answer, bool(newline or line[len(cut) :].strip(".!?。*_\"')"))


def _cut(line: str) -> str:
    """``line`` up to the end of its first sentence or main clause."""
    clause = _CLAUSE.search(line)
    stop = clause.start() if clause else len(line)
    for end in _SENTENCE_END.finditer(line[: stop + 1]):
        if not _ABBREVIATION.search(line[: end.start()]):
            return line[: end.start()] if end.end() < len(line) else line.rstrip(".!?。")
    return line[:stop]


def _math_end(region: str) -> int:
    """Where the math that ``region`` begins with ends, joined spans included; 0 if none."""
    at = 0
    while True:
        delimiters = next((pair for pair in _SPANS if region.startswith(pair[0], at)), None)
        if delimiters is None:
            return at
        opening, closing = delimiters
        if opening == "$" and _MONEY.match(region, at):
            return 0
        end = region.find(closing, at + len(opening))
        if end < 0:
            return 0
        end += len(closing)
        joined = _JOINED.match(region, end)
        if joined is None:
            return end
        at = joined.end()


def _with_tail(answer: str, after: str) -> tuple[str, bool]:
    """An answer in its own dress, with a unit or magnitude that stands behind the dress."""
    tail = _cut(after.partition("\n")[0])
    if tail.strip() and read_tail(plain(tail)) is not None:
        return f"{plain(undress(answer))} {tail.strip()}", True
    return undress(answer), True
