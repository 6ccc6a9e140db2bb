"""The contracts: what they accept, what they refuse and how they say so, and their exports."""

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import schemas
from schemas import (
    CONTRACTS,
    Contract,
    ContractError,
    Node,
    Prm,
    Probe,
    Rl,
    Rollout,
    Seed,
    Sft,
    StepLabel,
    Trace,
)
from schemas.__main__ import FOLDER, render

Row = dict[str, Any]

GOOD: dict[str, Row] = {
    "shards": {
        "shard": "gsm-0-1a2b3c4d",
        "kind": "seeds",
        "source": "gsm.jsonl",
        "revision": "5e6f",
        "first_row": 0,
        "n_rows": 500,
        "digest": "1a2b3c4d",
    },
    "seeds": {
        "seed_id": "gsm-1",
        "source": "gsm.jsonl",
        "license": "MIT",
        "domain": "math",
        "question": "Tom has 3 bags of 6 apples. How many apples?",
        "thought": "Find the total.\n3 * 6 = 18",
        "steps": ["Find the total.\n", "3 * 6 = 18"],
        "factors": ["RestateGoal", "Compute"],
        "answer": "18",
        "verifier": "math",
        "criteria": None,
        "facts": [{"step_idx": 1, "expression": "3 * 6", "value": "18"}],
        "meta": "{}",
    },
    "code_seeds": {
        "seed_id": "double",
        "source": "functions.jsonl",
        "license": "MIT",
        "question": "Double a number.",
        "code": "def double(x):\n    return 2 * x\n",
        "entry_point": "double",
        "tests": "assert double(3) == 6",
        "prelude": "",
        "calls": ["double(3)", "double(x=-1)"],
        "meta": "{}",
    },
    "quarantine": {
        "source": "gsm.jsonl",
        "row_idx": 7,
        "seed_id": None,
        "field": "answer",
        "reason": "The answer is empty.",
        "preview": "",
    },
    "prefixes": {
        "prefix_id": "gsm-1/1",
        "seed_id": "gsm-1",
        "n_steps": 1,
        "n_seed_steps": 2,
        "question": "How many apples?",
        "steps": ["Find the total.\n"],
        "factors": ["RestateGoal"],
        "answer": "18",
        "verifier": "exact",
    },
    "nodes": {
        "node_id": "n1",
        "prefix_id": "gsm-1/1",
        "seed_id": "gsm-1",
        "parent_id": "n0",
        "depth": 1,
        "step_idx": 1,
        "factor": "Compute",
        "text": "3 * 6 = 18",
        "prior": 0.5,
        "legal_factors": ["Compute", "Answer"],
        "priors": [0.75, 0.25],
        "evaluation": 0.5,
        "n_visits": 3,
        "value": 1.0,
        "n_rollouts": 2,
        "n_correct": 2,
        "chosen": True,
        "replica_idx": 0,
        "outcome": None,
        "answer": None,
        "n_tokens": 7,
        "min_logprob": -0.25,
        "completion_key": "k1",
    },
    "rollouts": {
        "rollout_id": "k1/puct",
        "prefix_id": "gsm-1/1",
        "seed_id": "gsm-1",
        "node_id": "n1",
        "algorithm": "puct",
        "sample_idx": 0,
        "n_given_steps": 1,
        "steps": ["Find the total.", "3 * 6 = 18"],
        "factors": ["RestateGoal", "Compute"],
        "step_source": ["gsm-1#0", "k1"],
        "step_n_tokens": [7],
        "step_min_logprob": [-0.25],
        "sloppy": False,
        "tail": "",
        "answer": "18",
        "gold": "18",
        "verifier": "math",
        "outcome": "correct",
        "reason": "equal",
        "n_tokens": 9,
        "temperature": 1.0,
        "engine": "e1",
        "completion_key": "k1",
    },
    "traces": {
        "trace_id": "t1",
        "seed_id": "gsm-1",
        "prefix_id": "gsm-1/1",
        "rollout_id": "k1/puct",
        "node_id": None,
        "question": "How many apples?",
        "steps": ["Find the total.\n", "3 * 6 = 18"],
        "factors": ["RestateGoal", "Compute"],
        "step_provenance": ["human", "model"],
        "step_source": ["gsm-1#0", "k1"],
        "n_human_steps": 1,
        "answer": "18",
        "gold": "18",
        "verifier": "math",
        "outcome": "correct",
        "provenance": "model",
        "engine": "e1",
        "markup": "<Think_Start>…<Think_End>18",
    },
    "step_labels": {
        "trace_id": "t1",
        "seed_id": "gsm-1",
        "step_idx": 1,
        "factor": "Compute",
        "text": "3 * 6 = 18",
        "provenance": "model",
        "step_source": "k1",
        "n_trials": 4,
        "n_successes": 3,
        "mc_value": 0.75,
        "wilson_low": 0.3,
        "wilson_high": 0.95,
        "surprisal": 0.5,
        "action_surprisal": 0.25,
        "p_before_error": 0.875,
        "value": 0.625,
        "advantage": 0.125,
        "prover_advantage": 0.0625,
        "relative_progress": 1.25,
        "hard_label": True,
        "confidence": 0.875,
        "label_source": "posterior",
    },
    "critiques": {
        "trace_id": "t1",
        "seed_id": "gsm-1",
        "judge": "native_critique",
        "vote_idx": 0,
        "first_error": 1,
        "quote": "3 * 6 = 20",
        "reason": "the result is wrong",
        "text": "<ACT_CheckStep-Start> …",
        "remarks": [
            {"step_idx": 0, "analysis": "the goal", "verdict": "holds"},
            {"step_idx": 1, "analysis": "3 * 6 = 18 is due", "verdict": "wrong"},
        ],
        "n_tokens": 70,
        "completion_key": "k2",
        "engine": "e1",
    },
    "trace_labels": {
        "trace_id": "t1",
        "seed_id": "gsm-1",
        "outcome": "wrong",
        "n_steps": 2,
        "n_rollouts": 8,
        "n_tokens": 90,
        "first_error": 1,
        "first_error_mass": 0.625,
        "no_error_mass": 0.125,
        "p_first_error": [0.25, 0.625, 0.125],
        "judge_first_error": 1,
        "judge_share": 1.0,
        "n_votes": 3,
        "agrees": True,
        "verified": True,
        "review_rank": None,
        "human_first_error": None,
        "n_reviews": None,
    },
    "sft": {
        "messages": [
            {"role": "user", "content": "How many apples?"},
            {"role": "assistant", "content": "<think>3 * 6 = 18</think>18"},
        ],
        "id": "t1",
        "seed_id": "gsm-1",
        "masked_spans": [{"start": 7, "end": 9}, {"start": 9, "end": 12}],
        "summary": None,
    },
    "prm": {
        "prompt": "How many apples?\n",
        "completions": ["Find the total.", "3 * 6 = 18"],
        "labels": [True, True],
        "id": "t1",
        "seed_id": "gsm-1",
        "step_scores": [0.5, 1.0],
    },
    "rl": {
        "prompt": [{"role": "user", "content": "How many apples?"}],
        "solution": "$18$",
        "answer": "18",
        "data_source": "datagen/apples",
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "18", "verifier": "math"},
        "extra_info": {
            "index": 0,
            "split": "train",
            "seed_id": "gsm-1",
            "verifier": "math",
            "pass_rate": 0.5,
            "n_rollouts": 8,
            "difficulty": "medium",
        },
    },
}

