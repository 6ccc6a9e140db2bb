"""Verifiers: process and outcome reward models, all of one make.

The surprising fact: they do not read words. The reasoner reads the reply, frozen, and a small
recurrent network is told, step by step, which thought factor it is and how surprised the reasoner
was by it. A reasoner of two million parameters cannot be made to check steps by as few rows as
there are here: a classifier on its trunk chooses no better than the majority even if it learns from
the oracle's labels. Labels are all that two verifiers differ in.
"""

import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import polars as pl
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM, AutoTokenizer

from datagen.bench.downstream.training import padded
from datagen.engines.protocol import Evaluation
from datagen.export import export_orm
from datagen.factors.taxonomy import Factor
from datagen.guides.passes import passes
from datagen.prompts.native import QUESTION
from datagen.traces.markup import THINK_START, parse_tail, render_step
from datagen.traces.model import Trace
from datagen.traces.rows import trace_of

_FACTORS: Final = {factor: idx for idx, factor in enumerate(Factor)}
_LEAST: Final = -12.0
"""Log-probabilities below are as good as this one."""
_SCALE: Final = 3.0
_N_SURPRISES: Final = 4
_AT_ONCE: Final = 256


class Text(NamedTuple):
    """What a verifier reads: a question, and steps in markup."""

    question: str
    steps: tuple[str, ...]

    @classmethod
    def of(cls, trace: Trace) -> Self:
        """The steps of a trace."""
        return cls(trace.question, tuple(map(render_step, trace.steps)))


class Judged(NamedTuple):
    """A text, and for each step how likely all is good so far, in [0, 1]; ``None``: not said."""

    text: Text
    targets: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierRecipe:
    """How long and how hard a verifier is trained.

    Attributes:
        n_steps: updates.
        learning_rate: the highest; it falls to 0.
        n_rows: of an update.
        width: of the recurrent network.
    """

    n_steps: int
    learning_rate: float
    n_rows: int = 64
    width: int = 48


def outcome_rows(traces: pl.DataFrame) -> list[Judged]:
    """Rows for an outcome reward model, from the traces that are in the dataset ``orm``.

    Only the last step has a label, and it is that of the reply.
    """
    labels = dict(export_orm(traces).select("id", "label").iter_rows())
    texts = [
        (Text.of(trace_of(row)), float(labels[row["trace_id"]]))
        for row in traces.iter_rows(named=True)
        if row["trace_id"] in labels
    ]
    return [Judged(text, (*[None] * (len(text.steps) - 1), label)) for text, label in texts]


class Reader:
    """The frozen reasoner, reading replies; what it has read it remembers.

    Args:
        folder: of the reasoner.
    """

    def __init__(self, folder: Path) -> None:
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self._model.eval()
        self._read: dict[Text, Tensor] = {}

    def read(self, texts: Iterable[Text]) -> list[Tensor]:
        """What there is to know of the steps of each text, ``(n_steps, n_features)``.

        Scaled log-probabilities of the opening tag, of the least likely token behind it, of all
        tokens behind it and of the last one; then the thought factor, one-hot.
        """
        wanted = list(texts)
        new = [text for text in dict.fromkeys(wanted) if text not in self._read]
        tokens = [self._tokens_of(text) for text in new]
        with torch.inference_mode():
            for rows in passes([len(ids) for ids, _ in tokens]):
                ids = padded([tokens[row][0] for row in rows], fill=0, dtype=torch.long)
                # Padding is on the right, where a causal model never looks.
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    logits = self._model(input_ids=ids, use_cache=False).logits
                said = logits[:, :-1].float().log_softmax(-1)
                found = said.gather(-1, ids[:, 1:, None])[..., 0]
                for place, row in enumerate(rows):
                    self._read[new[row]] = _features(new[row], found[place], tokens[row][1])
        return [self._read[text] for text in wanted]

    def confidences(self, text: Text) -> tuple[float, ...]:
        """Probability of the least likely token of each step, its opening tag apart."""
        [read] = self.read([text])
        return tuple((read[:, 1] * _SCALE).exp().tolist())

    def _tokens_of(self, text: Text) -> tuple[list[int], list[int]]:
        """Token ids, and the places where steps begin, with the end of the last one."""

        def read(part: str) -> list[int]:
            return self._tokenizer(part, add_special_tokens=False)["input_ids"]

        ids = read(f"{QUESTION}{text.question}\n{THINK_START}")
        begins = [len(ids)]
        for step in text.steps:
            ids += read(step)
            begins.append(len(ids))
        return ids, begins


