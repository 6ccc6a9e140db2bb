"""Published datasets train in TRL and in Transformers just as ``load_dataset`` returns them.

Nothing is renamed, mapped or dropped on the way. What is asserted is what trainers are silent
about: which tokens they learn, which they cut off, and what they reward.
"""

import math
import runpy
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset, Value, load_dataset
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

from datagen.engines.registry import WEIGHTS
from datagen.guides.prm import Prm
from datagen.publish import longest_tokens
from datagen.traces.model import Step, Trace
from datagen.verify import Outcome, verify_completion

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
END = "<|end|>"
CUT_BY_DEFAULT = 1024
ON_THE_CARD = ("sft", "preference", "kto", "rl", "prm", "orm")
REPLIES = ("chosen", "rejected", "completion")
Rows = Callable[[str], Dataset]


@pytest.fixture(scope="module", autouse=True)
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No Hub, no telemetry (TRL sends some from every trainer), no cache but a temporary one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        patch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", True)
        patch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        yield


@pytest.fixture(scope="module")
def published(demo_run: Path) -> str:
    return str(demo_run / "published")


@pytest.fixture(scope="module")
def rows(published: str) -> Rows:
    """The training split of a config, loaded once."""
    return cache(lambda config: load_dataset(published, config, split="train"))


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(WEIGHTS)


@pytest.fixture(scope="module")
def trl() -> Any:
    """The library; too slow to import where no test of it runs."""
    import trl
    import trl.rewards

    return trl


@pytest.fixture
def quick(tmp_path: Path) -> dict[str, Any]:
    """Settings of every trainer here: four large steps, on the CPU, with nothing written."""
    return {
        "output_dir": str(tmp_path / "trainer"),
        "max_steps": 4,
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-3,
        "lr_scheduler_type": "constant",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
    }


def example(name: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / f"train_{name}.py"))


def run_example(name: str, data: str, out: Path, *options: object) -> Any:
    """What ``docs/examples/train_NAME.py`` does when it is called like this; its trainer."""
    options = ("--data", data, "--out", out, "--checkpoint", WEIGHTS, *options)
    return example(name)["main"](list(map(str, options)))


def logged(trainer: Trainer, name: str) -> list[float]:
    """A number that the trainer logged after each step."""
    return [entry[name] for entry in trainer.state.log_history if name in entry]


def losses_on(trainer: Trainer, batch: list[int]) -> list[float]:
    """Train on these rows again and again; the loss of each step."""
    trainer.train_dataset = trainer.train_dataset.select(batch)
    trainer.train()
    losses = logged(trainer, "loss")
    assert len(losses) == trainer.args.max_steps
    assert all(map(math.isfinite, losses))
    return losses


def asked(messages: list[dict[str, str]]) -> str:
    """A question as the chat template of the embedded reasoner writes it."""
    ((role, question),) = (tuple(message.values()) for message in messages)
    assert role == "user"
    return f"Question: {question}\n"


def only(messages: list[dict[str, str]]) -> str:
    (message,) = messages
    assert message["role"] == "assistant"
    return message["content"]


def kept_of(row: dict[str, Any]) -> str:
    """A reply without what it takes back."""
    reply = only(row["messages"][1:])
    for span in reversed(row["masked_spans"]):
        reply = reply[: span["start"]] + reply[span["end"] :]
    return reply


# ---- the card