GOOD["executions"] = {
    "seed_id": "double",
    "call": "double(3)",
    "returned": "6",
    "raised": None,
    "complete": True,
    "n_moments": 2,
    "run": "double(3)\ndouble(3) returns 6\n",
    "record": "{}",
}
GOOD["code_thoughts"] = {
    "thought_id": "a1",
    "seed_id": "double",
    "route": "model",
    "thought_idx": 0,
    "attempt": 1,
    "revises": "a0",
    "question": "Double a number.",
    "code": "def double(x):\n    return 2 * x\n",
    "steps": ["so double(3) returns 6"],
    "factors": ["CheckResult"],
    "step_checks": ["checked"],
    "claims": [
        {
            "step_idx": 0,
            "kind": "returns",
            "text": "double(3) returns 6",
            "subject": "double(3)",
            "value": "6",
            "verdict": "holds",
            "actual": "6",
        }
    ],
    "first_error": -1,
    "leak": None,
    "n_round_trips": 4,
    "n_passed": 3,
    "n_bare": 4,
    "n_bare_passed": 1,
    "sufficiency": 0.5,
    "regenerated": "def double(x):\n    return x\n",
    "verified": True,
    "reasons": [],
    "n_tokens": 20,
    "engine": "toy",
    "completion_key": "key",
}
GOOD["code_tasks"] = {
    "task_id": "double/output.0",
    "seed_id": "double",
    "source": "functions.jsonl",
    "license": "MIT",
    "kind": "output",
    "question": "What does double(3) return?",
    "steps": ["so double(3) returns 6"],
    "factors": ["CheckResult"],
    "answer": "6",
    "gold": "6",
    "verifier": "python_output",
}
GOOD["probes"] = GOOD["rollouts"] | {"node_id": None, "algorithm": "first_error"}
GOOD["raw_rollouts"] = GOOD["rollouts"] | {"question": "How many apples?"}

GOOD["corrections"] = GOOD["traces"] | {
    "steps": ["Find the total.\n", "3 * 6 = 12", "wait", "3 * 6 = 18", "18"],
    "factors": ["RestateGoal", "Compute", "DetectError", "CorrectError", "Answer"],
    "step_provenance": ["human", "model", "model", "model", "model"],
    "step_source": ["gsm-1#0", "k2", "k3", "k4", "k1"],
    "kind": "splice",
    "n_attempts": 1,
    "wrong_trace_ids": ["t2"],
    "right_trace_id": "t1",
    "edit_distances": [2],
    "step_roles": ["right", "wrong", "detect", "correct", "right"],
    "step_labels": [True, False, None, True, True],
    "attempt_idx": [-1, 0, -1, -1, -1],
}
GOOD["tags"] = {
    "trace_id": "t1",
    "seed_id": "gsm-1",
    "step_idx": 1,
    "text": "3 * 6 = 18",
    "factor": "Compute",
    "probability": 0.875,
    "runner_up": "Deduce",
    "tagger": "classifier",
    "needs_review": False,
    "depends_on": [-1, 0],
    "taxonomy": "2",
}
GOOD["orm"] = {
    "prompt": "How many apples?\n",
    "completion": "<think>\n3 * 6 = 20\n</think>\n\n20",
    "label": 0,
    "id": "t2",
    "seed_id": "gsm-1",
}
GOOD["processbench"] = {
    "id": "t2",
    "generator": "e1",
    "problem": "How many apples?",
    "steps": ["Find the total.", "3 * 6 = 20"],
    "final_answer_correct": False,
    "label": 1,
    "seed_id": "gsm-1",
}
GOOD["advantages"] = {
    "id": "t1",
    "seed_id": "gsm-1",
    "prompt": "How many apples?\n",
    "completions": ["Find the total.", "3 * 6 = 20"],
    "factors": ["RestateGoal", "Compute"],
    "values": [0.5, 0.0],
    "advantages": [None, -0.5],
    "prover_advantages": [None, None],
    "pit": 1,
    "outcome": "wrong",
    "label_source": "rollouts",
}
GOOD["preference"] = {
    "prompt": [{"role": "user", "content": "How many apples?"}],
    "chosen": [{"role": "assistant", "content": "3 * 6 = 18"}],
    "rejected": [{"role": "assistant", "content": "3 * 6 = 2"}],
    "id": "t1:t2",
    "seed_id": "gsm-1",
}
GOOD["step_preference"] = {
    "id": "n1:n2",
    "seed_id": "gsm-1",
    "prompt": "Question: How many apples?\n",
    "chosen": "3 * 6 = 18",
    "rejected": "3 * 6 = 20",
    "delta_q": 0.5,
    "kind": "replica",
    "n_chosen": 3,
    "n_rejected": 1,
    "chosen_factor": "Compute",
    "rejected_factor": "Compute",
}
GOOD["kto"] = {
    "prompt": [{"role": "user", "content": "How many apples?"}],
    "completion": [{"role": "assistant", "content": "3 * 6 = 20"}],
    "label": False,
    "id": "t2",
    "seed_id": "gsm-1",
}
GOOD["policy_value"] = {
    "id": "n1",
    "prefix_id": "gsm-1/1",
    "seed_id": "gsm-1",
    "depth": 1,
    "question": "How many apples?",
    "steps": ["Find the total.", "3 * 6 = 18"],
    "factors": ["RestateGoal", "Compute"],
    "prompt": "Question: How many apples?",
    "legal_factors": ["Compute", "Answer"],
    "prior": [0.75, 0.25],
    "visits": [0, 2],
    "pi": [0.0, 1.0],
    "q": [None, 1.0],
    "n_visits": 3,
    "value": 0.75,
    "chosen_factor": "Answer",
    "segment": "18",
    "outcome": "correct",
    "taxonomy": "2",
}

GOOD["critique"] = {
    "messages": [
        {"role": "user", "content": "How many apples?"},
        {"role": "assistant", "content": "Step 0: so. Verdict: wrong.\n\n\\boxed{0}"},
    ],
    "id": "t1/native_critique/0",
    "seed_id": "gsm-1",
    "label": 0,
    "n_steps": 2,
}
GOOD["summaries"] = {
    "trace_id": "t1",
    "seed_id": "gsm-1",
    "summary": "Counts the bags. The answer is 18.",
    "writer": "model",
    "n_attempts": 2,
    "reason": None,
    "completion_key": "k3",
    "engine": "e1",
}
GOOD["rubric_rewards"] = {
    "rollout_id": "k1/puct",
    "seed_id": "essay-1",
    "prompt": "Why is the sky blue?",
    "completion": "Air scatters blue light most.",
    "criteria": [
        {"criterion": "Names scattering.", "weight": 3.0},
        {"criterion": "Is polite.", "weight": 1.0},
    ],
    "scores": [1.0, 0.5],
    "reward": 0.875,
    "engine": "e1",
}

RL_INFO: Row = GOOD["rl"]["extra_info"]
GOOD["rejections"] = {
    "id": "gsm-1",
    "rule": "near_duplicate",
    "kind": "question",
    "seed_id": "gsm-1",
    "reason": "it is almost the same question as gsm-0",
    "other": "gsm-0",
    "score": 0.875,
    "preview": "Tom has 3 bags",
}
GOOD["questions"] = {
    "question_id": "gsm-1",
    "seed_id": "gsm-1",
    "domain": "math",
    "split": "train",
    "n_words": 9,
    "language": "en",
    "pass_rate": 0.5,
    "n_rollouts": 8,
    "difficulty": "medium",
}
GOOD["benchmark_checks"] = {
    "name": "gsm8k",
    "source": "gsm8k.jsonl",
    "digest": "9f86d081",
    "n_rows": 1319,
    "n_checked": 65,
    "n_rejected": 0,
}

EXTRACT: Row = {"writer": "extract", "n_attempts": 0, "completion_key": None, "engine": None}
QUEUED: Row = {"verified": False, "review_rank": 3}

