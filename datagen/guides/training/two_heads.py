"""Trains the two-headed model on ``policy_value``.

The surprising fact: the policy is only told about the legal factors of a state. Which ones are
legal is the prior's to say, so nothing is learned, well or badly, about the others.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl
import torch

from datagen.errors import ConfigError
from datagen.factors import taxonomy
from datagen.factors.taxonomy import Factor
from datagen.guides.passes import passes
from datagen.guides.training.fitting import Schedule, fit, mean
from datagen.guides.training.rows import split_by_question
from datagen.guides.two_heads import TwoHeads
from datagen.traces.model import Step, Trace

_DECIDED: Final = {"correct": 1.0, "wrong": 0.0}


@dataclass(frozen=True, slots=True)
class TwoHeadsReport:
    """Measured on held-out questions; all cross-entropies are against π, in nats per state.

    Attributes:
        n_train: states trained on.
        n_heldout: states measured on; ``n_choices`` of them have two legal factors or more, and
            only on those policies are measured.
        policy: cross-entropy of the trained policy, over the legal factors.
        policy_before: of the same network before training.
        prior: of the prior P of the search.
        floor: of π itself, its entropy; no policy can be below.
        value: Brier score of the trained value, against the mix that it is trained on.
        value_base: of the mean of the training rows.
    """

    n_train: int
    n_heldout: int
    n_choices: int
    policy: float
    policy_before: float
    prior: float
    floor: float
    value: float
    value_base: float


class _State(NamedTuple):
    """A row of ``policy_value``: tokens, legal actions by index, their P and π, and the value."""

    ids: list[int]
    legal: list[int]
    prior: list[float]
    pi: list[float]
    value: float


def train_two_heads(
    rows: pl.DataFrame,
    *,
    checkpoint: Path | str,
    out: Path | str,
    schedule: Schedule | None = None,
    outcome_weight: float = 0.25,
    device: str = "auto",
    on_step: Callable[[float, float], None] | None = None,
) -> TwoHeadsReport:
    """Train a two-headed model on ``policy_value`` and save it.

    The policy learns π by cross-entropy over the legal factors of each state. The value learns, by
    binary cross-entropy, a mix of the search's V and of how the trace through the chosen factors
    ended, where that was right or wrong. The latter is one trace, and the one that the search liked
    best, so it has the smaller part.

    Args:
        rows: table ``policy_value``.
        checkpoint: folder or Hub name of the causal language model that lends its trunk.
        out: folder for the model.
        schedule: how long and how hard.
        outcome_weight: share of the outcome in the mix.
        device: ``"auto"`` takes the first GPU if there is one, else the CPU.
        on_step: is told the share of the work that is done, and the loss, after each step.

    Raises:
        ConfigError: if there are fewer than two questions, rows are of another taxonomy, or the
            checkpoint cannot be loaded.
    """
    schedule = schedule or Schedule()
    _check_taxonomy(rows)
    torch.manual_seed(schedule.seed)
    guide = TwoHeads.begin(checkpoint, device=device)
    trained, heldout = split_by_question(rows, "question", heldout=schedule.heldout)
    train = [_state(guide, row, outcome_weight) for row in trained.iter_rows(named=True)]
    test = [_state(guide, row, outcome_weight) for row in heldout.iter_rows(named=True)]

    def loss_of(batch: Sequence[int]) -> torch.Tensor:
        states = [train[idx] for idx in batch]
        logits, values = guide.logits_of([state.ids for state in states])
        wanted = torch.tensor([state.value for state in states], device=values.device)
        pairs = zip(logits, states, strict=True)
        policy = torch.stack([-(_over_legal(row, s) @ row.new_tensor(s.pi)) for row, s in pairs])
        value = torch.nn.functional.binary_cross_entropy_with_logits(values, wanted)
        return policy.mean() + value

    before, _ = _measured(guide, test)
    fit(guide.network, [len(state.ids) for state in train], loss_of, schedule, on_step)
    guide.save(out)
    after, values = _measured(guide, test)
    choices = [state for state in test if len(state.legal) > 1]
    base = sum(state.value for state in train) / len(train)
    wanted = [state.value for state in test]
    return TwoHeadsReport(
        n_train=len(train),
        n_heldout=len(test),
        n_choices=len(choices),
        policy=after,
        policy_before=before,
        prior=mean(
            [_cross_entropy(s.pi, [math.log(max(p, 1e-9)) for p in s.prior]) for s in choices]
        ),
        floor=mean([_cross_entropy(s.pi, [math.log(max(p, 1e-9)) for p in s.pi]) for s in choices]),
        value=mean([(p - t) ** 2 for p, t in zip(values, wanted, strict=True)]),
        value_base=mean([(base - t) ** 2 for t in wanted]),
    )


def _check_taxonomy(rows: pl.DataFrame) -> None:
    others = set(rows["taxonomy"].unique().to_list()) - {taxonomy.TAXONOMY_VERSION}
    if others:
        raise ConfigError(
            f"the rows are of taxonomy {sorted(map(str, others))!r}, and this is taxonomy "
            f"{taxonomy.TAXONOMY_VERSION!r}; keep the rows of one, or take a version of datagen "
            "with that taxonomy"
        )


def _state(guide: TwoHeads, row: dict[str, Any], outcome_weight: float) -> _State:
    steps = zip(row["steps"], row["factors"], strict=True)
    state = Trace(row["question"], tuple(Step(text, Factor(factor)) for text, factor in steps))
    outcome = _DECIDED.get(row["outcome"] or "")
    weight = 0.0 if outcome is None else outcome_weight
    actions = {factor.value: idx for idx, factor in enumerate(taxonomy.ACTIONS)}
    return _State(
        guide.tokens_of(state),
        [actions[factor] for factor in row["legal_factors"]],
        row["prior"],
        row["pi"],
        weight * (outcome or 0.0) + (1 - weight) * row["value"],
    )


def _over_legal(logits: torch.Tensor, state: _State) -> torch.Tensor:
    """Log-probabilities of the legal actions of one state."""
    return logits[state.legal].log_softmax(-1)


def _cross_entropy(wanted: Sequence[float], logprobs: Sequence[float]) -> float:
    return -sum(p * logp for p, logp in zip(wanted, logprobs, strict=True))


def _measured(guide: TwoHeads, states: Sequence[_State]) -> tuple[float, list[float]]:
    """Mean cross-entropy against π where there is a choice, and the value of each state."""
    entropies: list[float] = []
    values = [0.0] * len(states)
    guide.network.eval()
    with torch.inference_mode():
        for batch in passes([len(state.ids) for state in states]):
            logits, found = guide.logits_of([states[idx].ids for idx in batch])
            for idx, row, value in zip(batch, logits, found.sigmoid().tolist(), strict=True):
                values[idx], state = value, states[idx]
                if len(state.legal) > 1:
                    entropies.append(_cross_entropy(state.pi, _over_legal(row, state).tolist()))
    return mean(entropies), values
