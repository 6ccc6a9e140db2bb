"""The training loop that students and verifiers share: so many steps of so many tokens.

The surprising fact: the number of steps is fixed, whatever the number of rows. Data is compared
here, so a training set that is larger must not also mean a longer training.
"""

import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch

from datagen.engines.checkpoint import checkpoint_digest
from datagen.guides.passes import passes

_POOL: Final = 256
"""Rows that are sorted by length together; batches of one epoch differ from those of the next."""

_WARMUP: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How long and how hard to train.

    Attributes:
        n_steps: updates.
        tokens_per_step: most tokens of one update, padding included.
        learning_rate: the highest; it rises over the first tenth of the steps and falls to 0.
    """

    n_steps: int
    tokens_per_step: int = 4096
    learning_rate: float


def train_steps(
    network: torch.nn.Module,
    lengths: Sequence[int],
    loss_of: Callable[[Sequence[int]], torch.Tensor],
    recipe: Recipe,
    *,
    seed: int,
) -> None:
    """Take the steps of a recipe on batches of rows of like length, in random order.

    Args:
        network: is left in evaluation mode.
        lengths: of all rows, in tokens.
        loss_of: the loss of the rows with these indices.
        recipe: how long and how hard.
        seed: of the order.
    """
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    network.train()
    source = batches(lengths, tokens_per_step=recipe.tokens_per_step, seed=seed)
    for step in range(recipe.n_steps):
        done = step / recipe.n_steps
        scale = min((done + 1 / recipe.n_steps) / _WARMUP, 1.0, (1 - done) / (1 - _WARMUP))
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * scale
        loss = loss_of(next(source))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    network.eval()


def batches(lengths: Sequence[int], *, tokens_per_step: int, seed: int) -> Iterator[list[int]]:
    """Endless batches of row indices; each row comes once per epoch.

    Args:
        lengths: of the rows, in tokens; at least one.
        tokens_per_step: most tokens of a batch, padding included; one row is never cut.
        seed: of the order.
    """
    if not lengths:
        raise ValueError("lengths=[] has no row to train on; give at least one")
    rng = random.Random(seed)
    while True:
        order = list(range(len(lengths)))
        rng.shuffle(order)
        epoch: list[list[int]] = []
        for start in range(0, len(order), _POOL):
            pool = order[start : start + _POOL]
            cut = passes([lengths[row] for row in pool], max_tokens=tokens_per_step)
            epoch += [[pool[idx] for idx in batch] for batch in cut]
        rng.shuffle(epoch)
        yield from epoch


def padded(rows: Sequence[Sequence[int]], *, fill: int | float, dtype: torch.dtype) -> torch.Tensor:
    """Rows as one tensor ``(n_rows, longest)``, filled up on the right."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[fill] * (longest - len(row))] for row in rows], dtype=dtype)


def folder_of(out: Path, name: str, start: Path, *what: Any) -> Path:
    """Where the result of a training belongs: the name, and a hash of all that it came from.

    Args:
        out: folder of all results.
        name: what people call it.
        start: the checkpoint that it began with.
        what: rows, recipe and seed; dataclasses, or whatever JSON can hold.
    """
    plain = [asdict(each) if isinstance(each, Recipe) else each for each in what]
    digest = hashlib.sha256(checkpoint_digest(str(start), None).encode())
    digest.update(json.dumps(plain, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return out / f"{name}-{digest.hexdigest()[:12]}"


def keep(model: Any, tokenizer: Any, folder: Path) -> None:
    """Save a model so that its folder is there whole or not at all."""
    unfinished = folder.with_name(folder.name + ".part")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    unfinished.rename(folder)
