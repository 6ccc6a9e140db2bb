"""What `datagen show` draws, from hand-made tables, on 80 columns."""

from dataclasses import fields, replace
from io import StringIO
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from datagen.errors import ConfigError
from datagen.factors.taxonomy import Factor
from datagen.show import Found, Tables, draw_tree, find
from datagen.show.styles import FAMILY
from schemas import Critique, Node, Prefix, Probe, Rollout, StepLabel, Trace, TraceLabel

Row = dict[str, Any]

QUESTION = "Tom has 3 bags of [bold]6[/bold] apples and eats 2. How many apples are left?"


def prefix(n_steps: int, *, seed_id: str = "world-001") -> Row:
    human = [
        ("RestateGoal", "find how many apples are left once Tom has eaten two of all his apples"),
        ("ExtractGivens", "3 bags; 6 apples each; 2 eaten"),
        ("Compute", "3*6=18"),
    ][:n_steps]
    return {
        "prefix_id": f"{seed_id}@{n_steps}",
        "seed_id": seed_id,
        "n_steps": n_steps,
        "n_seed_steps": 5,
        "question": QUESTION,
        "steps": [text for _, text in human],
        "factors": [factor for factor, _ in human],
        "answer": "16",
        "verifier": "numeric",
    }


def node(
    node_id: str,
    parent_id: str | None,
    factor: str | None,
    text: str | None,
    *,
    visits: tuple[int, float] | None = None,
    right: tuple[int, int] = (0, 0),
    **over: Any,
) -> Row:
    """A chosen node; ``visits`` is (N, Q), ``right`` is (correct, on-policy rollouts)."""
    row: Row = {
        "node_id": node_id,
        "prefix_id": "world-001@0",
        "seed_id": "world-001",
        "parent_id": parent_id,
        "depth": 0 if parent_id is None else 1,
        "step_idx": -1 if parent_id is None else 0,
        "factor": factor,
        "text": text,
        "prior": None if parent_id is None else 0.5,
        "legal_factors": [],
        "priors": [],
        "n_visits": visits[0] if visits else 0,
        "value": visits[1] if visits else None,
        "n_rollouts": right[1],
        "n_correct": right[0],
        "chosen": True,
        "replica_idx": -1 if parent_id is None else 0,
        "outcome": None,
        "answer": text if over.get("outcome") else None,
        "n_tokens": 7,
        "min_logprob": None if parent_id is None else -0.25,
        "completion_key": None if parent_id is None else f"key-{node_id}",
    }
    return row | over


REJECTED: Row = {"chosen": False, "replica_idx": 1}
LONG = "the goal is to find the number of apples that remain after two of them were eaten"

NODES = [
    node("a0b1c2d3e4", None, None, None, visits=(7, 4 / 7), right=(5, 8)),
    node("b1c2d3e4f5", "a0b1c2d3e4", "Compute", "3*6=18", visits=(2, 0.5), right=(1, 2), prior=0.2),
    node("b2c3d4e5f6", "a0b1c2d3e4", "Compute", "3*6=19", right=(0, 1), prior=0.2, **REJECTED),
    node(
        "c1d2e3f4a5", "a0b1c2d3e4", "RestateGoal", LONG, visits=(4, 0.75), right=(4, 6), prior=0.8
    ),
    node("d1e2f3a4b5", "c1d2e3f4a5", "Compute", "3*6=18", visits=(3, 2 / 3), right=(3, 4)),
    node("e1f2a3b4c5", "d1e2f3a4b5", "Answer", "16", visits=(1, 1.0), outcome="correct"),
    node("e2f3a4b5c6", "d1e2f3a4b5", "Answer", "18", outcome="unverifiable", **REJECTED),
    node("f1a2b3c4d5", "b1c2d3e4f5", "Answer", "20", visits=(1, 0.0), outcome="wrong"),
    node("f2a3b4c5d6", "b1c2d3e4f5", "Compute", "18-", visits=(1, 0.0), outcome="truncated"),
]


