"""Self-correction traces: of hand-made tables, and of the reasoner, before its oracle."""

import ast
import re
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import polars as pl
import pytest

from datagen.config import Settings
from datagen.corrections import Corrected, CorrectionConfig, JointConfig, make_corrections
from datagen.corrections.statements import (
    carries,
    denies_what_is_true,
    statement,
    states_a_falsehood,
)
from datagen.engines.fake import FakeEngine
from datagen.engines.protocol import ChoiceRequest, CompletionRequest, flat_text
from datagen.engines.registry import open_engine
from datagen.errors import ConfigError
from datagen.export import export_sft
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal
from datagen.judge import judge_traces
from datagen.measure import pick_traces
from datagen.measure.run import measure_traces
from datagen.prompts.dialect import INSTRUCT, NATIVE
from datagen.reasoner.bundle import SEEDS, problem_of
from datagen.reasoner.oracle import first_error, judge_trace
from datagen.search.best_of_n import BestOfNConfig
from datagen.search.budget import Budget
from datagen.search.generate import GenerateConfig
from datagen.search.run import search_prefixes
from datagen.seeds import read_seeds
from datagen.traces.assemble import assemble_traces, trace_row
from datagen.traces.distance import edit_distance
from datagen.traces.markup import end_tag, parse, start_tag
from datagen.traces.model import Step, Trace
from datagen.traces.prefixes import make_prefixes
from datagen.traces.rows import trace_of
from schemas import Correction, Critique, Probe, Rollout, Seed, TraceLabel
from schemas import Trace as TraceContract

Row = dict[str, Any]
QUESTION = "Take 2 and 3 together, double it, and take 4 away. What is left?"
RIGHT = ["2+3=5", "5*2=10", "10-4=6", "6"]
SLIP = ["2+3=5", "5*2=12", "12-4=8", "8"]
LATE_SLIP = ["2+3=5", "5*2=10", "10-4=7", "7"]
OTHER_WAY = ["2+3=5", "5+5=10", "10-4=5", "5"]
MISREAD = ["2+3=5", "5*3=15", "15-4=11", "11"]

COMPLAINT = "wait, that cannot be"
GOING_BACK = "so this was in vain"


# --- a policy that can be told what to say --------------------------------------------------------


def engine(
    complaint: str = COMPLAINT,
    repair: Callable[[str], str] = lambda left: f"{left}={eval_of(left)}",
    going_back: str = GOING_BACK,
    prior: dict[Factor, float] | None = None,
    **options: Any,
) -> FakeEngine:
    """Complains in these words, and corrects the last calculation of the prompt."""
    share = prior or {Factor.CORRECT_ERROR: 1.0}

    def write(request: CompletionRequest) -> str:
        prompt = flat_text(request.prompt)
        factor = next(f for f in Factor if prompt.endswith(start_tag(f)))
        last = re.findall(r"-Start> ([0-9+*/-]+)=", prompt)[-1]
        text = {Factor.DETECT_ERROR: complaint, Factor.CORRECT_ERROR: repair(last)}
        return text.get(factor, going_back) + end_tag(factor)

    def prefer(request: ChoiceRequest) -> Sequence[float]:
        likely = {start_tag(factor): p for factor, p in share.items()}
        return [likely.get(choice, 0.0) for choice in request.choices]

    return FakeEngine(write, prefer, **options)


def eval_of(left: str) -> int:
    """The value of a calculation."""
    names = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}
    a, sign, b = re.split(r"([-+*])", left)
    return names[sign](ast.literal_eval(a), ast.literal_eval(b))


ALWAYS_BACK = {Factor.BACKTRACK: 1.0}


# --- tables ---------------------------------------------------------------------------------------


def steps_of(texts: Sequence[str | tuple[Factor, str]]) -> tuple[Step, ...]:
    """Calculations and an answer, unless factors are named."""
    last = len(texts) - 1
    return tuple(
        Step(text[1], text[0])
        if isinstance(text, tuple)
        else Step(text, Factor.ANSWER if idx == last else Factor.COMPUTE)
        for idx, text in enumerate(texts)
    )