def test_what_the_card_says_to_run_trains_on_every_config_that_it_names(
    trl: Any,
    published: str,
    rows: Rows,
    tokenizer: Any,
    quick: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = quick.pop("output_dir")
    quick |= {"max_steps": 1, "per_device_train_batch_size": 8}
    trained: list[tuple[str, int]] = []
    train = Trainer.train

    def recorded(self: Trainer) -> None:
        train(self)
        trained.append((type(self).__name__, self.state.global_step))

    monkeypatch.setattr(Trainer, "train", recorded)
    card = (Path(published) / "README.md").read_text()
    settings = {
        "TRL": [trl.SFTConfig, trl.DPOConfig, trl.KTOConfig, trl.GRPOConfig],
        "Transformers": [TrainingArguments],
    }
    for library, classes in settings.items():
        for of in classes:
            name = f"{library.lower()}.{of.__name__}"
            monkeypatch.setattr(name, partial(of, **quick))
        section = card.partition(f"\n### {library}\n")[2]
        snippet = section.partition("```python\n")[2].partition("```")[0]
        names = {"MODEL": str(WEIGHTS), "OUT": out, "tokenizer": tokenizer}
        exec(snippet, names | {name: rows(name) for name in ON_THE_CARD})
    assert trained == [
        *((f"{trainer}Trainer", 1) for trainer in ("SFT", "DPO", "KTO", "GRPO")),
        ("Trainer", 1),
        ("Trainer", 1),
    ]


# ---- conversations


@pytest.mark.parametrize("config", ["sft", "sft_plain", "critique"])
def test_the_whole_reply_and_its_end_are_learned_and_nothing_of_the_question(
    trl: Any, config: str, rows: Rows, tokenizer: Any, quick: dict[str, Any]
) -> None:
    settings = trl.SFTConfig(max_length=None, assistant_only_loss=True, **quick)
    trainer = trl.SFTTrainer(str(WEIGHTS), settings, train_dataset=rows(config))
    prepared = trainer.train_dataset
    assert prepared["id"][:] == rows(config)["id"][:]
    for row, ids, labels in zip(
        rows(config), prepared["input_ids"], prepared["labels"], strict=True
    ):
        question, reply = asked(row["messages"][:1]), only(row["messages"][1:])
        assert tokenizer.decode(ids) == f"{question}{reply}{END}"
        assert tokenizer.decode([idx for idx in labels if idx != -100]) == f"{reply}{END}"
    losses = losses_on(trainer, [0, 1, 2, 3])
    assert losses[-1] < losses[0]


def encoded(card: str, rows: Dataset, tokenizer: Any) -> Dataset:
    """Rows of ``sft`` as the card's snippet for TRL prepares them."""
    snippet = card.partition("\n### TRL\n")[2].partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {"tokenizer": tokenizer}
    exec(snippet[snippet.index("def encode") : snippet.index("# max_length")], names)
    return rows.map(names["encode"], remove_columns=rows.column_names)


@pytest.mark.parametrize("config", ["sft", "sft_plain"])
def test_what_a_reply_takes_back_is_not_learned_and_all_else_of_it_is(
    trl: Any, config: str, published: str, rows: Rows, tokenizer: Any, quick: dict[str, Any]
) -> None:
    own = encoded((Path(published) / "README.md").read_text(), rows(config), tokenizer)
    assert (
        own[:]
        == rows(config)
        .map(example("sft")["encoder"](tokenizer))
        .select_columns(own.column_names)[:]
    )
    trainer = trl.SFTTrainer(
        str(WEIGHTS), trl.SFTConfig(max_length=None, **quick), train_dataset=own
    )
    assert trainer.train_dataset["labels"][:] == own["labels"][:]
    n_masked = 0
    for row, ids, labels in zip(rows(config), own["input_ids"], own["labels"], strict=True):
        question, reply = asked(row["messages"][:1]), only(row["messages"][1:])
        assert tokenizer.decode(ids) == f"{question}{reply}{END}"
        assert tokenizer.decode([idx for idx in labels if idx != -100]) == kept_of(row) + END
        n_masked += kept_of(row) != reply
    assert 0 < n_masked < len(own)
    losses = losses_on(trainer, [0, 1, 2, 3])
    assert losses[-1] < losses[0]


def test_a_critique_is_cut_before_its_verdict_by_default_and_whole_at_the_longest_length(
    trl: Any, rows: Rows, tokenizer: Any, quick: dict[str, Any]
) -> None:
    def prepared(**length: int | None) -> list[list[int]]:
        settings = trl.SFTConfig(assistant_only_loss=True, **quick, **length)
        trainer = trl.SFTTrainer(str(WEIGHTS), settings, train_dataset=rows("critique"))
        return trainer.train_dataset["input_ids"][:]

    whole, by_default = prepared(max_length=None), prepared()
    assert any(len(ids) > CUT_BY_DEFAULT for ids in whole)
    assert by_default == [ids[:CUT_BY_DEFAULT] for ids in whole], (
        "the default of TRL is another one now: say so on the card"
    )
    verdicts = [tokenizer.decode(ids).endswith(f"}}{END}") for ids in by_default]
    assert verdicts == [len(ids) <= CUT_BY_DEFAULT for ids in whole]
    assert prepared(max_length=max(map(len, whole))) == whole


@pytest.mark.parametrize("config", ["sft", "sft_plain", "critique", "preference", "kto"])
def test_the_longest_row_of_the_card_is_the_longest_that_trainers_see(
    config: str, rows: Rows, tokenizer: Any
) -> None:
    lengths = [
        len(tokenizer.apply_chat_template(messages)["input_ids"])
        for row in rows(config)
        for messages in (
            [row["messages"]]
            if "messages" in row
            else [row["prompt"] + row[name] for name in REPLIES if name in row]
        )
    ]
    assert longest_tokens({config: rows(config).to_polars()}, tokenizer) == {config: max(lengths)}


def test_thoughts_are_dropped_by_no_chat_template_but_those_the_card_names(
    trl: Any, rows: Rows, tokenizer: Any
) -> None:
    templates = {
        path.stem: path.read_text()
        for path in (Path(trl.__file__).parent / "chat_templates").glob("*.jinja")
        # Of models for images, which take a message as a list of parts.
        if not path.stem.startswith(("idefics", "llava", "smolvlm"))
    }
    assert len(templates) > 40
    dropped = {}
    for config in ("sft", "sft_plain"):
        messages = rows(config)[0]["messages"]
        thought = only(messages[1:]).splitlines()[1]
        dropped[config] = {
            name
            for name, template in templates.items()
            if thought
            not in tokenizer.apply_chat_template(
                messages, chat_template=template, tokenize=False, bos_token="", eos_token=END
            )
        }
    assert dropped == {
        "sft": set(),
        "sft_plain": {"deepseek_r1_distill", "deepseekv3", "deepseekv3_training"},
    }


def test_the_example_of_fine_tuning_saves_a_trained_model_with_its_chat_template(
    published: str, rows: Rows, tokenizer: Any, tmp_path: Path
) -> None:
    epochs = 8 / len(rows("sft"))
    trainer = run_example("sft", published, tmp_path, "--epochs", epochs)
    assert trainer.state.global_step > 0
    assert len(trainer.train_dataset) == len(rows("sft"))
    for row, labels in zip(rows("sft"), trainer.train_dataset["labels"], strict=True):
        learned = tokenizer.decode([idx for idx in labels if idx != -100])
        assert learned == kept_of(row) + END
    before, after = (
        AutoModelForCausalLM.from_pretrained(folder, dtype="float32").lm_head.weight
        for folder in (WEIGHTS, tmp_path)
    )
    assert not torch.equal(before, after)
    saved = AutoTokenizer.from_pretrained(tmp_path)
    assert saved.chat_template == tokenizer.chat_template


# ---- pairs and marked replies


def test_preferences_keep_the_question_out_of_both_replies_and_part_them(
    trl: Any, rows: Rows, tokenizer: Any, quick: dict[str, Any]
) -> None:
    settings = trl.DPOConfig(max_length=None, **quick)
    trainer = trl.DPOTrainer(str(WEIGHTS), args=settings, train_dataset=rows("preference"))
    assert len(trainer.train_dataset) == len(rows("preference"))
    for row, seen in zip(rows("preference"), trainer.train_dataset, strict=True):
        assert tokenizer.decode(seen["prompt_ids"]) == asked(row["prompt"])
        for name in ("chosen", "rejected"):
            reply = only(row[name])
            assert row["prompt"][0]["content"] not in reply
            assert tokenizer.decode(seen[f"{name}_ids"]) == reply + END
            assert len(seen[f"{name}_ids"]) == len(tokenizer(reply + END)["input_ids"])
    _drawn_apart(trainer)


def test_step_preferences_are_a_step_each_behind_one_state_and_part(
    trl: Any, rows: Rows, tokenizer: Any, quick: dict[str, Any]
) -> None:
    settings = trl.DPOConfig(max_length=None, **quick)
    trainer = trl.DPOTrainer(str(WEIGHTS), args=settings, train_dataset=rows("step_preference"))
    assert len(trainer.train_dataset) == len(rows("step_preference"))
    for row, seen in zip(rows("step_preference"), trainer.train_dataset, strict=True):
        assert tokenizer.decode(seen["prompt_ids"]) == row["prompt"]
        for name in ("chosen", "rejected"):
            # TRL ends plain texts by itself, though the thought goes on behind a step.
            assert tokenizer.decode(seen[f"{name}_ids"]) == row[name] + END
    _drawn_apart(trainer)


def _drawn_apart(trainer: Trainer) -> None:
    """An untrained model prefers neither; after some steps it prefers the chosen one."""
    losses = losses_on(trainer, list(range(min(4, len(trainer.train_dataset)))))
    margins = logged(trainer, "rewards/margins")
    assert losses[0] == pytest.approx(math.log(2), abs=1e-3)
    assert margins[0] == pytest.approx(0, abs=1e-3)
    assert losses[-1] < losses[0]
    assert margins[-1] > 0.05


def test_marked_replies_keep_their_marks_come_shuffled_and_part(
    trl: Any, rows: Rows, tokenizer: Any, quick: dict[str, Any]
) -> None:
    settings = trl.KTOConfig(max_length=None, **quick | {"per_device_train_batch_size": 8})
    trainer = trl.KTOTrainer(str(WEIGHTS), args=settings, train_dataset=rows("kto"))
    labels = rows("kto")["label"][:]
    # TRL reads KTO rows in the order of the dataset.
    assert trainer.train_dataset["label"][:] == labels
    n_good, n_bad = labels.count(True), labels.count(False)
    n_changes = sum(one != other for one, other in pairwise(labels))
    assert n_changes > n_good * n_bad / len(labels)
    for row, seen in zip(rows("kto"), trainer.train_dataset, strict=True):
        assert tokenizer.decode(seen["prompt_ids"]) == asked(row["prompt"])
        assert tokenizer.decode(seen["completion_ids"]) == only(row["completion"]) + END
    batch = [
        idx
        for mark in (True, False)
        for idx in [idx for idx, label in enumerate(labels) if label is mark][:4]
    ]
    losses_on(trainer, batch)
    margins = logged(trainer, "rewards/margins")
    assert margins[0] == pytest.approx(0, abs=1e-3)
    assert margins[-1] > 0.05


def test_a_reward_model_learns_to_put_the_chosen_reply_above_the_rejected_one(
    trl: Any, rows: Rows, tokenizer: Any, quick: dict[str, Any]
) -> None:
    settings = trl.RewardConfig(max_length=None, **quick)
    trainer = trl.RewardTrainer(str(WEIGHTS), settings, train_dataset=rows("preference"))
    assert len(trainer.train_dataset) == len(rows("preference"))
    for row, seen in zip(rows("preference"), trainer.train_dataset, strict=True):
        for name in ("chosen", "rejected"):
            said = asked(row["prompt"]) + only(row[name]) + END
            assert tokenizer.decode(seen[f"{name}_ids"]) == said
    losses = losses_on(trainer, [0, 1, 2, 3])
    margins = logged(trainer, "margin")
    assert losses[-1] < losses[0]
    assert margins[-1] > margins[0]


def test_an_outcome_reward_model_trains_on_prompt_completion_and_label(
    rows: Rows, tokenizer: Any, quick: dict[str, Any]
) -> None:
    data = rows("orm")
    assert data.features["label"] == Value("int64")
    assert set(data["label"]) == {0, 1}
    read = data.map(lambda row: tokenizer(row["prompt"] + row["completion"]))
    for row in read:
        assert not row["completion"].startswith(row["prompt"])
        assert tokenizer.decode(row["input_ids"]) == row["prompt"] + row["completion"]
    torch.manual_seed(0)
    trainer = Trainer(
        AutoModelForSequenceClassification.from_pretrained(WEIGHTS, num_labels=2, dtype="float32"),
        TrainingArguments(**quick),
        train_dataset=read,
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    seen = trainer.get_eval_dataloader(read).dataset["label"]
    assert list(seen) == list(data["label"])
    labels = list(data["label"])
    losses = losses_on(trainer, [labels.index(0), labels.index(1)])
    assert losses[-1] < losses[0]


# ---- reinforcement


def test_rewards_of_reinforcement_are_what_our_verifier_says_of_each_answer(
    trl: Any, rows: Rows, tokenizer: Any, quick: dict[str, Any]
) -> None:
    verified = example("grpo")["verified"]
    calls: list[dict[str, Any]] = []

    def recorded(**columns: Any) -> list[float | None]:
        calls.append(columns | {"rewards": verified(**columns)})
        return calls[-1]["rewards"]

    settings = trl.GRPOConfig(
        num_generations=4, max_completion_length=256, **quick | {"per_device_train_batch_size": 16}
    )
    # Four questions a step. Those that are solved now and then have something to teach.
    unsure = sorted(
        range(len(rows("rl"))),
        key=lambda idx: abs((rows("rl")[idx]["extra_info"]["pass_rate"] or 0) - 0.5),
    )
    trainer = trl.GRPOTrainer(
        str(WEIGHTS), recorded, settings, train_dataset=rows("rl").select(unsure[:16])
    )
    trainer.train()
    assert len(calls) == settings.max_steps
    for idx, call in enumerate(calls):
        for (message,), ids, gold, info, reward in zip(
            *(call[name] for name in ("completions", "completion_ids", "reward_model")),
            *(call[name] for name in ("extra_info", "rewards")),
            strict=True,
        ):
            text = tokenizer.decode(ids, skip_special_tokens=True)
            assert message["content"] == text
            verdict = verify_completion(text, gold["ground_truth"], verifier=info["verifier"])
            assert reward == float(verdict.outcome is Outcome.CORRECT)
            if info["verifier"] == "numeric":
                visible = text.rpartition("<Think_End>\n")[2]
                assert (reward == 1) == (visible == gold["ground_truth"])
        groups = torch.tensor(call["rewards"]).view(-1, 4)
        is_flat = groups.std(1) == 0
        assert logged(trainer, "rewards/recorded/mean")[idx] == pytest.approx(groups.mean().item())
        assert logged(trainer, "frac_reward_zero_std")[idx] == is_flat.float().mean().item()
    # What the trainer keeps for its table of completions is that of the last step.
    advantages = torch.tensor(list(trainer._logs["advantages"])[-16:]).view(-1, 4)
    assert ((advantages == 0).all(1) == is_flat).all()
    assert advantages.sum(1).abs().max() < 1e-3
    assert any(loss != 0 for loss in logged(trainer, "loss"))


def test_the_gold_answer_of_each_question_is_rewarded_and_no_answer_is_not(rows: Rows) -> None:
    verified = example("grpo")["verified"]

    def rewards(answers: list[str]) -> set[float | None]:
        given: list[float | None] = verified(
            completions=[
                [{"role": "assistant", "content": f"<think>\nso\n</think>\n\n{answer}"}]
                for answer in answers
            ],
            completion_ids=[[0]] * len(answers),
            reward_model=rows("rl")["reward_model"],
            extra_info=rows("rl")["extra_info"],
        )
        return set(given)

    assert {row["ability"] for row in rows("rl")} == {"math", "code"}
    assert rewards(rows("rl")["answer"][:]) == {1.0}
    assert rewards([""] * len(rows("rl"))) == {0.0}


def test_the_accuracy_reward_of_trl_reads_every_gold_answer_but_only_boxed_answers(
    trl: Any,
    rows: Rows,
) -> None:
    def rewards(answers: list[str]) -> list[float | None]:
        completions = [[{"role": "assistant", "content": answer}] for answer in answers]
        return trl.rewards.accuracy_reward(completions, [row["solution"] for row in maths])

    maths = [row for row in rows("rl") if row["ability"] == "math"]
    assert set(rewards([f"so it is $\\boxed{{{row['answer']}}}$" for row in maths])) == {1.0}
    assert set(rewards([f"so it is $\\boxed{{{row['answer']}9}}$" for row in maths])) == {0.0}
    assert set(rewards([row["answer"] for row in maths])) == {0.0}


def test_the_example_of_reinforcement_runs(published: str, rows: Rows, tmp_path: Path) -> None:
    trainer = run_example("grpo", published, tmp_path, "--steps", 1)
    assert trainer.state.global_step == 1
    assert len(trainer.train_dataset) == len(rows("rl"))
    assert 0 <= logged(trainer, "rewards/verified/mean")[0] <= 1
    assert (tmp_path / "model.safetensors").exists()


# ---- steps


@pytest.fixture(scope="module")
def steps_trained(
    published: str, rows: Rows, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Trainer, Path]:
    """The example for ``prm``, run for eight steps."""
    out = tmp_path_factory.mktemp("reward")
    torch.manual_seed(0)
    epochs = 8 * 16 / len(rows("prm"))
    trainer = run_example("prm", published, out, "--epochs", epochs, "--learning-rate", 1e-3)
    return trainer, out


def test_each_step_is_labelled_once_at_its_last_token(
    rows: Rows, tokenizer: Any, steps_trained: tuple[Trainer, Path]
) -> None:
    prepared = steps_trained[0].train_dataset
    assert prepared.features["labels"].feature == Value("int64")
    assert len(prepared) == len(rows("prm"))
    for row, seen in zip(rows("prm"), prepared, strict=True):
        said = row["prompt"]
        ends = [idx for idx, label in enumerate(seen["labels"]) if label != -100]
        assert [bool(seen["labels"][end]) for end in ends] == row["labels"]
        for end, step in zip(ends, row["completions"], strict=True):
            said += f"{step}\n"
            assert tokenizer.decode(seen["input_ids"][: end + 1]) == said
        assert tokenizer.decode(seen["input_ids"]) == said


def test_a_step_classifier_is_read_by_a_search_as_it_was_trained_and_tells_steps_apart(
    rows: Rows, steps_trained: tuple[Trainer, Path]
) -> None:
    trainer, out = steps_trained
    trainer.model.eval()
    guide = Prm(out, device="cpu")
    data = rows("prm").select(range(min(24, len(rows("prm")))))
    values: list[float] = []
    for row, seen in zip(data, trainer.train_dataset, strict=False):
        steps = [Step(text) for text in row["completions"]]
        states = [
            Trace(row["prompt"].rstrip(), tuple(steps[: idx + 1])) for idx in range(len(steps))
        ]
        told = [evaluation.value for evaluation in guide.evaluate(states)]
        values += told
        with torch.inference_mode():
            logits = trainer.model(input_ids=torch.tensor([seen["input_ids"]])).logits[0]
        at_steps = torch.tensor(seen["labels"]) != -100
        assert told == pytest.approx(logits[at_steps].softmax(-1)[:, 1].tolist(), abs=1e-4)
    labels = [label for row in data for label in row["labels"]]
    good = [value for value, label in zip(values, labels, strict=True) if label]
    bad = [value for value, label in zip(values, labels, strict=True) if not label]
    won = sum(one > other for one in good for other in bad) / (len(good) * len(bad))
    assert won > 0.6