def rollout(key: str, outcome: str, *, node_id: str | None = "a0b1c2d3e4", **over: Any) -> Row:
    row: Row = {
        "rollout_id": f"world-001@0/{key}",
        "prefix_id": "world-001@0",
        "seed_id": "world-001",
        "node_id": node_id,
        "algorithm": "puct",
        "sample_idx": 0,
        "n_given_steps": 0,
        "steps": ["3*6=18", "16"],
        "factors": ["Compute", "Answer"],
        "step_source": [key, key],
        "step_n_tokens": [7, 2],
        "step_min_logprob": [-0.25, None],
        "sloppy": False,
        "tail": "",
        "answer": "16",
        "gold": "16",
        "verifier": "numeric",
        "outcome": outcome,
        "reason": "16 equals 16",
        "n_tokens": 9,
        "temperature": 1.0,
        "engine": "fake:1",
        "completion_key": key,
    }
    return row | over


ROLLOUTS = [
    rollout("0aaa", "correct"),
    rollout("1bbb", "wrong", answer="15", reason="15 differs from 16"),
    rollout("2ccc", "truncated", answer=None, tail="and [red]then[/red] then"),
    rollout(
        "3ddd",
        "correct",
        node_id="c1d2e3f4a5",
        n_given_steps=1,
        steps=[LONG, "3*6=18", "16"],
        factors=["RestateGoal", "Compute", "Answer"],
        step_source=["0", "3ddd", "3ddd"],
    ),
    rollout("4eee", "wrong", node_id=None, algorithm="shepherd", answer="15"),
]

TRACES: list[Row] = [
    {
        "trace_id": "9f8e7d6c5b",
        "seed_id": "world-001",
        "prefix_id": "world-001@2",
        "rollout_id": "world-001@0/1bbb",
        "question": QUESTION,
        "steps": [LONG, "3 bags; 6 apples each; 2 eaten", "3*6=17", "17-2=15", "15"],
        "factors": ["RestateGoal", "ExtractGivens", "Compute", "Compute", "Answer"],
        "step_provenance": ["human", "human", "model", "model", "model"],
        "step_source": ["world-001#0", "world-001#1", "1bbb", "1bbb", "1bbb"],
        "n_human_steps": 2,
        "answer": "15",
        "gold": "16",
        "verifier": "numeric",
        "outcome": "wrong",
        "provenance": "model",
        "engine": "fake:1",
        "markup": "<Think_Start>…",
    }
]


def label(
    step_idx: int, right: tuple[int, int], hard: bool | None, source: str, **over: Any
) -> Row:
    n_successes, n_trials = right
    trace = TRACES[0]
    return {
        "trace_id": trace["trace_id"],
        "seed_id": trace["seed_id"],
        "step_idx": step_idx,
        "factor": trace["factors"][step_idx],
        "text": trace["steps"][step_idx],
        "provenance": trace["step_provenance"][step_idx],
        "step_source": trace["step_source"][step_idx],
        "n_trials": n_trials,
        "n_successes": n_successes,
        "mc_value": n_successes / n_trials if n_trials else None,
        "wilson_low": 0.3006 if n_trials else None,
        "wilson_high": 0.9544 if n_trials else None,
        "hard_label": hard,
        "label_source": source,
    } | over


LABELS = [
    label(0, (0, 0), True, "outcome"),
    label(1, (3, 4), True, "rollouts"),
    label(2, (0, 4), False, "rollouts", wilson_low=0.0, wilson_high=0.4899),
    label(3, (0, 1), None, "none", wilson_low=0.0, wilson_high=0.7935),
    label(4, (0, 0), False, "outcome"),
]

TABLES = Tables(
    Prefix.from_rows([prefix(0), prefix(2), prefix(0, seed_id="world-002")]),
    Node.from_rows(NODES),
    Rollout.from_rows(ROLLOUTS),
    Trace.from_rows(TRACES),
    StepLabel.from_rows(LABELS),
)