def trace(texts: Sequence[str | tuple[Factor, str]], **fields: Any) -> Row:
    """A row of ``traces``; ``n_given`` are steps that the policy did not write by itself."""
    steps = steps_of(texts)
    seed_id = fields.pop("seed_id", "s0")
    n_given = fields.pop("n_given", 0)
    row = trace_row(Trace(QUESTION, steps, steps[-1].text), seed_id=seed_id)
    key = row["trace_id"][:6]
    row |= {
        "prefix_id": f"{seed_id}@0",
        "rollout_id": f"{seed_id}@0/{key}",
        "step_source": [f"{key}.{idx}" for idx in range(len(steps))],
        "n_human_steps": 0,
        "gold": "6",
        "verifier": "numeric",
        "outcome": "correct" if steps[-1].text == "6" else "wrong",
        "provenance": "model",
        "engine": "fake",
        "n_given": n_given,
    }
    return row | fields


def rollout(row: Row) -> Row:
    """The rollout that a trace is of."""
    n_own = len(row["steps"]) - row["n_given"]
    names = ("seed_id", "prefix_id", "rollout_id", "steps", "factors", "step_source", "answer")
    return {name: row[name] for name in (*names, "gold", "verifier", "outcome", "engine")} | {
        "algorithm": "puct",
        "sample_idx": 0,
        "n_given_steps": row["n_given"],
        "step_n_tokens": [1] * n_own,
        "step_min_logprob": [-1.0] * n_own,
        "sloppy": False,
        "tail": "",
        "reason": "",
        "n_tokens": 9,
        "temperature": 1.0,
        "completion_key": row["rollout_id"],
    }


def verified(row: Row, error: int, *, sure: bool = True) -> Row:
    """A row of ``trace_labels``: rollouts name ``error``, and a judge does too, or nobody."""
    n_steps = len(row["steps"])
    p = [0.0] * (n_steps + 1)
    p[error] = 1.0
    return {
        "trace_id": row["trace_id"],
        "seed_id": row["seed_id"],
        "outcome": row["outcome"],
        "n_steps": n_steps,
        "n_rollouts": 8,
        "n_tokens": 99,
        "first_error": error,
        "first_error_mass": 1.0,
        "no_error_mass": p[-1],
        "p_first_error": p,
        "judge_first_error": error if sure else None,
        "judge_share": 1.0 if sure else None,
        "n_votes": int(sure),
        "agrees": True if sure else None,
        "verified": sure,
        "review_rank": None if sure else 0,
    }


def vote(row: Row, error: int) -> Row:
    """A row of ``critiques``."""
    return {
        "trace_id": row["trace_id"],
        "seed_id": row["seed_id"],
        "judge": "checker",
        "vote_idx": 0,
        "first_error": error,
        "quote": "",
        "reason": "",
        "text": "",
        "remarks": [],
        "n_tokens": 0,
    }


def correct(
    *rows: Row,
    by: FakeEngine | None = None,
    probes: Sequence[Row] = (),
    labels: Sequence[Row] = (),
    votes: Sequence[Row] = (),
    journal: Journal | None = None,
    budget: Budget | None = None,
    **config: Any,
) -> Corrected:
    """Corrections made of these traces, splices of one attempt unless said otherwise."""
    settings: Row = {"kinds": ("splice",), "max_attempts": 1} | config
    bare = [{name: value for name, value in row.items() if name != "n_given"} for row in rows]
    with Journal(":memory:") if journal is None else journal as kept:
        return make_corrections(
            TraceContract.from_rows(bare),
            Rollout.from_rows([rollout(row) for row in rows]),
            Probe.from_rows([rollout(row) for row in probes]),
            TraceLabel.from_rows(labels),
            Critique.from_rows(votes),
            engine() if by is None else by,
            kept,
            config=CorrectionConfig(**settings),
            budget=budget,
        )


def only(made: Corrected) -> Row:
    """The one row."""
    assert made.corrections.height == 1, (made.dropped, made.refused)
    return made.corrections.row(0, named=True)


def told(row: Row) -> list[str]:
    return list(row["steps"])


