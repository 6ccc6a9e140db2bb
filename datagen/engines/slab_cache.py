"""A key-value cache for batches that shrink: one buffer per layer, with some room to spare.

The library's dynamic cache copies everything for each token, and its static one is as long as the
longest text from the start on. Here the buffer grows by slabs, and rows can be dropped or repeated.
Attention sees the whole buffer, zeros where nothing is yet: a view of the filled part would have
gaps between the rows, and the products over it would copy it each time.
"""

from typing import Any, Final

import torch
from transformers.cache_utils import CacheLayerMixin

_SLAB: Final = 48
"""Tokens of spare room; more costs memory traffic whenever rows are dropped."""


class SlabLayer(CacheLayerMixin):
    """Keys and values of one attention layer."""

    is_compileable = False
    is_sliding = False

    def __init__(self) -> None:
        super().__init__()
        self._length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate for the batch that arrives."""
        self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
        self.dtype, self.device = key_states.dtype, key_states.device
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append, and return the buffers; shapes ``(rows, heads, room, width)``.

        What is read first is returned as it came.
        """
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        begins = self._length == 0
        length = self._length + key_states.shape[-2]
        if length > self._room:
            self._grow(length)
        assert self.keys is not None and self.values is not None
        self.keys[:, :, self._length : length] = key_states
        self.values[:, :, self._length : length] = value_states
        self._length = length
        return (key_states, value_states) if begins else (self.keys, self.values)

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:  # type: ignore[override]
        """Select rows."""
        assert self.keys is not None and self.values is not None
        self.keys = self.keys.index_select(0, beam_idx)
        self.values = self.values.index_select(0, beam_idx)

    @property
    def _room(self) -> int:
        return 0 if self.keys is None else self.keys.shape[2]

    def _grow(self, length: int) -> None:
        """Make buffers of ``length`` and one slab, and copy the filled part."""
        for name in ("keys", "values"):
            old: torch.Tensor = getattr(self, name)
            rows, heads, _, width = old.shape
            new = old.new_empty((rows, heads, length + _SLAB, width))
            new[:, :, : self._length] = old[:, :, : self._length]
            # Whatever lies there is multiplied by a share of zero, and must be a number for that.
            new[:, :, self._length :] = 0
            setattr(self, name, new)

    def get_seq_length(self) -> int:
        """Tokens held."""
        return self._length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of the keys that a mask must cover."""
        length = self._length + query_length
        if not self._length:
            return length, 0
        return (self._room if length <= self._room else length + _SLAB), 0

    def get_max_length(self) -> int:
        """No limit: -1."""
        return -1