def _features(text: Text, found: Tensor, begins: Sequence[int]) -> Tensor:
    factors = [step.factor for step in parse_tail("".join(text.steps)).steps]
    features = torch.zeros(len(text.steps), _N_SURPRISES + len(_FACTORS))
    for row, factor in enumerate(factors):
        # The first token of a text has no probability, so all places are one earlier.
        own = found[begins[row] - 1 : begins[row + 1] - 1]
        rest = own[1:]
        told = torch.stack([own[0], rest.min(), rest.sum(), own[-1]])
        features[row, :_N_SURPRISES] = told.clamp(_LEAST, 0.0) / _SCALE
        features[row, _N_SURPRISES + _FACTORS[factor]] = 1.0
    return features


class _Network(torch.nn.Module):
    """Log-odds, after each step, that all is good so far."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.memory = torch.nn.GRU(_N_SURPRISES + len(_FACTORS), width, batch_first=True)
        self.dropout = torch.nn.Dropout(0.2)
        self.judge = torch.nn.Linear(width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """``(n_rows, longest, n_features)`` to ``(n_rows, longest)``."""
        return self.judge(self.dropout(self.memory(features)[0]))[..., 0]


class Verifier:
    """A trained verifier; it can be the guide of a search.

    Args:
        rows: texts and labels.
        reader: reads them.
        recipe: how long and how hard.
        seed: of the first weights and of the order.

    Attributes:
        fingerprint: as in :class:`~datagen.guides.guide.Guide`, like the next two.
        batch_size: most states of one call.
        has_policy: never.
    """

    has_policy = False
    batch_size = _AT_ONCE

    def __init__(
        self, rows: Sequence[Judged], reader: Reader, recipe: VerifierRecipe, *, seed: int
    ) -> None:
        told = json.dumps([rows, asdict(recipe), seed]).encode("utf-8", "surrogatepass")
        self.fingerprint = f"verifier:{hashlib.sha256(told).hexdigest()[:16]}"
        self._reader = reader
        self._nothing = torch.zeros(1, _N_SURPRISES + len(_FACTORS))
        self._network = _trained(rows, reader.read(row.text for row in rows), recipe, seed)

    def values(self, texts: Iterable[Text]) -> list[tuple[float, ...]]:
        """What it says behind each step of each text."""
        read = self._reader.read(texts)
        values: list[tuple[float, ...]] = []
        with torch.inference_mode():
            for start in range(0, len(read), _AT_ONCE):
                some = read[start : start + _AT_ONCE]
                # A recurrent network takes no rows without a step.
                steps = pad_sequence([*some, self._nothing], batch_first=True)
                good = self._network(steps).sigmoid()
                values += [
                    tuple(own[: len(x)].tolist()) for own, x in zip(good, some, strict=False)
                ]
        return values

    def evaluate(self, states: Sequence[Trace]) -> list[Evaluation]:
        """The value of each state; of a bare question nothing is known."""
        return [Evaluation(said[-1] if said else 0.5)
                for said in self.values([Text.of(state) for state in states])]  # fmt: skip


def _trained(
    rows: Sequence[Judged], read: Sequence[Tensor], recipe: VerifierRecipe, seed: int
) -> _Network:
    nothing = float("nan")
    labels = [torch.tensor([nothing if t is None else t for t in row.targets]) for row in rows]
    torch.manual_seed(seed)
    rng = random.Random(seed)
    network = _Network(recipe.width)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=0.05)
    for step in range(recipe.n_steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * (1 - step / recipe.n_steps)
        some = rng.sample(range(len(rows)), min(recipe.n_rows, len(rows)))
        wanted = pad_sequence(
            [labels[row] for row in some], batch_first=True, padding_value=nothing
        )
        told = ~wanted.isnan()
        logits = network(pad_sequence([read[row] for row in some], batch_first=True))
        loss = binary_cross_entropy_with_logits(logits[told], wanted[told])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return network.eval()


class Remembered:
    """A guide for rows of ProcessBench whose steps are in markup; all were read at once.

    Args:
        verifier: has read them.
        texts: whole texts; it knows nothing of others.
    """

    has_policy = False
    batch_size = 4096

    def __init__(self, verifier: Verifier, texts: Sequence[Text]) -> None:
        self.fingerprint = verifier.fingerprint
        self._values = {
            Text(text.question, text.steps[: n + 1]): value
            for text, values in zip(texts, verifier.values(texts), strict=True)
            for n, value in enumerate(values)
        }

    def evaluate(self, states: Sequence[Trace]) -> list[Evaluation]:
        """The value of each state, whose steps have markup for text."""
        return [
            Evaluation(self._values[Text(s.question, tuple(step.text for step in s.steps))])
            for s in states
        ]
