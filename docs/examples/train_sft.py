"""Fine-tune a language model on the dataset ``sft`` (or another of conversations), with TRL.

    pip install trl            # in a checkout it came with ``.[dev]``
    datagen run --out out
    python docs/examples/train_sft.py --data out/published --out tuned

Every row is learned whole: the reply, its end, and nothing of the question. For other models look
at a rendered row first, as some chat templates drop the thought of ``sft_plain``.
"""

import argparse

import torch
from datasets import load_dataset
from trl import SFTConfig, SFTTrainer


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
    settings = SFTConfig(
        options.out,
        num_train_epochs=options.epochs,
        max_length=None,  # the default cuts behind 1,024 tokens, and the answer is at the end
        assistant_only_loss=True,  # learn the reply, not the question
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
