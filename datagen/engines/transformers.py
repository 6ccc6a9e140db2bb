"""Engine ``transformers``: batched sampling in this process, on CPU or one GPU.

It decodes by its own loop rather than ``generate``. In a search, many samples share a prompt and
end at different lengths: each distinct prompt is read once, its cache is copied to its samples, and
samples leave the batch as soon as they end, so the tail of a batch costs little. Each sample draws
its randomness from its own seed, by inverting the cumulative distribution; what else is in the
batch changes its tokens only through floating-point rounding, and not at all if the same batch is
run again on the same machine.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.cache_utils import Cache

from datagen.engines import decode_attention
from datagen.engines.checkpoint import checkpoint_digest
from datagen.engines.model_tokens import ModelTokens
from datagen.engines.protocol import (
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Finish,
    Sampling,
    Score,
    ScoreRequest,
    Usage,
)
from datagen.engines.slab_cache import SlabLayer
from datagen.errors import EngineError

_SAMPLER_VERSION: Final = "2"
"""Part of the fingerprint; raise it with any change that alters what a seed yields."""

_COMPACT_AT: Final = 0.8
"""Ended samples leave the batch once this share is left: leaving costs a copy of the cache."""

_PASS_TOKENS: Final = 16_384
_PASS_LOGITS: Final = 1 << 28
"""Most tokens, and most numbers of output, of one pass over given text; one text is never cut."""


class TransformersEngine:
    """A causal language model from a local folder or the Hub, sampled in batches.

    Args:
        model: folder or Hub name of the model.
        device: ``"auto"`` takes the first GPU if there is one, else the CPU.
        dtype: ``"auto"`` is float32 on the CPU and bfloat16 on a GPU.
        batch_size: most samples decoded side by side.

    Raises:
        EngineError: if the model cannot be loaded.
    """

    concurrency = 1

    def __init__(
        self, model: str, *, device: str = "auto", dtype: str = "auto", batch_size: int = 256
    ) -> None:
        self.batch_size = batch_size
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if dtype == "auto":
            dtype = "float32" if device == "cpu" else "bfloat16"
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(model)
            loaded: Any = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype))
            self._model: Any = loaded.to(device).eval()
        except (OSError, ValueError, AttributeError, RuntimeError) as error:
            raise EngineError(
                f"cannot load model {model!r} on device {device!r} as {dtype!r}: {error}. "
                "Set engine.model to a folder with config.json and weights, or to a Hub name"
            ) from error
        if device == "cpu" and self._model.config._attn_implementation == "sdpa":
            self._model.set_attn_implementation(decode_attention.NAME)
        self._device = torch.device(device)
        self._context = int(self._model.config.max_position_embeddings)
        configured = getattr(self._model.generation_config, "eos_token_id", None)
        self._tokens = ModelTokens(model, self._tokenizer, configured)
        self._ends = self._tokens.ends
        self._padding = min(self._ends)
        self.usage = Usage()
        commit = getattr(self._model.config, "_commit_hash", None)
        self.fingerprint = (
            f"transformers:{Path(model).name}:{checkpoint_digest(model, commit)[:12]}"
            f":{dtype}:chat-{self._tokens.digest}:sampler{_SAMPLER_VERSION}"
        )

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Sample one completion per request; blocks until the whole batch has ended."""
        with torch.inference_mode():
            return self._decode(requests)

    async def choose(self, requests: Sequence[ChoiceRequest]) -> list[Choice]:
        """Probability of each choice as the product of its tokens' probabilities."""
        with torch.inference_mode():
            return self._chosen(requests)

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Log-probability of each token of each text, without generating any.

        Text and prompt are tokenised apart, as if the text had been generated. What does not fit
        in the context has no entries.
        """
        with torch.inference_mode():
            return self._scored(requests)

    def close(self) -> None:
        """Nothing to free: the model goes with the object."""

    # --- given text --------------------------------------------------------------------------

    def _scored(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        prompts, texts, ends = [], [], []
        for request in requests:
            prompt = self._tokens.ids(request.prompt)
            ids, offsets = self._tokens.spans(request.text)
            room = max(self._context - len(prompt), 0)
            prompts.append(prompt)
            texts.append(ids[:room])
            ends.append(offsets[:room])
        logprobs = self._teacher_forced(prompts, texts)
        return [Score(tuple(row), end) for row, end in zip(logprobs, ends, strict=True)]

    def _chosen(self, requests: Sequence[ChoiceRequest]) -> list[Choice]:
        prompts = [self._tokens.ids(r.prompt) for r in requests]
        tokens = [[self._tokens.continuation(c) for c in r.choices] for r in requests]
        if all(len(ids) == 1 for choices in tokens for ids in choices):
            self._count_read(sum(map(len, prompts)), sum(map(len, prompts)))
            logits = self._prefill(prompts).logits
            probabilities = torch.softmax(logits, dim=-1).cpu()
            return [
                Choice(tuple(probabilities[row, [ids[0] for ids in choices]].tolist()))
                for row, choices in enumerate(tokens)
            ]
        answers: list[Choice] = []
        for prompt, choices in zip(prompts, tokens, strict=True):
            logprobs = self._teacher_forced([prompt] * len(choices), choices)
            answers.append(Choice(tuple(math.exp(sum(row)) for row in logprobs)))
        return answers

    def _teacher_forced(
        self, prompts: Sequence[list[int]], texts: Sequence[list[int]]
    ) -> list[list[float]]:
        """Log-probability of each token of each text after its prompt, in as few passes as fit."""
        n_tokens = sum(map(len, prompts)) + sum(map(len, texts))
        self._count_read(n_tokens, n_tokens)
        rows = list(zip(prompts, texts, strict=True))
        logprobs: list[list[float]] = [[] for _ in rows]
        most = min(_PASS_TOKENS, _PASS_LOGITS // len(self._tokenizer))
        # By length, so that little of a pass is padding. An empty text has nothing to ask.
        order = sorted(
            (idx for idx, text in enumerate(texts) if text), key=lambda idx: _length(rows[idx])
        )
        while order:
            n_rows = max(most // _length(rows[order[-1]]), 1)
            order, taken = order[:-n_rows], order[-n_rows:]
            for idx, row in zip(taken, self._pass([rows[i] for i in taken]), strict=True):
                logprobs[idx] = row
        return logprobs

    def _pass(self, rows: Sequence[tuple[list[int], list[int]]]) -> list[list[float]]:
        """Teacher-force prompts and texts side by side, padded on the right."""
        longest = max(map(_length, rows))
        padded = [[*p, *t, *[self._padding] * (longest - len(p) - len(t))] for p, t in rows]
        ids = torch.tensor(padded).to(self._device)
        skipped = min(len(prompt) for prompt, _ in rows) - 1
        logits = self._model(
            input_ids=ids[:, :-1], use_cache=False, logits_to_keep=longest - 1 - skipped
        ).logits
        logprobs: list[list[float]] = []
        # One row at a time: in float32, the log-probabilities of all would fill the memory.
        for row, tokens, (prompt, text) in zip(logits, ids, rows, strict=True):
            begin = len(prompt) - 1 - skipped
            predicted = row[begin : begin + len(text)].float().log_softmax(-1)
            told = tokens[len(prompt) : len(prompt) + len(text), None]
            logprobs.append(predicted.gather(-1, told).squeeze(-1).tolist())
        return logprobs

    # --- sampling ----------------------------------------------------------------------------

    def _decode(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        ids = {
            prompt: self._tokens.ids(prompt)
            for prompt in dict.fromkeys(request.prompt for request in requests)
        }
        self._count_read(
            sum(len(ids[request.prompt]) for request in requests), sum(map(len, ids.values()))
        )
        rows: list[_Row | None] = [
            _Row.begin(request, room=self._context - len(ids[request.prompt]))
            for request in requests
        ]
        live = [idx for idx, row in enumerate(rows) if row is not None]
        if live:
            prompts = list(dict.fromkeys(requests[idx].prompt for idx in live))
            most = max(rows[idx].limit for idx in live)  # type: ignore[union-attr]
            state = self._prefill([ids[prompt] for prompt in prompts], capacity=most)
            position = {prompt: row for row, prompt in enumerate(prompts)}
            state.keep(torch.tensor([position[requests[idx].prompt] for idx in live]))
            self._sample_until_done([row for row in rows if row is not None], state)
        completions = [self._finished(row) for row in rows]
        self.usage.n_generated_tokens += sum(completion.n_tokens for completion in completions)
        return completions

    def _count_read(self, n_asked: int, n_read: int) -> None:
        self.usage.n_prompt_tokens += n_asked
        self.usage.n_cached_tokens += n_asked - n_read

    def _sample_until_done(self, rows: list["_Row"], state: "_State") -> None:
        """Draw a token for every row until each has ended."""
        stops = {stop: self._stop_ids(stop) for row in rows for stop in row.sampling.stop}
        temperature = torch.tensor([row.sampling.temperature for row in rows])
        top_p = torch.tensor([row.sampling.top_p for row in rows])
        uniforms = torch.from_numpy(np.stack([row.uniforms(state.capacity) for row in rows]))
        for n_drawn in range(state.capacity):
            logits = state.logits.float().cpu()
            drawn = _draw(logits, temperature, top_p, uniforms[:, n_drawn])
            logprobs = logits.log_softmax(-1).gather(-1, drawn[:, None]).squeeze(-1)
            for row, token, logprob in zip(rows, drawn.tolist(), logprobs.tolist(), strict=True):
                if row.live:
                    row.append(token, logprob)
                    if token in self._ends or self._stopped(row, stops):
                        row.finish, row.live = "stop", False
                    elif len(row.tokens) == row.limit:
                        row.live = False
            keep = [idx for idx, row in enumerate(rows) if row.live]
            if not keep:
                return
            if len(keep) <= _COMPACT_AT * len(rows):
                kept = torch.tensor(keep)
                rows = [rows[idx] for idx in keep]
                drawn, temperature, top_p = drawn[kept], temperature[kept], top_p[kept]
                uniforms = uniforms[kept]
                state.keep(kept)
            self._advance(state, drawn)

    def _prefill(self, prompts: list[list[int]], *, capacity: int = 0) -> "_State":
        """Read the prompts, padded on the left, and leave room for ``capacity`` tokens."""
        longest = max(map(len, prompts))
        padded = [[self._padding] * (longest - len(p)) + p for p in prompts]
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
        ids, mask = torch.tensor(padded).to(self._device), mask.to(self._device)
        cache = Cache(layers=[SlabLayer() for _ in range(self._model.config.num_hidden_layers)])
        output = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return _State(cache, mask, output.logits[:, -1], capacity)

    def _advance(self, state: "_State", drawn: torch.Tensor) -> None:
        """Feed one token per row."""
        tokens = drawn.to(self._device)[:, None]
        state.mask = torch.cat([state.mask, torch.ones_like(tokens)], dim=1)
        output = self._model(
            input_ids=tokens,
            attention_mask=state.mask,
            position_ids=state.mask.sum(-1, keepdim=True) - 1,
            past_key_values=state.cache,
            use_cache=True,
        )
        state.logits = output.logits[:, -1]

    def _stop_ids(self, stop: str) -> int | None:
        """The token that is this stop string, or ``None`` if it takes several."""
        ids = self._tokens.continuation(stop)
        return ids[0] if len(ids) == 1 else None

    def _stopped(self, row: "_Row", stops: dict[str, int | None]) -> bool:
        for stop in row.sampling.stop:
            if stops[stop] == row.tokens[-1]:
                return True
            # A string of several tokens can end inside one; look at the last few decoded ones.
            if stops[stop] is None and stop in self._tokenizer.decode(
                row.tokens[-len(stop.encode()) - 1 :]
            ):
                return True
        return False

    def _finished(self, row: "_Row | None") -> Completion:
        if row is None:
            return Completion("", "context", (), ())
        text, ends = self._tokens.join(row.tokens)
        return Completion(text, row.finish, tuple(row.logprobs), ends)


def _length(row: tuple[list[int], list[int]]) -> int:
    prompt, text = row
    return len(prompt) + len(text)


class _Row:
    """A sample that is being decoded."""

    def __init__(self, request: CompletionRequest, limit: int) -> None:
        self.sampling: Sampling = request.sampling
        self.limit = limit
        self.seed = request.seed
        self.tokens: list[int] = []
        self.logprobs: list[float] = []
        self.finish: Finish = "length" if limit == request.sampling.max_tokens else "context"
        self.live = True

    @classmethod
    def begin(cls, request: CompletionRequest, *, room: int) -> "_Row | None":
        """A row limited by ``room`` in the context; ``None`` if not one token fits."""
        limit = min(request.sampling.max_tokens, room)
        return cls(request, limit) if limit > 0 else None

    def append(self, token: int, logprob: float) -> None:
        self.tokens.append(token)
        self.logprobs.append(logprob)

    def uniforms(self, length: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        """One uniform number per token to come."""
        return np.random.Generator(np.random.Philox(self.seed)).random(length, dtype=np.float32)


class _State:
    """Cache, attention mask and next-token logits of the rows in the batch."""

    def __init__(
        self, cache: Cache, mask: torch.Tensor, logits: torch.Tensor, capacity: int
    ) -> None:
        self.cache, self.mask, self.logits, self.capacity = cache, mask, logits, capacity

    def keep(self, rows: torch.Tensor) -> None:
        """Select (and repeat) rows."""
        rows = rows.to(self.mask.device)
        self.mask, self.logits = self.mask[rows], self.logits[rows]
        for layer in self.cache.layers:
            layer.reorder_cache(rows)  # pyright: ignore[reportArgumentType]


def _draw(
    logits: torch.Tensor, temperature: torch.Tensor, top_p: torch.Tensor, uniform: torch.Tensor
) -> torch.Tensor:
    """One token per row; logits ``(rows, vocabulary)``, the rest ``(rows,)``."""
    greedy = logits.argmax(-1)
    scaled = logits / temperature.clamp(min=1e-6)[:, None]
    probabilities = scaled.softmax(-1)
    if bool((top_p < 1).any()):
        ordered, order = probabilities.sort(-1, descending=True)
        before = ordered.cumsum(-1) - ordered
        ordered[before >= top_p[:, None]] = 0
        probabilities = torch.zeros_like(probabilities).scatter(-1, order, ordered)
    cumulative = probabilities.cumsum(-1)
    target = uniform[:, None] * cumulative[:, -1:]
    sampled = torch.searchsorted(cumulative, target, right=True).squeeze(-1)
    # Rounding can push the target past the last token that has any mass.
    sampled = sampled.clamp(max=logits.shape[-1] - 1)
    sampled = torch.where(
        probabilities.gather(-1, sampled[:, None]).squeeze(-1) > 0, sampled, greedy
    )
    return torch.where(temperature > 0, sampled, greedy)