GOOD["review_queue"] = {
    "item_id": "t1",
    "trace_id": "t1",
    "seed_id": "gsm-1",
    "kind": "trace",
    "rank": 0,
    "value": 0.5,
    "reason": "uncertain",
    "stratum": "trace/wrong/short/hard",
    "n_wanted": 2,
    "question": "How many apples?",
    "gold": "18",
    "answer": "19",
    "outcome": "wrong",
    "steps": ["3 * 6 = 19", "19"],
    "factors": ["Compute", "Answer"],
    "factor_doubts": [1],
    "n_trials": [4, 0],
    "n_successes": [1, 0],
    "p_first_error": [0.625, 0.25, 0.125],
    "first_error": 0,
    "first_error_mass": 0.625,
    "judge_first_error": 1,
    "judge_text": "native_critique: step 1 is wrong",
    "step_roles": [],
    "step_checks": [],
    "trap_first_error": None,
    "decisions_before": [],
}
GOOD["reviews"] = {
    "review_id": "argilla/t1/ann",
    "item_id": "t1",
    "trace_id": "t1",
    "annotator": "ann",
    "submitted_at": "2026-11-23T01:02:03.5Z",
    "first_error": 0,
    "answer_verdict": "wrong",
    "rating": 2,
    "factors": [{"step_idx": 1, "factor": "Answer"}],
    "corrected_step_idx": 0,
    "corrected_step": "3 * 6 = 18",
    "comment": "",
    "tool": "argilla",
}
GOOD["decisions"] = {
    "trace_id": "t1",
    "seed_id": "gsm-1",
    "first_error": 0,
    "answer_verdict": "wrong",
    "status": "decided",
    "decided_by": "majority",
    "n_reviews": 3,
    "n_agreeing": 2,
    "annotators": ["ann", "bob", "eve"],
    "answers": [0, -1, 0],
    "factors": [],
    "corrected_step_idx": 0,
    "corrected_step": "3 * 6 = 18",
    "believed_first_error": -1,
    "is_random": False,
    "trap_first_error": None,
}
GOOD["annotators"] = {
    "annotator": "ann",
    "n_reviews": 4,
    "n_traps": 2,
    "n_traps_right": 1,
    "accuracy": 0.5,
    "n_with_others": 3,
    "agreement": 0.75,
}
DECIDED: Row = {"label_source": "human", "confidence": None, "p_before_error": 1.0}
REFUTED: Row = DECIDED | {"value": None, "advantage": None, "prover_advantage": None}
OPEN: Row = {"status": "disputed", "first_error": None, "decided_by": None, "n_agreeing": 0}

NOT_MEASURED: Row = {
    "surprisal": None,
    "action_surprisal": None,
    "p_before_error": None,
    "value": None,
    "advantage": None,
    "prover_advantage": None,
    "relative_progress": None,
    "confidence": None,
}
NO_TRIALS: Row = {
    "n_trials": 0,
    "n_successes": 0,
    "mc_value": None,
    "wilson_low": None,
    "wilson_high": None,
}

ALSO_GOOD: list[tuple[str, Row]] = [
    ("rejections", {"rule": "gold", "other": None, "score": None, "preview": ""}),
    ("rejections", {"rule": "contaminated", "other": "gsm8k#7", "score": 1.0}),
    ("rejections", {"rule": "difficulty", "other": None, "score": 0.0}),
    ("questions", {"pass_rate": None, "n_rollouts": 0, "difficulty": "unknown", "language": None}),
    ("questions", {"question_id": "gsm-1/output.0", "split": "test"}),
    ("benchmark_checks", {"source": "", "n_checked": 0}),
    ("processbench", {"final_answer_correct": True, "label": -1}),
    ("processbench", {"final_answer_correct": True}),
    ("advantages", {"pit": -1}),
    ("advantages", {"pit": -1, "outcome": "correct"}),
    ("step_preference", {"rejected_factor": "Plan", "kind": "factor"}),
    ("seeds", {"facts": []}),
    ("seeds", {"verifier": "rubric", "criteria": [{"criterion": "Is short.", "weight": 0.5}]}),
    ("sft", {"summary": "Counts. The answer is 18."}),
    ("sft", {"masked_spans": []}),
    ("critique", {"label": -1, "messages": [{"role": "user", "content": "\n\\boxed{-1}"}]}),
    ("summaries", EXTRACT),
    ("summaries", EXTRACT | {"summary": None, "reason": "too long"}),
    ("summaries", {"summary": None, "reason": "too long", "completion_key": None}),
    ("critiques", {"remarks": []}),
    ("prefixes", {"n_steps": 0, "n_seed_steps": 0, "steps": [], "factors": []}),
    (
        "nodes",  # a root
        {
            "parent_id": None,
            "depth": 0,
            "step_idx": -1,
            "factor": None,
            "text": None,
            "prior": None,
            "value": None,
            "replica_idx": -1,
            "min_logprob": None,
            "completion_key": None,
        },
    ),
    ("rollouts", {"outcome": "truncated", "answer": None, "step_min_logprob": [None]}),
    ("nodes", {"legal_factors": [], "priors": [], "evaluation": None}),
    ("nodes", {"outcome": "wrong", "answer": "20"}),
    ("traces", {"rollout_id": None, "node_id": "n1"}),
    (
        "corrections",
        {
            "kind": "attempts",
            "step_roles": ["wrong", "wrong", "detect", "backtrack", "right"],
            "step_labels": [None, False, None, None, True],
            "attempt_idx": [0, 0, -1, -1, -1],
        },
    ),
    ("policy_value", {"outcome": None}),
    ("tags", {"depends_on": [], "runner_up": None, "probability": 1.0, "tagger": "native"}),
    ("traces", {"rollout_id": None, "engine": None, "provenance": "human", "n_human_steps": 2}),
    ("step_labels", NOT_MEASURED | NO_TRIALS | {"hard_label": None, "label_source": "none"}),
    ("step_labels", NOT_MEASURED | {"label_source": "rollouts"}),
    ("step_labels", NO_TRIALS),  # a posterior needs no rollout of this very step
    ("step_labels", DECIDED),
    ("step_labels", REFUTED),
    ("step_labels", NOT_MEASURED | DECIDED),
    ("trace_labels", {"human_first_error": 1, "n_reviews": 2}),
    # people come before the judges
    (
        "trace_labels",
        {"judge_first_error": 0, "agrees": False, "human_first_error": 1, "n_reviews": 2},
    ),
    ("review_queue", {"kind": "code", "step_checks": ["contradicted", "uncheckable"]}),
    ("review_queue", {"kind": "correction", "step_roles": ["right", "right"]}),
    ("review_queue", {"reason": "trap", "trap_first_error": -1}),
    ("review_queue", {"reason": "dispute", "decisions_before": ["ann: step 1 is wrong"]}),
    ("review_queue", {"first_error": -1, "first_error_mass": 0.125, "judge_first_error": None}),
    ("reviews", {"first_error": None, "answer_verdict": None, "rating": None, "factors": []}),
    ("reviews", {"corrected_step_idx": None, "corrected_step": None}),
    ("reviews", {"submitted_at": "2026-11-23T01:02:03+00:00"}),
    ("decisions", OPEN),
    ("decisions", {"trap_first_error": -1}),
    ("annotators", {"n_traps": 0, "n_traps_right": 0, "accuracy": None}),
    ("annotators", {"n_with_others": 0, "agreement": None}),
    ("step_labels", {"advantage": -0.5, "prover_advantage": -0.75, "relative_progress": 0.0}),
    # the rounding of a posterior
    ("step_labels", {"p_before_error": 1 + 1e-12, "value": -1e-12, "confidence": 1 + 1e-12}),
    # the rounding that a Wilson interval has at its ends
    ("step_labels", {"n_successes": 4, "mc_value": 1.0, "wilson_high": 1 - 1e-16}),
    ("step_labels", {"n_successes": 0, "mc_value": 0.0, "wilson_low": -1e-18}),
    ("critiques", {"first_error": -1, "quote": ""}),
    ("critiques", {"first_error": 2, "remarks": []}),
    ("critiques", {"first_error": None, "quote": ""}),
    ("critiques", {"judge": "checker", "n_tokens": 0, "completion_key": None, "engine": None}),
    ("trace_labels", {"agrees": False, "judge_first_error": 0} | QUEUED),
    ("trace_labels", {"agrees": None, "judge_first_error": None, "judge_share": None} | QUEUED),
    ("trace_labels", {"first_error": -1, "first_error_mass": 0.125, "judge_first_error": -1}),
    # the rounding of a sum
    ("trace_labels", {"p_first_error": [0.25, 0.625, 0.125 + 1e-7]}),
    (
        "trace_labels",  # no step at all
        {
            "n_steps": 0,
            "first_error": -1,
            "first_error_mass": 1.0,
            "no_error_mass": 1.0,
            "p_first_error": [1.0],
            "judge_first_error": -1,
        },
    ),
]

