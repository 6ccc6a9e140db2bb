"""Train a policy over thought factors and a value on the dataset ``policy_value``.

    datagen run --out out
    python docs/examples/train_policy_value.py --data out/published --out guide
    # in datagen.toml:  [search]  value_model = "guide"
    datagen run --config datagen.toml --out out2

The model is a language model's trunk with two heads, as in AlphaZero. The policy learns π, how the
search spread its visits; the value learns how often a state ends right. Both are measured on
questions that were held out.
"""

import argparse

from datagen.engines.registry import WEIGHTS
from datagen.guides.training import Schedule, read_rows, train_two_heads


def main() -> None:
    """Read the command line, train, save, and say how good it has become."""
    parser = argparse.ArgumentParser(
        description="Train a policy over thought factors and a value on the dataset policy_value."
    )
    parser.add_argument("--data", required=True, help="published folder, Hub name or Parquet file")
    parser.add_argument("--out", required=True, help="folder for the model")
    parser.add_argument("--checkpoint", default=str(WEIGHTS), help="language model to start from")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--minutes", type=float, help="stop after so many")
    options = parser.parse_args()

    report = train_two_heads(
        read_rows(options.data, "policy_value"),
        checkpoint=options.checkpoint,
        out=options.out,
        schedule=Schedule(epochs=options.epochs, minutes=options.minutes),
        on_step=lambda done, loss: print(f"\r{done:4.0%}  loss {loss:.3f}", end="", flush=True),
    )
    print(f"\n{report.n_train} states to train on, {report.n_heldout} held out")
    print(
        f"policy: cross-entropy to π {report.policy:.3f}; the prior P has {report.prior:.3f}, "
        f"π itself {report.floor:.3f}"
    )
    print(f"value: Brier score {report.value:.4f}; the mean value has {report.value_base:.4f}")
    print(f"saved to {options.out}; search with search.value_model = {options.out!r}")


if __name__ == "__main__":
    main()