def posterior(step_idx: int, before: float, value: float, *, good: bool) -> Row:
    """A label of a measured trace."""
    return LABELS[step_idx] | {
        "surprisal": 1.0,
        "action_surprisal": 0.5,
        "p_before_error": before,
        "value": value,
        "advantage": 0.0,
        "prover_advantage": 0.0,
        "relative_progress": 1.0,
        "hard_label": good,
        "confidence": before if good else 1 - before,
        "label_source": "posterior",
    }


TRACE_LABEL: Row = {
    "trace_id": "9f8e7d6c5b",
    "seed_id": "world-001",
    "outcome": "wrong",
    "n_steps": 5,
    "n_rollouts": 9,
    "n_tokens": 90,
    "first_error": 2,
    "first_error_mass": 0.8125,
    "no_error_mass": 0.0625,
    "p_first_error": [0.0, 0.0, 0.8125, 0.125, 0.0, 0.0625],
    "judge_first_error": 2,
    "judge_share": 0.75,
    "n_votes": 4,
    "agrees": True,
    "verified": True,
    "review_rank": None,
}


def vote(judge: str, vote_idx: int, first_error: int | None, reason: str) -> Row:
    asked = judge != "checker"
    return {
        "trace_id": "9f8e7d6c5b",
        "seed_id": "world-001",
        "judge": judge,
        "vote_idx": vote_idx,
        "first_error": first_error,
        "quote": "",
        "reason": reason,
        "text": reason,
        "remarks": [],
        "n_tokens": 9 if asked else 0,
        "completion_key": f"{judge}-{vote_idx}" if asked else None,
        "engine": "fake:1" if asked else None,
    }


VOTES = [
    vote("checker", 0, 2, "3*6 is 18, not 17"),
    vote("native_critique", 0, 2, "the result is wrong"),
    vote("native_critique", 1, -1, ""),
    vote("native_critique", 2, 2, "another reason"),
    vote("native_critique", 3, None, "un\nreadable"),
]

PROBE = rollout(
    "5fff",
    "wrong",
    node_id=None,
    prefix_id="world-001@2",
    rollout_id="world-001@2/5fff",
    algorithm="first_error",
    n_given_steps=4,
    steps=[*TRACES[0]["steps"][:4], "15"],
    factors=TRACES[0]["factors"],
    step_source=["world-001#0", "world-001#1", "1bbb", "1bbb", "5fff"],
    step_n_tokens=[2],
    step_min_logprob=[-0.5],
    answer="15",
    reason="15 differs from 16",
)

MEASURED = replace(
    TABLES,
    step_labels=StepLabel.from_rows(
        [
            posterior(0, 1.0, 0.625, good=True),
            posterior(1, 1.0, 0.75, good=True),
            posterior(2, 0.1875, 0.125, good=False),
            posterior(3, 0.0625, 0.0625, good=False),
            posterior(4, 0.0625, 0.0, good=False),
        ]
    ),
    probes=Probe.from_rows([PROBE]),
    trace_labels=TraceLabel.from_rows([TRACE_LABEL]),
    critiques=Critique.from_rows(VOTES),
)


def with_verdict(**over: Any) -> Tables:
    """The measured tables with another trace label."""
    return replace(MEASURED, trace_labels=TraceLabel.from_rows([TRACE_LABEL | over]))


def drawn(id: str, *, tables: Tables = TABLES, rollouts: bool = False, width: int = 80) -> str:
    """What a pipe of this width gets, without the spaces at line ends."""
    console = Console(record=True, width=width, file=StringIO())
    console.print(draw_tree(tables, id, rollouts=rollouts))
    return "\n".join(line.rstrip() for line in console.export_text().splitlines())


def line_of(text: str, part: str) -> str:
    found = [line for line in text.splitlines() if part in line]
    assert len(found) == 1, (part, text)
    return found[0]


