"""Critiques for a generative reward model: which are kept, and what stands in them."""

import json
import re
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest

from datagen.config import EngineSettings
from datagen.engines.registry import open_engine
from datagen.errors import ConfigError, PublishError
from datagen.export import count_critiques, export_critique
from datagen.export.critique import TASK
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal
from datagen.judge import checker, critique_judge, judge_traces
from datagen.reasoner.oracle import first_error
from datagen.reasoner.world import Problem
from datagen.seeds import read_seeds, seed_trace
from datagen.traces.assemble import trace_row
from datagen.traces.model import Step
from datagen.traces.model import Trace as TraceModel
from schemas import Critique, CritiqueSft, StepLabel, Trace, TraceLabel

Row = dict[str, Any]
Verdict = Literal["holds", "repaired", "wrong"]


class Tables:
    """Measured traces with their labels and critiques, written by hand."""

    def __init__(self) -> None:
        self.traces: list[Row] = []
        self.labels: list[Row] = []
        self.steps: list[Row] = []
        self.votes: list[Row] = []

    def trace(
        self,
        trace_id: str,
        label: int,
        *,
        seed_id: str = "s",
        scores: tuple[float, ...] = (0.999, 0.25),
        verified: bool = True,
        outcome: str | None = None,
        texts: tuple[str, ...] = ("3 * 6 = 18", "18"),
        answer: str | None = "18",
    ) -> None:
        outcome = outcome or ("correct" if label < 0 else "wrong")
        steps = tuple(Step(text, Factor.COMPUTE) for text in texts)
        whole = trace_row(
            TraceModel("How many?", steps, answer),
            seed_id=seed_id,
            prefix_id=f"{seed_id}@0",
            rollout_id=f"r-{trace_id}",
            step_source=["k"] * len(texts),
            n_human_steps=0,
            gold="18",
            verifier="numeric",
            outcome=outcome,
            provenance="model",
            engine="fake",
        )
        self.traces.append(whole | {"trace_id": trace_id})
        n = len(texts)
        mass = [0.0] * (n + 1)
        mass[label] = 1.0
        self.labels.append(
            {
                "trace_id": trace_id,
                "seed_id": seed_id,
                "outcome": outcome,
                "n_steps": n,
                "n_rollouts": 8,
                "n_tokens": 80,
                "first_error": label,
                "first_error_mass": 1.0,
                "no_error_mass": mass[-1],
                "p_first_error": mass,
                "judge_first_error": label if verified else None,
                "judge_share": 1.0 if verified else None,
                "n_votes": 1,
                "agrees": True if verified else None,
                "verified": verified,
                "review_rank": None if verified else 0,
            }
        )
        for idx, (text, score) in enumerate(zip(texts, scores, strict=False)):
            self.steps.append(
                {
                    "trace_id": trace_id,
                    "seed_id": seed_id,
                    "step_idx": idx,
                    "factor": "Compute",
                    "text": text,
                    "provenance": "model",
                    "step_source": "k",
                    "n_trials": 0,
                    "n_successes": 0,
                    "p_before_error": score,
                    "value": score,
                    "advantage": 0.0,
                    "confidence": score,
                    "hard_label": score > 0.5,
                    "label_source": "posterior",
                }
            )

    def vote(
        self, trace_id: str, first: int | None, *remarks: tuple[str, Verdict], **over: Any
    ) -> None:
        n_before = sum(vote["trace_id"] == trace_id for vote in self.votes)
        self.votes.append(
            {
                "trace_id": trace_id,
                "seed_id": "s",
                "judge": "native_critique",
                "vote_idx": n_before,
                "first_error": first,
                "quote": "",
                "reason": "",
                "text": "…",
                "remarks": [
                    {"step_idx": idx, "analysis": analysis, "verdict": verdict}
                    for idx, (analysis, verdict) in enumerate(remarks)
                ],
                "n_tokens": 9,
                "completion_key": f"k{len(self.votes)}",
                "engine": "fake",
            }
            | over
        )

    @property
    def frames(self) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        return (
            Trace.from_rows(self.traces),
            Critique.from_rows(self.votes),
            TraceLabel.from_rows(self.labels),
            StepLabel.from_rows(self.steps),
        )

    def export(self, **options: Any) -> pl.DataFrame:
        return export_critique(*self.frames, **options)

    def count(self, **options: Any) -> dict[str, int]:
        return count_critiques(*self.frames, **options)


