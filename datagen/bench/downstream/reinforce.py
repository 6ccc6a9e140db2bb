"""A few steps of reinforcement learning on the dataset ``rl``: the policy gradient of GRPO.

Shao et al. 2024, arXiv 2402.03300, section 4.1. Each step takes one update on replies that the very
policy wrote, so the ratio of new and old policy is 1 and there is nothing to clip; there is no
penalty for leaving the start, which a few steps do not go far from. Before each step the policy is
saved and asked as any other checkpoint is, so that its replies are in the journal.
"""

import json
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from datagen.bench.cases import draw_rollouts
from datagen.bench.downstream.plan import RlPlan
from datagen.bench.downstream.students import (
    IGNORED,
    Floats,
    Lesson,
    encoded,
    is_right,
    open_student,
)
from datagen.bench.downstream.training import folder_of, keep, padded
from datagen.journal import Journal
from datagen.search.evidence import Rollout
from datagen.search.run import verifier_of
from datagen.traces.markup import render
from datagen.traces.model import Trace

_REWARDS: Final = "rewards.json"
_PART: Final = 64
"""Replies of one pass; the gradients of all passes of a step are added up."""


def reinforce(
    rows: pl.DataFrame,
    *,
    start: Path,
    out: Path,
    journal: Journal,
    plan: RlPlan,
    note: Callable[[str], None],
) -> tuple[Path, list[float]]:
    """Take the steps of a plan on rows of ``rl``; a result that is there already is read.

    Args:
        rows: table ``rl``; those whose pass rate was 0 or 1 teach nothing and are left out.
        start: checkpoint to begin with.
        out: folder of all results.
        journal: the policies' answers.
        plan: how many steps, of what.
        note: is told the mean reward of each step.

    Returns:
        Folder of the last checkpoint, and the mean reward of each step before its update.
    """
    mixed = rows.filter(
        pl.col("extra_info").struct.field("pass_rate").is_between(0, 1, closed="none")
    )
    asked = [
        (prompt[0]["content"], gold["ground_truth"], gold["verifier"])
        for prompt, gold in mixed.select("prompt", "reward_model").iter_rows()
    ]
    folder = folder_of(out, "rl", start, asked, asdict(plan))
    if (folder / _REWARDS).exists():
        return folder, json.loads((folder / _REWARDS).read_text(encoding="utf-8"))
    tokenizer: Any = AutoTokenizer.from_pretrained(start)
    model: Any = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=plan.learning_rate, betas=(0.9, 0.95), weight_decay=0.0
    )
    rng, rewards = random.Random(0), list[float]()
    policy = folder.with_name(folder.name + ".policy")
    for step in range(plan.n_steps):
        batch = rng.sample(asked, min(plan.n_questions, len(asked)))
        drawn = _asked(model, tokenizer, policy, batch, plan.group, journal)
        rewards.append(float(np.mean([is_right(r) for group in drawn for r in group])))
        note(f"reinforcement learning, step {step + 1}: mean reward {rewards[-1]:.3f}")
        _update(model, tokenizer, optimizer, drawn)
    shutil.rmtree(policy, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    keep(model, tokenizer, folder)
    (folder / _REWARDS).write_text(json.dumps(rewards) + "\n", encoding="utf-8")
    return folder, rewards


def _asked(
    model: Any,
    tokenizer: Any,
    policy: Path,
    batch: Sequence[tuple[str, str, str]],
    n: int,
    journal: Journal,
) -> list[list[Rollout]]:
    """``n`` replies of the model as it is now to each of some questions."""
    shutil.rmtree(policy, ignore_errors=True)
    keep(model, tokenizer, policy)
    engine = open_student(policy)
    try:
        return draw_rollouts(
            [Trace(question) for question, _, _ in batch],
            [verifier_of({"answer": gold, "verifier": by}) for _, gold, by in batch],
            n,
            engine,
            journal,
        )
    finally:
        engine.close()


def advantages(rewards: Sequence[float]) -> Floats:
    """Rewards of one group, less their mean, in units of their deviation; 0 if all are equal."""
    own = np.array(rewards, dtype=np.float64)
    return (own - own.mean()) / (own.std() + 1e-6)


def _update(
    model: Any,
    tokenizer: Any,
    optimizer: torch.optim.Optimizer,
    drawn: Sequence[Sequence[Rollout]],
) -> None:
    """One update on these replies.

    What cannot be read as a whole trace is left out, since its text is not kept; it counts in the
    mean of its group.
    """
    rows: list[tuple[list[int], list[int]]] = []
    weights: list[float] = []
    for group in drawn:
        worth = advantages([float(is_right(rollout)) for rollout in group]).tolist()
        for rollout, advantage in zip(group, worth, strict=True):
            if rollout.ended and advantage:
                lesson = Lesson(rollout.trace.question, render(rollout.trace))
                rows.append(encoded(tokenizer, lesson))
                weights.append(advantage)
    if not rows:
        return
    n_tokens = sum(label != IGNORED for _, labels in rows for label in labels)
    optimizer.zero_grad(set_to_none=True)
    for start in range(0, len(rows), _PART):
        some = rows[start : start + _PART]
        ids = padded([row for row, _ in some], fill=0, dtype=torch.long)
        labels = padded([row for _, row in some], fill=IGNORED, dtype=torch.long)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(input_ids=ids, use_cache=False).logits
        surprise = torch.nn.functional.cross_entropy(
            logits[:, :-1].transpose(1, 2).float(),
            labels[:, 1:],
            ignore_index=IGNORED,
            reduction="none",
        )
        weight = torch.tensor(weights[start : start + _PART])[:, None]
        ((surprise * weight).sum() / n_tokens).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