# --- splices --------------------------------------------------------------------------------------


def test_a_wrong_step_is_detected_and_corrected_and_the_right_trace_goes_on() -> None:
    right, wrong = trace(RIGHT), trace(SLIP)
    row = only(correct(right, wrong))
    assert told(row) == ["2+3=5", "5*2=12", COMPLAINT, "5*2=10", "10-4=6", "6"]
    assert row["factors"] == [
        *("Compute", "Compute", "DetectError", "CorrectError", "Compute", "Answer")
    ]
    assert row["step_roles"] == ["right", "wrong", "detect", "correct", "right", "right"]
    assert row["step_labels"] == [True, False, True, True, True, True]
    assert row["attempt_idx"] == [-1, 0, -1, -1, -1, -1]
    assert (row["kind"], row["n_attempts"]) == ("splice", 1)
    assert row["wrong_trace_ids"] == [wrong["trace_id"]]
    assert row["right_trace_id"] == right["trace_id"]
    assert row["edit_distances"] == [3]
    assert (row["answer"], row["gold"], row["outcome"]) == ("6", "6", "correct")


def test_each_step_says_where_it_came_from() -> None:
    right, wrong = trace(RIGHT), trace(SLIP)
    policy = engine()
    with Journal(":memory:") as journal:
        row = only(correct(right, wrong, by=policy, journal=journal))
    ours, theirs = right["step_source"], wrong["step_source"]
    source = row["step_source"]
    assert [source[0], source[1], *source[4:]] == [ours[0], theirs[1], *ours[2:]]
    asked = [
        request
        for batch in policy.batches
        for request in batch
        if isinstance(request, CompletionRequest)
    ]
    assert len(asked) == 2 and len({*source}) == 6
    assert row["step_provenance"] == ["model"] * 6


def test_joints_are_asked_for_in_the_very_state_that_the_trace_has_come_to() -> None:
    policy = engine()
    only(correct(trace(RIGHT), trace(SLIP), by=policy))
    state = Trace(QUESTION, steps_of(SLIP)[:2])
    detect = NATIVE.segment_request(
        state, Factor.DETECT_ERROR, temperature=1.0, max_tokens=64, sample_idx=0
    )
    mend = NATIVE.segment_request(
        state.extended(Step(COMPLAINT, Factor.DETECT_ERROR)),
        Factor.CORRECT_ERROR,
        temperature=1.0,
        max_tokens=64,
        sample_idx=0,
    )
    asked = [request for batch in policy.batches for request in batch]
    assert [request for request in asked if isinstance(request, CompletionRequest)] == [
        *(detect, mend)
    ]


def test_the_words_of_a_joint_are_the_engines() -> None:
    row = only(
        correct(
            trace(RIGHT),
            trace(SLIP),
            by=engine("no, twelve is too much", lambda left: f"twice five: {left}=10"),
        )
    )
    assert told(row)[2:4] == ["no, twelve is too much", "twice five: 5*2=10"]


def test_a_policy_that_prefers_to_go_back_takes_the_right_step_afterwards() -> None:
    row = only(correct(trace(RIGHT), trace(SLIP), by=engine(prior=ALWAYS_BACK)))
    assert told(row) == ["2+3=5", "5*2=12", COMPLAINT, GOING_BACK, "5*2=10", "10-4=6", "6"]
    assert row["step_roles"][1:5] == ["wrong", "detect", "backtrack", "right"]
    assert row["step_labels"][2:4] == [None, None]


def test_which_of_the_two_follows_is_drawn_from_the_prior() -> None:
    prior = {Factor.CORRECT_ERROR: 0.3, Factor.BACKTRACK: 0.2}
    rows = [
        trace(texts, seed_id=f"s{idx}", question=f"{QUESTION} ({idx})")
        for idx in range(60)
        for texts in (RIGHT, SLIP)
    ]
    made = correct(*rows, by=engine(prior=prior)).corrections
    n_back = made["step_roles"].list.contains("backtrack").sum()
    assert 12 <= n_back <= 36


