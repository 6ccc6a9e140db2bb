"""What a verifier says of an answer.

There are four outcomes and not two, because *unverifiable is never counted as wrong*: an answer
that nobody could read says nothing about the step that led to it, and a label that pretends
otherwise is worse than no label.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable


class Outcome(StrEnum):
    """How a completion ended; the value is what stands in tables."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNVERIFIABLE = "unverifiable"
    TRUNCATED = "truncated"


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome and why.

    Attributes:
        outcome: the outcome. Only ``correct`` and ``wrong`` count as trials.
        extracted: the answer that was judged, or ``None`` if none was found.
        reason: one line for people who audit labels.
    """

    outcome: Outcome
    extracted: str | None
    reason: str

    @property
    def is_trial(self) -> bool:
        """Whether the verdict may enter a success rate."""
        return self.outcome in (Outcome.CORRECT, Outcome.WRONG)


class Verifier(Protocol):
    """Judges one answer against the gold answer.

    A verifier has a verdict for every pair of strings: it raises only if it is itself broken (a
    worker process that does not start). It never says ``truncated``, because it does not see how
    the completion ended, and may be called from many threads at once.
    """

    def __call__(self, answer_text: str, gold: str, /) -> Verdict:
        """Return ``correct``, ``wrong`` or ``unverifiable`` with a reason."""
        ...


@runtime_checkable
class GoldReader(Protocol):
    """A verifier that tells a usable gold answer without judging the gold against itself."""

    def gold_is_parseable(self, gold: str) -> bool:
        """Whether answers can be judged against ``gold`` at all."""
        ...


_SHOWN = 80


def shown(text: str) -> str:
    """``text`` quoted for a reason, shortened so that reasons stay one line."""
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def correct(answer: str, reason: str) -> Verdict:
    """A verdict of ``correct``."""
    return Verdict(Outcome.CORRECT, answer, reason)


def wrong(answer: str, reason: str) -> Verdict:
    """A verdict of ``wrong``."""
    return Verdict(Outcome.WRONG, answer, reason)


def unverifiable(answer: str | None, reason: str) -> Verdict:
    """A verdict of ``unverifiable``."""
    return Verdict(Outcome.UNVERIFIABLE, answer, reason)
