"""What execution says of one claim, read in one way; and of a claim with several readings.

A claim is contradicted only if every way to read it rules it out.
"""

import builtins
from collections.abc import Iterable, Sequence

from datagen.code.check.runs import Runs
from datagen.code.check.timeline import (
    Never,
    Unknown,
    element_of,
    inner_counts,
    n_iterations,
    values_at,
)
from datagen.code.claims import Claim
from datagen.code.claims.closed import agrees, equation_holds, evaluate
from datagen.code.execution import Execution, is_known
from schemas import ClaimVerdict

Reading = tuple[ClaimVerdict, str | None]
"""A verdict, and what execution says."""

_MAX_SHOWN = 6


def combined(readings: Iterable[Reading]) -> Reading:
    """The verdict of several ways to read one claim; without any, it is uncheckable."""
    found = list(readings)
    for verdict in ("holds", "uncheckable"):
        for reading in found:
            if reading[0] == verdict:
                return reading
    shown = dict.fromkeys(actual for _, actual in found if actual)
    return ("contradicted", "; ".join(shown) or None) if found else ("uncheckable", None)


def arithmetic(claim: Claim) -> Reading:
    """Of closed arithmetic; needs no execution."""
    holds = equation_holds(claim.subject, claim.value)
    if holds is None:
        return "uncheckable", None
    return ("holds" if holds else "contradicted"), repr(evaluate(claim.subject))


def compare_end(claim: Claim, outcome: str | None) -> Reading:
    """``outcome`` is a value, or ``raises`` with the name of an exception, or unknown."""
    if outcome is None or not is_known(outcome):
        return "uncheckable", None
    raised = outcome.removeprefix("raises ") if outcome.startswith("raises ") else None
    if claim.kind == "raises":
        holds = raised is not None and _is_kind_of(raised, claim.value)
    else:
        holds = raised is None and agrees(claim.value, outcome)
    return ("holds" if holds else "contradicted"), outcome


def _is_kind_of(raised: str, claimed: str) -> bool:
    a, b = getattr(builtins, raised, None), getattr(builtins, claimed, None)
    if isinstance(a, type) and isinstance(b, type):
        return issubclass(a, b)
    return raised == claimed


def end_of_call(claim: Claim, execution: Execution) -> Reading:
    """Of how the call in view ended."""
    verdict, actual = compare_end(claim, Runs.end_of(execution))
    if verdict == "contradicted" and any(f.parent is not None for f in execution.frames):
        return "uncheckable", actual  # it may be one of the inner calls that returns so
    return verdict, actual


def number_of_iterations(claim: Claim, execution: Execution) -> Reading:
    """Of how often a loop ran."""
    loops = _loops(claim, execution)
    try:
        counts = [n_iterations(execution, loop) for loop in loops]
    except Unknown:
        return "uncheckable", None
    readings: list[Reading] = [
        ("holds" if int(claim.value) == n else "contradicted", f"the loop runs {n} times")
        for n in counts
    ]
    if int(claim.value) in inner_counts(execution) - set(counts):
        return "uncheckable", None
    return combined(readings)


def _loops(claim: Claim, execution: Execution) -> Sequence[int]:
    reached = [run.loop.line for run in execution.loop_runs]
    reached_idx = [i for i, loop in enumerate(execution.loops) if loop.line in reached]
    which = claim.when.loop
    if which is None:
        return reached_idx
    # The second loop of the code, or the second that was reached.
    return sorted({*reached_idx[which : which + 1], *({which} & set(reached_idx))})


def value_of_variable(claim: Claim, execution: Execution) -> Reading:
    """Of a variable or an element of one, in one execution."""
    name = claim.subject.partition("[")[0]
    if name not in execution.history:
        values = Runs.inner_values(execution, name)
        if name == claim.subject and any(agrees(claim.value, value) for value in values):
            return "holds", claim.value
        return "uncheckable", None
    timed = claim.when.iteration is not None or claim.when.phase in ("before", "after")
    loops: Sequence[int | None] = _loops(claim, execution) if timed else [None]
    verdict, actual = combined(_value_in(claim, execution, name, loop) for loop in loops)
    inner = () if timed or name != claim.subject else Runs.inner_values(execution, name)
    if verdict == "contradicted" and any(agrees(claim.value, value) for value in inner):
        return "uncheckable", actual
    return verdict, actual


def _value_in(claim: Claim, execution: Execution, name: str, loop: int | None) -> Reading:
    try:
        values = values_at(execution, name, claim.when, loop=loop)
        if claim.subject != name:
            values = element_of(values, claim.subject)
    except Unknown:
        return "uncheckable", None
    except Never as never:
        return "contradicted", str(never)
    if any(is_known(value) and agrees(claim.value, value) for value in values):
        return "holds", claim.value
    any_time = claim.when.iteration is None and claim.when.phase == "end"
    if not all(map(is_known, values)) or (any_time and not execution.complete):
        return "uncheckable", None
    told = values[:1] if claim.when.phase == "first" else dict.fromkeys(values)
    shown = ", ".join(list(told)[-_MAX_SHOWN:])
    return "contradicted", shown or f"{name} has no value yet"