# --- what an id means ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("world-001", Found("seed", "world-001")),
        ("world-002", Found("seed", "world-002")),
        ("world-001@0", Found("prefix", "world-001@0")),
        ("world-001@2", Found("prefix", "world-001@2")),
        ("world-001@0/1bbb", Found("rollout", "world-001@0/1bbb")),
        ("world-001@0/1", Found("rollout", "world-001@0/1bbb")),
        ("1bbb", Found("rollout", "world-001@0/1bbb")),
        ("c1d2e3f4a5", Found("node", "c1d2e3f4a5")),
        ("c1", Found("node", "c1d2e3f4a5")),
        ("9f8", Found("trace", "9f8e7d6c5b")),
    ],
)
def test_an_id_or_its_unique_beginning_is_found(text: str, found: Found) -> None:
    assert find(TABLES, text) == found


def test_an_exact_id_wins_over_longer_ones_that_begin_with_it() -> None:
    prefixes = [prefix(0, seed_id="s1"), prefix(0, seed_id="s10")]
    assert find(replace(TABLES, prefixes=Prefix.from_rows(prefixes)), "s1") == Found("seed", "s1")


def test_the_beginning_of_a_seed_is_not_ambiguous_with_what_lies_inside() -> None:
    only = replace(TABLES, prefixes=Prefix.from_rows([prefix(0), prefix(2)]))
    assert find(only, "wor") == Found("seed", "world-001")


def test_an_ambiguous_id_is_an_error_that_lists_candidates() -> None:
    with pytest.raises(ConfigError) as caught:
        find(TABLES, "world")
    assert str(caught.value) == (
        "'world' could be any of 2 ids: seed 'world-001', seed 'world-002'; write more of the id"
    )
    with pytest.raises(ConfigError, match=r"any of 2 ids: node 'b1c2d3e4f5', node 'b2c3d4e5f6'"):
        find(TABLES, "b")


def test_an_unknown_id_is_an_error_that_names_what_comes_close() -> None:
    with pytest.raises(ConfigError, match=r"the id 'wrold-002'; seeds that exist are 'world-002'"):
        find(TABLES, "wrold-002")
    with pytest.raises(ConfigError, match=r"seeds that exist are 'world-001', 'world-002'; give"):
        find(TABLES, "zzz")


def test_empty_tables_say_that_nothing_was_run() -> None:
    empty = Tables(Prefix.empty(), Node.empty(), Rollout.empty(), Trace.empty(), StepLabel.empty())
    with pytest.raises(ConfigError, match="the tables are empty; run `datagen run` first"):
        draw_tree(empty, "world-001")


# --- searches ------------------------------------------------------------------------------------


def test_a_seed_shows_its_question_gold_answer_and_all_its_searches() -> None:
    text = drawn("world-001")
    assert text.startswith("question  Tom has 3 bags of [bold]6[/bold] apples and eats 2.")
    assert line_of(text, "gold") == "gold      16  numeric"
    assert "world-001@0  from the question alone ──" in text
    assert "world-001@2  after 2 of 5 human steps ──" in text
    assert line_of(text, "3 bags; 6").startswith("1  human  ExtractGivens  3 bags; 6 apples each")
    assert "not searched yet" in text
    assert "world-002" not in text


def test_the_tree_has_one_aligned_line_per_state() -> None:
    text = drawn("world-001@0")
    tree = text[text.index("state ") : text.index("\n\nP prior")]
    assert (
        tree
        == """\
state                                                  P  N     Q  right  id
start                                                     7  0.57    5/8  a0b1c2
├ rollouts from here: 1/2 right, 1 truncated
├ RestateGoal  the goal is to find the number of …  0.80  4  0.75    4/6  c1d2e3
│ └ Compute  3*6=18                                 0.50  3  0.67    3/4  d1e2f3
│   ├ ✓ Answer  16                                  0.50  1  1.00         e1f2a3
│   └ ? (Answer)  18                                0.50                  e2f3a4
├ Compute  3*6=18                                   0.20  2  0.50    1/2  b1c2d3
│ ├ ✗ Answer  20                                    0.50  1  0.00         f1a2b3
│ └ † Compute  18-                                  0.50  1  0.00         f2a3b4
└ (Compute)  3*6=19                                 0.20             0/1  b2c3d4"""
    )