BAD: list[tuple[str, str, Row]] = [
    ("rejections", "repeats_something_else", {"other": "gsm-1"}),
    ("rejections", "rule|one_of", {"rule": "boring"}),
    ("rejections", "score|max", {"score": 1.5}),
    ("questions", "difficulty_unknown_without_a_rate", {"pass_rate": None}),
    ("questions", "difficulty_unknown_without_a_rate", {"difficulty": "unknown"}),
    ("questions", "split|one_of", {"split": "validation"}),
    ("benchmark_checks", "n_rows|min", {"n_rows": 0}),
    ("sft", "seed_id|min_length", {"seed_id": ""}),
    ("rl", "extra_info|inner_split_one_of", {"extra_info": RL_INFO | {"split": "dev"}}),
    ("rl", "extra_info|inner_difficulty_one_of", {"extra_info": RL_INFO | {"difficulty": "odd"}}),
    ("orm", "label|max", {"label": 2}),
    ("orm", "label|min", {"label": -1}),
    ("orm", "prompt|regex", {"prompt": "How many apples?"}),
    ("orm", "completion|min_length", {"completion": ""}),
    ("processbench", "label_within_steps", {"label": 2}),
    ("processbench", "label|min", {"label": -2}),
    ("processbench", "wrong_answer_has_a_wrong_step", {"label": -1}),
    ("processbench", "steps|min_length", {"steps": [], "label": -1, "final_answer_correct": True}),
    ("processbench", "steps|inner_min_length", {"steps": ["", "3 * 6 = 20"]}),
    ("advantages", "one_entry_per_step", {"factors": ["Compute"]}),
    ("advantages", "one_entry_per_step", {"values": [0.5]}),
    ("advantages", "one_entry_per_step", {"advantages": []}),
    ("advantages", "one_entry_per_step", {"prover_advantages": [None]}),
    ("advantages", "pit_within_steps", {"pit": 2}),
    ("advantages", "pit|min", {"pit": -2}),
    ("advantages", "only_wrong_traces_have_a_pit", {"outcome": "correct"}),
    ("preference", "each_is_one_message", {"prompt": GOOD["sft"]["messages"]}),
    ("preference", "each_is_one_message", {"rejected": GOOD["preference"]["prompt"]}),
    ("preference", "each_is_one_message", {"chosen": GOOD["sft"]["messages"][::-1]}),
    (
        "preference",
        "chosen_goes_another_way",
        {"rejected": [{"role": "assistant", "content": "3 * 6 = 1"}]},
    ),
    ("step_preference", "delta_q_above_0", {"delta_q": 0.0}),
    ("step_preference", "steps_differ", {"rejected": "3 * 6 = 18"}),
    ("step_preference", "kind_says_whether_factors_differ", {"rejected_factor": "Plan"}),
    ("step_preference", "kind_says_whether_factors_differ", {"kind": "factor"}),
    ("kto", "ends_with_one_reply", {"completion": GOOD["kto"]["prompt"]}),
    ("kto", "ends_with_one_reply", {"completion": GOOD["sft"]["messages"]}),
    ("tags", "depends_on_what_came_before", {"depends_on": [0, 1]}),
    ("tags", "depends_on|inner_min", {"depends_on": [-2]}),
    ("tags", "probability|max", {"probability": 1.5}),
    ("seeds", "steps_join_to_thought", {"thought": "Find the total. 3 * 6 = 18"}),
    ("seeds", "one_factor_per_step", {"factors": ["Compute"]}),
    ("seeds", "facts_within_steps", {"facts": [{"step_idx": 2, "expression": "", "value": ""}]}),
    (
        "seeds",
        "facts|inner_inner_step_idx_min",
        {"facts": [{"step_idx": -1, "expression": "", "value": ""}]},
    ),
    ("seeds", "question|min_length", {"question": ""}),
    ("seeds", "steps|min_length", {"steps": [], "factors": [], "facts": []}),
    ("seeds", "answer|min_length", {"answer": ""}),
    ("code_seeds", "calls_are_of_the_entry_point", {"calls": ["double(3)", "triple(3)"]}),
    ("code_seeds", "calls_are_of_the_entry_point", {"calls": ["double"]}),
    ("code_seeds", "calls_are_unique", {"calls": ["double(3)", "double(3)"]}),
    ("code_seeds", "calls_are_short", {"calls": [f"double({'1' * 300})"]}),
    ("code_seeds", "calls|min_length", {"calls": []}),
    ("code_seeds", "calls|max_length", {"calls": [f"double({i})" for i in range(13)]}),
    ("code_seeds", "entry_point|regex", {"entry_point": "no name"}),
    ("quarantine", "row_idx|min", {"row_idx": -1}),
    ("quarantine", "reason|min_length", {"reason": ""}),
    ("prefixes", "n_steps_counts_steps", {"n_steps": 0}),
    ("prefixes", "one_factor_per_step", {"factors": []}),
    ("prefixes", "leaves_a_step_to_write", {"n_seed_steps": 1}),
    ("nodes", "n_correct_within_n_rollouts", {"n_correct": 3}),
    ("nodes", "only_the_root_has_no_parent_and_no_text", {"parent_id": None}),
    ("nodes", "only_the_root_has_no_parent_and_no_text", {"text": None}),
    ("nodes", "only_the_root_has_no_parent_and_no_text", {"depth": 0}),
    ("nodes", "one_prior_per_legal_factor", {"legal_factors": ["Compute"]}),
    ("nodes", "priors_sum_to_one", {"priors": [0.5, 0.25]}),
    ("nodes", "decided_outcome_has_an_answer", {"outcome": "wrong"}),
    ("traces", "drawn_or_put_together", {"node_id": "n1"}),
    ("policy_value", "one_factor_per_step", {"factors": ["Compute"]}),
    ("policy_value", "one_entry_per_legal_factor", {"q": [1.0]}),
    ("policy_value", "prior_and_pi_sum_to_one", {"prior": [0.5, 0.25]}),
    ("policy_value", "prior_and_pi_sum_to_one", {"pi": [0.5, 0.25]}),
    ("policy_value", "visits_add_up", {"n_visits": 4}),
    ("policy_value", "chosen_factor_is_legal", {"chosen_factor": "Plan"}),
    ("nodes", "prior|max", {"prior": 1.5}),
    ("nodes", "value|nan", {"value": float("nan")}),
    ("nodes", "min_logprob|max", {"min_logprob": 0.5}),
    ("rollouts", "one_entry_per_step", {"factors": []}),
    ("rollouts", "one_entry_per_step", {"step_source": []}),
    ("rollouts", "one_entry_per_own_step", {"step_n_tokens": [1, 2]}),
    ("rollouts", "one_entry_per_own_step", {"step_min_logprob": []}),
    ("rollouts", "one_entry_per_own_step", {"n_given_steps": 3}),
    ("rollouts", "decided_outcome_has_an_answer", {"answer": None}),
    ("rollouts", "decided_outcome_has_an_answer", {"answer": None, "outcome": "wrong"}),
    ("traces", "one_entry_per_step", {"factors": ["Compute"]}),
    ("traces", "one_entry_per_step", {"step_provenance": ["human"]}),
    ("traces", "one_entry_per_step", {"step_source": []}),
    ("traces", "n_human_steps_within_steps", {"n_human_steps": 3}),
    ("traces", "step_provenance|inner_one_of", {"step_provenance": ["human", "robot"]}),
    ("step_labels", "n_successes_within_n_trials", {"n_successes": 5}),
    ("step_labels", "mc_value_null_without_trials", {"mc_value": None}),
    ("step_labels", "mc_value_null_without_trials", {"n_trials": 0, "n_successes": 0}),
    ("step_labels", "interval_holds_mc_value", {"wilson_low": 0.8}),
    ("step_labels", "interval_holds_mc_value", {"wilson_high": 0.7}),
    ("step_labels", "interval_holds_mc_value", {"wilson_low": -0.1, "wilson_high": None}),
    ("step_labels", "interval_holds_mc_value", {"wilson_high": 1.1}),
    ("step_labels", "probabilities_within_0_and_1", {"p_before_error": 1.01}),
    ("step_labels", "probabilities_within_0_and_1", {"value": -0.01}),
    ("step_labels", "probabilities_within_0_and_1", {"confidence": 1.5}),
    *(
        ("step_labels", "posterior_columns_go_together", {name: None})
        for name in ("p_before_error", "value", "advantage", "confidence")
    ),
    ("step_labels", "posterior_columns_go_together", {"label_source": "rollouts"}),
    ("step_labels", "posterior_columns_go_together", NOT_MEASURED),
    ("step_labels", "posterior_columns_go_together", DECIDED | {"confidence": 1.0}),
    ("step_labels", "posterior_columns_go_together", DECIDED | {"advantage": None}),
    ("step_labels", "people_decide", DECIDED | {"p_before_error": 0.0}),
    ("step_labels", "people_decide", DECIDED | {"p_before_error": None}),
    ("step_labels", "people_decide", DECIDED | {"hard_label": None, "p_before_error": None}),
    ("review_queue", "item_is_the_trace", {"item_id": "t2"}),
    ("review_queue", "one_entry_per_step", {"n_trials": [4]}),
    ("review_queue", "one_entry_per_step", {"factors": ["Compute"]}),
    ("review_queue", "one_role_and_check_per_step_or_none", {"kind": "code"}),
    ("review_queue", "one_role_and_check_per_step_or_none", {"step_roles": ["right", "right"]}),
    (
        "review_queue",
        "one_probability_per_step_and_one_for_none",
        {"p_first_error": [0.625, 0.25, 0.0, 0.125]},
    ),
    (
        "review_queue",
        "one_probability_per_step_and_one_for_none",
        {"p_first_error": [0.625, 0.25, 0.25]},
    ),
    ("review_queue", "first_error_mass_is_its_entry", {"first_error_mass": 0.25}),
    ("review_queue", "steps_exist", {"judge_first_error": 2}),
    ("review_queue", "steps_exist", {"factor_doubts": [2]}),
    ("review_queue", "only_traps_have_a_known_truth", {"reason": "trap"}),
    ("review_queue", "only_traps_have_a_known_truth", {"trap_first_error": 0}),
    (
        "review_queue",
        "only_disputes_were_decided_on_before",
        {"decisions_before": ["ann: step 1 is wrong"]},
    ),
    ("reviews", "corrected_step_has_a_place", {"corrected_step_idx": None}),
    ("reviews", "submitted_at|regex", {"submitted_at": "2026-11-23 01:02:03"}),
    ("reviews", "rating|max", {"rating": 6}),
    ("decisions", "decided_unless_disputed", OPEN | {"decided_by": "senior"}),
    ("decisions", "decided_unless_disputed", {"decided_by": None}),
    ("decisions", "one_answer_per_annotator", {"annotators": ["ann", "bob", "ann"]}),
    ("decisions", "one_answer_per_annotator", {"n_reviews": 2}),
    ("decisions", "n_agreeing_counts_the_answers", {"n_agreeing": 3}),
    ("decisions", "n_agreeing_counts_the_answers", OPEN | {"n_agreeing": 1}),
    ("decisions", "corrected_step_has_a_place", {"corrected_step": None}),
    ("annotators", "counts_within_each_other", {"n_traps_right": 3}),
    ("annotators", "counts_within_each_other", {"n_with_others": 5}),
    ("annotators", "shares_null_without_anything_to_share", {"accuracy": None}),
    ("annotators", "shares_null_without_anything_to_share", {"n_with_others": 0}),
    ("step_labels", "surprisal|min", {"surprisal": -0.1}),
    ("step_labels", "action_surprisal|min", {"action_surprisal": -0.1}),
    ("step_labels", "relative_progress|min", {"relative_progress": -0.1}),
    ("step_labels", "advantage|nan", {"advantage": float("nan")}),
    ("seeds", "criteria_of_rubric_seeds", {"verifier": "rubric"}),
    (
        "seeds",
        "criteria_of_rubric_seeds",
        {"criteria": [{"criterion": "Is short.", "weight": 1.0}]},
    ),
    (
        "seeds",
        "criteria|inner_inner_weight_min_exclusive",
        {"verifier": "rubric", "criteria": [{"criterion": "Is short.", "weight": 0.0}]},
    ),
    ("critiques", "remarks_in_the_order_of_steps", {"first_error": 0}),
    (
        "critiques",
        "remarks_in_the_order_of_steps",
        {"remarks": [{"step_idx": i, "analysis": "a", "verdict": "wrong"} for i in (1, 0)]},
    ),
    ("critique", "label_within_steps", {"n_steps": 1, "label": 1}),
    ("critique", "reply_ends_with_the_label", {"label": 1}),
    ("summaries", "summary_or_reason", {"reason": "too long"}),
    ("summaries", "summary_or_reason", {"summary": None, "completion_key": None}),
    ("summaries", "only_a_model_is_asked", {"n_attempts": 0}),
    ("summaries", "only_a_model_is_asked", EXTRACT | {"engine": "e1"}),
    ("summaries", "completion_of_a_models_summary", {"completion_key": None}),
    ("summaries", "completion_of_a_models_summary", {"summary": None, "reason": "too long"}),
    ("rubric_rewards", "one_score_per_criterion", {"scores": [0.875]}),
    ("rubric_rewards", "reward_is_the_weighted_mean", {"reward": 0.75}),
    ("rubric_rewards", "scores|inner_max", {"scores": [1.0, 1.5]}),
    ("critiques", "quote_is_of_a_step", {"first_error": -1}),
    ("critiques", "quote_is_of_a_step", {"first_error": None}),
    ("critiques", "engine_and_completion_go_together", {"engine": None}),
    ("critiques", "engine_and_completion_go_together", {"completion_key": None}),
    ("critiques", "first_error|min", {"first_error": -2, "quote": ""}),
    (
        "trace_labels",
        "one_probability_per_step_and_one_for_none",
        {"p_first_error": [0.25, 0.625, 0.0, 0.125]},
    ),
    ("trace_labels", "one_probability_per_step_and_one_for_none", {"n_steps": 3}),
    ("trace_labels", "p_first_error_sums_to_one", {"p_first_error": [0.24, 0.625, 0.125]}),
    ("trace_labels", "p_first_error|inner_min", {"p_first_error": [-0.25, 1.125, 0.125]}),
    ("trace_labels", "masses_are_entries_of_p_first_error", {"first_error_mass": 0.6}),
    ("trace_labels", "masses_are_entries_of_p_first_error", {"no_error_mass": 0.2}),
    ("trace_labels", "masses_are_entries_of_p_first_error", {"first_error": 0}),
    ("trace_labels", "first_errors_within_steps", {"first_error": 2}),
    (
        "trace_labels",
        "first_errors_within_steps",
        {"judge_first_error": 2, "agrees": False} | QUEUED,
    ),
    ("trace_labels", "judge_share_with_a_verdict", {"judge_share": None}),
    (
        "trace_labels",
        "judge_share_with_a_verdict",
        {"judge_first_error": None, "agrees": None} | QUEUED,
    ),
    ("trace_labels", "agrees_compares_the_two", {"judge_first_error": 0}),
    ("trace_labels", "agrees_compares_the_two", {"agrees": False} | QUEUED),
    ("trace_labels", "agrees_compares_the_two", {"agrees": None} | QUEUED),
    (
        "trace_labels",
        "verified_only_if_agreed_or_decided",
        {"agrees": False, "judge_first_error": 0},
    ),
    (
        "trace_labels",
        "verified_only_if_agreed_or_decided",
        {"human_first_error": 1, "n_reviews": 2} | QUEUED,
    ),
    ("trace_labels", "people_come_first", {"human_first_error": 0, "n_reviews": 2}),
    ("trace_labels", "people_come_first", {"human_first_error": 1}),
    ("trace_labels", "review_rank_unless_verified", {"review_rank": 0}),
    ("trace_labels", "review_rank_unless_verified", {"verified": False}),
    ("sft", "messages|min_length", {"messages": []}),
    *(
        (
            "sft",
            "spans_are_of_the_reply",
            {"masked_spans": [{"start": start, "end": end} for start, end in spans]},
        )
        for spans in ([(7, 7)], [(7, 9), (8, 12)], [(7, 9), (1, 3)], [(7, 28)])
    ),
    ("sft", "messages|inner_inner_role_one_of", {"messages": [{"role": "bot", "content": ""}]}),
    ("prm", "one_label_and_score_per_step", {"labels": [True]}),
    ("prm", "one_label_and_score_per_step", {"step_scores": []}),
    ("prm", "prompt|regex", {"prompt": "How many apples?"}),
    ("rl", "formulas_in_dollars", {"solution": "18"}),
    ("rl", "formulas_in_dollars", {"solution": "$18$."}),
    ("rl", "solution|min_length", {"solution": ""}),
    ("code_thoughts", "one_entry_per_step", {"factors": []}),
    ("code_thoughts", "one_entry_per_step", {"step_checks": []}),
    ("code_thoughts", "verified_without_reasons", {"reasons": ["it fails"]}),
    ("code_thoughts", "verified_without_reasons", {"verified": False}),
    ("code_thoughts", "verified_means_no_false_claim", {"first_error": 0}),
    ("code_thoughts", "verified_means_no_false_claim", {"leak": "the code"}),
    ("code_thoughts", "counts_within_samples", {"n_passed": 5}),
    ("code_thoughts", "counts_within_samples", {"n_bare_passed": 5}),
    ("code_thoughts", "step_checks|inner_one_of", {"step_checks": ["maybe"]}),
    ("code_tasks", "one_factor_per_step", {"factors": []}),
    ("rl", "prompt|min_length", {"prompt": []}),
    (
        "rl",
        "reward_model|inner_style_nullability",
        {"reward_model": {"ground_truth": "18", "verifier": "math"}},
    ),
]

