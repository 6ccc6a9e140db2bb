"""Reads when a claim is about: "after the third iteration of the second loop", "before the loop".

Labels such as "iteration 3" count from 1 unless the thought somewhere says "iteration 0"; words
such as "third" always count from 1.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from datagen.code.claims.tokens import Token, words

Phase = Literal["end", "during", "before", "after", "first"]


@dataclass(frozen=True, slots=True)
class When:
    """The moment that a claim is about.

    Attributes:
        loop: 0-based index among the outermost loops in order of the code; ``None``: not said.
        iteration: 0-based, -1 for the last; ``None``: any time (phase ``end``), or see phase.
        phase: ``end`` of the iteration, or some time ``during`` it; without an iteration,
            ``before`` the loop, ``after`` it, or ``first``: before all loops.
    """

    loop: int | None = None
    iteration: int | None = None
    phase: Phase = "end"


ANY_TIME: Final = When()


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase of time, and the index of the token after it; ``inner``: of an inner loop."""

    when: When
    end: int
    inner: bool = False


_ORDINALS: Final = words(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
_NUMBERS: Final = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
)
_NOUN: Final = frozenset({"iteration", "pass", "round"})
_NOUNS: Final = frozenset({"iterations", "passes", "rounds", "times"})
_VAGUE: Final = frozenset(
    words("each every next previous another this same current any that following other more")
)
_ENDS: Final = frozenset(
    words("ends end finishes finished completes completed exits is has done over terminates stops")
)
_BEGINS: Final = frozenset(words("starts begins start begin runs is entered even"))
_NOT_THE_LOOP: Final = frozenset(words("variable body header counter index condition invariant"))
_FROM_ZERO: Final = re.compile(r"\b(?:iteration|pass|round)\s+#?0\b|\bzeroth\b|\b0th\b", re.I)


def counts_from_zero(texts: Sequence[str]) -> bool:
    """Whether the labels of iterations in a thought begin with 0."""
    return any(_FROM_ZERO.search(text) for text in texts)


def read_count(token: Token) -> int | None:
    """A whole number in digits or words; ``once`` and ``twice`` are numbers too."""
    if token.kind == "literal" and token.text.isascii() and token.text.isdigit():
        return int(token.text)
    if token.low in ("once", "twice"):
        return 1 + (token.low == "twice")
    return _NUMBERS.index(token.low) if token.low in _NUMBERS else None


def read_ordinal(token: Token) -> int | None:
    """0-based; -1 for ``last`` and ``final``."""
    if token.kind == "ordinal":
        return int(token.text[:-2]) - 1 if int(token.text[:-2]) > 0 else None
    if token.low in ("last", "final"):
        return -1
    return _ORDINALS.index(token.low) if token.low in _ORDINALS else None


