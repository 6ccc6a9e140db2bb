"""Train a process reward model on the dataset ``prm``, with Transformers alone.

    pip install accelerate     # Trainer needs it; in a checkout it came with ``.[dev]``
    datagen run --out out
    python docs/examples/train_prm.py --data out/published --out reward
    # in datagen.toml:  [search]  value_model = "reward"
    datagen run --config datagen.toml --out out2

The result is an ordinary ``AutoModelForTokenClassification``. It reads question and steps with a
newline after each, and its label 1 at the newline of a step means that the step is good.
"""

import argparse
import math
from typing import Any

from datasets import Features, Sequence, Value, load_dataset
from sklearn.metrics import roc_auc_score
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    EvalPrediction,
    Trainer,
    TrainingArguments,
)

# Written out, so that no column is taken for something else: a label must be int64, and a batch of
# nothing but True and -100 would not say so.
FEATURES = Features({name: Sequence(Value("int64")) for name in ("input_ids", "labels")})


def labelled(row: dict[str, Any], tokenizer: Any) -> dict[str, list[int]]:
    """Token ids of a row and a label for each: of a step at its last token, -100 elsewhere.

    Each piece is tokenised by itself, so that the newline behind a step is always a token.
    """

    def read(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    ids = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    ids += read(row["prompt"])
    labels = [-100] * len(ids)
    for step, is_good in zip(row["completions"], row["labels"], strict=True):
        piece = read(step) + read("\n")
        ids += piece
        labels += [-100] * (len(piece) - 1) + [int(is_good)]
    return {"input_ids": ids, "labels": labels}


def told_apart(predicted: EvalPrediction) -> dict[str, float]:
    """How many steps are judged right, how many by always saying the same, and the AUC."""
    at_steps = predicted.label_ids != -100
    logits, labels = predicted.predictions[at_steps], predicted.label_ids[at_steps]
    good = logits[:, 1] - logits[:, 0]
    return {
        "accuracy": float(((good > 0) == labels).mean()),
        "accuracy_base": float(max(labels.mean(), 1 - labels.mean())),
        "auc": float(roc_auc_score(labels, good)) if 0 < labels.mean() < 1 else math.nan,
    }


def main(arguments: list[str] | None = None) -> Trainer:
    """Read the command line, train, save, and say how good it has become."""
    parser = argparse.ArgumentParser(description="Train a process reward model on prm.")
    parser.add_argument("--data", required=True, help="published folder, or its name on the Hub")
    parser.add_argument("--out", required=True, help="folder for the model")
    parser.add_argument("--checkpoint", default="datagen/reasoner/weights", help="where to start")
    parser.add_argument("--epochs", type=float, default=4)
    parser.add_argument("--learning-rate", type=float, default=3e-4, help="1e-5 for a large model")
    options = parser.parse_args(arguments)

    tokenizer = AutoTokenizer.from_pretrained(options.checkpoint)
    # Weights in bfloat16, as most checkpoints are, are too coarse for small updates.
    model = AutoModelForTokenClassification.from_pretrained(
        options.checkpoint,
        num_labels=2,
        id2label={0: "bad", 1: "good"},
        label2id={"bad": 0, "good": 1},
        dtype="float32",
    )
    rows = load_dataset(options.data, "prm")
    splits = rows.map(
        labelled,
        fn_kwargs={"tokenizer": tokenizer},
        remove_columns=rows["train"].column_names,
        features=FEATURES,
    )
    trainer = Trainer(
        model,
        TrainingArguments(
            options.out,
            num_train_epochs=options.epochs,
            learning_rate=options.learning_rate,
            lr_scheduler_type="cosine",
            per_device_train_batch_size=16,
            logging_steps=10,
            save_strategy="no",
            report_to="none",
        ),
        train_dataset=splits["train"],
        eval_dataset=splits.get("test"),
        data_collator=DataCollatorForTokenClassification(tokenizer),
        processing_class=tokenizer,
        compute_metrics=told_apart,
    )
    trainer.train()
    if "test" in splits:
        print(trainer.evaluate())
    trainer.save_model()
    print(f"saved to {options.out}; search with search.value_model = {options.out!r}")
    return trainer


if __name__ == "__main__":
    main()
