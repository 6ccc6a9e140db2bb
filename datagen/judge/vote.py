"""What a judge is and what it hands back: votes on where a trace first goes wrong.

A judge is a search (:mod:`datagen.search.scheduler`): it yields requests and is sent answers. So
thousands of traces are judged side by side, through the journal, and a judge that needs no model
simply yields nothing.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from datagen.engines.protocol import Answer, CompletionRequest, Request
from datagen.prompts.reading import StepRemark
from datagen.traces.model import Trace
from schemas import JudgeName


@dataclass(frozen=True, slots=True)
class Vote:
    """One opinion about one trace.

    Attributes:
        judge: who says so.
        vote_idx: 0-based, among the votes of this judge on this trace.
        first_error: 0-based index of the first wrong step; -1 if no error was found; ``None`` if
            the judge cannot say (its critique cannot be read, or there was nothing to decide).
        quote: text of that step, or its beginning, as the judge quotes it; empty without a step.
        reason: why, in the judge's words; the whole critique where its parts cannot be told apart.
        text: all that a model wrote, its own thought included.
        remarks: the critique step by step; empty where it cannot be read so.
        n_tokens: tokens generated for it.
        request: what a model was asked; ``None`` where none was.
    """

    judge: JudgeName
    vote_idx: int
    first_error: int | None
    quote: str = ""
    reason: str = ""
    text: str = ""
    remarks: tuple[StepRemark, ...] = ()
    n_tokens: int = 0
    request: CompletionRequest | None = None


class Judge(Protocol):
    """Judges a whole trace."""

    def __call__(
        self, trace: Trace, /
    ) -> Generator[Sequence[Request], Sequence[Answer], list[Vote]]:
        """Return the votes, by ``vote_idx``; a spent budget may be raised through it."""
        ...
