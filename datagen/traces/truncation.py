"""Chooses how much of a human thought a model is given before it has to go on alone.

The surprising fact: the spread is systematic sampling, not a fixed grid. A thought's first and last
steps differ in kind, so a grid that always cut ten-step thoughts after step 5 would label step 5
ten thousand times and step 4 never. Each seed shifts the same even grid by its own hash: the
prefixes of one seed stay evenly apart, and over all seeds every step is a cut equally often.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from datagen.errors import ConfigError

_UNITS: Final = 2**64


def truncate(
    n_steps: int,
    *,
    n_prefixes: int | None = None,
    fractions: Sequence[float] | None = None,
    seed_id: str | None = None,
) -> tuple[int, ...]:
    """Prefix lengths k at which to truncate a human thought of ``n_steps`` steps.

    A pure function: equal arguments give equal lengths on every machine and in every process.

    Args:
        n_steps: the number of steps T of the thought.
        n_prefixes: choose this many lengths from 1..T-1, evenly spread (all of them if there are
            no more). ``0`` leaves only the bare question.
        fractions: choose the lengths nearest to these fractions of T instead, moved into 1..T-1.
            Each is in [0, 1].
        seed_id: shifts the spread of ``n_prefixes``; without it the grid is centred.

    Returns:
        Rising lengths without repeats. ``0``, the bare question, is always the first; T never
        occurs, because the step that gives the answer is the model's to write. With neither
        ``n_prefixes`` nor ``fractions``, every length 0..T-1.

    Raises:
        ConfigError: if both ways are asked for at once, or a value is out of range.
    """
    if n_steps < 0:
        raise ConfigError(f"n_steps={n_steps!r} must not be negative")
    if n_prefixes is not None and fractions is not None:
        raise ConfigError("give n_prefixes or fractions, not both")
    if n_prefixes is not None and n_prefixes < 0:
        raise ConfigError(f"n_prefixes={n_prefixes!r} must not be negative")
    for fraction in fractions or ():
        if not 0 <= fraction <= 1:
            raise ConfigError(f"fractions holds {fraction!r}; each must be between 0 and 1")
    n_inner = max(n_steps - 1, 0)
    if fractions is not None:
        chosen = _nearest(n_steps, fractions) if n_inner else set[int]()
    elif n_prefixes is None or n_prefixes >= n_inner:
        chosen = set(range(1, n_inner + 1))
    else:
        chosen = _spread(n_inner, n_prefixes, seed_id)
    return (0, *sorted(chosen))


def _nearest(n_steps: int, fractions: Sequence[float]) -> set[int]:
    # floor(x + 0.5), because round() sends 2.5 and 3.5 to even neighbours that are two apart.
    return {min(max(int(f * n_steps + 0.5), 1), n_steps - 1) for f in fractions}


def _spread(n_inner: int, n_prefixes: int, seed_id: str | None) -> set[int]:
    """``n_prefixes`` of 1..``n_inner``, one from each of as many equal strata.

    Whole numbers only: a float product could round up to the next stratum.
    """
    shift = _UNITS // 2 if seed_id is None else _hash(seed_id)
    return {1 + (i * _UNITS + shift) * n_inner // (n_prefixes * _UNITS) for i in range(n_prefixes)}


def _hash(seed_id: str) -> int:
    return int.from_bytes(hashlib.sha256(seed_id.encode()).digest()[:8])
