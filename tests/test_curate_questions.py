"""The table of questions, pass rates and the bins of difficulty."""

import polars as pl
import pytest
from curate_tables import code_seeds, code_task, code_tasks, rollouts, seeds

from datagen.curate import CurateConfig, curate_questions_by_difficulty, describe_questions
from datagen.curate.difficulty import difficulty_of, pass_rates
from schemas import DIFFICULTIES, Question

BAGS = "Tom has three bags and there are six apples in each of them. How many apples has he?"


@pytest.mark.parametrize(
    ("rate", "name"),
    [
        (None, "unknown"),
        (0.0, "unsolved"),
        (0.001, "hard"),
        (0.2999, "hard"),
        (0.3, "medium"),
        (0.7, "medium"),
        (0.7001, "easy"),
        (0.999, "easy"),
        (1.0, "solved"),
    ],
)
def test_a_pass_rate_falls_into_its_bin(rate: float | None, name: str) -> None:
    frame = pl.DataFrame({"rate": [rate]}, schema={"rate": pl.Float64})
    assert frame.select(difficulty_of(pl.col("rate"))).item() == name


def test_a_pass_rate_counts_verified_completions_of_the_bare_question_once() -> None:
    table = pl.DataFrame(
        [
            ("a", 0, "correct", "k1"),
            ("a", 0, "correct", "k1"),
            ("a", 0, "wrong", "k2"),
            ("a", 0, "unverifiable", "k3"),
            ("a", 0, "truncated", "k4"),
            ("a", 2, "wrong", "k5"),
            ("b", 1, "correct", "k6"),
        ],
        schema=["seed_id", "n_given_steps", "outcome", "completion_key"],
        orient="row",
    )
    assert pass_rates(table).rows() == [("a", 0.5, 2)]


def test_every_seed_code_seed_and_task_is_described_in_order() -> None:
    tasks = code_tasks(code_task("c0", "output.0"), code_task("c0", "input.0", question="Which?"))
    table = describe_questions(
        seeds({"question": BAGS}, {"domain": "general", "question": "Add two, two."}),
        code_seeds({}),
        tasks,
        rollouts(("s0", 1, 3), ("c0/output.0", 2, 0), ("elsewhere", 1, 0)),
        config=CurateConfig(test_share=0.0),
    )
    columns = ("question_id", "seed_id", "domain", "n_words", "language", "pass_rate", "difficulty")
    assert table.select(columns).rows() == [
        ("s0", "s0", "math", 18, "en", 0.25, "hard"),
        ("s1", "s1", "general", 3, None, None, "unknown"),
        ("c0", "c0", "code", 5, None, None, "unknown"),
        ("c0/output.0", "c0", "code", 8, None, 1.0, "solved"),
        ("c0/input.0", "c0", "code", 1, None, None, "unknown"),
    ]
    assert table["n_rollouts"].to_list() == [4, 0, 0, 2, 0]
    assert set(table["split"]) == {"train"}


def test_tasks_are_published_where_their_code_seed_is() -> None:
    tasks = code_tasks(*[code_task(f"c{idx}", "output.0") for idx in range(40)])
    table = describe_questions(
        seeds(),
        code_seeds(*[{}] * 40),
        tasks,
        rollouts(),
        config=CurateConfig(test_share=0.5),
    )
    assert table.height == 80
    assert set(table["split"]) == {"train", "test"}
    assert table.group_by("seed_id").agg(pl.col("split").n_unique())["split"].to_list() == [1] * 40


def test_seeds_that_ask_the_same_are_in_one_split() -> None:
    asked = [f"What is {n} + 1?" for n in range(40)]
    table = describe_questions(
        seeds(*[{"question": text} for text in (*asked, *[text.upper() for text in asked])]),
        code_seeds(),
        code_tasks(),
        rollouts(),
        config=CurateConfig(test_share=0.5),
    )
    assert table["split"][:40].to_list() == table["split"][40:].to_list()


def test_tasks_of_a_code_seed_that_was_left_out_are_left_out() -> None:
    tasks = code_tasks(code_task("gone", "output.0"))
    config = CurateConfig()
    assert describe_questions(seeds(), code_seeds(), tasks, rollouts(), config=config).is_empty()


def questions(*rates: float | None) -> pl.DataFrame:
    return Question.from_rows(
        [
            {
                "question_id": f"q{idx}",
                "seed_id": "s",
                "domain": "math",
                "split": "train",
                "n_words": 3,
                "language": None,
                "pass_rate": rate,
                "n_rollouts": 0 if rate is None else 8,
                "difficulty": pl.select(difficulty_of(pl.lit(rate, pl.Float64))).item(),
            }
            for idx, rate in enumerate(rates)
        ]
    )


def test_questions_of_other_difficulties_are_rejected_with_their_pass_rate() -> None:
    config = CurateConfig(difficulties=("hard", "medium"))
    found = curate_questions_by_difficulty(questions(0.5, 1.0, 0.0, 0.125, None), config=config)
    assert found.select("id", "rule", "kind", "seed_id", "score").rows() == [
        ("q1", "difficulty", "question", "s", 1.0),
        ("q2", "difficulty", "question", "s", 0.0),
        ("q4", "difficulty", "question", "s", None),
    ]
    assert found["reason"].to_list() == [
        "it is solved: it has a pass rate of 1.0 in 8 rollouts; kept are hard, medium",
        "it is unsolved: it has a pass rate of 0.0 in 8 rollouts; kept are hard, medium",
        "it is unknown: it has no pass rate; kept are hard, medium",
    ]


def test_with_all_difficulties_every_question_is_kept() -> None:
    config = CurateConfig(difficulties=tuple(reversed(DIFFICULTIES)))
    assert curate_questions_by_difficulty(questions(0.0, 1.0, None), config=config).is_empty()
