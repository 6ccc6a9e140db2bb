r"""Guide ``prm``: any process reward model of Transformers that tells good steps from bad ones.

A state is read exactly as rows of the dataset ``prm`` are by trainers (TRL's ``PRMTrainer`` with
its separator ``"\n"``, and ours): question, newline, then each step and a newline, tokenised piece
by piece. The label of a step is at its newline, and so is its value.

The surprising fact: that needs no special case for the bare question, which ends with a newline as
well. No label is ever there, so the value of a root is what the network makes of "no step yet".
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

from datagen.engines.protocol import Evaluation
from datagen.errors import ConfigError
from datagen.guides.guide import content_digest
from datagen.guides.passes import (
    at_last_token,
    context_of,
    device_named,
    dtype_on,
    padded,
    padding_of,
    passes,
)
from datagen.traces.model import Trace


class Prm:
    """A token classifier whose label 1 means a good step.

    Args:
        folder: of the model, with its tokenizer.
        device: ``"auto"`` takes the first GPU if there is one, else the CPU.

    Attributes:
        fingerprint: as in :class:`~datagen.guides.guide.Guide`, like the next two.
        batch_size: most states of one call.
        has_policy: never.

    Raises:
        ConfigError: if the folder cannot be loaded, or the model has not two labels.
    """

    has_policy = False
    batch_size = 256

    def __init__(self, folder: Path | str, *, device: str = "auto") -> None:
        self._device = device_named(device)
        dtype = dtype_on(self._device)
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
            model: Any = AutoModelForTokenClassification.from_pretrained(folder, dtype=dtype)
        except (OSError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"cannot load the value model {str(folder)!r}: {error}; set search.value_model to "
                "the folder of a Transformers model for token classification with its tokenizer"
            ) from error
        if model.config.num_labels != 2:
            raise ConfigError(
                f"the value model {str(folder)!r} has {model.config.num_labels!r} labels; a "
                "process reward model has two: bad and good"
            )
        self._model = model.to(self._device).eval()
        self._padding, self._context = padding_of(self._tokenizer), context_of(model.config)
        digest = content_digest(Path(folder))[:16]
        self.fingerprint = f"prm:{digest}:{str(dtype).removeprefix('torch.')}"

    def evaluate(self, states: Sequence[Trace]) -> list[Evaluation]:
        """Probability that the last step of each state is good; its answer is not looked at.

        A state that is longer than the context is read without its beginning.
        """
        sequences: list[list[int]] = []
        for state in states:
            ids, _ = tokens_of(self._tokenizer, state.question, (s.text for s in state.steps))
            sequences.append(ids[-self._context :] if self._context else ids)
        values = [0.0] * len(states)
        with torch.inference_mode():
            for rows in passes([len(ids) for ids in sequences]):
                ids, mask = padded(
                    [sequences[row] for row in rows], padding=self._padding, device=self._device
                )
                logits = self._model(input_ids=ids, attention_mask=mask).logits
                good = at_last_token(logits, mask).float().softmax(-1)[:, 1]
                for row, value in zip(rows, good.tolist(), strict=True):
                    values[row] = value
        return [Evaluation(value) for value in values]


def tokens_of(tokenizer: Any, question: str, steps: Iterable[str]) -> tuple[list[int], list[int]]:
    """Token ids of a question and its steps, and where each step ends.

    Steps of nothing but white space are left out, as they are from the dataset.

    Returns:
        Token ids; and for each step that is not empty, the index of its last token.
    """

    def read(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    opening = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    ids = opening + read(f"{question.rstrip()}\n")
    newline, ends = read("\n"), list[int]()
    for step in steps:
        if text := step.rstrip():
            ids += read(text) + newline
            ends.append(len(ids) - 1)
    return ids, ends
