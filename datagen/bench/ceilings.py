"""What the ``transformers`` engine is held against: the library's own loop, and bare arithmetic.

The arithmetic is the matrix products of one token for every row of a batch, and nothing else: no
attention, no sampling, no Python. No decoding loop of this model can be faster on this machine in
this number format, so the distance to it is what is left to win.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from datagen.bench.saturation import Rate
from datagen.engines.model_tokens import ModelTokens
from datagen.engines.protocol import CompletionRequest, Engine

_MATMUL_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model as transformers loads it."""

    model: Any
    prompts: ModelTokens
    ends: frozenset[int]
    padding: int


def load_model(folder: str, *, device: str, dtype: str) -> LoadedModel:
    """Load a model and its tokenizer from a local folder."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    loaded: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
    end = int(tokenizer.eos_token_id)
    return LoadedModel(
        loaded.to(device).eval(), ModelTokens(folder, tokenizer), frozenset([end]), end
    )


@dataclass(frozen=True, slots=True)
class Generated:
    """What ``generate`` did.

    Attributes:
        written: tokens up to each row's end of text.
        gross: all tokens it computed, those behind a row's end included.
    """

    written: Rate
    gross: Rate


def default_generate(loaded: LoadedModel, requests: Sequence[CompletionRequest]) -> Generated:
    """Sample the requests as one batch by ``model.generate`` with its default cache.

    It samples from the whole distribution, as our engine does: the library would keep the 50 most
    likely tokens only, which costs it more time.
    """
    prompts = [loaded.prompts.ids(request.prompt) for request in requests]
    longest = max(map(len, prompts))
    ids = [[loaded.padding] * (longest - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    device = loaded.model.device
    torch.manual_seed(0)
    began = time.perf_counter()
    with torch.inference_mode():
        output = loaded.model.generate(
            input_ids=torch.tensor(ids, device=device),
            attention_mask=torch.tensor(mask, device=device),
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=requests[0].sampling.max_tokens,
            pad_token_id=loaded.padding,
        )
    rows: list[list[int]] = output[:, longest:].tolist()
    seconds = time.perf_counter() - began
    n_written = sum(_until_end(row, loaded.ends) for row in rows)
    return Generated(Rate(n_written, seconds), Rate(sum(map(len, rows)), seconds))


def _until_end(row: Sequence[int], ends: frozenset[int]) -> int:
    """Tokens up to the first end of text, which counts."""
    return next((n for n, token in enumerate(row, start=1) if token in ends), len(row))


def engine_rate(engine: Engine, requests: Sequence[CompletionRequest]) -> Rate:
    """Sample the requests in one call of the engine."""
    began = time.perf_counter()
    completions = asyncio.run(engine.complete(requests))
    seconds = time.perf_counter() - began
    return Rate(sum(completion.n_tokens for completion in completions), seconds)


def matmul_limit(model: Any, n_rows: int, *, seconds: float = _MATMUL_S) -> float:
    """Tokens per second if decoding ``n_rows`` rows cost nothing but its matrix products.

    Args:
        model: whose linear layers, output head included, are multiplied with; random input.
        n_rows: rows of the batch.
        seconds: how long to try; the best step counts.
    """
    weights = [layer.weight for layer in model.modules() if isinstance(layer, nn.Linear)]
    inputs = {
        weight.shape[1]: torch.randn(n_rows, weight.shape[1]).to(weight) for weight in weights
    }
    best, ends_at = float("inf"), time.perf_counter() + seconds
    with torch.inference_mode():
        while (began := time.perf_counter()) < ends_at or best == float("inf"):
            for weight in weights:
                nn.functional.linear(inputs[weight.shape[1]], weight)
            if weights[0].is_cuda:
                torch.cuda.synchronize()
            best = min(best, time.perf_counter() - began)
    return n_rows / best
