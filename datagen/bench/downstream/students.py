"""Students: the reasoner, fine-tuned on conversations, and how often they are right then.

The surprising fact: nothing of the question is learned, and of the reply all but what it takes back
itself, as the dataset ``sft`` marks it. A trainer that masks nothing learns that, too.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from datagen.bench.cases import draw_rollouts, verify_world
from datagen.bench.downstream.training import Recipe, folder_of, keep, padded, train_steps
from datagen.config import EngineSettings
from datagen.engines.protocol import Engine, Sampling
from datagen.engines.registry import open_engine
from datagen.journal import Journal
from datagen.prompts.native import QUESTION
from datagen.reasoner.world import Problem
from datagen.search.evidence import Rollout
from datagen.traces.model import Trace
from datagen.verify import Outcome

Floats = npt.NDArray[np.float64]

IGNORED: Final = -100
"""Label of tokens that are not learned."""

_GREEDY: Final = Sampling(temperature=0.0)


class Lesson(NamedTuple):
    """One row of ``sft``: a question, and the reply to be learned.

    Attributes:
        question: the question.
        reply: the reply.
        unlearned: half-open ranges of its characters that are read and not learned.
    """

    question: str
    reply: str
    unlearned: tuple[tuple[int, int], ...] = ()


def train_student(
    lessons: Sequence[Lesson], *, name: str, start: Path, out: Path, recipe: Recipe, seed: int
) -> Path:
    """Fine-tune a causal language model; a result that is there already is not made again.

    Args:
        lessons: the rows.
        name: begins the name of the folder.
        start: checkpoint to begin with.
        out: folder of all results.
        recipe: how long and how hard.
        seed: of the order of the rows.

    Returns:
        Folder of the new checkpoint.
    """
    folder = folder_of(out, name, start, lessons, recipe, seed)
    if folder.exists():
        return folder
    torch.manual_seed(seed)
    tokenizer: Any = AutoTokenizer.from_pretrained(start)
    model: Any = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    rows = [encoded(tokenizer, lesson) for lesson in lessons]

    def loss_of(batch: Sequence[int]) -> torch.Tensor:
        ids = padded([rows[row][0] for row in batch], fill=0, dtype=torch.long)
        labels = padded([rows[row][1] for row in batch], fill=IGNORED, dtype=torch.long)
        # Padding is on the right, where a causal model never looks.
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(input_ids=ids, use_cache=False).logits
        return torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=IGNORED
        )

    train_steps(model, [len(ids) for ids, _ in rows], loss_of, recipe, seed=seed)
    keep(model, tokenizer, folder)
    return folder


def encoded(tokenizer: Any, lesson: Lesson) -> tuple[list[int], list[int]]:
    """Token ids and labels of a lesson, as its chat template has it; -100: not learned."""
    prompt = f"{QUESTION}{lesson.question}\n"
    text = prompt + lesson.reply + tokenizer.eos_token
    read = tokenizer(text, return_offsets_mapping=True)
    ids: list[int] = read["input_ids"]
    given = [(0, len(prompt)), *((len(prompt) + a, len(prompt) + b) for a, b in lesson.unlearned)]
    labels = [
        IGNORED if any(a <= begin < b for a, b in given) else token
        for token, (begin, _) in zip(ids, read["offset_mapping"], strict=True)
    ]
    return ids, labels


def open_student(folder: Path) -> Engine:
    """The engine of a checkpoint."""
    return open_engine(EngineSettings(model=str(folder), device="cpu", batch_size=512))


def attempts(
    engine: Engine, journal: Journal, problems: Sequence[Problem], n: int, *, greedy: bool = False
) -> list[list[Rollout]]:
    """``n`` replies to each bare question, at temperature 1 or greedily."""
    return draw_rollouts(
        [Trace(problem.question) for problem in problems],
        [verify_world(problem) for problem in problems],
        n,
        engine,
        journal,
        sampling=_GREEDY if greedy else Sampling(),
    )


def solve_rates(drawn: Sequence[Sequence[Rollout]]) -> Floats:
    """Share of right replies to each question, ``(n_questions,)``."""
    return np.array([fmean(map(is_right, group)) for group in drawn])


def is_right(rollout: Rollout) -> bool:
    """Whether a reply was verified to be right."""
    return rollout.verdict.outcome is Outcome.CORRECT
