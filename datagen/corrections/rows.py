"""A trace in the making: pieces that know where they came from, and the row that they make."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Final

from datagen.corrections.candidates import Whole
from datagen.corrections.joints import Joint
from datagen.factors.taxonomy import Factor
from datagen.journal import journal_key
from datagen.traces.assemble import trace_row
from datagen.traces.model import Step, Trace
from datagen.verify import Outcome, verify_completion
from schemas import CorrectionKind, StepRole

_ROLES: Final[dict[Factor, StepRole]] = {
    Factor.DETECT_ERROR: "detect",
    Factor.CORRECT_ERROR: "correct",
    Factor.BACKTRACK: "backtrack",
    Factor.SWITCH_APPROACH: "backtrack",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """One step of a correction; the fields are its entries in the columns of lists."""

    step: Step
    provenance: str
    source: str
    role: StepRole
    label: bool | None
    attempt_idx: int = -1


@dataclass(frozen=True, slots=True)
class Attempt:
    """The part of a wrong trace that a correction holds.

    Attributes:
        whole: the wrong trace.
        begin: first step of it that is taken; ``end`` is behind the last.
        distance: edit distance from the whole trace to the right one.
        mendable: whether one step can take the place of the wrong one.
    """

    whole: Whole
    begin: int
    end: int
    distance: int
    mendable: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A correction to be written: a right trace, and wrong attempts in the order of telling."""

    kind: CorrectionKind
    right: Whole
    attempts: Sequence[Attempt]


@dataclass(slots=True)
class Story:
    """The pieces so far."""

    draft: Draft
    fingerprint: str
    pieces: list[Piece] = field(default_factory=list[Piece])
    told: list[Attempt] = field(default_factory=list[Attempt])

    def state(self, *steps: Step) -> Trace:
        """Where the trace stands, with ``steps`` behind it."""
        pieces = (piece.step for piece in self.pieces)
        return Trace(self.draft.right.trace.question, (*pieces, *steps))

    def go_right(self, begin: int, end: int | None = None) -> None:
        """Add steps of the right trace, which are taken to be good."""
        right = self.draft.right
        for idx, step in list(enumerate(right.steps))[begin:end]:
            row = right.row
            self.pieces.append(
                Piece(step, row["step_provenance"][idx], row["step_source"][idx], "right", True)
            )

    def go_wrong(self, attempt: Attempt, steps: Iterable[Step], joint: Joint) -> None:
        """Add an attempt and the joint behind it.

        The joint of a correction is labelled good: it states what the right trace does. What else
        is said of an error nobody has looked at.
        """
        row = attempt.whole.row
        for idx, step in enumerate(steps, start=attempt.begin):
            self.pieces.append(
                Piece(
                    step,
                    row["step_provenance"][idx],
                    row["step_source"][idx],
                    "wrong",
                    attempt.whole.label(idx),
                    len(self.told),
                )
            )
        label = True if joint.corrects else None
        for step, request in zip(joint.steps, joint.requests, strict=True):
            key = journal_key(self.fingerprint, request)
            self.pieces.append(Piece(step, "model", key, _ROLES[step.factor], label))
        self.told.append(attempt)

    def row(self) -> dict[str, Any] | None:
        """The row of ``corrections``; ``None`` if it is not verified to end right."""
        right, pieces = self.draft.right, self.pieces
        trace = Trace(
            right.trace.question, tuple(piece.step for piece in pieces), right.trace.answer
        )
        made = trace_row(trace, seed_id=right.row["seed_id"])
        verdict = verify_completion(
            made["markup"], right.row["gold"], verifier=right.row["verifier"]
        )
        if verdict.outcome is not Outcome.CORRECT:
            return None
        human = takewhile(lambda piece: piece.provenance == "human", pieces)
        return {
            **right.row,
            **made,
            "step_provenance": [piece.provenance for piece in pieces],
            "step_source": [piece.source for piece in pieces],
            "n_human_steps": sum(1 for _ in human),
            "engine": self.fingerprint,
            "kind": self.draft.kind,
            "n_attempts": len(self.told),
            "wrong_trace_ids": [attempt.whole.name for attempt in self.told],
            "right_trace_id": right.name,
            "edit_distances": [attempt.distance for attempt in self.told],
            "step_roles": [piece.role for piece in pieces],
            "step_labels": [piece.label for piece in pieces],
            "attempt_idx": [piece.attempt_idx for piece in pieces],
        }
