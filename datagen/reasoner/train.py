"""Train the embedded reasoner from scratch: ``python -m datagen.reasoner.train --out DIR``.

Every document is drawn fresh from the world, so there is no epoch and no memorising: what limits
the reasoner is its size and the mistakes that its teacher makes on purpose. Batches hold documents
of like length, padded on the right; causal attention then never sees padding and needs no mask.
Only thought and answer are scored, the question is given.
"""

import argparse
import math
import random
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from datagen.prompts.critique import critique_prompt
from datagen.prompts.native import QUESTION
from datagen.reasoner.code_documents import code_document
from datagen.reasoner.critiques import write_critique
from datagen.reasoner.thoughts import Temper, write_trace
from datagen.reasoner.tokenizer import END, train_tokenizer
from datagen.reasoner.world import draw_problem
from datagen.traces.markup import MARKUP_TOKENS, THINK_START, render

HIDDEN: Final = 192
LAYERS: Final = 4
HEADS: Final = 6
LOG_EVERY: Final = 100
_TAGS = re.compile("|".join(map(re.escape, MARKUP_TOKENS)))
_IGNORED: Final = -100


CODE_SHARE: Final = 0.3
"""Share of the documents that are about functions; the others are about word problems."""

CRITIQUE_SHARE: Final = 0.5
"""Share of the documents about word problems that are critiques; the others are thoughts."""

_CRITICISED: Final = Temper(slip=0.2, notice=0.35)
"""Who writes the thoughts that are criticised: careless enough that most hold an error."""


def document(rng: random.Random, temper: Temper) -> tuple[str, str]:
    """One training document as ``(prompt, completion)``."""
    if rng.random() < CODE_SHARE:
        prompt, completion = code_document(rng)
        return prompt, completion + END
    problem = draw_problem(rng)
    if rng.random() < CRITIQUE_SHARE:
        trace = write_trace(problem, rng, temper=_CRITICISED)
        critique = render(write_critique(problem, trace.steps))
        return critique_prompt(trace), critique.removeprefix(THINK_START) + END
    trace = write_trace(problem, rng, temper=temper)
    return f"{QUESTION}{problem.question}\n", render(trace) + END


def build_tokenizer(*, seed: int, n_documents: int = 20_000) -> PreTrainedTokenizerFast:
    """Train the tokenizer on world text, with the tags cut out."""
    rng = random.Random(seed)
    texts = (_TAGS.split("".join(document(rng, Temper()))) for _ in range(n_documents))
    return train_tokenizer(piece for pieces in texts for piece in pieces)


def build_model(tokenizer: Any) -> Any:
    """A freshly initialised reasoner; vocabulary padded to a multiple of 64."""
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=math.ceil(len(tokenizer) / 64) * 64,
            hidden_size=HIDDEN,
            intermediate_size=HIDDEN * 8 // 3,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            initializer_range=0.02,
        )
    )