def test_a_search_shows_the_pass_rate_at_its_root_and_what_each_algorithm_drew() -> None:
    text = drawn("world-001@0")
    assert line_of(text, "pass rate") == "pass rate  62%: 5 of 8 rollouts right (95%: 31–86%)"
    assert line_of(text, "puct ") == "puct       4 rollouts: 2 right, 1 wrong, 1 truncated"
    assert line_of(text, "shepherd") == "shepherd   1 rollout: 1 wrong"


def test_no_judged_rollout_is_no_pass_rate_of_zero() -> None:
    unjudged = replace(TABLES, nodes=Node.from_rows([NODES[0] | {"n_rollouts": 0, "n_correct": 0}]))
    assert "pass rate  unknown: no rollout" in drawn("world-001@0", tables=unjudged)


def test_the_traces_of_a_search_are_named_and_those_with_most_evidence_come_first() -> None:
    trace = TRACES[0] | {"prefix_id": "world-001@0"}
    names = ["11aa11", "22bb22", "33cc33", "44dd44", "55ee55"]
    traces = [trace | {"trace_id": f"{name}-long"} for name in names]
    labels = [label(1, (3, 4), True, "rollouts", trace_id="55ee55-long")]
    tables = replace(
        TABLES, traces=Trace.from_rows(traces), step_labels=StepLabel.from_rows(labels)
    )
    told = line_of(drawn("world-001@0", tables=tables), "traces")
    assert told == "traces     5 wrong: 55ee55 11aa11 22bb22 33cc33 …"


def test_a_seed_names_the_trace_of_its_human_thought() -> None:
    human = TRACES[0] | {"provenance": "human", "rollout_id": None, "engine": None}
    tables = replace(TABLES, traces=Trace.from_rows([human]))
    assert "human     trace 9f8e7d" in drawn("world-001", tables=tables)
    assert "seed     world-001" in drawn("9f8e7d", tables=tables)


def test_a_trace_that_a_search_put_together_names_the_state_that_it_ends_at() -> None:
    built = TRACES[0] | {"rollout_id": None, "node_id": "e1f2a3b4c5"}
    text = drawn("9f8e7d", tables=replace(TABLES, traces=Trace.from_rows([built])))
    assert line_of(text, "prefix").split() == ["prefix", "world-001@2"]
    assert line_of(text, "put together").startswith("state    e1f2a3b4c5, put together step by")


def test_rollouts_are_listed_below_their_state_when_asked_for() -> None:
    text = drawn("world-001@0", rollouts=True)
    assert "├ ✓ › Compute 3*6=18 › Answer 16  0aaa" in text
    assert "├ ✗ › Compute 3*6=18 › Answer 16  1bbb" in text
    assert "├ ? truncated › Compute 3*6=18 › Answer 16 … and [red]then[/red] then  2ccc" in text
    # Only its own steps: those that were given stand in the tree already.
    assert "│ ├ ✓ › Compute 3*6=18 › Answer 16  3ddd" in text
    assert "4eee" not in text
    assert "›" not in drawn("world-001@0")


def test_a_node_shows_the_steps_that_lead_to_it_and_its_own_tree() -> None:
    text = drawn("d1e2")
    assert "state d1e2f3a4b5  in search world-001@0 ──" in text
    assert line_of(text, "1  model").startswith("1  model  Compute      3*6=18")
    assert "after two of them were eaten" in text
    assert line_of(text, "last step").endswith("the least likely with log-probability -0.25")
    tree = text[text.index("state    ") : text.index("\n\nP prior")].splitlines()[1:]
    assert [line[:15].rstrip() for line in tree] == [
        "Compute  3*6=18",
        "├ ✓ Answer  16",
        "└ ? (Answer)  1",
    ]


