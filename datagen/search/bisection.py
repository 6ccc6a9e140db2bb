"""Binary search for the first error of one wrong trace (Luo et al. 2024, section 3.2).

It believes every answer: one lucky completion behind the error sends it past, and one unlucky
prefix before the error stops it short. So more rollouts per prefix do not simply make it better.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from datagen.engines.protocol import Answer, Completion, Request, Sampling
from datagen.prompts.dialect import NATIVE, Dialect
from datagen.search.evidence import Rollout, Tally, Verify
from datagen.search.waves import BudgetSpent, Until
from datagen.traces.model import Trace
from datagen.verify import Outcome


@dataclass(frozen=True, slots=True)
class Bisection:
    """Result of a binary search in one trace.

    Attributes:
        first_error_idx: 0-based index of the first step after which no rollout ended right;
            ``None`` if the budget was spent, or no rollout of some prefix could be judged.
        rollouts: in the order of asking.
        measured: trials and right ones by prefix length in steps, in the order of asking; a prefix
            that the budget cut short is left out.
    """

    first_error_idx: int | None
    rollouts: list[Rollout]
    measured: Mapping[int, Tally]


def bisect(
    trace: Trace,
    *,
    n_rollouts: int,
    stop_at_first_success: bool,
    sampling: Sampling,
    verify: Verify,
    first: int = 1,
    dialect: Dialect = NATIVE,
) -> Generator[Sequence[Request], Sequence[Answer], Bisection]:
    """Locate the first error of one wrong trace by binary search (section 3.2).

    The middle prefix is completed ``n_rollouts`` times. If one completion ends right, the error
    lies behind the prefix, otherwise within it. This asks at most ceil(log2(T - first + 1)) times.
    Prefixes are completed by the samples that :func:`~datagen.search.shepherd.shepherd` draws, so
    the two share their completions.

    Args:
        trace: whole trace of T steps that ended wrong. Its last step ends it, so that the longest
            prefix to measure has T - 1, and the whole counts as hopeless without being asked for.
        n_rollouts: k of the paper, per prefix.
        stop_at_first_success: ask for sample 0, then 1, and so on, each only if those before it
            did not end right; see :class:`OmegaConfig`.
        sampling: how completions are drawn.
        verify: judges a completion.
        first: shortest prefix that may be measured, in steps. The one before it, by default the
            bare question, is taken to be sound.
        dialect: how the policy is asked.

    Raises:
        ValueError: if ``first`` is not between 1 and T.
    """
    if not 1 <= first <= len(trace.steps):
        raise ValueError(
            f"first={first!r} must be between 1 and the number of steps, {len(trace.steps)}"
        )
    drawn: list[Rollout] = []
    measured: dict[int, Tally] = {}

    def measure(n_steps: int) -> Generator[Sequence[Request], Sequence[Answer], float | None]:
        rollouts = yield from draw(
            trace.prefix(n_steps),
            n_rollouts,
            stop_at_first_success=stop_at_first_success,
            sampling=sampling,
            verify=verify,
            record=drawn,
            dialect=dialect,
        )
        measured[n_steps] = count_trials(rollouts)
        return measured[n_steps].mean

    try:
        first_error_idx = yield from close_in(first - 1, len(trace.steps), measure)
    except BudgetSpent:
        first_error_idx = None
    return Bisection(first_error_idx, drawn, measured)


def close_in(
    n_sound: int,
    n_hopeless: int,
    measure: Callable[[int], Generator[Sequence[Request], Sequence[Answer], float | None]],
) -> Generator[Sequence[Request], Sequence[Answer], int | None]:
    """Close in on the shortest hopeless prefix, and return the index of its last step.

    Args:
        n_sound: steps of a prefix with MC > 0; ``n_hopeless`` of a longer one with MC = 0.
        n_hopeless: see there.
        measure: MC by prefix length; ``None`` if it cannot be told, which ends the search.
    """
    while n_hopeless - n_sound > 1:
        middle = (n_sound + n_hopeless) // 2
        mc = yield from measure(middle)
        if mc is None:
            return None
        n_sound, n_hopeless = (middle, n_hopeless) if mc > 0 else (n_sound, middle)
    return n_hopeless - 1


def draw(
    state: Trace,
    n_rollouts: int,
    *,
    stop_at_first_success: bool,
    sampling: Sampling,
    verify: Verify,
    record: list[Rollout],
    dialect: Dialect = NATIVE,
) -> Generator[Sequence[Request], Sequence[Answer], list[Rollout]]:
    """Rollouts from one state, all at once or one by one; ``record`` has them even if it is cut."""
    requests = dialect.rollout_requests(state, n_rollouts, sampling=sampling)
    drawn: list[Rollout] = []

    def read(answer: Answer) -> Rollout:
        request = requests[len(drawn)]
        drawn.append(
            Rollout.read("omega", state, request, cast(Completion, answer), verify, dialect)
        )
        record.append(drawn[-1])
        return drawn[-1]

    def succeeded(answers: Sequence[Answer]) -> bool:
        return read(answers[-1]).verdict.outcome is Outcome.CORRECT

    if stop_at_first_success:
        yield Until(requests, succeeded)
    else:
        for answer in (yield requests):
            read(answer)
    return drawn


def count_trials(rollouts: Iterable[Rollout]) -> Tally:
    """Trials and right ones among rollouts of one state."""
    outcomes = [r.verdict.outcome is Outcome.CORRECT for r in rollouts if r.verdict.is_trial]
    return Tally(len(outcomes), sum(outcomes))
