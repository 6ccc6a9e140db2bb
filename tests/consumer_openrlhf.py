"""Reads published data with OpenRLHF's dataset classes and rewards it: ``FOLDER REWARD_FILE``.

The last line is JSON: what the classes made of rows of ``rl``, ``sft`` and ``preference``; what
becomes of the ``right`` and a ``wrong`` answer to some questions, those that are ``judged``, on the
way from the engine to the trainer; and the ``options`` of its commands.
"""

import asyncio
import json
import re
import sys
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openrlhf
import torch
from openrlhf.datasets import PromptDataset, RewardDataset, SFTDataset
from openrlhf.datasets.utils import blending_datasets
from openrlhf.trainer.ppo_utils.experience import Experience
from openrlhf.utils.agent import SingleTurnAgentExecutor
from openrlhf.utils.config import hierarchize
from transformers import AutoTokenizer

from datagen.engines.registry import WEIGHTS

COMMANDS = Path(openrlhf.__file__).parent / "cli"
MAX_LENGTH = 2048
N_LEARNED = 40
N_REWARDED = 3
WRONG = "-77"


def strategy(**options: object) -> Any:
    """What the classes ask for their options, given as on the command line: ``input_key``."""
    given = {f"data.{name}": value for name, value in options.items()}
    return SimpleNamespace(
        args=hierarchize(Namespace(**given, use_ms=False)),
        is_rank_0=lambda: True,
        print=lambda *_: None,
    )


def loaded(folder: str, config: str) -> Any:
    """A config by the name that commands take: ``repo@config``."""
    return blending_datasets(f"{folder}@{config}", None, strategy(), dataset_split="train")


def first(rows: Any) -> Any:
    """A few of the rows."""
    return rows.select(range(min(N_LEARNED, len(rows))))


def prompted(folder: str, tokenizer: Any) -> Any:
    """Rows of ``rl``."""
    options = strategy(input_key="prompt", label_key="reward_model", apply_chat_template=True)
    return PromptDataset(loaded(folder, "rl"), tokenizer, options)


def finetuned(folder: str, tokenizer: Any) -> list[dict[str, str]]:
    """First rows of ``sft``: the whole text, and the part of it that is learned."""
    rows = first(loaded(folder, "sft"))
    options = strategy(input_key="messages", apply_chat_template=True)
    dataset = SFTDataset(rows, tokenizer, MAX_LENGTH, options, num_processors=1)
    found: list[dict[str, str]] = []
    for ids, _, mask in (dataset[idx] for idx in range(len(dataset))):
        # The mask stands at the token before the one that is predicted.
        learned = ids[0, 1:][mask[0, :-1].bool()]
        found.append({"text": tokenizer.decode(ids[0]), "learned": tokenizer.decode(learned)})
    return found


def preferred(folder: str, tokenizer: Any) -> list[dict[str, str]]:
    """First rows of ``preference``: the prompt and both replies."""
    rows = first(loaded(folder, "preference"))
    options = strategy(
        prompt_key="prompt", chosen_key="chosen", rejected_key="rejected", apply_chat_template=True
    )
    dataset = RewardDataset(rows, tokenizer, MAX_LENGTH, options, is_dpo=True, num_processors=1)
    return [
        {
            "prompt": tokenizer.decode(chosen[0, :n_prompt]),
            "chosen": tokenizer.decode(chosen[0, n_prompt:]),
            "rejected": tokenizer.decode(rejected[0, n_prompt:]),
        }
        for chosen, _, rejected, _, n_prompt in (dataset[idx] for idx in range(len(dataset)))
    ]


def first_of_each(dataset: Any, rows: Any) -> list[tuple[str, Any, str]]:
    """Prompt, label and answer of some questions for each verifier."""
    by_verifier: dict[str, list[tuple[str, Any, str]]] = {}
    for idx in range(len(dataset)):
        _, prompt, label, _ = dataset[idx]
        some = by_verifier.setdefault(rows[idx]["extra_info"]["verifier"], [])
        some.append((prompt, label, rows[idx]["answer"]))
    return [question for some in by_verifier.values() for question in some[:N_REWARDED]]


class Engine:
    """Stands in for vLLM: says what it is given, and ends it with the end-of-text token."""

    def __init__(self, said: str, tokenizer: Any) -> None:
        ids = tokenizer(said, add_special_tokens=False)["input_ids"]
        self.output = SimpleNamespace(
            token_ids=[*ids, tokenizer.eos_token_id], finish_reason="stop", logprobs=None
        )

    async def generate(self, *_: object, **__: object) -> Any:
        """The only output."""
        return SimpleNamespace(outputs=[self.output])


def rewards(
    questions: list[tuple[str, Any, str]], answers: list[str], executor: Any, tokenizer: Any
) -> dict[str, Any]:
    """What the executor makes of one answer to each question, put together as a batch."""
    sampling = SimpleNamespace(max_tokens=512, logprobs=None)
    batch: list[Experience] = []
    for (prompt, label, _), answer in zip(questions, answers, strict=True):
        engine = Engine(f"<think>\nso\n</think>\n{answer}", tokenizer)
        done = asyncio.run(executor.execute(prompt, label, sampling, MAX_LENGTH, tokenizer, engine))
        batch.append(
            Experience(
                labels=[done["label"]],
                rewards=torch.tensor([done["reward"]]),
                scores=torch.tensor([done["scores"]]),
                info={name: torch.tensor([value]) for name, value in done["extra_logs"].items()},
            )
        )
    whole = Experience.concat_experiences(batch, tokenizer.pad_token_id)
    return {
        "labels": whole.labels,
        "rewards": whole.rewards.tolist(),
        "scores": whole.scores.tolist(),
        "unverifiable": whole.info["unverifiable"].tolist(),
    }


def main(folder: str, reward_file: str) -> None:
    """Read, reward and tell."""
    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS)
    dataset = prompted(folder, tokenizer)
    judged = first_of_each(dataset, loaded(folder, "rl"))
    executor = SingleTurnAgentExecutor([reward_file])
    told = {
        "options": {
            f"openrlhf.cli.{path.stem}": re.findall(r"\"--([\w.]+)\"", path.read_text())
            for path in COMMANDS.glob("train_*.py")
        },
        "rl": [
            {"prompt": dataset[idx][1], "label": dataset[idx][2]} for idx in range(len(dataset))
        ],
        "judged": [label for _, label, _ in judged],
        "right": rewards(judged, [answer for *_, answer in judged], executor, tokenizer),
        "wrong": rewards(judged, [WRONG for _ in judged], executor, tokenizer),
        "sft": finetuned(folder, tokenizer),
        "preference": preferred(folder, tokenizer),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