MISTOLD = (
    ["right", "wrong", "correct", "right", "right"],
    ["detect", "wrong", "detect", "right", "right"],
    ["right", "wrong", "detect", "right", "correct"],
    ["right", "wrong", "detect", "detect", "right"],
    ["right", "right", "right", "right", "right"],
)
BAD += [
    *(("corrections", "every_error_is_detected", {"step_roles": roles}) for roles in MISTOLD),
    ("corrections", "one_entry_per_step", {"factors": ["Compute"]}),
    ("corrections", "n_human_steps_within_steps", {"n_human_steps": 6}),
    ("corrections", "drawn_or_put_together", {"node_id": "n1"}),
    ("corrections", "ends_right", {"outcome": "wrong"}),
    ("corrections", "one_role_label_and_attempt_per_step", {"step_labels": [True, False]}),
    ("corrections", "one_role_label_and_attempt_per_step", {"attempt_idx": [0]}),
    ("corrections", "one_trace_and_distance_per_attempt", {"wrong_trace_ids": []}),
    ("corrections", "one_trace_and_distance_per_attempt", {"edit_distances": [2, 3]}),
    ("corrections", "one_trace_and_distance_per_attempt", {"attempt_idx": [-1] * 5}),
    ("corrections", "only_wrong_steps_are_of_attempts", {"attempt_idx": [0, 0, -1, -1, -1]}),
    (
        "corrections",
        "every_attempt_has_a_bad_step",
        {"step_labels": [True, None, None, None, True]},
    ),
    ("corrections", "n_attempts|max", {"n_attempts": 5}),
    ("corrections", "n_attempts|min", {"n_attempts": 0}),
    ("corrections", "step_roles|inner_one_of", {"step_roles": ["right", "bad", "", "", "right"]}),
]