WRONG_AT_1: list[tuple[str, Verdict]] = [("So it is", "holds"), ("It is 19.", "wrong")]
ALL_HOLD: list[tuple[str, Verdict]] = [("So it is", "repaired"), ("Yes!", "holds")]


def said(frame: pl.DataFrame, row: int = 0) -> list[str]:
    return [message["content"] for message in frame["messages"][row]]


def test_a_row_asks_about_numbered_steps_and_answers_with_verdicts_and_scores() -> None:
    tables = Tables()
    tables.trace("t", 1, texts=("3 * 6 = 18 ", "19\n"), answer="19")
    tables.vote("t", 1, *WRONG_AT_1)
    rows = tables.export()
    CritiqueSft.validate(rows)
    assert rows.drop("messages").to_dicts() == [
        {"id": "t/native_critique/0", "seed_id": "s", "label": 1, "n_steps": 2}
    ]
    assert [message["role"] for message in rows["messages"][0]] == ["user", "assistant"]
    request, reply = said(rows)
    assert request == (
        f"{TASK}Question:\nHow many?\n\nSolution:\n<step_0>\n3 * 6 = 18\n</step_0>\n"
        "<step_1>\n19\n</step_1>\n\nAnswer: 19"
    )
    assert reply == (
        "Step 0: So it is. Verdict: holds. Score: 1.00\n\n"
        "Step 1: It is 19. Verdict: wrong. Score: 0.25\n\n\\boxed{1}"
    )


def test_a_trace_without_an_error_has_minus_one_in_the_box() -> None:
    tables = Tables()
    tables.trace("t", -1, scores=(0.987, 0.07), answer=None)
    tables.vote("t", -1, *ALL_HOLD)
    request, reply = said(tables.export())
    assert "Answer:" not in request
    assert reply == (
        "Step 0: So it is. Verdict: repaired. Score: 0.99\n\n"
        "Step 1: Yes! Verdict: holds. Score: 0.07\n\n\\boxed{-1}"
    )


def test_steps_after_the_first_wrong_one_are_shown_and_not_discussed() -> None:
    tables = Tables()
    tables.trace("t", 0)
    tables.vote("t", 0, ("No.", "wrong"))
    request, reply = said(tables.export())
    assert "<step_1>" in request and "Step 1" not in reply
    assert reply.endswith("\n\n\\boxed{0}")


@pytest.mark.parametrize(
    ("trace", "first", "remarks", "fate"),
    [
        ({"label": 1}, 1, WRONG_AT_1, "kept"),
        ({"label": 1, "verified": False}, 1, WRONG_AT_1, "no label to trust"),
        ({"label": 1, "outcome": "correct"}, 1, WRONG_AT_1, "no label to trust"),
        ({"label": -1, "outcome": "wrong"}, -1, ALL_HOLD, "no label to trust"),
        ({"label": 1}, None, [], "unreadable"),
        ({"label": 1}, -1, ALL_HOLD, "another verdict than the label"),
        ({"label": -1}, 1, WRONG_AT_1, "another verdict than the label"),
        ({"label": 1}, 1, [], "not step by step"),
        ({"label": -1}, -1, ALL_HOLD[:1], "not step by step"),
        ({"label": 1}, 1, [("a", "wrong"), ("b", "wrong")], "contradicts itself"),
        ({"label": 1}, 1, [("a", "holds"), ("b", "repaired")], "contradicts itself"),
        ({"label": -1}, -1, [("a", "holds"), ("b", "wrong")], "contradicts itself"),
        ({"label": 1, "scores": (0.5,)}, 1, WRONG_AT_1, "no score of a step"),
    ],
)
def test_a_critique_is_kept_only_if_it_comes_step_by_step_to_a_label_to_trust(
    trace: Row, first: int | None, remarks: list[tuple[str, Verdict]], fate: str
) -> None:
    tables = Tables()
    tables.trace("t", **trace)
    tables.vote("t", first, *remarks)
    assert tables.count() == {fate: 1}
    assert tables.export().height == (fate == "kept")


