"""Train a process reward model on the dataset ``prm``.

    datagen run --out out
    python docs/examples/train_prm.py --data out/published --out reward
    # in datagen.toml:  [search]  value_model = "reward"
    datagen run --config datagen.toml --out out2

The result is an ordinary ``AutoModelForTokenClassification``. It reads question and steps with a
newline after each, and its label 1 at the last token of a step means that the step is good.
"""

import argparse

from datagen.engines.registry import WEIGHTS
from datagen.guides.training import Schedule, read_rows, train_prm


def main() -> None:
    """Read the command line, train, save, and say how good it has become."""
    parser = argparse.ArgumentParser(description="Train a process reward model on the dataset prm.")
    parser.add_argument("--data", required=True, help="published folder, Hub name or Parquet file")
    parser.add_argument("--out", required=True, help="folder for the model")
    parser.add_argument("--checkpoint", default=str(WEIGHTS), help="language model to start from")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--minutes", type=float, help="stop after so many")
    options = parser.parse_args()

    report = train_prm(
        read_rows(options.data, "prm"),
        checkpoint=options.checkpoint,
        out=options.out,
        schedule=Schedule(epochs=options.epochs, minutes=options.minutes),
        on_step=lambda done, loss: print(f"\r{done:4.0%}  loss {loss:.3f}", end="", flush=True),
    )
    print(f"\n{report.n_train} traces to train on, {report.n_heldout} held out")
    print(
        f"held-out steps: accuracy {report.accuracy:.3f} (the more frequent label has "
        f"{report.accuracy_base:.3f}), AUC {report.auc:.3f}, loss {report.loss:.3f} (base rate "
        f"{report.loss_base:.3f})"
    )
    print(f"saved to {options.out}; search with search.value_model = {options.out!r}")


if __name__ == "__main__":
    main()