@dataclass(slots=True)
class PhraseReader:
    """Finds phrases of time in the tokens of one step.

    Attributes:
        tokens: of the step, with one empty ``stop`` at the end.
        from_zero: whether labels count from 0.
        loop: which loop the step speaks of, kept from an earlier phrase.
    """

    tokens: Sequence[Token]
    from_zero: bool = False
    loop: int | None = None

    def read(self, at: int, *, elliptic: bool = False) -> Phrase | None:
        """The phrase that begins at token ``at``.

        Args:
            at: index of a token.
            elliptic: whether "after the second," may go without its noun.
        """
        if first := self._at_first(at):
            return first
        phase, body, said = self._preposition(at)
        found = self._iteration(body, phase, elliptic=elliptic and said)
        found = found or self._whole_loop(body, phase, said)
        if found is None:
            return None
        found = self._of_loop(found)
        if at and self.tokens[at - 1].low in ("to", "but"):  # the second to last iteration
            found = replace(found, when=ANY_TIME)
        self.loop = found.when.loop if found.when.loop is not None else self.loop
        if found.when.loop is None and found.when != ANY_TIME and not found.inner:
            found = replace(found, when=replace(found.when, loop=self.loop))
        return found

    def _low(self, at: int) -> str:
        return self.tokens[min(at, len(self.tokens) - 1)].low

    def _words(self, at: int, phrase: str) -> int | None:
        words = phrase.split()
        return at + len(words) if [self._low(at + n) for n in range(len(words))] == words else None

    def _at_first(self, at: int) -> Phrase | None:
        for phrase in ("at first", "initially", "in the beginning", "to begin with"):
            if end := self._words(at, phrase):
                return Phrase(When(phase="first"), end)
        end = self._words(at, "at the start") or self._words(at, "at the beginning")
        return Phrase(When(phase="first"), end) if end and self._low(end) != "of" else None

    def _preposition(self, at: int) -> tuple[Phase, int, bool]:
        """The phase, where the noun phrase begins, and whether a preposition was there."""
        body, phase, said = at, "during", True
        word = self._low(at)
        if word in ("after", "before", "when", "once"):
            phase, body = ("before" if word == "before" else "end"), at + 1
        else:
            body = at + 1 if word in ("at", "by", "from") else at
            body = body + 1 if self._low(body) == "the" else body
            if self._low(body) in ("end", "start", "beginning") and self._low(body + 1) == "of":
                phase, body = ("end" if self._low(body) == "end" else "during"), body + 2
            elif word in ("in", "on", "during", "for", "within", "at", "by"):
                body = at + 1
            else:
                body, said = at, False
        if self._low(body) in ("the", "its", "our"):
            body += 1
        return phase, body, said  # type: ignore[return-value]

    def _iteration(self, at: int, phase: Phase, *, elliptic: bool) -> Phrase | None:
        word, ordinal = self._low(at), read_ordinal(self.tokens[at])
        if word in ("when", "once"):
            return None
        if word in _VAGUE and (self._low(at + 1) in _NOUN | _NOUNS):
            return Phrase(ANY_TIME, at + 2)
        if ordinal is not None:
            after = at + 1
            while self._low(after) in ("loop", "outer", "full", "complete", "for", "while"):
                after += 1
            if self._low(after) in _NOUN:
                return Phrase(_moment(ordinal, phase), after + 1)
            count = read_count(self.tokens[min(after, len(self.tokens) - 1)])
            if count is not None and self._low(after + 1) in _NOUNS:
                exact = ordinal == 0 and count > 0 and phase == "end"
                return Phrase(_moment(count - 1, phase) if exact else ANY_TIME, after + 2)
            follower = self.tokens[min(after, len(self.tokens) - 1)]
            ends = follower.kind == "stop" or follower.text in (",", ":", "one", "and")
            if elliptic and ends:
                return Phrase(_moment(ordinal, phase), after)
        if word in _NOUN | _NOUNS:
            number = at + 2 if self.tokens[at + 1].text in ("#", "number") else at + 1
            label = read_count(self.tokens[min(number, len(self.tokens) - 1)])
            if word in _NOUNS:
                return Phrase(ANY_TIME, number + 1) if label is not None else None
            if label is not None and (label > 0 or self.from_zero):
                return Phrase(_moment(label - (not self.from_zero), phase), number + 1)
            return None
        count = read_count(self.tokens[at])
        if count and elliptic and (self.tokens[at + 1].text in (",", ":")):
            return Phrase(_moment(count - 1, phase) if word else ANY_TIME, at + 1)
        if count and phase == "end" and self._low(at + 1) in _NOUN | (_NOUNS - {"times"}):
            return Phrase(_moment(count - 1, phase), at + 2)
        return None

    def _whole_loop(self, at: int, phase: Phase, said: bool) -> Phrase | None:
        ordinal, begin = read_ordinal(self.tokens[at]), at
        inner = self._low(at) in ("inner", "nested", "innermost")
        if ordinal is not None or inner or self._low(at) in ("outer", "for", "while", "main"):
            at += 1
        if ordinal is not None and self._low(at) in ("for", "while"):
            at += 1
        if self._low(at) != "loop" or self._low(at + 1) in _NOT_THE_LOOP | _NOUN:
            return None
        loop = ordinal if ordinal is not None and ordinal >= 0 else None
        if inner:
            return Phrase(ANY_TIME, at + 1, inner=True)
        if not said or phase == "during":
            return Phrase(When(loop), at + 1) if loop is not None else None
        verbs = _ENDS if phase == "end" else _BEGINS
        end = at + 1
        while self._low(end) in verbs:
            end += 1
        if self._low(begin - 2) in ("when", "once") and end == at + 1:
            return None
        return Phrase(When(loop, phase="before" if phase == "before" else "after"), end)

    def _of_loop(self, found: Phrase) -> Phrase:
        at = found.end
        if self._low(at) not in ("of", "in", "through"):
            return found
        at += 1
        if self._low(at) == "the":
            at += 1
        whole = self._whole_loop(at, "during", said=True)
        if whole is not None:
            when = ANY_TIME if whole.inner else replace(found.when, loop=whole.when.loop)
            return Phrase(when, whole.end, whole.inner)
        while self._low(at) in ("outer", "for", "while", "main", "same"):
            at += 1
        return replace(found, end=at + 1) if self._low(at) == "loop" else found


def _moment(iteration: int, phase: Phase) -> When:
    """Before iteration 3 is after iteration 2; before the first is before the loop."""
    if phase == "before":
        return (
            When(phase="before")
            if iteration == 0
            else When(iteration=iteration - 1 if iteration > 0 else None)
        )
    return When(iteration=iteration, phase=phase)
