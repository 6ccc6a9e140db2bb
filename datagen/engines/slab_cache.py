"""A key-value cache for batches that only shrink: one buffer of known size per layer.

The library's dynamic cache copies everything for each token, and its static one attends over the
empty part too. Here attention sees a view of the filled part, and rows can be dropped or repeated.
"""

from typing import Any

import torch
from transformers.cache_utils import CacheLayerMixin


class SlabLayer(CacheLayerMixin):
    """Keys and values of one attention layer.

    Args:
        capacity: tokens that fit.
    """

    is_compileable = False
    is_sliding = False

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._capacity = capacity
        self._length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate for the batch that arrives."""
        rows, heads, _, width = key_states.shape
        shape = (rows, heads, self._capacity, width)
        self.keys, self.values = key_states.new_empty(shape), value_states.new_empty(shape)
        self.dtype, self.device = key_states.dtype, key_states.device
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append, and return everything so far; shapes ``(rows, heads, length, width)``."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        assert self.keys is not None and self.values is not None
        length = self._length + key_states.shape[-2]
        self.keys[:, :, self._length : length] = key_states
        self.values[:, :, self._length : length] = value_states
        self._length = length
        return self.keys[:, :, :length], self.values[:, :, :length]

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:  # type: ignore[override]
        """Select rows, copying only the filled part."""
        assert self.keys is not None and self.values is not None
        for name in ("keys", "values"):
            old: torch.Tensor = getattr(self, name)
            new = old.new_empty((len(beam_idx), *old.shape[1:]))
            new[:, :, : self._length] = old[:, :, : self._length].index_select(0, beam_idx)
            setattr(self, name, new)

    def get_seq_length(self) -> int:
        """Tokens held."""
        return self._length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of the keys that a mask must cover."""
        return self._length + query_length, 0

    def get_max_length(self) -> int:
        """Tokens that fit."""
        return self._capacity