def test_votes_of_the_checker_and_on_traces_that_were_not_measured_are_ignored() -> None:
    tables = Tables()
    tables.trace("t", 1)
    no_model = {"judge": "checker", "completion_key": None, "engine": None}
    tables.vote("t", 1, *WRONG_AT_1, **no_model)
    tables.vote("elsewhere", 1, *WRONG_AT_1)
    assert tables.count() == {}
    assert tables.export().height == 0


def test_a_trace_that_has_no_label_gives_nothing() -> None:
    tables = Tables()
    tables.trace("t", 1)
    tables.vote("t", 1, *WRONG_AT_1)
    tables.labels.clear()
    assert tables.count() == {"no label to trust": 1}


def test_a_trace_gives_its_different_critiques_up_to_a_limit() -> None:
    tables = Tables()
    tables.trace("t", 0)
    for words in ("a", "b", "a", "c", "d"):
        tables.vote("t", 0, (words, "wrong"))
    counts = tables.count(max_per_trace=2)
    assert counts == {"kept": 2, "enough of this trace": 2, "repeats another": 1}
    rows = tables.export(max_per_trace=2)
    assert rows["id"].to_list() == ["t/native_critique/0", "t/native_critique/1"]
    assert tables.export()["id"].str.slice(-1).to_list() == ["0", "1", "3", "4"]


@pytest.mark.parametrize(
    ("n_right", "wrong"),
    [
        (2, ["a/0", "c/0"]),
        (3, ["a/0", "b/0", "c/0"]),
        (9, ["a/0", "a/1", "b/0", "b/1", "c/0", "c/1"]),
    ],
)
def test_right_and_wrong_traces_are_balanced_over_seeds_and_traces(
    n_right: int, wrong: list[str]
) -> None:
    tables = Tables()
    for trace_id, seed_id in (("a", "s1"), ("b", "s1"), ("c", "s2")):
        tables.trace(trace_id, 0, seed_id=seed_id)
        for words in "xy":
            tables.vote(trace_id, 0, (words, "wrong"))
    for idx in range(n_right):
        tables.trace(f"r{idx}", -1, seed_id="s3")
        tables.vote(f"r{idx}", -1, *ALL_HOLD)
    n = len(wrong)
    assert tables.count() == {"kept": 2 * n, "balance": 6 + n_right - 2 * n}
    rows = tables.export()
    assert rows["label"].to_list() == [0] * n + [-1] * n
    assert rows["id"].str.replace("native_critique/", "").to_list()[:n] == wrong
    assert tables.export(balance=False).height == 6 + n_right


def test_where_all_traces_are_wrong_there_is_nothing_to_balance() -> None:
    tables = Tables()
    tables.trace("t", 0)
    tables.vote("t", 0, ("No.", "wrong"))
    assert tables.count() == {"kept": 1}


def test_the_order_of_the_tables_does_not_matter() -> None:
    tables = Tables()
    for trace_id in "abcd":
        tables.trace(trace_id, 0 if trace_id < "d" else -1, seed_id=f"s-{trace_id}")
        for words in "xyx":
            verdicts = [("w", "holds"), (words, "holds")] if trace_id == "d" else [(words, "wrong")]
            tables.vote(trace_id, 0 if trace_id < "d" else -1, *verdicts)  # pyright: ignore[reportArgumentType]
    backwards = [frame.reverse() for frame in tables.frames]
    assert export_critique(*backwards).equals(tables.export())