def test_another_way_is_given_up_by_going_back_whatever_the_policy_prefers() -> None:
    prior = {Factor.CORRECT_ERROR: 0.9, Factor.BACKTRACK: 0.1}
    row = only(correct(trace(RIGHT), trace(OTHER_WAY), by=engine(prior=prior)))
    assert told(row) == [
        *("2+3=5", "5+5=10", "10-4=5", COMPLAINT, GOING_BACK, "5*2=10", "10-4=6", "6")
    ]
    assert row["attempt_idx"] == [-1, 0, 0, -1, -1, -1, -1, -1]
    assert row["step_labels"][1:3] == [None, False]


def test_a_policy_that_never_goes_back_gets_no_joint_where_only_that_would_do() -> None:
    made = correct(trace(RIGHT), trace(OTHER_WAY))
    assert made.corrections.is_empty()
    assert made.refused == {"the policy does not go back": 1}
    assert made.dropped == {"no joint was good": 1}


def test_the_nearest_wrong_attempt_is_taken() -> None:
    row = only(correct(trace(SLIP), trace(RIGHT), trace(LATE_SLIP), max_rows=1))
    assert row["edit_distances"] == [2]
    assert told(row)[:4] == ["2+3=5", "5*2=10", "10-4=7", COMPLAINT]


def several(**config: Any) -> pl.DataFrame:
    """Splices of many questions with three wrong attempts each."""
    first = ["2+3=6", "6*2=12", "12-4=8", "8"]
    rows = [
        trace(texts, seed_id=f"s{idx}")
        for idx in range(20)
        for texts in (SLIP, RIGHT, LATE_SLIP, first)
    ]
    return correct(*rows, max_attempts=4, **config).corrections


def test_several_attempts_stand_in_the_order_of_their_errors() -> None:
    made = several(max_rows=1)
    assert made["n_attempts"].unique().sort().to_list() == [1, 2, 3]
    for row in made.filter(pl.col("n_attempts") == 3).iter_rows(named=True):
        assert told(row) == [
            *("2+3=6", COMPLAINT, "2+3=5", "5*2=12", COMPLAINT, "5*2=10"),
            *("10-4=7", COMPLAINT, "10-4=6", "6"),
        ]
        assert row["attempt_idx"] == [0, -1, -1, 1, -1, -1, 2, -1, -1, -1]
    for row in made.iter_rows(named=True):
        assert row["edit_distances"] == sorted(row["edit_distances"], reverse=True)


def test_no_wrong_branch_is_told_twice() -> None:
    other = [*RIGHT[:3], (Factor.CONSOLIDATE, "so it is 6"), "6"]
    rows = [
        trace(texts, seed_id=f"s{idx}")
        for idx in range(20)
        for texts in (RIGHT, other, SLIP, LATE_SLIP)
    ]
    made = correct(*rows, max_attempts=4).corrections
    used = made.explode("wrong_trace_ids")
    assert made.filter(pl.col("n_attempts") == 2).height and made.height > 20
    assert used["wrong_trace_ids"].is_unique().all() and used.height == 40


def test_a_probe_that_ended_right_is_a_right_branch() -> None:
    probe = trace(RIGHT, n_given=1)
    row = only(correct(trace(SLIP), probes=[probe]))
    assert row["right_trace_id"] == probe["rollout_id"]
    assert told(row) == ["2+3=5", "5*2=12", COMPLAINT, "5*2=10", "10-4=6", "6"]


# --- what is not used -----------------------------------------------------------------------------


def test_an_error_that_rollouts_and_judge_agree_on_is_used_and_a_doubtful_one_is_not() -> None:
    right, wrong = trace(RIGHT), trace(MISREAD)
    fixed = engine(repair=lambda _: "5*2=10")
    assert correct(right, wrong, by=fixed).corrections.is_empty()
    doubtful = verified(wrong, 1, sure=False)
    assert correct(right, wrong, labels=[doubtful], by=fixed).corrections.is_empty()
    row = only(correct(right, wrong, labels=[verified(wrong, 1)], by=fixed))
    assert told(row)[1:4] == ["5*3=15", COMPLAINT, "5*2=10"]


