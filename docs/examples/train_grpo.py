"""Train a language model by reinforcement learning on the dataset ``rl``, with TRL's GRPO.

    pip install trl            # in a checkout it came with ``.[dev]``
    datagen run --out out
    python docs/examples/train_grpo.py --data out/published --out tuned

The reward is the verdict of the verifier that each row names; code is run in a sandbox. TRL's own
``accuracy_reward`` reads boxed mathematics only.
"""

import argparse

import torch
from datasets import load_dataset
from trl import GRPOConfig, GRPOTrainer

from datagen.verify import Outcome, verify_completion

MAX_TOKENS = 512


def verified(completions, completion_ids, reward_model, extra_info, **_) -> list[float | None]:
    """1: right; 0: wrong, or no answer; None: nobody can tell, and it counts for nothing."""
    rewards = []
    rows = zip(completions, completion_ids, reward_model, extra_info, strict=True)
    for (message,), ids, gold, info in rows:
        verdict = verify_completion(
            message["content"],
            gold["ground_truth"],
            verifier=info["verifier"],
            finished=len(ids) < MAX_TOKENS,
        )
        is_unsure = verdict.outcome is Outcome.UNVERIFIABLE and verdict.extracted is not None
        rewards.append(None if is_unsure else float(verdict.outcome is Outcome.CORRECT))
    return rewards


def main(arguments: list[str] | None = None) -> GRPOTrainer:
    """Read the command line, train, save."""
    parser = argparse.ArgumentParser(description="Reinforce a language model on rl.")
    parser.add_argument("--data", required=True, help="published folder, or its name on the Hub")
    parser.add_argument("--out", required=True, help="folder for the model")
    parser.add_argument("--checkpoint", default="datagen/reasoner/weights", help="where to start")
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args(arguments)

    rows = load_dataset(options.data, "rl", split="train")
    settings = GRPOConfig(
        options.out,
        max_steps=options.steps,
        max_completion_length=MAX_TOKENS,
        bf16=torch.cuda.is_available(),  # the default fails without a GPU
        save_strategy="no",
        report_to="none",
    )
    trainer = GRPOTrainer(options.checkpoint, verified, settings, train_dataset=rows)
    trainer.train()
    trainer.save_model()
    return trainer


if __name__ == "__main__":
    main()
