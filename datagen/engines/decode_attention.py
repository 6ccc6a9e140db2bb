"""Attention for one new token per row on a CPU, as two batched matrix products.

PyTorch's fused kernel works row by row and head by head, and for a single query spends most of its
time on getting there: at 256 rows the products are three times as fast. They need keys and values
without gaps between the rows, and so run over the whole buffer of :class:`SlabLayer`, whose empty
part the mask hides.
"""

from typing import Any, Final

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME: Final = "batched_products"
"""Name under which transformers knows it."""


def decode_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attend; as transformers calls it.

    Args:
        module: the attention layer.
        query: ``(rows, heads, length, width)``.
        key: ``(rows, key_value_heads, n_keys, width)``; ``value`` likewise.
        value: see there.
        attention_mask: ``(rows, 1, length, n_keys)``, true where a key is seen.
        scaling: of the products; by default one over the root of the width.
        dropout: unused outside of training.
        options: what else the model gives; only the fused kernel knows what to do with it.

    Returns:
        ``(rows, length, heads, width)``, and no weights.
    """
    rows, heads, length, width = query.shape
    if length > 1 or attention_mask is None or attention_mask.dtype is not torch.bool:
        out, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
        return out, None
    groups, n_keys = key.shape[1], key.shape[2]
    # Heads that share keys and values are rows of one product.
    queries = query.reshape(rows * groups, heads // groups, width)
    queries = queries * (width**-0.5 if scaling is None else scaling)
    weights = torch.bmm(queries, key.reshape(rows * groups, n_keys, width).transpose(1, 2))
    weights = weights.view(rows, groups, -1, n_keys).masked_fill_(~attention_mask, float("-inf"))
    shares = weights.softmax(-1).view(rows * groups, -1, n_keys)
    out = torch.bmm(shares, value.reshape(rows * groups, n_keys, width))
    return out.view(rows, 1, heads, width), None


AttentionInterface.register(NAME, decode_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
