"""Engine ``vllm``: vLLM in processes of its own, thousands of samples in flight.

vLLM forms the batches, so every request is handed over as it comes. It deals in token ids alone:
prompts and texts are turned into tokens and back here, by the same code as for the ``transformers``
engine, so that both mean the same by a token's end, a stop string or a full context. What a seed
yields depends on what else is in vLLM's batch; the journal, not the seed, makes a run repeatable.
"""

import asyncio
import contextlib
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from transformers import AutoTokenizer

from datagen.engines.checkpoint import checkpoint_digest
from datagen.engines.model_tokens import ModelTokens
from datagen.engines.protocol import (
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Finish,
    Score,
    ScoreRequest,
    Usage,
)
from datagen.engines.vllm.arguments import engine_arguments, shaping
from datagen.engines.vllm.core import VllmCore, vllm_module
from datagen.errors import EngineError

_SAMPLER_VERSION: Final = "1"
"""Part of the fingerprint; raise it with any change that alters what a request means.

The version of vLLM is no part of it. Versions differ as two batches of one version do, in the last
bits and in what a seed yields, but sample from the same model; and nobody wants a night's samples
drawn again for a patch upgrade. A version that did change the model's output would raise this.
"""

_MOST_IDS: Final = 128
"""Most tokens whose probability vLLM tells at one place (``MAX_LOGPROB_TOKEN_IDS``)."""

_LEAST_PROBABILITY: Final = 1e-6
"""Choices whose beginning is less probable than this are taken to be impossible."""


