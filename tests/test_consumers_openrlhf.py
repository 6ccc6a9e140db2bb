"""OpenRLHF reads what is published by its own names, and its rewards come from our verifiers."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from consumers import REPO, ask, card_commands

from datagen.verify import Outcome, verify_completion

pytestmark = pytest.mark.slow

REWARD = REPO / "docs" / "examples" / "openrlhf_reward.py"


@pytest.fixture(scope="module")
def told(demo_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What OpenRLHF's classes make of the published folder."""
    cache = tmp_path_factory.mktemp("hf")
    return ask("openrlhf", "consumer_openrlhf.py", demo_run / "published", REWARD, cache=cache)


@pytest.fixture(scope="module")
def told_before(demo_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What classes that OpenRLHF has no longer make of it."""
    cache = tmp_path_factory.mktemp("hf")
    return ask("openrlhf_prm", "consumer_openrlhf_prm.py", demo_run / "published", cache=cache)


def published(run: Path, config: str) -> pl.DataFrame:
    return pl.read_parquet(run / "published" / config / "train-*.parquet")


def texts(messages: pl.Series) -> list[str]:
    """The content of conversations of one message."""
    return messages.list.first().struct.field("content").to_list()


def test_every_question_is_a_prompt(told: dict[str, Any], demo_run: Path) -> None:
    questions = texts(published(demo_run, "rl")["prompt"])
    assert [row["prompt"] for row in told["rl"]] == [f"Question: {text}\n" for text in questions]


def test_the_ground_truth_and_what_judges_it_are_the_label(
    told: dict[str, Any], demo_run: Path
) -> None:
    rows = published(demo_run, "rl")
    assert [row["label"] for row in told["rl"]] == rows["reward_model"].to_list()
    verifiers = rows["extra_info"].struct.field("verifier").to_list()
    assert [row["label"]["verifier"] for row in told["rl"]] == verifiers


def test_the_answer_of_a_row_is_rewarded(told: dict[str, Any]) -> None:
    n = len(told["judged"])
    assert {label["verifier"] for label in told["judged"]} == {
        row["label"]["verifier"] for row in told["rl"]
    }
    assert told["right"] == {
        "labels": told["judged"],
        "rewards": [1.0] * n,
        "scores": [1.0] * n,
        "unverifiable": [0.0] * n,
    }


def test_another_answer_is_rewarded_as_the_verifier_of_its_row_judges(
    told: dict[str, Any],
) -> None:
    outcomes = [
        verify_completion("-77", label["ground_truth"], verifier=label["verifier"]).outcome
        for label in told["judged"]
    ]
    assert told["wrong"]["rewards"] == [outcome is Outcome.CORRECT for outcome in outcomes]
    assert told["wrong"]["unverifiable"] == [
        outcome is Outcome.UNVERIFIABLE for outcome in outcomes
    ]
    assert 0.0 in told["wrong"]["rewards"]


def test_only_the_reply_is_learned(told: dict[str, Any], demo_run: Path) -> None:
    rows = published(demo_run, "sft")["messages"].to_list()
    for row, (question, reply) in zip(told["sft"], rows, strict=False):
        assert row["text"] == f"Question: {question['content']}\n{row['learned']}"
        assert row["learned"] == f"{reply['content']}<|end|>"


def test_a_pair_is_two_replies_to_one_prompt(told: dict[str, Any], demo_run: Path) -> None:
    rows = published(demo_run, "preference").head(len(told["preference"]))
    for side in ("chosen", "rejected"):
        ends = [f"{text}<|end|>" for text in texts(rows[side])]
        assert [row[side] for row in told["preference"]] == ends
    prompts = [f"Question: {text}\n" for text in texts(rows["prompt"])]
    assert [row["prompt"] for row in told["preference"]] == prompts


def test_steps_and_their_labels_are_told_apart(told_before: dict[str, Any], demo_run: Path) -> None:
    """The class for process reward models asks for one text: three lines, as on the card."""
    rows = published(demo_run, "prm").head(len(told_before["prm"])).to_dicts()
    for row, ours in zip(told_before["prm"], rows, strict=True):
        assert row["labels"] == ["+" if good else "-" for good in ours["labels"]]
        for step, text in zip(row["steps"], ours["completions"], strict=True):
            assert step.rstrip().endswith(text)


def test_replies_are_wanted_or_not(told_before: dict[str, Any], demo_run: Path) -> None:
    rows = published(demo_run, "kto").head(len(told_before["kto"]))
    assert [row["label"] for row in told_before["kto"]] == rows["label"].cast(int).to_list()
    replies = [text.rstrip("\n") for text in texts(rows["completion"])]
    assert [row["reply"].rstrip() for row in told_before["kto"]] == replies


def test_the_card_names_options_that_openrlhf_has(demo_run: Path, told: dict[str, Any]) -> None:
    commands = card_commands(demo_run, "openrlhf")
    assert {"openrlhf.cli.train_sft", "openrlhf.cli.train_ppo_ray"} <= {
        module for module, _ in commands
    }
    for module, arguments in commands:
        named = {word.removeprefix("--") for word in arguments if word.startswith("--")}
        assert named and named <= set(told["options"][module])