BAD += [
    (again, rule, change)
    for again in ("probes", "raw_rollouts")
    for table, rule, change in BAD
    if table == "rollouts"
]

TABLES = pytest.mark.parametrize("table", CONTRACTS)


def unchecked(table: str, *changes: Row) -> pl.DataFrame:
    """Good rows with changes, typed as the contract has it but not held to its rules."""
    rows = [GOOD[table] | change for change in changes or ({},)]
    return pl.DataFrame(rows, schema=CONTRACTS[table].polars_schema())


@TABLES
def test_a_good_row_passes_unchanged(table: str) -> None:
    frame = unchecked(table)
    assert CONTRACTS[table].validate(frame).equals(frame)
    assert CONTRACTS[table].from_rows([GOOD[table]]).equals(frame)
    assert frame.to_dicts() == [GOOD[table]]


@pytest.mark.parametrize(("table", "change"), ALSO_GOOD)
def test_edge_cases_pass(table: str, change: Row) -> None:
    CONTRACTS[table].validate(unchecked(table, change))


@pytest.mark.parametrize(("table", "rule", "change"), BAD)
def test_a_broken_rule_is_named_with_table_count_and_value(
    table: str, rule: str, change: Row
) -> None:
    with pytest.raises(ContractError) as caught:
        CONTRACTS[table].validate(unchecked(table, change))
    message = str(caught.value)
    assert message.startswith(f"{table}: 1 of 1 rows break the contract")
    assert re.search(rf"^  {re.escape(rule)} \(.+\), rows: 1$", message, re.MULTILINE), message
    assert "    row 0: " in message


BAD_BETWEEN_ROWS: list[tuple[str, str, Row, Row]] = [
    ("questions", "one_split_per_seed", {"split": "train"}, {"question_id": "q", "split": "test"}),
]