def batches(
    tokenizer: PreTrainedTokenizerFast, *, seed: int, tokens_per_batch: int, pool: int = 4096
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless ``(input_ids, labels)`` pairs, each int64 of shape ``(batch, length)``."""
    rng = random.Random(seed)
    temper = Temper()
    waiting: defaultdict[int, list[tuple[list[int], int]]] = defaultdict(list)
    while True:
        prompts, completions = zip(*(document(rng, temper) for _ in range(pool)), strict=True)
        given = [len(ids) for ids in tokenizer(list(prompts))["input_ids"]]
        texts = [p + c for p, c in zip(prompts, completions, strict=True)]
        # Few distinct shapes, since CPU kernels are compiled for each one; what does not fill a
        # batch of its length waits for the next pool.
        chunks: list[list[tuple[list[int], int]]] = []
        for pair in zip(tokenizer(texts)["input_ids"], given, strict=True):
            length = _padded(len(pair[0]))
            waiting[length].append(pair)
            if (len(waiting[length]) + 1) * length > tokens_per_batch:
                chunks.append(waiting.pop(length))
        rng.shuffle(chunks)
        for chunk in chunks:
            length = _padded(len(chunk[-1][0]))
            ids = torch.zeros(len(chunk), length, dtype=torch.long)
            labels = torch.full((len(chunk), length), _IGNORED)
            for row, (document_ids, n_given) in enumerate(chunk):
                tokens = torch.tensor(document_ids)
                ids[row, : len(tokens)] = tokens
                labels[row, n_given : len(tokens)] = tokens[n_given:]
            yield ids, labels


def _padded(length: int) -> int:
    """The next multiple of 16."""
    return -(-length // 16) * 16


def build_optimizers(
    model: Any, *, peak_lr: float
) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """Muon for the weight matrices, AdamW for embedding and norms.

    Muon (Jordan et al., 2024) halves the loss that AdamW reaches in the same few CPU minutes.
    """
    matrices = {
        name: p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name
    }
    others = [p for name, p in model.named_parameters() if name not in matrices]
    return (
        torch.optim.Muon(
            matrices.values(),
            lr=peak_lr,
            momentum=0.95,
            weight_decay=0.1,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(others, lr=3e-3, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    )


def train(
    out: Path,
    *,
    start: Path | None,
    minutes: float,
    seed: int,
    peak_lr: float,
    tokens_per_batch: int,
    device: str,
) -> None:
    """Train for ``minutes`` of wall time and write tokenizer and bfloat16 weights to ``out``.

    Training goes on from the checkpoint ``start`` if there is one.
    """
    tokenizer: Any = build_tokenizer(seed=seed)
    model = build_model(tokenizer)
    if start:
        carry_over(start, model, tokenizer)
    model.to(device)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens")
    optimizers = build_optimizers(model, peak_lr=peak_lr)
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    peaks = [group["lr"] for group in groups]
    model.train()
    began = saved_at = time.monotonic()
    n_tokens = 0
    loss_sum = torch.zeros((), device=device)
    source = batches(tokenizer, seed=seed + 1, tokens_per_batch=tokens_per_batch)
    for step, (ids, labels) in enumerate(source, start=1):
        progress = (time.monotonic() - began) / (60 * minutes)
        if progress >= 1:
            break
        # Warm up for 200 steps, hold, then fall linearly over the last 60 % of the time.
        scale = min(1.0, step / 200, max(0.02, (1 - progress) / 0.6))
        for group, peak in zip(groups, peaks, strict=True):
            group["lr"] = peak * scale
        ids, labels = ids.to(device), labels.to(device)
        with torch.autocast(device, dtype=torch.bfloat16):
            logits = model(input_ids=ids, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=_IGNORED
        )
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        n_tokens += ids.numel()
        loss_sum += loss.detach()
        if step % LOG_EVERY == 0:
            seconds = time.monotonic() - began
            print(
                f"step {step} loss {loss_sum.item() / LOG_EVERY:.4f} "
                f"{n_tokens / 1e6:.1f} M tokens {n_tokens / seconds:,.0f} tokens/s "
                f"{progress:.0%}",
                flush=True,
            )
            loss_sum.zero_()
        if time.monotonic() - saved_at > 300:
            save(out, model, tokenizer)
            saved_at = time.monotonic()
    save(out, model, tokenizer)


def carry_over(start: Path, model: Any, tokenizer: Any) -> None:
    """Begin with the weights of checkpoint ``start``, whose vocabulary may be another one.

    Each token takes the embedding of the token of the same text; new tokens keep their own.
    """
    trained: Any = LlamaForCausalLM.from_pretrained(start, dtype=torch.float32)
    known = PreTrainedTokenizerFast.from_pretrained(start).get_vocab()
    weights = trained.state_dict()
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        rows = model.state_dict()[name].clone()
        for text, token in tokenizer.get_vocab().items():
            if text in known:
                rows[token] = weights[name][known[text]]
        weights[name] = rows
    model.load_state_dict(weights)


def save(out: Path, model: Any, tokenizer: Any) -> None:
    """Write a checkpoint that ``AutoModelForCausalLM`` and vLLM load as it is."""
    out.mkdir(parents=True, exist_ok=True)
    weights = build_model(tokenizer)
    weights.load_state_dict(model.state_dict())
    weights.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)


def main() -> None:
    """Command line of the training script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint")
    parser.add_argument("--start", type=Path, help="checkpoint to go on from")
    parser.add_argument("--minutes", type=float, default=60, help="wall time to train for")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=1e-2, help="peak learning rate of the matrices")
    parser.add_argument("--tokens-per-batch", type=int, default=6144)
    options = parser.parse_args()
    train(
        options.out,
        start=options.start,
        minutes=options.minutes,
        seed=options.seed,
        peak_lr=options.lr,
        tokens_per_batch=options.tokens_per_batch,
        device="cuda" if torch.cuda.is_available() else "cpu",
    )


if __name__ == "__main__":
    main()
