"""The methods that a label benchmark compares, each run as the search that it is in the pipeline.

All run over one journal, so they share rollouts: what differs between two methods is which they
asked for, never which they got. A method is charged for every rollout that it looked at, whether
or not another method had drawn it before.
"""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from datagen.engines.protocol import Answer, Engine, Request, Sampling
from datagen.journal import Journal
from datagen.search.bisection import bisect, draw
from datagen.search.evidence import Rollout
from datagen.search.first_error import (
    Attempt,
    FirstErrorConfig,
    FirstErrors,
    Suspect,
    first_errors,
)
from datagen.search.scheduler import Scheduler
from datagen.search.shepherd import shepherd
from datagen.search.waves import Search
from datagen.verify import Outcome

Family = Literal["ours", "omega", "shepherd", "ablation"]
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Labelled:
    """What one method at one setting says of each trace.

    Attributes:
        family: which method.
        name: method and setting, as the table shows it.
        predicted: 0-based first errors, -1 for none; int64, ``(n_traces,)``.
        n_tokens: tokens generated for each trace, ``(n_traces,)``.
        n_rollouts: likewise.
        n_prefixes: distinct prefixes of each trace that have a rollout, ``(n_traces,)``.
        found: the posterior, if the method has one.
    """

    family: Family
    name: str
    predicted: npt.NDArray[np.int64]
    n_tokens: npt.NDArray[np.int64]
    n_rollouts: npt.NDArray[np.int64]
    n_prefixes: npt.NDArray[np.int64]
    found: FirstErrors | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """What all methods work on: traces, and where rollouts come from.

    Attributes:
        suspects: the traces.
        attempts: root rollouts of the run.
        engine: the policy.
        journal: the shared pool.
        sampling: of rollouts.
    """

    suspects: Sequence[Suspect]
    attempts: Sequence[Attempt]
    engine: Engine
    journal: Journal
    sampling: Sampling

    def run(self, searches: Iterable[Search[R]]) -> list[R]:
        """Run searches to their end, side by side."""
        named = [(str(idx), search) for idx, search in enumerate(searches)]
        found = Scheduler[R](self.engine, self.journal).run(named, n_searches=len(named))
        return [found[name] for name, _ in named]

    def labelled(
        self,
        family: Family,
        name: str,
        predicted: Sequence[int],
        rollouts: Sequence[Sequence[Rollout]],
        found: FirstErrors | None = None,
    ) -> Labelled:
        """Count what the method took."""
        return Labelled(
            family,
            name,
            np.array(predicted, dtype=np.int64),
            np.array([sum(r.n_tokens for r in drawn) for drawn in rollouts], dtype=np.int64),
            np.array([len(drawn) for drawn in rollouts], dtype=np.int64),
            np.array([len({len(r.state.steps) for r in drawn}) for drawn in rollouts], np.int64),
            found,
        )


def run_shepherd(bench: Bench, ks: Sequence[int]) -> tuple[list[Labelled], list[list[Rollout]]]:
    """Math-Shepherd's hard estimation with k rollouts per step, for several k.

    The first error is the first step after which none of the k ended right.

    Returns:
        The labels by k, and all rollouts of the largest one, per trace.
    """
    most = max(ks)
    drawn = bench.run(
        shepherd(s.trace, first=1, n_rollouts=most, sampling=bench.sampling, verify=s.verify)
        for s in bench.suspects
    )
    results: list[Labelled] = []
    for k in ks:
        kept = [[r for r in rollouts if r.request.sample_idx < k] for rollouts in drawn]
        predicted = [
            _first_hopeless(suspect, rollouts)
            for suspect, rollouts in zip(bench.suspects, kept, strict=True)
        ]
        results.append(bench.labelled("shepherd", f"Math-Shepherd k={k}", predicted, kept))
    return results, drawn


def _first_hopeless(suspect: Suspect, rollouts: Sequence[Rollout]) -> int:
    n_steps = len(suspect.trace.steps)
    hopeful = {len(r.state.steps) for r in rollouts if r.verdict.outcome is Outcome.CORRECT}
    hopeless = [k - 1 for k in range(1, n_steps) if k not in hopeful]
    return hopeless[0] if hopeless else (-1 if suspect.correct else n_steps - 1)


def run_omega(bench: Bench, k: int, *, stop_at_first_success: bool) -> Labelled:
    """OmegaPRM's binary search with k rollouts per prefix; right traces are left alone."""
    wrong = [idx for idx, s in enumerate(bench.suspects) if not s.correct]
    found = bench.run(
        bisect(
            bench.suspects[idx].trace,
            n_rollouts=k,
            stop_at_first_success=stop_at_first_success,
            sampling=bench.sampling,
            verify=bench.suspects[idx].verify,
        )
        for idx in wrong
    )
    predicted = [-1] * len(bench.suspects)
    drawn: list[list[Rollout]] = [[] for _ in bench.suspects]
    for idx, bisection in zip(wrong, found, strict=True):
        error = bisection.first_error_idx
        predicted[idx] = len(bench.suspects[idx].trace.steps) - 1 if error is None else error
        drawn[idx] = bisection.rollouts
    how = ", first success" if stop_at_first_success else ""
    return bench.labelled("omega", f"OmegaPRM k={k}{how}", predicted, drawn)


def run_ours(
    bench: Bench, config: FirstErrorConfig, name: str, *, family: Family = "ours"
) -> Labelled:
    """The information-directed search."""
    [found] = bench.run([first_errors(bench.suspects, bench.attempts, config)])
    predicted = found.posterior.most_probable
    return bench.labelled(family, name, predicted, found.rollouts, found)


def run_prior_bisection(bench: Bench, prior: Labelled, k: int) -> Labelled:
    """Bisection that is given our prior: it halves the mass instead of the steps.

    Stops at the first success of each prefix, and believes every answer, as bisection does.
    """
    assert prior.found is not None
    masses = prior.found.posterior.first_error.numpy()
    found = bench.run(
        _bisect_mass(s, masses[row, : len(s.trace.steps)], k, bench.sampling)
        for row, s in enumerate(bench.suspects)
    )
    predicted = [error for error, _ in found]
    name = f"bisection with our prior, k={k}, first success"
    return bench.labelled("ablation", name, predicted, [drawn for _, drawn in found])


def _bisect_mass(
    suspect: Suspect, mass: npt.NDArray[np.float64], k: int, sampling: Sampling
) -> Generator[Sequence[Request], Sequence[Answer], tuple[int, list[Rollout]]]:
    drawn: list[Rollout] = []
    if suspect.correct:
        return -1, drawn
    # First error in low..high, both ends included.
    low, high = 0, len(suspect.trace.steps) - 1
    while low < high:
        inner = mass[low : high + 1] + 1e-9
        share = np.cumsum(inner)[:-1] / inner.sum()
        split = low + int(np.argmin(np.abs(share - 0.5)))
        tried = yield from draw(
            suspect.trace.prefix(split + 1),
            k,
            stop_at_first_success=True,
            sampling=sampling,
            verify=suspect.verify,
            record=drawn,
        )
        succeeded = tried[-1].verdict.outcome is Outcome.CORRECT
        low, high = (split + 1, high) if succeeded else (low, split)
    return low, drawn