class VllmEngine:
    """A language model from a local folder or the Hub, run by vLLM.

    Args:
        model: folder or Hub name of the model.
        dtype: ``"auto"`` is float32 on the CPU, and the checkpoint's own on a GPU.
        concurrency: most requests in flight.
        max_context: longest context, tokens; ``None`` for the model's own.
        tensor_parallel: GPUs that share each layer.
        data_parallel: copies of the model.
        quantization: by vLLM's name; ``None`` for what the checkpoint says.
        memory_share: share of each GPU's memory to use; on a CPU see ``VLLM_CPU_KVCACHE_SPACE``.
        options: further arguments by the names of vLLM's ``AsyncEngineArgs``; they win.

    Raises:
        ConfigError: if vLLM has no argument of an option's name.
        EngineError: if vLLM is missing or the model cannot be loaded.
    """

    batch_size = 1

    def __init__(
        self,
        model: str,
        *,
        dtype: str = "auto",
        concurrency: int = 2048,
        max_context: int | None = None,
        tensor_parallel: int = 1,
        data_parallel: int = 1,
        quantization: str | None = None,
        memory_share: float = 0.9,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.concurrency = concurrency
        self.usage = Usage()
        arguments = engine_arguments(
            {
                "model": model,
                "dtype": dtype,
                "max_model_len": max_context,
                "tensor_parallel_size": tensor_parallel,
                "data_parallel_size": data_parallel,
                "quantization": quantization,
                "gpu_memory_utilization": memory_share,
            },
            options or {},
        )
        model = arguments["model"]
        self._core = VllmCore(arguments)
        self._sampling: Any = vllm_module("vllm.sampling_params")
        self._refused: Any = vllm_module("vllm.exceptions").VLLMClientError
        config = self._core.config.model_config
        self._context: int = config.max_model_len
        tokenizer: Any = AutoTokenizer.from_pretrained(
            config.tokenizer,
            revision=config.tokenizer_revision,
            trust_remote_code=config.trust_remote_code,
        )
        configured = config.try_get_generation_config().get("eos_token_id")
        self._tokens = ModelTokens(model, tokenizer, configured)
        self._names = map(str, itertools.count())
        commit = getattr(config.hf_config, "_commit_hash", None)
        self.fingerprint = ":".join(
            [
                f"vllm:{Path(model).name}:{checkpoint_digest(model, commit)[:12]}",
                str(config.dtype).removeprefix("torch."),
                f"chat-{self._tokens.digest}:sampler{_SAMPLER_VERSION}",
                *shaping(arguments),
            ]
        )

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Sample one completion per request."""
        return await self._core.run(_all(self._completed(request) for request in requests))

    async def choose(self, requests: Sequence[ChoiceRequest]) -> list[Choice]:
        """Probability of each choice as the product of its tokens' probabilities.

        A choice that does not fit in the context has probability 0.
        """
        return await self._core.run(_all(self._chosen(request) for request in requests))

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Log-probability of each token of each text.

        Text and prompt are tokenised apart, as if the text had been generated. What does not fit
        in the context has no entries.
        """
        return await self._core.run(_all(self._scored(request) for request in requests))

    async def reset_prefix_cache(self) -> None:
        """Forget every prefix, so that a benchmark can begin cold."""
        await self._core.run(self._core.llm.reset_prefix_cache())

    def close(self) -> None:
        """End vLLM's processes."""
        self._core.close()

    # --- on vLLM's loop ------------------------------------------------------------------------

    async def _completed(self, request: CompletionRequest) -> Completion:
        prompt, sampling = self._tokens.ids(request.prompt), request.sampling
        limit = min(sampling.max_tokens, self._context - len(prompt))
        if limit <= 0:
            return Completion("", "context", (), ())
        # A stop string that is one token is cheaper to stop at, and needs no text.
        stops = {stop: self._tokens.continuation(stop) for stop in sampling.stop}
        texts = [stop for stop, ids in stops.items() if len(ids) != 1]
        output = await self._ask(
            prompt,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=limit,
            seed=request.seed >> 1,  # vLLM's are signed
            logprobs=0,
            stop=texts,
            stop_token_ids=[
                *self._tokens.ends,
                *(ids[0] for ids in stops.values() if len(ids) == 1),
            ],
            include_stop_str_in_output=True,
            detokenize=bool(texts),
            skip_special_tokens=False,
            spaces_between_special_tokens=False,
        )
        sample = output.outputs[0]
        tokens: list[int] = list(sample.token_ids)
        self.usage.n_generated_tokens += len(tokens)
        full: Finish = "length" if limit == sampling.max_tokens else "context"
        finish: Finish = "stop" if sample.finish_reason == "stop" else full
        text, ends = self._tokens.join(tokens)
        return Completion(text, finish, tuple(sample.logprobs.logprobs[: len(tokens)]), ends)

    async def _chosen(self, request: ChoiceRequest) -> Choice:
        """Walk the tree that the choices' tokens form, all nodes of one depth at once."""
        prompt = self._tokens.ids(request.prompt)
        choices = [tuple(self._tokens.continuation(choice)) for choice in request.choices]
        probability: dict[tuple[int, ...], float] = {(): 1.0}
        for depth in range(max(map(len, choices), default=0)):
            children: dict[tuple[int, ...], set[int]] = {}
            for tokens in choices:
                parent = tokens[:depth]
                if len(tokens) > depth and probability.get(parent, 0) >= _LEAST_PROBABILITY:
                    children.setdefault(parent, set()).add(tokens[depth])
            found = await _all(
                self._next([*prompt, *parent], sorted(ids)) for parent, ids in children.items()
            )
            for parent, logprobs in zip(children, found, strict=True):
                for token, logprob in logprobs.items():
                    probability[*parent, token] = probability[parent] * math.exp(logprob)
        return Choice(tuple(probability.get(tokens, 0.0) for tokens in choices))

    async def _next(self, prompt: list[int], ids: list[int]) -> dict[int, float]:
        """Log-probability of each token, were it the next; none if there is no room for one."""
        if len(prompt) >= self._context:
            return {}
        parts = [ids[n : n + _MOST_IDS] for n in range(0, len(ids), _MOST_IDS)]
        outputs = await _all(
            self._ask(prompt, max_tokens=1, temperature=0, logprob_token_ids=part, detokenize=False)
            for part in parts
        )
        return {
            token: logprob
            for part, output in zip(parts, outputs, strict=True)
            for token, logprob in _told(output).items()
            if token in part
        }

    async def _scored(self, request: ScoreRequest) -> Score:
        prompt = self._tokens.ids(request.prompt)
        text, ends = self._tokens.spans(request.text)
        room = max(self._context - len(prompt), 0)
        text, ends = text[:room], ends[:room]
        if not text:
            return Score((), ())
        # vLLM must generate a token. It gets to read all but the last, and generates in its place.
        *read, last = [*prompt, *text]
        output = await self._ask(
            read,
            max_tokens=1,
            temperature=0,
            prompt_logprobs=0 if len(text) > 1 else None,
            logprob_token_ids=[last],
            detokenize=False,
        )
        self.usage.n_prompt_tokens += 1
        # The first token of all has no entry.
        before = output.prompt_logprobs.logprobs[len(prompt) - 1 :] if len(text) > 1 else []
        return Score((*before, _told(output)[last]), ends)

    async def _ask(self, prompt: list[int], **parameters: Any) -> Any:
        """Put one prompt to vLLM and wait for its ``RequestOutput``.

        Raises:
            EngineError: if vLLM refuses the request or has died.
        """
        name, llm = next(self._names), self._core.llm
        self.usage.n_prompt_tokens += len(prompt)
        collector: Any = None
        try:
            sampling = self._sampling.SamplingParams(
                output_kind=self._sampling.RequestOutputKind.FINAL_ONLY,
                flat_logprobs=True,
                skip_clone=True,
                **parameters,
            )
            tokens = {"type": "token", "prompt_token_ids": prompt}
            collector = await llm.add_request(name, tokens, sampling)
            output = await collector.get()
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):  # it may have died
                await llm.abort(name)
            if collector is not None and (output := collector.get_nowait()):
                self.usage.n_generated_tokens += len(output.outputs[0].token_ids)
            raise
        except self._core.dead:
            # One exception is raised to all that wait; chained, it would grow with each.
            raise self._core.death() from None
        except self._refused as error:
            raise EngineError(f"vLLM refuses a request: {error}") from error
        if output.outputs[0].finish_reason == "error":
            raise EngineError("vLLM failed at a request; set VLLM_LOGGING_LEVEL=INFO to see why")
        self.usage.n_cached_tokens += output.num_cached_tokens or 0
        return output


async def _all(coroutines: Any) -> list[Any]:
    return await asyncio.gather(*coroutines)


def _told(output: Any) -> dict[int, float]:
    """Log-probabilities that vLLM tells of the first generated place, by token."""
    told = output.outputs[0].logprobs
    return dict(zip(told.token_ids, told.logprobs, strict=True))
