"""Traces labelled three times for the same tokens: by Math-Shepherd, by OmegaPRM and by ours.

Ours labels all wrong traces, and what its rollouts take is the budget of the other two. Each of
them labels the traces in the same random order until the budget is spent, so a method that needs
fewer tokens per trace has more traces to learn from. Right traces are taken to be good throughout
by all three and cost nothing: it is the wrong ones that tell the methods apart.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

import numpy as np

from datagen.bench.downstream.plan import LabelPlan
from datagen.bench.downstream.verifiers import Judged, Text
from datagen.bench.methods import Bench, run_omega, run_ours, run_shepherd
from datagen.search.evidence import Rollout
from datagen.search.first_error import FirstErrorConfig
from datagen.traces.model import Trace
from datagen.verify import Outcome

Labelling = Literal["ours", "shepherd", "omega"]
LABELLINGS: Final[tuple[Labelling, ...]] = get_args(Labelling)

_BLOCK: Final = 48
"""Traces that are labelled side by side, until the budget is spent."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What one method says of the wrong traces that its tokens paid for.

    Attributes:
        setting: of the method.
        rows: which traces of the bench.
        targets: of each, per step, how sure it is that the first error comes later.
        n_tokens: of all rollouts.
        exact: share of these traces whose first error it names as the oracle does.
    """

    setting: str
    rows: list[int]
    targets: list[list[float]]
    n_tokens: int
    exact: float


@dataclass(frozen=True, slots=True)
class _Block:
    """Labels of a few traces: first errors, targets and tokens of each."""

    setting: str
    predicted: Sequence[int]
    targets: Sequence[list[float]]
    n_tokens: Sequence[int]


def label_traces(
    bench: Bench, truth: Sequence[int], plan: LabelPlan, *, note: Callable[[str], None]
) -> dict[Labelling, Labels]:
    """Label the wrong traces of a bench by each method.

    Args:
        bench: wrong traces, and the root rollouts of their questions.
        truth: the oracle's first errors; they are only compared with.
        plan: settings.
        note: is told what comes next.
    """
    order = list(range(len(truth)))
    random.Random(0).shuffle(order)

    def labels(blocks: Sequence[_Block], budget: int | None) -> Labels:
        spent = np.cumsum([n for block in blocks for n in block.n_tokens])
        n = len(spent) if budget is None else int(np.searchsorted(spent, budget, side="right"))
        predicted = [error for block in blocks for error in block.predicted][:n]
        hits = [error == truth[row] for error, row in zip(predicted, order, strict=False)]
        return Labels(
            blocks[0].setting,
            order[:n],
            [target for block in blocks for target in block.targets][:n],
            int(spent[n - 1]) if n else 0,
            float(np.mean(hits)) if n else float("nan"),
        )

    def until_spent(label: Callable[[Bench, LabelPlan], _Block], budget: int) -> Labels:
        blocks: list[_Block] = []
        for start in range(0, len(order), _BLOCK):
            some = [bench.suspects[row] for row in order[start : start + _BLOCK]]
            blocks.append(label(replace(bench, suspects=some), plan))
            if sum(n for block in blocks for n in block.n_tokens) >= budget:
                break
        return labels(blocks, budget)

    note(f"{len(truth)} wrong traces: ours")
    shuffled = replace(bench, suspects=[bench.suspects[row] for row in order])
    ours = labels([_by_ours(shuffled, plan)], None)
    note(f"{ours.n_tokens:,} tokens of rollouts: Math-Shepherd")
    shepherd = until_spent(_by_shepherd, ours.n_tokens)
    note(f"{ours.n_tokens:,} tokens of rollouts: OmegaPRM")
    omega = until_spent(_by_omega, ours.n_tokens)
    return {"ours": ours, "shepherd": shepherd, "omega": omega}


def _by_ours(bench: Bench, plan: LabelPlan) -> _Block:
    config = FirstErrorConfig(
        confidence=plan.confidence, max_rollouts=plan.max_rollouts, sampling=bench.sampling
    )
    name = f"mass {plan.confidence:g}, at most {plan.max_rollouts}"
    labelled = run_ours(bench, config, name)
    assert labelled.found is not None
    before = labelled.found.posterior.before_error.clamp(0, 1)
    return _Block(
        name,
        labelled.predicted.tolist(),
        [before[row, : len(s.trace.steps)].tolist() for row, s in enumerate(bench.suspects)],
        labelled.n_tokens.tolist(),
    )


def _by_shepherd(bench: Bench, plan: LabelPlan) -> _Block:
    [labelled], drawn = run_shepherd(bench, (plan.shepherd_k,))
    pairs = zip(bench.suspects, drawn, strict=True)
    return _Block(
        f"k={plan.shepherd_k}",
        labelled.predicted.tolist(),
        [hopeful(suspect.trace, rollouts, plan.shepherd_k) for suspect, rollouts in pairs],
        labelled.n_tokens.tolist(),
    )


def _by_omega(bench: Bench, plan: LabelPlan) -> _Block:
    labelled = run_omega(bench, plan.omega_k, stop_at_first_success=False)
    errors = labelled.predicted.tolist()
    return _Block(
        f"k={plan.omega_k}",
        errors,
        [
            [float(idx < error) for idx in range(len(suspect.trace.steps))]
            for suspect, error in zip(bench.suspects, errors, strict=True)
        ],
        labelled.n_tokens.tolist(),
    )


def hopeful(trace: Trace, rollouts: Sequence[Rollout], k: int) -> list[float]:
    """Math-Shepherd's hard estimation (Wang et al. 2024, section 3.3) of a wrong trace.

    A step is good if one of k completions from behind it ended right; the last one is not.
    """
    reached = {
        len(rollout.state.steps)
        for rollout in rollouts
        if rollout.request.sample_idx < k and rollout.verdict.outcome is Outcome.CORRECT
    }
    return [float(n_steps in reached) for n_steps in range(1, len(trace.steps) + 1)]


def judged(wrong: Sequence[Trace], labels: Labels, right: Sequence[Trace]) -> list[Judged]:
    """Rows for a process reward model: labelled wrong traces, and right ones, all good."""
    return [
        *(
            Judged(Text.of(wrong[row]), tuple(target))
            for row, target in zip(labels.rows, labels.targets, strict=True)
        ),
        *(Judged(Text.of(trace), (1.0,) * len(trace.steps)) for trace in right),
    ]