@pytest.mark.parametrize(
    "right",
    [
        trace(["2+3=5", "5*2=10", "10-4=7", "so 10-5=6", "6"]),
        trace(["2+3=5", (Factor.DETECT_ERROR, "no"), "5*2=10", "10-4=6", "6"]),
        trace(RIGHT, provenance="code"),
        trace(RIGHT, outcome="unverifiable"),
    ],
    ids=["false arithmetic", "speaks of errors", "code", "unverifiable"],
)
def test_a_right_trace_must_be_the_models_and_run_straight(right: Row) -> None:
    assert correct(right, trace(SLIP)).n_drafts == 0


def test_a_right_trace_that_a_judge_or_rollouts_object_to_is_not_used() -> None:
    right, wrong = trace(RIGHT), trace(SLIP)
    assert correct(right, wrong, votes=[vote(right, 1)]).n_drafts == 0
    assert correct(right, wrong, labels=[verified(right, 1)]).n_drafts == 0
    assert correct(right, wrong, votes=[vote(right, -1)], labels=[verified(right, -1)]).n_drafts


def test_steps_that_were_given_to_the_policy_are_no_attempt_of_its_own() -> None:
    assert correct(trace(RIGHT), trace(SLIP, n_given=2)).n_drafts == 0
    assert correct(trace(RIGHT), trace(SLIP, n_given=1)).n_drafts == 1


def test_a_step_that_a_right_trace_makes_as_well_is_not_wrong() -> None:
    right, wrong = trace(RIGHT), trace(OTHER_WAY)
    labels = [verified(wrong, 1)]
    back = engine(prior=ALWAYS_BACK)
    assert correct(right, wrong, labels=labels, by=back).n_drafts == 1
    also = trace(["2+3=5", "5 + 5 = 10", "10-4=6", "6"])
    assert correct(right, wrong, also, labels=labels, by=back).n_drafts == 0


def test_other_words_for_what_the_right_trace_states_are_no_error() -> None:
    right, wrong = trace(RIGHT), trace(["2+3=5", "that makes 2*5=10", "10-4=7", "7"])
    assert correct(right, wrong, labels=[verified(wrong, 1)]).n_drafts == 0


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        (engine(repair=lambda _: "5*4=20"), "the correction states something else"),
        (engine(repair=lambda _: "5*2=11"), "the repair is false"),
        (engine("wait, 5*2 is not 10"), "the complaint denies what is true"),
        (engine(" "), "the complaint is no whole step"),
        (engine(repair=lambda _: "word " * 70), "the repair is no whole step"),
        (engine(prior=ALWAYS_BACK, going_back="since 2+2=5"), "the repair is false"),
    ],
)
def test_a_joint_that_does_not_hold_is_refused_and_counted(policy: FakeEngine, why: str) -> None:
    made = correct(trace(RIGHT), trace(SLIP), by=policy)
    assert made.corrections.is_empty()
    assert made.refused == {why: 4}
    assert (made.n_drafts, made.n_joints) == (1, 4)
    assert made.dropped == {"no joint was good": 1}


def test_the_first_good_joint_of_several_is_taken() -> None:
    said = iter(["wait, 2 is not 2", "hm", "well"])

    def write(request: CompletionRequest) -> str:
        if flat_text(request.prompt).endswith(start_tag(Factor.DETECT_ERROR)):
            return next(said) + end_tag(Factor.DETECT_ERROR)
        return "5*2=10" + end_tag(Factor.CORRECT_ERROR)

    def prefer(request: ChoiceRequest) -> Sequence[float]:
        return [float(choice == start_tag(Factor.CORRECT_ERROR)) for choice in request.choices]

    made = correct(trace(RIGHT), trace(SLIP), by=FakeEngine(write, prefer))
    assert told(only(made))[2] == "hm"
    assert (made.n_joints, made.refused) == (2, {"the complaint denies what is true": 1})


def test_an_attempt_whose_joint_fails_is_left_out_and_the_others_stay() -> None:
    def repair(left: str) -> str:
        return "10-4=5" if left == "10-4" else f"{left}={eval_of(left)}"

    made = several(by=engine(repair=repair), max_rows=1)
    assert made.height and not made["steps"].list.contains("10-4=7").any()
    assert made["n_attempts"].max() == 2


