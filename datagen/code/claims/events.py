"""What a thought says about runs, in order: claims, turns to an example, turns to no known one."""

from dataclasses import dataclass

from datagen.code.claims.calls import Call
from datagen.code.claims.contexts import ANY_TIME, When
from schemas import ClaimKind


@dataclass(frozen=True, slots=True)
class Claim:
    """One checkable statement.

    Attributes:
        step_idx: of the step, 0-based.
        kind: what it is about.
        text: the words that state it.
        subject: a variable or an element of one; a call, or empty for the call in view; an
            expression; empty for a number of iterations.
        value: the literal that it is said to be, or the name of an exception.
        when: the moment; for iterations, the loop.
        span: of the value in the step's text.
    """

    step_idx: int
    kind: ClaimKind
    text: str
    subject: str
    value: str
    when: When = ANY_TIME
    span: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Said:
    """A claim where it was made; ``firm``: of a moment or a change, so of the example in view."""

    claim: Claim
    firm: bool


@dataclass(frozen=True, slots=True)
class Example:
    """The thought turns to an example.

    Attributes:
        step_idx: of the step.
        call: the call, if it was written out.
        values: else names and values; an empty name stands for the only parameter.
        lasting: whether later steps are about it too, for certain.
    """

    step_idx: int
    call: Call | None
    values: tuple[tuple[str, str], ...]
    lasting: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """From here to the step's end the thought may speak of another example."""

    step_idx: int


Event = Said | Example | Lost