@pytest.mark.parametrize(("table", "rule", "first", "second"), BAD_BETWEEN_ROWS)
def test_a_broken_rule_between_rows_names_the_later_one(
    table: str, rule: str, first: Row, second: Row
) -> None:
    with pytest.raises(ContractError, match=rf"{rule} \(.+\), rows: 1\n.*row 1: ") as caught:
        CONTRACTS[table].validate(unchecked(table, first, second))
    assert str(caught.value).startswith(f"{table}: 1 of 2 rows break the contract")


@TABLES
def test_every_rule_with_a_description_has_a_violation_in_these_tests(table: str) -> None:
    broken = [(name, rule) for name, rule, *_ in (*BAD, *BAD_BETWEEN_ROWS)]
    assert {(table, rule) for rule in CONTRACTS[table].rules()} <= set(broken)


def test_probes_are_rollouts_by_another_name() -> None:
    assert Probe.polars_schema() == Rollout.polars_schema()
    assert Probe.primary_key() == Rollout.primary_key()
    assert Probe.rules() == Rollout.rules()
    assert Probe.json_schema()["x-rules"] == Rollout.json_schema()["x-rules"] != {}
    rollouts = Rollout.from_rows([GOOD["rollouts"]])
    assert Probe.validate(rollouts).equals(rollouts)
    assert CONTRACTS["rollouts"] is Rollout and CONTRACTS["probes"] is Probe


@TABLES
def test_each_column_refuses_null_unless_it_is_nullable(table: str) -> None:
    contract = CONTRACTS[table]
    for name, column in contract.columns().items():
        _, failures = contract.filter(unchecked(table, {name: None}))
        failed = [rule for rules in failures["failed_rules"] for rule in rules]
        assert (f"{name}|nullability" in failed) is not column.nullable, (name, failed)


@TABLES
def test_each_closed_column_refuses_other_values(table: str) -> None:
    contract = CONTRACTS[table]
    for name, column in contract.columns().items():
        if hasattr(column, "values"):
            _, failures = contract.filter(unchecked(table, {name: "nonsense"}))
            assert f"{name}|one_of" in failures["failed_rules"][0]


@TABLES
def test_a_repeated_primary_key_is_refused(table: str) -> None:
    contract = CONTRACTS[table]
    twice = unchecked(table, {}, {})
    if contract.primary_key():
        with pytest.raises(ContractError, match=r"primary_key \(.+ must be unique\), rows: 2"):
            contract.validate(twice)
    else:
        contract.validate(twice)


def test_a_step_is_identified_by_trace_and_index_together() -> None:
    StepLabel.validate(unchecked("step_labels", {}, {"step_idx": 2}, {"trace_id": "t2"}))


def test_filter_keeps_good_rows_in_order_and_says_why_others_fail() -> None:
    changes = [{"seed_id": str(idx)} for idx in range(5)]
    changes[1] |= {"factors": [], "answer": ""}
    changes[3] |= {"domain": "poetry"}
    good, failures = Seed.filter(unchecked("seeds", *changes))
    assert good["seed_id"].to_list() == ["0", "2", "4"]
    assert good.schema == Seed.polars_schema()
    assert failures["seed_id"].to_list() == ["1", "3"]
    assert failures["failed_row_idx"].to_list() == [1, 3]
    assert failures["failed_rules"].to_list() == [
        ["one_factor_per_step", "answer|min_length"],
        ["domain|one_of"],
    ]


@TABLES
def test_filter_of_good_rows_leaves_an_empty_typed_failures_frame(table: str) -> None:
    frame = unchecked(table)
    good, failures = CONTRACTS[table].filter(frame)
    assert good.equals(frame)
    extra = {"failed_row_idx": pl.Int64(), "failed_rules": pl.List(pl.String())}
    assert failures.schema == pl.Schema({**CONTRACTS[table].polars_schema(), **extra})
    assert failures.height == 0


def test_the_error_carries_its_table_and_the_failing_rows() -> None:
    with pytest.raises(ContractError) as caught:
        Seed.validate(unchecked("seeds", {"answer": ""}))
    assert caught.value.table == "seeds"
    assert caught.value.failures is not None
    assert caught.value.failures["failed_rules"].to_list() == [["answer|min_length"]]


def test_the_message_shows_few_rows_and_shortens_long_values() -> None:
    changes = [{"seed_id": str(idx), "thought": "x" * 10_000} for idx in range(50)]
    with pytest.raises(ContractError, match="50 of 50 rows") as caught:
        Seed.validate(unchecked("seeds", *changes))
    assert len(str(caught.value)) < 2_000


@TABLES
def test_empty_has_the_types_and_passes(table: str) -> None:
    contract = CONTRACTS[table]
    assert contract.empty().schema == contract.polars_schema()
    assert contract.validate(contract.empty()).height == 0


def test_column_order_does_not_matter() -> None:
    frame = unchecked("seeds")
    assert Seed.validate(frame.select(reversed(frame.columns))).equals(frame)


def test_missing_and_unexpected_columns_are_refused() -> None:
    frame = unchecked("seeds").rename({"answer": "anwser"})
    with pytest.raises(ContractError) as caught:
        Seed.validate(frame)
    assert "missing columns: 'answer'" in str(caught.value)
    assert "unexpected columns: 'anwser'" in str(caught.value)
    assert caught.value.failures is None


def test_a_wrong_type_is_refused_and_not_cast() -> None:
    frame = unchecked("nodes").with_columns(pl.col("depth").cast(pl.Int64))
    with pytest.raises(ContractError, match="column 'depth' is Int64, must be Int32"):
        Node.validate(frame)


def test_untyped_nulls_and_empty_lists_take_their_type() -> None:
    row = GOOD["rollouts"] | {"node_id": None, "answer": None, "outcome": "truncated"}
    lists = ("steps", "factors", "step_source", "step_n_tokens", "step_min_logprob")
    row |= {name: [] for name in lists} | {"n_given_steps": 0}
    frame = pl.DataFrame([row]).with_columns(
        pl.col("sample_idx", "n_given_steps").cast(pl.Int32),
    )
    assert frame.schema["node_id"] == pl.Null()
    assert frame.schema["steps"] == pl.List(pl.Null())
    contract = CONTRACTS["rollouts"]
    assert contract.validate(frame).schema == contract.polars_schema()