def test_a_step_that_no_replica_wrote_names_the_rollout_that_did() -> None:
    along = node(
        "d9e8f7a6b5", "a0b1c2d3e4", "Compute", "3*6=18",
        prior=None, replica_idx=-1, completion_key="1bbb", right=(0, 1),
    )  # fmt: skip
    text = drawn("d9e8", tables=replace(TABLES, nodes=Node.from_rows([NODES[0], along])))
    assert line_of(text, "last step") == (
        "last step  7 tokens within rollout 1bbb, the least likely with log-probability"
    )
    assert "replica" not in text
    assert "7 tokens by replica 0" in drawn("d1e2")


def test_a_rejected_node_is_said_to_be_one() -> None:
    assert "proposed by a replica and not taken" in drawn("b2c3")


# --- traces and rollouts -------------------------------------------------------------------------


def test_a_trace_shows_writer_factor_evidence_and_label_of_each_step() -> None:
    text = drawn("9f8e7d6c5b")
    table = text[text.index("#  by") : text.index("\n\noutcome")]
    assert (
        table
        == """\
#  by     factor         step                          right     95%  label
0  human  RestateGoal    the goal is to find the                      ✓ outcome
                         number of apples that remain
                         after two of them were eaten
1  human  ExtractGivens  3 bags; 6 apples each; 2        3/4  30–95%  ✓ rollouts
                         eaten
2  model  Compute        3*6=17                          0/4   0–49%  ✗ rollouts
3  model  Compute        17-2=15                         0/1   0–79%  ?
4  model  Answer         15                                           ✗ outcome"""
    )
    assert line_of(text, "outcome  ✗").startswith("outcome  ✗ wrong: answer 15, gold 16  numeric")
    assert "because  15 differs from 16" in text
    assert "the first wrong step is 2" in text
    assert "rollout  world-001@0/1bbb" in text


def test_a_trace_without_labels_is_shown_all_the_same() -> None:
    text = drawn("9f8e7d6c5b", tables=replace(TABLES, step_labels=None))
    assert "2  model  Compute        3*6=17" in text
    assert "labels   none yet" in text


# --- measured traces -----------------------------------------------------------------------------


def test_a_measured_trace_shows_probability_value_and_confidence_of_each_step() -> None:
    text = drawn("9f8e7d6c5b", tables=MEASURED)
    table = text[text.index("#  by") : text.index("\n\noutcome")]
    assert (
        table
        == """\
#  by     factor         step               before  value  right     95%  label
0  human  RestateGoal    the goal is to       100%   0.62                 ✓ 100%
                         find the number
                         of apples that
                         remain after two
                         of them were
                         eaten
1  human  ExtractGivens  3 bags; 6 apples     100%   0.75    3/4  30–95%  ✓ 100%
                         each; 2 eaten
2  model  Compute        3*6=17                19%   0.12    0/4   0–49%  ✗ 81%
3  model  Compute        17-2=15                6%   0.06    0/1   0–79%  ✗ 94%
4  model  Answer         15                     6%   0.00                 ✗ 94%"""
    )
    assert "before: probability that the first error comes later, or never · value:" in text
    assert "how sure that is" in text
    assert "labels  " not in text


def test_a_trace_that_was_not_measured_has_no_empty_columns_for_it() -> None:
    text = drawn("9f8e7d6c5b", tables=replace(MEASURED, step_labels=TABLES.step_labels))
    assert "before" not in text and "value" not in text
    assert "✓ rollouts" in text
    assert "what it rests on" in text


def test_below_a_measured_trace_stands_its_first_error_and_what_the_judges_say() -> None:
    text = drawn("9f8e7d6c5b", tables=MEASURED)
    verdict = text[text.index("first error") : text.index("prefix  ")]
    assert (
        verdict
        == """\
first error      step 2 with probability 81%, none with 6%
judges           step 2, by 75% of 4 votes, which agrees
checker          step 2: 3*6 is 18, not 17
native_critique  step 2 (2 votes): the result is wrong
native_critique  no error
native_critique  cannot say: un readable
review           verified: rollouts and judges agree, and the rollouts are sure
                 enough
"""
    )


