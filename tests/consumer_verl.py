"""Reads published data with verl's own dataset classes and rewards it: ``FOLDER REWARD_FILE``.

The last line is JSON: what the classes made of rows of ``rl`` and ``sft``; what its reward manager
gives the ``right`` and a ``wrong`` answer to some questions, those that are ``judged``; what its
own reward gives (``default``); and the ``options`` of its trainers.
"""

import copy
import json
import sys
from pathlib import Path
from typing import Any

import torch
import verl
from omegaconf import OmegaConf
from transformers import AutoTokenizer
from verl import DataProto
from verl.trainer.ppo.reward import load_reward_manager
from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn
from verl.utils.reward_score import default_compute_score

from datagen.engines.registry import WEIGHTS

CONFIGS = Path(verl.__file__).parent / "trainer" / "config"
TRAINERS = {
    "verl.trainer.main_ppo": "_generated_ppo_trainer.yaml",
    "verl.trainer.sft_trainer": "sft_trainer_engine.yaml",
}
N_LEARNED = 40
N_REWARDED = 3
WRONG = "-77"


def reply(answer: str) -> str:
    """A completion that ends with an answer."""
    return f"<think>\nso\n</think>\n{answer}"


def files(folder: Path, config: str) -> list[str]:
    """The files to train on."""
    return [str(path) for path in sorted((folder / config).glob("train-*.parquet"))]


def reinforced(folder: Path, tokenizer: Any) -> list[dict[str, Any]]:
    """Rows of ``rl`` as the trainer gets them."""
    options = OmegaConf.create({"max_prompt_length": 512, "filter_overlong_prompts_workers": 1})
    dataset = RLHFDataset(files(folder, "rl"), tokenizer, options)
    return [dataset[idx] for idx in range(len(dataset))]


def finetuned(folder: Path, tokenizer: Any) -> list[dict[str, str]]:
    """First rows of ``sft``: the whole text, and the part of it that is learned."""
    options = OmegaConf.create({"max_length": 2048, "pad_mode": "no_padding"})
    dataset = MultiTurnSFTDataset(files(folder, "sft"), tokenizer, options, max_samples=N_LEARNED)
    found: list[dict[str, str]] = []
    for idx in range(len(dataset)):
        ids, mask = dataset[idx]["input_ids"], dataset[idx]["loss_mask"].bool()
        found.append({"text": tokenizer.decode(ids), "learned": tokenizer.decode(ids[mask])})
    return found


def first_of_each(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Some rows for each verifier."""
    by_verifier: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_verifier.setdefault(row["extra_info"]["verifier"], []).append(row)
    return [row for some in by_verifier.values() for row in some[:N_REWARDED]]


def rewards(rows: list[dict[str, Any]], completions: list[str], manager: Any) -> list[Any]:
    """What the reward manager says of one completion of each row."""
    batch = DataProto.from_single_dict(collate_fn(copy.deepcopy(rows)))
    said: list[dict[str, float]] = []
    for idx, completion in enumerate(completions):
        item = batch[idx : idx + 1]
        ids = manager.tokenizer(completion, return_tensors="pt")["input_ids"]
        item.batch["responses"] = ids
        item.batch["attention_mask"] = torch.ones_like(ids)
        found = manager.loop.run_until_complete(manager.run_single(item))
        said.append({"reward": found["reward_score"], **found["reward_extra_info"]})
    return said


def names_of(options: Any, above: str = "") -> list[str]:
    """The names of all options, with dots."""
    if not isinstance(options, dict):
        return [above]
    names = {key: f"{above}.{key}" if above else str(key) for key in options}
    return [name for key in options for name in names_of(options[key], names[key])]


def main(folder: Path, reward_file: str) -> None:
    """Read, reward and tell."""
    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS)
    rows = reinforced(folder, tokenizer)
    options = OmegaConf.create({"reward": OmegaConf.load(CONFIGS / "reward" / "reward.yaml")})
    options.reward.custom_reward_function.path = reward_file
    manager = load_reward_manager(options, tokenizer)
    judged = first_of_each(rows)
    try:
        default = default_compute_score(rows[0]["data_source"], "1", "1")
    except NotImplementedError:
        default = None
    told = {
        "options": {
            module: names_of(OmegaConf.to_container(OmegaConf.load(CONFIGS / file)))
            for module, file in TRAINERS.items()
        },
        "rl": [
            {key: row[key] for key in ("raw_prompt", "data_source", "reward_model", "extra_info")}
            for row in rows
        ],
        "default": default,
        "judged": [row["extra_info"] | row["reward_model"] for row in judged],
        "right": rewards(judged, [reply(row["answer"]) for row in judged], manager),
        "wrong": rewards(judged, [reply(WRONG) for _ in judged], manager),
        "sft": finetuned(folder, tokenizer),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
