"""Fine-tune a language model on the dataset ``sft`` (or another of conversations), with TRL.

    pip install trl            # in a checkout it came with ``.[dev]``
    datagen run --out out
    python docs/examples/train_sft.py --data out/published --out tuned

Learned are the reply and its end, but for the steps that it takes back (``masked_spans``): the
repair is worth learning, and not the error. For other models look at a rendered row first, as some
chat templates drop the thought of ``sft_plain``.
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch
from datasets import load_dataset
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from trl import SFTConfig, SFTTrainer

IGNORED = -100
"""Label of a token that is read and not learned."""


def encoder(tokenizer: PreTrainedTokenizerBase) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Make of a row its tokens and what is to be learned of them."""

    def encode(row: dict[str, Any]) -> dict[str, Any]:
        text: Any = tokenizer.apply_chat_template(row["messages"], tokenize=False)
        begin = text.rindex(row["messages"][-1]["content"])
        spans = row.get("masked_spans", ())
        masked = [(begin + span["start"], begin + span["end"]) for span in spans]
        read = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)

        def is_learned(start: int, end: int) -> bool:
            return end > begin and not any(first < end and start < last for first, last in masked)

        learned = [is_learned(*place) for place in read["offset_mapping"]]
        ids = read["input_ids"]
        labels = [idx if yes else IGNORED for idx, yes in zip(ids, learned, strict=True)]
        return {"input_ids": ids, "labels": labels}

    return encode


def main(arguments: list[str] | None = None) -> SFTTrainer:
    """Read the command line, train, save."""
    parser = argparse.ArgumentParser(description="Fine-tune a language model on sft.")
    parser.add_argument("--data", required=True, help="published folder, or its name on the Hub")
    parser.add_argument("--config", default="sft", choices=("sft", "sft_plain", "critique"))
    parser.add_argument("--out", required=True, help="folder for the model")
    parser.add_argument("--checkpoint", default="datagen/reasoner/weights", help="where to start")
    parser.add_argument("--epochs", type=float, default=1)
    options = parser.parse_args(arguments)

    splits = load_dataset(options.data, options.config)
    encode = encoder(AutoTokenizer.from_pretrained(options.checkpoint))
    splits = splits.map(encode, remove_columns=splits["train"].column_names)
    settings = SFTConfig(
        options.out,
        num_train_epochs=options.epochs,
        max_length=None,  # the default cuts behind 1,024 tokens, and the answer is at the end
        bf16=torch.cuda.is_available(),  # the default fails without a GPU
        save_strategy="no",
        report_to="none",
    )
    trainer = SFTTrainer(
        options.checkpoint, settings, train_dataset=splits["train"], eval_dataset=splits.get("test")
    )
    trainer.train()
    trainer.save_model()
    return trainer


if __name__ == "__main__":
    main()