def test_untyped_nulls_inside_structs_take_their_type() -> None:
    info = {**GOOD["rl"]["extra_info"], "pass_rate": None}
    frame = pl.DataFrame([GOOD["rl"] | {"extra_info": dict(reversed(info.items()))}])
    assert Rl.validate(frame).to_dicts() == [GOOD["rl"] | {"extra_info": info}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 1.5}, "column 'depth' must be Int32"),
        ({"depth": 2**40}, "column 'depth' must be Int32"),
        ({"depth": "1"}, "column 'depth' must be Int32"),
        ({"depth": True}, "column 'depth' must be Int32"),
        ({"text": 18}, "column 'text' must be String"),
        ({"colour": "red"}, "no such column: 'colour'"),
        ({"n_visits": -1}, r"n_visits\|min \(n_visits has min 0\), rows: 1"),
    ],
)
def test_from_rows_refuses_what_the_types_cannot_hold(change: Row, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        Node.from_rows([GOOD["nodes"] | change])


def test_from_rows_refuses_unknown_keys_inside_structs() -> None:
    message = {"role": "user", "content": "hi", "name": "Tom"}
    with pytest.raises(ContractError, match=r"column 'messages' .* no such key: 'name'"):
        Sft.from_rows([{"id": "1", "messages": [message]}])


def test_from_rows_reads_a_left_out_key_as_null() -> None:
    row = {name: value for name, value in GOOD["traces"].items() if name != "engine"}
    assert Trace.from_rows([row])["engine"].to_list() == [None]
    with pytest.raises(ContractError, match=r"gold\|nullability"):
        Trace.from_rows([{name: value for name, value in row.items() if name != "gold"}])


def test_from_rows_of_nothing_is_the_empty_table() -> None:
    assert Seed.from_rows([]).equals(Seed.empty())


@TABLES
def test_published_parquet_has_the_features_and_joins_ordinary_data(
    table: str, tmp_path: Path
) -> None:
    import datasets
    import pyarrow.parquet as pq

    contract = CONTRACTS[table]
    arrow = contract.to_arrow(unchecked(table))
    assert arrow.schema == contract.arrow_schema()
    assert arrow.schema == contract.features().arrow_schema.remove_metadata()
    assert "large" not in str(arrow.schema)

    path = tmp_path / f"{table}.parquet"
    pq.write_table(arrow, path, compression="zstd", store_schema=False)
    published = datasets.Dataset.from_parquet(str(path), cache_dir=str(tmp_path / "cache"))
    assert isinstance(published, datasets.Dataset)
    assert published.features == contract.features()

    ordinary = datasets.Dataset.from_list([GOOD[table]], features=contract.features())
    both = datasets.concatenate_datasets([published, ordinary])
    assert both.to_list() == [GOOD[table], GOOD[table]]


@pytest.mark.parametrize("table", ["sft", "rl", "quarantine"])
def test_published_parquet_joins_data_that_declares_no_features(table: str) -> None:
    import datasets

    published = datasets.Dataset(CONTRACTS[table].to_arrow(unchecked(table)))
    ordinary = datasets.Dataset.from_list([GOOD[table]])
    assert datasets.concatenate_datasets([published, ordinary]).num_rows == 2


def test_to_arrow_keeps_all_rows_of_a_frame_longer_than_one_slice() -> None:
    ids = pl.DataFrame({"id": [str(idx) for idx in range(20_000)]})
    frame = ids.join(unchecked("prm").drop("id"), how="cross").select(Prm.column_names())
    table = Prm.to_arrow(frame)
    assert table.num_rows == 20_000
    assert table.column("id").to_pylist() == ids["id"].to_list()
    assert Prm.to_arrow(Prm.empty()).num_rows == 0


@TABLES
def test_committed_json_schema_equals_the_code(table: str) -> None:
    committed = (FOLDER / f"{table}.schema.json").read_text(encoding="utf-8")
    assert committed == render(table), "run: python -m schemas"


def test_no_json_schema_is_left_of_a_table_that_is_gone() -> None:
    assert {path.name.removesuffix(".schema.json") for path in FOLDER.iterdir()} == set(CONTRACTS)


@TABLES
def test_json_schema_admits_good_rows(table: str) -> None:
    changes = [{}] + [change for name, change in ALSO_GOOD if name == table]
    for change in changes:
        assert list(violations(CONTRACTS[table].json_schema(), GOOD[table] | change)) == []


@pytest.mark.parametrize(
    ("table", "change", "where"),
    [
        ("seeds", {"domain": "poetry"}, "domain"),
        ("seeds", {"answer": None}, "answer"),
        ("seeds", {"steps": []}, "steps"),
        ("seeds", {"colour": "red"}, "colour"),
        ("code_seeds", {"calls": [f"double({i})" for i in range(13)]}, "calls"),
        ("quarantine", {"row_idx": -1}, "row_idx"),
        ("nodes", {"prior": 1.5}, "prior"),
        ("nodes", {"chosen": 1}, "chosen"),
        ("prm", {"prompt": "no newline"}, "prompt"),
        ("rl", {"reward_model": {"style": "rule", "verifier": "math"}}, "ground_truth"),
        ("sft", {"messages": [{"role": "bot", "content": ""}]}, "role"),
    ],
)
def test_json_schema_refuses_bad_rows(table: str, change: Row, where: str) -> None:
    found = list(violations(CONTRACTS[table].json_schema(), GOOD[table] | change))
    assert len(found) == 1
    assert where in found[0]


@TABLES
def test_every_column_and_struct_field_is_described_in_one_line(table: str) -> None:
    def undescribed(name: str, schema: Row, *, is_item: bool = False) -> list[str]:
        text = schema.get("description", "")
        missing = [] if is_item or (text and "\n" not in text) else [name]
        if "items" in schema:
            missing += undescribed(f"{name}[]", schema["items"], is_item=True)
        for key, inner in schema.get("properties", {}).items():
            missing += undescribed(f"{name}.{key}", inner)
        return missing

    assert undescribed(table, CONTRACTS[table].json_schema()) == []


def test_registry_names_are_the_tables_and_their_modules() -> None:
    assert list(CONTRACTS) == [
        *("shards", "seeds", "code_seeds", "quarantine", "rejections", "benchmark_checks"),
        *("questions", "prefixes", "nodes", "rollouts", "traces", "tags"),
        *("critiques", "probes", "step_labels", "trace_labels", "corrections"),
        *("executions", "code_thoughts", "code_tasks"),
        *("review_queue", "reviews", "decisions", "annotators", "summaries"),
        *("sft", "prm", "orm", "processbench", "critique", "rl", "rubric_rewards"),
        *("advantages", "preference", "step_preference", "kto"),
        *("policy_value", "raw_rollouts"),
    ]
    for table, contract in CONTRACTS.items():
        assert issubclass(contract, Contract)
        assert contract.__module__ == f"schemas.{table}"
        assert contract.__name__ in schemas.__all__
        assert "One row = " in " ".join((contract.__doc__ or "").split())


def violations(schema: Row, value: Any, path: str = "$") -> list[str]:
    """What a JSON Schema has against a value: every keyword that the contracts use, and no other.

    The project does not depend on a JSON Schema validator, and these few keywords need none.
    """
    annotations = {"$schema", "title", "description", "format", "x-primary-key", "x-rules"}
    types: dict[str, type | tuple[type, ...]] = {
        "object": dict,
        "array": list,
        "string": str,
        "boolean": bool,
        "integer": int,
        "number": (int, float),
        "null": type(None),
    }
    allowed = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(
        isinstance(value, types[kind]) and (kind == "boolean" or not isinstance(value, bool))
        for kind in allowed
    ):
        return [f"{path} is not {allowed}"]
    if value is None:
        return [] if None in schema.get("enum", [None]) else [f"{path} is not in enum"]
    found: list[str] = []
    for keyword, bound in schema.items():
        match keyword:
            case "type" | "additionalProperties":
                ok = True
            case "enum":
                ok = value in bound
            case "minLength" | "minItems":
                ok = len(value) >= bound
            case "maxItems":
                ok = len(value) <= bound
            case "pattern":
                ok = re.search(bound, value) is not None
            case "minimum":
                ok = value >= bound
            case "exclusiveMinimum":
                ok = value > bound
            case "maximum":
                ok = value <= bound
            case "required":
                found += [f"{path}.{key} is missing" for key in bound if key not in value]
                ok = True
            case "properties":
                found += [f"{path}.{key} is unknown" for key in value if key not in bound]
                for key in value.keys() & bound.keys():
                    found += violations(bound[key], value[key], f"{path}.{key}")
                ok = True
            case "items":
                for idx, item in enumerate(value):
                    found += violations(bound, item, f"{path}[{idx}]")
                ok = True
            case _:
                ok = keyword in annotations
        if not ok:
            found.append(f"{path} breaks {keyword}: {bound!r}")
    return found


def test_json_schemas_are_plain_json_of_draft_2020_12() -> None:
    for contract in CONTRACTS.values():
        schema = contract.json_schema()
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert json.loads(json.dumps(schema)) == schema
        assert schema["required"] == contract.column_names()