def test_a_disputed_trace_shows_its_place_in_the_queue_of_all_that_wait() -> None:
    others = [
        TRACE_LABEL | {"trace_id": "other-1", "verified": False, "review_rank": 0},
        TRACE_LABEL | {"trace_id": "other-2"},
    ]
    disputed = TRACE_LABEL | {
        "judge_first_error": 3,
        "agrees": False,
        "verified": False,
        "review_rank": 1,
    }
    tables = replace(MEASURED, trace_labels=TraceLabel.from_rows([*others, disputed]))
    text = drawn("9f8e7d6c5b", tables=tables)
    assert "judges           step 3, by 75% of 4 votes, which does not agree" in text
    assert "review           place 2 of 2 in the queue for people" in text


def test_no_error_and_no_verdict_are_said_in_words() -> None:
    tables = with_verdict(
        first_error=-1,
        first_error_mass=0.9375,
        no_error_mass=0.9375,
        p_first_error=[0.0, 0.0, 0.0, 0.0625, 0.0, 0.9375],
        judge_first_error=None,
        judge_share=None,
        n_votes=0,
        agrees=None,
        verified=False,
        review_rank=0,
    )
    text = drawn("9f8e7d6c5b", tables=replace(tables, critiques=None))
    assert "first error  none, with probability 94%" in text
    assert "judges       undecided, 0 votes counted" in text
    assert "review       place 1 of 1 in the queue for people" in text
    assert "native_critique" not in text


def test_a_long_reason_is_cut() -> None:
    votes = [vote("instruct_critique", 0, 2, "because " * 500)]
    text = drawn("9f8e7d6c5b", tables=replace(MEASURED, critiques=Critique.from_rows(votes)))
    assert text.count("because") < 30
    assert "…" in text


def test_votes_on_other_traces_are_not_shown() -> None:
    votes = [VOTES[0] | {"trace_id": "other"}]
    text = drawn("9f8e7d6c5b", tables=replace(MEASURED, critiques=Critique.from_rows(votes)))
    assert "checker" not in text


def test_a_trace_that_nobody_measured_says_so_by_its_labels() -> None:
    text = drawn("9f8e7d6c5b", tables=with_verdict(trace_id="other"))
    assert line_of(text, "labels  ").endswith("the first wrong step is 2")
    assert "first error  " not in text


@pytest.mark.parametrize("id", ["5fff", "world-001@2/5f"])
def test_a_probe_is_found_as_a_rollout_and_names_the_trace_that_it_measures(id: str) -> None:
    assert find(MEASURED, id) == Found("rollout", "world-001@2/5fff")
    text = drawn(id, tables=MEASURED)
    assert [line.split()[1] for line in text.splitlines() if line[:2] in ("0 ", "1 ")] == [
        "human",
        "human",
    ]
    assert line_of(text, "17-2=15").startswith("3  trace    Compute")
    assert line_of(text, "4  rollout").endswith("2     -0.50")
    assert "drawn     by first_error from step 3 of a whole trace, sample 0" in text
    assert line_of(text, "measures") == "measures  trace 9f8e7d6c5b"


def test_a_probe_measures_no_trace_that_begins_otherwise() -> None:
    other = TRACES[0] | {"factors": ["Plan", *TRACES[0]["factors"][1:]]}
    tables = replace(MEASURED, traces=Trace.from_rows([other]))
    assert "measures" not in drawn("5fff", tables=tables)
    assert "measures" not in drawn("5fff", tables=with_verdict(trace_id="other"))
    assert "measures" not in drawn("3ddd", tables=MEASURED)


def test_a_completion_that_search_and_probe_share_is_one_rollout() -> None:
    tables = replace(MEASURED, probes=Probe.from_rows([ROLLOUTS[1]]))
    assert find(tables, "1bbb") == Found("rollout", "world-001@0/1bbb")
    assert "state a0b1c2d3e4" in drawn("1bbb", tables=tables)


def test_a_search_counts_the_probes_of_its_traces() -> None:
    text = drawn(
        "world-001@0",
        tables=replace(MEASURED, probes=Probe.from_rows([PROBE | {"prefix_id": "world-001@0"}])),
    )
    assert line_of(text, "first_error") == "first_error  1 rollout: 1 wrong"
    assert "first_error" not in drawn("world-001@0", tables=MEASURED)


