"""Trains a process reward model on ``prm``, by a plain loop.

The surprising fact: Transformers' ``Trainer`` would do, and needs a package (accelerate) that
nothing else here needs. The result is an ordinary checkpoint, whoever trained it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl
import torch
from sklearn.metrics import roc_auc_score
from transformers import AutoModelForTokenClassification, AutoTokenizer

from datagen.errors import ConfigError
from datagen.guides.passes import context_of, device_named, padded, padding_of, passes
from datagen.guides.prm import tokens_of
from datagen.guides.training.fitting import Schedule, fit, mean
from datagen.guides.training.rows import split_by_question

_IGNORED: Final = -100


@dataclass(frozen=True, slots=True)
class PrmReport:
    """Measured on the steps of held-out questions.

    Attributes:
        n_train: traces trained on.
        n_heldout: traces measured on, with ``n_steps`` steps.
        loss: cross-entropy of the trained model, in nats per step.
        loss_base: of the share of good steps among the training rows.
        accuracy: share of steps whose label has a probability above one half.
        accuracy_base: of the more frequent label.
        auc: how often a good step is above a bad one; NaN if there are none of one of them.
    """

    n_train: int
    n_heldout: int
    n_steps: int
    loss: float
    loss_base: float
    accuracy: float
    accuracy_base: float
    auc: float


def train_prm(
    rows: pl.DataFrame,
    *,
    checkpoint: Path | str,
    out: Path | str,
    schedule: Schedule | None = None,
    device: str = "auto",
    on_step: Callable[[float, float], None] | None = None,
) -> PrmReport:
    """Train a process reward model on ``prm`` and save it, with its tokenizer, for Transformers.

    Each step is labelled at its last token, in the format of :mod:`datagen.guides.prm`. The
    arguments and errors are those of :func:`train_two_heads`.
    """
    schedule = schedule or Schedule()
    place = device_named(device)
    torch.manual_seed(schedule.seed)
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint)
        model: Any = AutoModelForTokenClassification.from_pretrained(
            checkpoint, num_labels=2, dtype=torch.float32
        ).to(place)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"cannot load {str(checkpoint)!r}: {error}; name a folder or Hub name of a language "
            "model"
        ) from error
    model.config.id2label, model.config.label2id = {0: "bad", 1: "good"}, {"bad": 0, "good": 1}
    trained, heldout = split_by_question(rows, "prompt", heldout=schedule.heldout)
    most = context_of(model.config)
    train = [_labelled(tokenizer, row, most) for row in trained.iter_rows(named=True)]
    test = [_labelled(tokenizer, row, most) for row in heldout.iter_rows(named=True)]

    def read(traces: Sequence[tuple[list[int], list[int]]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits ``(n_steps, 2)`` and labels ``(n_steps,)`` of all steps of some traces."""
        ids, mask = padded([ids for ids, _ in traces], padding=padding_of(tokenizer), device=place)
        labels, _ = padded([labels for _, labels in traces], padding=_IGNORED, device=place)
        logits = model(input_ids=ids, attention_mask=mask).logits.float()
        return logits[labels != _IGNORED], labels[labels != _IGNORED]

    def loss_of(batch: Sequence[int]) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(*read([train[idx] for idx in batch]))

    fit(model, [len(ids) for ids, _ in train], loss_of, schedule, on_step)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    good: list[float] = []
    labels: list[int] = []
    model.eval()
    with torch.inference_mode():
        for batch in passes([len(ids) for ids, _ in test]):
            logits, told = read([test[idx] for idx in batch])
            good += logits.softmax(-1)[:, 1].tolist()
            labels += told.tolist()
    known = [label for _, row in train for label in row if label != _IGNORED]
    base = sum(known) / len(known)
    return PrmReport(
        n_train=len(train),
        n_heldout=len(test),
        n_steps=len(labels),
        loss=_log_loss(good, labels),
        loss_base=_log_loss([base] * len(labels), labels),
        accuracy=mean([(p > 0.5) == label for p, label in zip(good, labels, strict=True)]),
        accuracy_base=mean([(base > 0.5) == label for label in labels]),
        auc=_auc(good, labels),
    )


def _labelled(tokenizer: Any, row: dict[str, Any], most: int | None) -> tuple[list[int], list[int]]:
    """Token ids of a row, and a label for each: of its step at the last one, else ignored."""
    kept = [
        (step, good)
        for step, good in zip(row["completions"], row["labels"], strict=True)
        if step.strip()
    ]
    ids, ends = tokens_of(tokenizer, row["prompt"], (step for step, _ in kept))
    labels = [_IGNORED] * len(ids)
    for end, (_, good) in zip(ends, kept, strict=True):
        labels[end] = int(good)
    return ids[:most], labels[:most]


def _log_loss(good: Sequence[float], labels: Sequence[int]) -> float:
    told = (p if label else 1 - p for p, label in zip(good, labels, strict=True))
    return mean([-math.log(max(p, 1e-9)) for p in told])


def _auc(good: Sequence[float], labels: Sequence[int]) -> float:
    return float(roc_auc_score(labels, good)) if len(set(labels)) == 2 else math.nan
