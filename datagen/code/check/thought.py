"""Compares what a thought claims with what happened.

The surprising fact: ``contradicted`` is hard to get. Words may be about one of several loops,
moments or examples; a claim holds if it holds in one of the readings, is contradicted only if every
reading rules it out, and is ``uncheckable`` otherwise.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from datagen.code.check.runs import Runs
from datagen.code.check.verdicts import (
    ClaimVerdict,
    Reading,
    arithmetic,
    combined,
    compare_end,
    end_of_call,
    number_of_iterations,
    value_of_variable,
)
from datagen.code.claims.calls import parameters_of
from datagen.code.claims.events import Claim, Example, Lost, Said
from datagen.code.claims.extract import read_thought
from datagen.code.execution import Execution
from datagen.traces.model import Step
from schemas import StepCheck


@dataclass(frozen=True, slots=True)
class CheckedClaim:
    """A claim and its verdict; ``actual`` is what execution says, if it says anything."""

    claim: Claim
    verdict: ClaimVerdict
    actual: str | None


@dataclass(frozen=True, slots=True)
class ThoughtCheck:
    """All claims of a thought, checked.

    Attributes:
        claims: in order of the text.
        steps: per step: contradicted if one of its claims is, else checked if one holds.
        first_error: index of the first contradicted step, -1 if there is none.
    """

    claims: tuple[CheckedClaim, ...]
    steps: tuple[StepCheck, ...]
    first_error: int

    @property
    def n_checked(self) -> int:
        """Claims that were compared with execution, whatever the outcome."""
        return sum(claim.verdict != "uncheckable" for claim in self.claims)

    @property
    def n_contradicted(self) -> int:
        """Claims that execution rules out."""
        return sum(claim.verdict == "contradicted" for claim in self.claims)


def wanted_calls(
    steps: Sequence[Step], executions: Sequence[Execution], *, entry_point: str
) -> tuple[str, ...]:
    """Calls with literal arguments that a thought speaks of and that no execution covers.

    Trace them and pass all executions to :func:`check_thought`. In order of the text, each once.
    """
    runs = Runs(executions, entry_point)
    wanted: dict[str, None] = {}
    for event in _read(steps, runs):
        match event:
            case Example(call=call) if call is None or call.name == entry_point:
                if not runs.examples(event):
                    wanted.update(dict.fromkeys(runs.missing(event)))
            case Said(claim=Claim(kind="returns" | "raises", subject=subject)) if subject:
                call = runs.as_wanted(subject)
                if call is not None and not runs.covers(subject):
                    wanted[call] = None
            case _:
                pass
    return tuple(wanted)


def check_thought(
    steps: Sequence[Step], executions: Sequence[Execution], *, entry_point: str
) -> ThoughtCheck:
    """Check every claim of a thought.

    Args:
        steps: of the thought.
        executions: traced calls; a thought that names no example is about the first.
        entry_point: name of the function.
    """
    runs = Runs(executions, entry_point)
    checked = tuple(_Checker(runs).check(_read(steps, runs)))
    verdicts: list[set[ClaimVerdict]] = [set() for _ in steps]
    for claim in checked:
        verdicts[claim.claim.step_idx].add(claim.verdict)
    outcome: tuple[StepCheck, ...] = tuple(
        "contradicted" if "contradicted" in v else "checked" if "holds" in v else "uncheckable"
        for v in verdicts
    )
    first = outcome.index("contradicted") if "contradicted" in outcome else -1
    return ThoughtCheck(checked, outcome, first)


def _read(steps: Sequence[Step], runs: Runs) -> Sequence[Said | Example | Lost]:
    return read_thought(
        steps,
        names=runs.names,
        functions=runs.functions,
        parameters=parameters_of(runs.function) if runs.function else runs.names,
    )


class _Checker:
    """Follows which example is in view; ``None`` in a view is a call that was not traced."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._lasting: tuple[Execution | None, ...] = runs.executions[:1]
        self._passing: tuple[Execution | None, ...] = ()
        self._passing_step = -1
        self._lost_step = -1

    def check(self, events: Iterable[Said | Example | Lost]) -> Iterator[CheckedClaim]:
        for event in events:
            match event:
                case Example():
                    self._turn(event)
                case Lost(step_idx=idx):
                    self._lost_step = idx
                case Said(claim=claim, firm=firm):
                    verdict, actual = self._verdict(claim, firm)
                    yield CheckedClaim(claim, verdict, actual)

    def _turn(self, event: Example) -> None:
        if event.call is not None and event.call.name != self._runs.entry_point:
            return
        if event.call is None and not self._runs.binds(event):
            # 'for x = 4, …' with a variable: real if x was 4 in view, else supposed.
            claims = [Claim(event.step_idx, "value", "", n, v) for n, v in event.values if n]
            held = [self._verdict(claim, False)[0] == "holds" for claim in claims]
            if not held or not all(held):
                self._lost_step = event.step_idx
            return
        found: tuple[Execution | None, ...] = self._runs.examples(event) or (None,)
        self._lost_step = -1
        if event.lasting:
            self._lasting, self._passing = found, ()
        else:
            self._passing, self._passing_step = found, event.step_idx

    def _view(self, step_idx: int) -> tuple[Execution | None, ...]:
        """After "with n = 5: …" a later step may be about either example."""
        if self._lost_step == step_idx:
            return (None,)
        if self._passing and self._passing_step == step_idx:
            return self._passing
        return (*self._passing, *self._lasting)

    def _verdict(self, claim: Claim, firm: bool) -> Reading:
        if claim.kind == "arithmetic":
            return arithmetic(claim)
        if claim.kind in ("returns", "raises") and claim.subject:
            ends = self._runs.outcomes(claim.subject, claim.kind)
            return combined(compare_end(claim, end) for end in ends)
        readers: dict[str, Callable[[Claim, Execution], Reading]] = {
            "value": value_of_variable,
            "iterations": number_of_iterations,
            "returns": end_of_call,
            "raises": end_of_call,
        }
        read = readers[claim.kind]
        verdict, actual = combined(
            ("uncheckable", None) if execution is None else read(claim, execution)
            for execution in self._view(claim.step_idx)
        )
        if verdict == "contradicted" and not firm and self._is_parameter(claim):
            # 'Edge case: n = 0' tells of another example.
            self._lost_step = claim.step_idx
            return "uncheckable", actual
        return verdict, actual

    def _is_parameter(self, claim: Claim) -> bool:
        function = self._runs.function
        return (
            claim.kind == "value"
            and function is not None
            and claim.subject in parameters_of(function)
        )
