"""Cuts token sequences into passes of one network: sorted by length, padded on the right.

The surprising fact: padding costs no correctness and little time. A causal network never looks to
the right, others are given the mask, and sequences of one pass are about equally long.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import torch

MAX_TOKENS: Final = 16_384
"""Of one pass, padding included; one sequence is never cut."""


def passes(lengths: Sequence[int], *, max_tokens: int = MAX_TOKENS) -> Iterator[list[int]]:
    """Indices of the sequences of each pass, the longest first.

    Args:
        lengths: in tokens, of all sequences.
        max_tokens: most tokens of one pass.
    """
    order = sorted(range(len(lengths)), key=lambda idx: -lengths[idx])
    while order:
        n_rows = max(max_tokens // max(lengths[order[0]], 1), 1)
        yield order[:n_rows]
        order = order[n_rows:]


def padded(
    sequences: Sequence[Sequence[int]], *, padding: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask of some sequences, each int64 ``(rows, longest)``."""
    longest = max(map(len, sequences))
    ids = [[*sequence, *[padding] * (longest - len(sequence))] for sequence in sequences]
    mask = [[1] * len(sequence) + [0] * (longest - len(sequence)) for sequence in sequences]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def at_last_token(outputs: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """What a network says at the last token of each sequence: ``(rows, n)``.

    Args:
        outputs: ``(rows, longest, n)``.
        mask: attention mask ``(rows, longest)``.
    """
    rows = torch.arange(len(outputs), device=outputs.device)
    return outputs[rows, mask.sum(-1) - 1]


def device_named(name: str) -> torch.device:
    """``"auto"`` is the first GPU if there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def dtype_on(device: torch.device) -> torch.dtype:
    """In what numbers a guide computes: float32 on the CPU, else bfloat16."""
    return torch.float32 if device.type == "cpu" else torch.bfloat16


def context_of(config: Any) -> int | None:
    """Most tokens that a network reads; ``None`` if its config does not say."""
    return getattr(config, "max_position_embeddings", None)


def padding_of(tokenizer: Any) -> int:
    """A token to pad with; which one is all the same, as no network looks at it."""
    return next(
        (id for id in (tokenizer.pad_token_id, tokenizer.eos_token_id) if id is not None), 0
    )