def test_a_row_that_is_not_verified_to_end_right_is_dropped() -> None:
    believed = trace([*RIGHT[:3], "7"], outcome="correct")
    made = correct(believed, trace(SLIP))
    assert made.corrections.is_empty()
    assert made.dropped == {"it does not end right": 1}


def test_max_attempts_of_none_or_five_is_refused_with_a_reason() -> None:
    for n in (0, 5):
        with pytest.raises(ConfigError, match=rf"max_attempts={n} must be from 1 to 4"):
            CorrectionConfig(max_attempts=n)


# --- whole attempts -------------------------------------------------------------------------------


def chained(by: FakeEngine, *wrong: Row, **config: Any) -> pl.DataFrame:
    rows = [row | {"seed_id": "s0"} for row in (trace(RIGHT), *wrong)]
    options: Row = {"kinds": ("attempts",), "max_attempts": 4} | config
    return correct(*rows, by=by, **options).corrections


def test_a_chain_tells_a_whole_attempt_refutes_it_and_begins_again() -> None:
    wrong = trace(SLIP)
    row = chained(engine(prior={Factor.COMPUTE: 1.0}), wrong).row(0, named=True)
    assert told(row) == [*SLIP, COMPLAINT, *RIGHT]
    assert row["factors"][3:6] == ["Hypothesise", "DetectError", "Compute"]
    assert row["step_roles"] == ["wrong"] * 4 + ["detect"] + ["right"] * 4
    assert row["step_labels"] == [None, False, None, False, None, True, True, True, True]
    assert row["attempt_idx"] == [0, 0, 0, 0, -1, -1, -1, -1, -1]
    assert (row["kind"], row["wrong_trace_ids"]) == ("attempts", [wrong["trace_id"]])


def test_labels_of_a_measured_attempt_stay() -> None:
    wrong = trace(MISREAD)
    with_labels = correct(
        trace(RIGHT), wrong, labels=[verified(wrong, 1)], kinds=("attempts",), max_attempts=4
    )
    row = only(with_labels)
    assert row["step_labels"][:4] == [True, False, False, False]


def test_a_policy_may_say_that_it_tries_another_way() -> None:
    policy = engine(prior={Factor.SWITCH_APPROACH: 1.0}, going_back="another way")
    row = chained(policy, trace(SLIP)).row(0, named=True)
    assert told(row) == [*SLIP, COMPLAINT, "another way", *RIGHT]
    assert row["factors"][5] == "SwitchApproach"
    assert row["step_roles"][4:6] == ["detect", "backtrack"]


def test_attempts_of_a_chain_come_closer_and_differ_in_their_answers() -> None:
    again = [(Factor.PLAN, "add, double, take away"), *SLIP[:3], "8"]
    rows = [
        trace(texts, seed_id=f"s{idx}")
        for idx in range(20)
        for texts in (RIGHT, LATE_SLIP, SLIP, again, MISREAD)
    ]
    made = correct(*rows, kinds=("attempts",), max_attempts=4, max_rows=1).corrections
    assert made["n_attempts"].unique().sort().to_list() == [1, 2, 3]
    for row in made.iter_rows(named=True):
        distances = row["edit_distances"]
        assert distances == {1: [2], 2: [3, 2], 3: [3, 3, 2]}[row["n_attempts"]]
        hypotheses = [
            text
            for text, factor in zip(row["steps"], row["factors"], strict=True)
            if factor == "Hypothesise"
        ]
        assert len(set(hypotheses)) == len(hypotheses) == row["n_attempts"]


def test_no_attempt_is_in_two_chains() -> None:
    other = trace([*RIGHT[:3], (Factor.CONSOLIDATE, "so it is 6"), "6"])
    assert chained(engine(), trace(SLIP), other, max_rows=2).height == 1


def test_an_attempt_that_began_at_a_given_state_is_none_of_a_chain() -> None:
    assert chained(engine(), trace(SLIP, n_given=1)).is_empty()