def test_a_rollout_shows_who_wrote_each_step_and_what_it_cost() -> None:
    text = drawn("3ddd")
    assert line_of(text, "the goal is").startswith("0  search   RestateGoal")
    assert line_of(text, "3*6=18").split() == ["1", "rollout", "Compute", "3*6=18", "7", "-0.25"]
    assert "drawn    by puct from state c1d2e3f4a5, sample 0, temperature 1, 9 tokens" in text
    truncated = drawn("2ccc")
    assert "then, unreadable as steps: and [red]then[/red] then" in truncated
    assert "outcome  ? truncated: no answer, gold 16" in truncated
    assert "trace    9f8e7d6c5b" in drawn("1bbb")


# --- the terminal --------------------------------------------------------------------------------

IDS = ["world-001", "world-001@0", "9f8e7d6c5b", "c1d2e3f4a5", "1bbb", "2ccc", "5fff"]


@pytest.mark.parametrize("id", IDS)
@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_console(id: str, width: int) -> None:
    text = drawn(id, tables=MEASURED, rollouts=True, width=width)
    assert max(map(cell_len, text.splitlines())) <= width


@pytest.mark.parametrize("id", IDS)
def test_hostile_text_is_shown_and_never_obeyed(id: str) -> None:
    evil = "[red]a[/]\x1b[31m\x07\n\tb\r\u202e :smile: [/nonsense] 世界"
    contracts = (Prefix, Node, Rollout, Trace, StepLabel, Probe, TraceLabel, Critique)
    names = [field.name for field in fields(Tables) if getattr(MEASURED, field.name) is not None]
    hostile = Tables(
        **{
            name: contract.from_rows(
                [replaced(row, evil) for row in getattr(MEASURED, name).to_dicts()]
            )
            for name, contract in zip(names, contracts, strict=True)
        }
    )
    text = drawn(id, tables=hostile, rollouts=True)
    assert "[red]a[/]�[31m�" in text
    assert all(char.isprintable() for char in text.replace("\n", ""))
    assert max(map(cell_len, text.splitlines())) <= 80


def replaced(row: Row, text: str) -> Row:
    """The row with all its free text replaced."""
    changed: Row = {}
    for name in ("question", "answer", "text", "tail", "reason", "factor", "engine", "gold"):
        if row.get(name) is not None:
            changed[name] = text
    for name in ("steps", "factors"):
        if name in row:
            changed[name] = [text] * len(row[name])
    return row | changed


def test_colour_goes_to_terminals_only() -> None:
    outputs = {True: StringIO(), False: StringIO()}
    for terminal, file in outputs.items():
        console = Console(file=file, width=80, force_terminal=terminal, color_system="auto")
        console.print(draw_tree(TABLES, "world-001@0"))
    assert "\x1b" not in outputs[False].getvalue()
    assert "understanding" not in outputs[False].getvalue()


def test_factors_are_coloured_by_family_and_rejected_proposals_dimmed() -> None:
    file = StringIO()
    console = Console(file=file, width=80, force_terminal=True, color_system="standard")
    console.print(draw_tree(TABLES, "world-001@0"))
    text = file.getvalue()
    assert "\x1b[36mRestateGoal\x1b[0m" in text
    assert "\x1b[2;94mCompute\x1b[0m" in text
    assert "\x1b[1;32m✓\x1b[0m" in text
    assert "\x1b[36munderstanding\x1b[0m \x1b[35mplanning\x1b[0m" in text


def test_every_factor_but_other_has_a_family() -> None:
    assert set(FAMILY) == set(Factor) - {Factor.OTHER}


def test_tables_of_different_runs_are_an_error_and_no_crash() -> None:
    strange = replace(TABLES, prefixes=Prefix.from_rows([prefix(0, seed_id="world-009")]))
    with pytest.raises(ConfigError, match=r"no row has prefix_id='world-001@0'"):
        draw_tree(strange, "c1d2")