def test_labels_of_another_run_are_refused() -> None:
    tables = Tables()
    tables.trace("t", 1)
    tables.vote("t", 1, *WRONG_AT_1)
    tables.steps[0]["text"] = "3 * 6 = 20"
    with pytest.raises(PublishError, match="3 \\* 6 = 20"):
        tables.export()


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="max_per_trace=0"):
        Tables().export(max_per_trace=0)


def test_no_critiques_give_an_empty_table() -> None:
    assert Tables().export().equals(CritiqueSft.empty())
    assert Tables().count() == {}


@pytest.mark.slow
def test_the_embedded_reasoners_critiques_are_kept_where_they_find_the_true_error(
    tmp_path: Path,
) -> None:
    bundled = Path(__file__).parents[1] / "datagen/reasoner/seeds.jsonl"
    seeds = read_seeds(bundled).seeds
    problems = {r["seed_id"]: Problem.from_json(meta_problem(r["meta"])) for r in seeds.to_dicts()}
    tables = Tables()
    for seed in seeds.head(40).iter_rows(named=True):
        steps = [Step(t, Factor(f)) for t, f in zip(texts(seed), seed["factors"], strict=True)]
        for answer, wrong_at in ((seed["answer"], None), (None, len(steps) // 2)):
            if wrong_at is not None:
                steps[wrong_at] = Step(bumped(steps[wrong_at].text), steps[wrong_at].factor)
            label = first_error(problems[seed["seed_id"]], steps)
            if wrong_at is not None and label < 0:
                continue
            told = TraceModel(seed["question"], tuple(steps), answer or steps[-1].text)
            tables.trace(
                f"{seed['seed_id']}-{wrong_at}",
                label,
                seed_id=seed["seed_id"],
                texts=tuple(step.text for step in steps),
                scores=tuple(1.0 if label < 0 or i < label else 0.0 for i in range(len(steps))),
                outcome="correct" if label < 0 else "wrong",
            )
            tables.traces[-1] |= {
                "question": told.question,
                "factors": [step.factor.value for step in steps],
                "answer": told.answer,
            }
    traces, _, labels, step_labels = tables.frames
    engine = open_engine(EngineSettings())
    with Journal(tmp_path / "journal") as journal:
        judges = [checker, critique_judge(n_votes=2)]
        votes = judge_traces(traces, engine, journal, judges=judges)
    args = traces, votes, labels, step_labels
    counts, rows = count_critiques(*args), export_critique(*args)
    assert sum(counts.values()) == 2 * traces.height
    assert counts["kept"] == rows.height > 40
    assert counts["another verdict than the label"] > 0
    n_right = (rows["label"] == -1).sum()
    assert n_right * 2 == rows.height
    true = dict(labels.select("trace_id", "first_error").iter_rows())
    columns = ("messages", "id", "label", "n_steps")
    for messages, name, label, n_steps in rows.select(columns).iter_rows():
        reply = messages[1]["content"]
        assert label == true[name.split("/")[0]]
        paragraphs = reply.split("\n\n")[:-1]
        assert len(paragraphs) == (label + 1 if label >= 0 else n_steps)
        pattern = r'Step \d+: ".*Verdict: (holds|repaired|wrong)\. Score: [01]\.00'
        assert all(re.fullmatch(pattern, paragraph) for paragraph in paragraphs)
        assert [("Verdict: wrong." in p) for p in paragraphs] == [
            idx == label for idx in range(len(paragraphs))
        ]


def texts(seed: Row) -> list[str]:
    return [step.text.strip() for step in seed_trace(seed).steps]


def meta_problem(meta: str) -> str:
    return json.dumps(json.loads(meta)["problem"])


def bumped(text: str) -> str:
    """The text with its last number one larger."""
    return re.sub(r"(\d+)(?=\D*$)", lambda found: str(int(found[1]) + 1), text)