# --- the table ------------------------------------------------------------------------------------


def both_kinds(**options: Any) -> Corrected:
    rows = [
        trace(texts, seed_id=f"s{idx}", question=f"{QUESTION} ({idx})")
        for idx in range(6)
        for texts in (SLIP, RIGHT)
    ]
    return correct(*rows, kinds=("splice", "attempts"), **options)


def test_rows_round_trip_through_markup() -> None:
    for row in both_kinds().corrections.iter_rows(named=True):
        read = parse(row["markup"], question=row["question"])
        assert read == trace_of(row)


def test_corrections_are_exported_beside_traces() -> None:
    made = both_kinds().corrections
    assert issubclass(Correction, TraceContract)
    right = trace(RIGHT)
    del right["n_given"]
    traces = TraceContract.from_rows([right])
    chats = export_sft(traces, corrections=made, form="tagged", max_per_question=99)
    assert set(chats["id"]) == {*traces["trace_id"], *made["trace_id"]} and chats.height == 13
    n_wrong = dict(made.select("trace_id", pl.col("step_roles").list.count_matches("wrong")).rows())
    n_masked = dict(chats.select("id", pl.col("masked_spans").list.len()).rows())
    assert n_masked == n_wrong | {right["trace_id"]: 0}


def test_a_second_run_asks_nothing_and_makes_the_same_table(tmp_path: Any) -> None:
    path = tmp_path / "journal.sqlite"
    first = both_kinds(journal=Journal(path))
    again = both_kinds(journal=Journal(path), by=engine(fail_after=0))
    assert again.corrections.equals(first.corrections)
    assert (again.n_joints, again.refused) == (first.n_joints, first.refused)
    assert again.progress.n_generated == 0 < first.progress.n_generated


def test_a_spent_budget_drops_rows_and_says_so() -> None:
    made = both_kinds(budget=Budget(max_tokens=20), by=engine(batch_size=1))
    assert 0 < made.corrections.height < made.n_drafts
    assert made.dropped == {"the budget was spent": made.n_drafts - made.corrections.height}


def test_an_instruct_model_is_asked_in_its_own_words() -> None:
    def write(request: CompletionRequest) -> str:
        prompt = flat_text(request.prompt)
        return "5 * 2 = 10, so ten" if prompt.endswith("[CorrectError]") else "That is off."

    def prefer(request: ChoiceRequest) -> Sequence[float]:
        return [float("CorrectError" in choice) for choice in request.choices]

    row = only(
        correct(
            trace(RIGHT),
            trace(SLIP),
            by=FakeEngine(write, prefer),
            joint=JointConfig(dialect=INSTRUCT),
        )
    )
    assert told(row)[2:4] == ["That is off.", "5 * 2 = 10, so ten"]


# --- what steps state -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "due", "holds"),
    [
        ("5*2=10", "2 * 5 = 10", True),
        ("it should be 5*2 = 10.", "5*2=10", True),
        ("5*2=10", "5+5=10", False),
        ("5*2=11", "5*2=10", False),
        ("4-9=5", "9-4=5", True),  # refused as false, and not here
        ("Add 3,  double.", "add 3, double.", True),
        ("add 3", "add 4", False),
    ],
)
def test_a_step_carries_another_if_it_states_its_equations(
    text: str, due: str, *, holds: bool
) -> None:
    assert carries(text, due) is holds


def test_statements_are_equations_or_else_numbers() -> None:
    assert statement("3*5=15") == statement("so 5 * 3 = 15 plums")
    assert statement("3*5=15") != statement("5+3=15")
    assert statement("add 3, take 1,000") == statement("3 and 1000") != statement("1000 and 3")
    assert not statement("no number")


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("wait, 36/4 is not 9", True),
        ("wait, it is 27, not 27", True),
        ("wait, 36/4 is not 8", False),
        ("wait, it is 27, not 28", False),
        ("2 + 2 isn't 4", True),
        ("that is not right", False),
        ("wait, 5-9 is not -4.", True),
        ("3 is not 3x", False),
        ("3 is not 3.5", False),
        ("3 is not 3 dozen", False),
        ("x+3 is not 3", False),
    ],
)
def test_a_complaint_about_what_is_true_is_seen(text: str, *, denied: bool) -> None:
    assert denies_what_is_true(text) is denied


