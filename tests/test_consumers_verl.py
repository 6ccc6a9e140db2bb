"""verl reads ``rl`` and ``sft`` as they are published, and its rewards come from our verifiers."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from consumers import REPO, ask, card_commands

from datagen.verify import Outcome, verify_completion

pytestmark = pytest.mark.slow

REWARD = REPO / "docs" / "examples" / "verl_reward.py"


@pytest.fixture(scope="module")
def told(demo_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What verl's classes make of the published folder."""
    cache = tmp_path_factory.mktemp("hf")
    return ask("verl", "consumer_verl.py", demo_run / "published", REWARD, cache=cache)


def published(run: Path, config: str) -> pl.DataFrame:
    return pl.read_parquet(run / "published" / config / "train-*.parquet")


def test_no_question_is_filtered_out(told: dict[str, Any], demo_run: Path) -> None:
    rows = published(demo_run, "rl")
    assert [row["raw_prompt"] for row in told["rl"]] == rows["prompt"].to_list()
    assert len(told["rl"]) == rows.height > 0


def test_the_ground_truth_and_what_judges_it_reach_the_reward(
    told: dict[str, Any], demo_run: Path
) -> None:
    rows = published(demo_run, "rl")
    for column in ("reward_model", "extra_info", "data_source"):
        assert [row[column] for row in told["rl"]] == rows[column].to_list()
    assert rows["reward_model"].struct.field("ground_truth").dtype == pl.String


def test_verl_has_no_reward_of_its_own_for_our_sources(told: dict[str, Any]) -> None:
    assert told["default"] is None


def test_the_answer_of_a_row_is_rewarded(told: dict[str, Any]) -> None:
    assert {row["verifier"] for row in told["judged"]} == {
        row["extra_info"]["verifier"] for row in told["rl"]
    }
    given = [(found["reward"], found["unverifiable"]) for found in told["right"]]
    assert given == [(1.0, 0.0)] * len(told["judged"])


def test_another_answer_is_rewarded_as_the_verifier_of_its_row_judges(
    told: dict[str, Any],
) -> None:
    for row, found in zip(told["judged"], told["wrong"], strict=True):
        outcome = verify_completion("-77", row["ground_truth"], verifier=row["verifier"]).outcome
        assert found["reward"] == (outcome is Outcome.CORRECT)
        assert found["unverifiable"] == (outcome is Outcome.UNVERIFIABLE)
    assert 0.0 in {found["reward"] for found in told["wrong"]}


def test_only_the_reply_is_learned(told: dict[str, Any], demo_run: Path) -> None:
    rows = published(demo_run, "sft")["messages"].to_list()
    for row, (question, reply) in zip(told["sft"], rows, strict=False):
        assert question["content"] in row["text"]
        assert row["learned"] == f"{reply['content']}<|end|>"


def test_the_card_names_options_that_verl_has(demo_run: Path, told: dict[str, Any]) -> None:
    commands = card_commands(demo_run, "verl")
    assert {module for module, _ in commands} == told["options"].keys()
    for module, arguments in commands:
        named = {word.partition("=")[0] for word in arguments if "=" in word}
        assert "data.train_files" in named
        assert named <= set(told["options"][module])
