"""Reads published data with dataset classes that OpenRLHF had until 0.9.5: ``FOLDER``.

The last line is JSON: what the classes for process reward models and for KTO made of first rows of
``prm``, in the form that the former asks for, and of ``kto``.
"""

import json
import sys
from types import SimpleNamespace
from typing import Any

from openrlhf.datasets import ProcessRewardDataset, UnpairedPreferenceDataset
from openrlhf.datasets.utils import blending_datasets
from transformers import AutoTokenizer

from datagen.engines.registry import WEIGHTS

PLACEHOLDER = "ки"
N_ROWS = 40


def strategy(**options: object) -> Any:
    """What the classes ask for their options."""
    return SimpleNamespace(
        args=SimpleNamespace(use_ms=False, **options),
        is_rank_0=lambda: True,
        print=lambda *_: None,
    )


def loaded(folder: str, config: str) -> Any:
    """First rows of a config, by the name that commands take: ``repo@config``."""
    rows = blending_datasets(f"{folder}@{config}", None, strategy(), dataset_split="train")
    return rows.select(range(min(N_ROWS, len(rows))))


def in_one_text(row: dict[str, Any]) -> dict[str, Any]:
    """A row of ``prm`` with a token after each step that stands for its label."""
    steps = "".join(f"{step} {PLACEHOLDER}\n" for step in row["completions"])
    return {
        "input": row["prompt"] + steps,
        "label": ["+" if good else "-" for good in row["labels"]],
    }


def rewarded(folder: str, tokenizer: Any) -> list[dict[str, Any]]:
    """The steps of rows of ``prm`` as the labels cut them, and the labels."""
    prm = loaded(folder, "prm")
    rows = prm.map(in_one_text, remove_columns=prm.column_names)
    options = strategy(
        input_key="input",
        label_key="label",
        placeholder_token=PLACEHOLDER,
        reward_tokens=["+", "-"],
    )
    dataset = ProcessRewardDataset(rows, tokenizer, 2048, options)
    found: list[dict[str, Any]] = []
    for ids, _, labels in (dataset[idx] for idx in range(len(dataset))):
        at = (labels[0] != -100).nonzero().flatten().tolist()
        starts = [0, *(idx + 1 for idx in at)]
        found.append(
            {
                "steps": [
                    tokenizer.decode(ids[0, start:end])
                    for start, end in zip(starts, at, strict=False)
                ],
                "labels": [tokenizer.decode(labels[0, idx]) for idx in at],
            }
        )
    return found


def unpaired(folder: str, tokenizer: Any) -> list[dict[str, Any]]:
    """Rows of ``kto``: the reply, and whether it is wanted."""
    options = strategy(
        input_key="prompt", output_key="completion", label_key="label", apply_chat_template=True
    )
    dataset = UnpairedPreferenceDataset(
        loaded(folder, "kto"), tokenizer, 2048, options, num_processors=1
    )
    rows = [dataset[idx] for idx in range(len(dataset))]
    ids, _, labels, n_prompt = dataset.collate_fn(rows)
    return [
        {
            "reply": tokenizer.decode(ids[idx][n_prompt[idx] :], skip_special_tokens=True),
            "label": labels[idx].item(),
        }
        for idx in range(len(rows))
    ]


def main(folder: str) -> None:
    """Read and tell."""
    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS)
    tokenizer.add_tokens([PLACEHOLDER])
    print(json.dumps({"prm": rewarded(folder, tokenizer), "kto": unpaired(folder, tokenizer)}))


if __name__ == "__main__":
    main(sys.argv[1])