def test_a_false_equation_is_seen_whatever_the_factor() -> None:
    assert states_a_falsehood("back, since 2+2=5")
    assert not states_a_falsehood("back to 2+2=4")


def test_edit_distance_counts_steps() -> None:
    def distance(a: Sequence[str], b: Sequence[str]) -> int:
        return edit_distance(Trace("", steps_of(a)), Trace("", steps_of(b)))

    assert distance(["a", "b", "c"], ["a", "b", "c"]) == 0
    assert distance(["A ", "b"], ["a", "b"]) == 0
    assert distance(["a", "c"], ["a", "b", "c"]) == 1
    assert distance(["b", "c", "d"], ["a", "b", "c"]) == 2
    assert distance([], ["a", "b"]) == 2
    assert distance(["kitten", "x"], ["y"]) == 2


# --- the reasoner and its oracle ------------------------------------------------------------------


@pytest.fixture(scope="module")
def made() -> tuple[pl.DataFrame, Corrected]:
    """Seeds of the world, and the corrections that the whole pipeline makes of them."""
    settings = Settings()
    dialect = settings.engine.dialect
    seeds = read_seeds(str(SEEDS), limit=20).seeds
    prefixes = make_prefixes(seeds, n_prefixes=0)
    search = GenerateConfig("best_of_n", best_of_n=BestOfNConfig(10))
    with closing(open_engine(settings.engine)) as policy, Journal(":memory:") as journal:
        rollouts = search_prefixes(prefixes, policy, journal, config=search).rollouts
        traces = assemble_traces(seeds, prefixes, rollouts)
        picked = pick_traces(traces, rollouts, n_right=1, n_wrong=3)
        judges = settings.labels.judges(dialect)
        critiques = judge_traces(picked, policy, journal, judges=judges)
        measured = measure_traces(
            picked, traces, rollouts, critiques, policy, journal, config=settings.measure_config()
        )
        corrected = make_corrections(
            traces,
            rollouts,
            measured.probes,
            measured.trace_labels,
            critiques,
            policy,
            journal,
            config=CorrectionConfig(max_rows=2),
        )
    return Seed.validate(seeds), corrected


def parts(seeds: pl.DataFrame, made: Corrected, kind: str) -> list[tuple[Any, Row]]:
    problems = dict(zip(seeds["seed_id"], map(problem_of, seeds["meta"]), strict=True))
    rows = made.corrections.filter(pl.col("kind") == kind).iter_rows(named=True)
    return [(problems[row["seed_id"]], row) for row in rows]


@pytest.mark.slow
def test_every_splice_holds_real_errors_that_it_mends(made: tuple[pl.DataFrame, Corrected]) -> None:
    rows = parts(*made, "splice")
    assert len(rows) >= 10
    for problem, row in rows:
        steps = trace_of(row).steps
        truths = judge_trace(problem, steps)
        for idx in range(row["n_attempts"]):
            wrong = [t for t, i in zip(truths, row["attempt_idx"], strict=True) if i == idx]
            assert not wrong[-1].ok, row["markup"]
        assert first_error(problem, steps) == -1, row["markup"]
        assert row["answer"] == str(problem.answer) and row["outcome"] == "correct"


@pytest.mark.slow
def test_every_chain_holds_whole_wrong_attempts(made: tuple[pl.DataFrame, Corrected]) -> None:
    rows = parts(*made, "attempts")
    assert len(rows) >= 20
    for problem, row in rows:
        steps = trace_of(row).steps
        for idx in range(row["n_attempts"]):
            own = [s for s, i in zip(steps, row["attempt_idx"], strict=True) if i == idx]
            assert own[-1].factor is Factor.HYPOTHESISE
            told_first = [*own[:-1], Step(own[-1].text, Factor.ANSWER)]
            assert first_error(problem, told_first) >= 0, row["markup"]
        assert row["answer"] == str(problem.answer) and row["outcome"] == "correct"
