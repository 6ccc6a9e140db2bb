"""Small published datasets for tests: a few rows of every config, and the questions they are of."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from huggingface_hub import DatasetCard

from datagen.publish import (
    Curation,
    Lineage,
    Manifest,
    Repository,
    SeedSource,
    write_repository,
)
from datagen.publish.card import card
from datagen.publish.configs import CONFIGS
from datagen.publish.manifest import ConfigFiles
from datagen.publish.parquet import DataFile, SplitFiles
from schemas import (
    Advantage,
    CodeThought,
    Correction,
    CritiqueSft,
    Kto,
    Orm,
    PolicyValue,
    Preference,
    Prm,
    ProcessBench,
    Question,
    RawRollout,
    Rl,
    RubricReward,
    Sft,
    StepPreference,
    Tag,
    Trace,
)

Row = dict[str, Any]

LINEAGE = Lineage(
    engine="fake:0123",
    model="embedded reasoner",
    settings={"c_puct": 1.5, "n_rollouts": 8},
    code_version="0.1.0",
    sources=(SeedSource("gsm.jsonl", "MIT", 2), SeedSource("more.jsonl", "MIT", 1)),
    notes=("The embedded reasoner is a **toy** model.",),
)


def chat(*contents: str) -> list[Row]:
    roles = ("user", "assistant")
    return [{"role": role, "content": text} for role, text in zip(roles, contents, strict=False)]


def trace(trace_id: str, outcome: str, *factors: str, by: str = "model") -> Row:
    n = len(factors)
    return {
        "trace_id": trace_id,
        "seed_id": "s1",
        "prefix_id": "s1/0",
        "rollout_id": None if by == "human" else f"r-{trace_id}",
        "question": "How many?",
        "steps": [f"step {i}" for i in range(n)],
        "factors": list(factors),
        "step_provenance": [by] * n,
        "step_source": [f"s1#{i}" for i in range(n)],
        "n_human_steps": n if by == "human" else 0,
        "answer": None if outcome == "truncated" else "18",
        "gold": "18",
        "verifier": "numeric",
        "outcome": outcome,
        "provenance": by,
        "engine": None if by == "human" else "fake",
        "markup": "<Think_Start>\n…",
    }


def difficulty(pass_rate: float | None) -> str:
    return {None: "unknown", 0.0: "unsolved", 0.5: "medium", 1.0: "solved"}[pass_rate]


def question(index: int, pass_rate: float | None, n_rollouts: int) -> Row:
    return {
        "prompt": chat(f"Question {index}?"),
        "solution": "$18$",
        "answer": "18",
        "data_source": "datagen/gsm",
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "18", "verifier": "numeric"},
        "extra_info": {
            "index": index,
            "split": "train",
            "seed_id": f"s{index}",
            "verifier": "numeric",
            "pass_rate": pass_rate,
            "n_rollouts": n_rollouts,
            "difficulty": difficulty(pass_rate),
        },
    }


def code_question(index: int, verifier: str, gold: str, answer: str) -> Row:
    info = question(index, None, 0)["extra_info"] | {"verifier": verifier}
    reward = {"style": "rule", "ground_truth": gold, "verifier": verifier}
    over = {"solution": answer, "answer": answer, "ability": "code", "extra_info": info}
    return question(index, None, 0) | over | {"reward_model": reward}


def code_thought(thought_id: str, route: str, attempt: int, *verdicts: str, **over: Any) -> Row:
    """A writing of one thought per route, verified unless something speaks against it."""
    false = "contradicted" in verdicts
    claim = {"step_idx": 0, "kind": "value", "text": "x = 4", "subject": "x", "value": "4"}
    row = {
        "thought_id": thought_id,
        "seed_id": "c1",
        "route": route,
        "thought_idx": 0,
        "attempt": attempt,
        "revises": None,
        "question": "Write add.",
        "code": "def add(xs):\n    return sum(xs)",
        "steps": ["x = 4"],
        "factors": ["SimulateExecution"],
        "step_checks": ["contradicted" if false else "checked"],
        "claims": [claim | {"verdict": verdict, "actual": None} for verdict in verdicts],
        "first_error": 0 if false else -1,
        "leak": None,
        "n_round_trips": 4,
        "n_passed": 3,
        "n_bare": 4,
        "n_bare_passed": 1,
        "sufficiency": 0.5,
        "regenerated": None,
        "verified": not false,
        "reasons": ["x is 5, not 4"] if false else [],
        "n_tokens": 9,
        "engine": None,
        "completion_key": None,
    }
    return row | over


def step_row(row_id: str, *labels: bool) -> Row:
    return {
        "prompt": "How many?\n",
        "completions": [f"step {i}" for i in range(len(labels))],
        "labels": list(labels),
        "id": row_id,
        "seed_id": "s1",
        "step_scores": [0.75 if label else 0.0 for label in labels],
    }


def rollout(rollout_id: str, outcome: str) -> dict[str, Any]:
    """A completion from its bare question on."""
    return {
        "rollout_id": rollout_id,
        "prefix_id": "s1@0",
        "seed_id": "s1",
        "node_id": None,
        "algorithm": "puct",
        "sample_idx": 0,
        "n_given_steps": 0,
        "steps": ["1+1=2"],
        "factors": ["Compute"],
        "step_source": [rollout_id],
        "step_n_tokens": [3],
        "step_min_logprob": [None],
        "sloppy": False,
        "tail": "",
        "answer": "2",
        "gold": "2",
        "verifier": "numeric",
        "outcome": outcome,
        "reason": "",
        "n_tokens": 4,
        "temperature": 1.0,
        "engine": "e",
        "completion_key": rollout_id,
        "question": "Q?",
    }


TABLES: dict[str, pl.DataFrame] = {
    "sft": Sft.from_rows(
        {
            "messages": chat("Q?", "<Think_Start>…"),
            "id": f"t{i}",
            "seed_id": "s1",
            "masked_spans": spans,
        }
        for i, spans in (("1", []), ("2", [{"start": 2, "end": 5}]))
    ),
    "sft_plain": Sft.from_rows(
        [
            {
                "messages": chat("Q?", "<think>\nè ½\n"),
                "id": "t1",
                "seed_id": "s1",
                "masked_spans": [],
            },
        ]
    ),
    "prm": Prm.from_rows(
        [
            step_row("t1", True, True),
            step_row("t2", True, False),
            step_row("t3", False, True, False),
            step_row("t4", False),
        ]
    ),
    "prm_verified": Prm.from_rows([step_row("t1", True, True), step_row("t2", True, False)]),
    "rl": Rl.from_rows([question(0, 0.5, 4), question(1, None, 0), question(2, 0.0, 6)]),
    "traces": Trace.from_rows(
        [
            trace("t0", "correct", "Compute", "Answer", by="human"),
            trace("t1", "correct", "RestateGoal", "Compute", "Answer"),
            trace("t2", "wrong", "Compute"),
            trace("t3", "wrong", "Compute", "CheckResult", "Compute", "Answer"),
            trace("t4", "unverifiable", "Answer"),
            trace("t5", "truncated", "Compute"),
        ]
    ),
    "rollouts": RawRollout.from_rows([rollout("r1", "correct"), rollout("r2", "wrong")]),
}

UNTRIED: Row = {"n_round_trips": 0, "n_passed": 0, "sufficiency": None}
CODE_THOUGHTS = CodeThought.from_rows(
    [
        code_thought("k1", "model", 0, "holds", "contradicted", n_passed=1, sufficiency=0.0),
        code_thought("k2", "model", 1, "holds", "uncheckable", revises="k1"),
        code_thought("k3", "grounded", 0, "contradicted", **UNTRIED),
        code_thought("k4", "narrator", 0, "holds", "holds", "holds", n_passed=4, sufficiency=0.75),
    ]
)
TESTS_GOLD = json.dumps({"entry_point": "add", "tests": "assert add([1]) == 1", "prelude": ""})


def code_rl(first: int) -> pl.DataFrame:
    """Two questions about code, with indices from ``first`` on."""
    program = "def add(xs):\n    return sum(xs)"
    return Rl.from_rows(
        [
            code_question(first, "python", TESTS_GOLD, program),
            code_question(first + 1, "python_output", "[1]", "[1]"),
        ]
    )


WITH_CODE = {**TABLES, "code_thoughts": CODE_THOUGHTS}


def correction(trace_id: str, kind: str, n_attempts: int) -> Row:
    """A trace in which each wrong step is noticed at once."""
    roles = ["wrong", "detect"] * n_attempts + ["right"]
    n = len(roles)
    return trace(trace_id, "correct", *["Compute"] * n) | {
        "kind": kind,
        "n_attempts": n_attempts,
        "wrong_trace_ids": [f"w{idx}" for idx in range(n_attempts)],
        "right_trace_id": "t1",
        "edit_distances": [1] * n_attempts,
        "step_roles": roles,
        "step_labels": [role != "wrong" for role in roles],
        "attempt_idx": [idx // 2 if role == "wrong" else -1 for idx, role in enumerate(roles)],
    }


def tag(step_idx: int, tagger: str, *, needs_review: bool = False) -> Row:
    return {
        "trace_id": "t1",
        "seed_id": "s1",
        "step_idx": step_idx,
        "text": f"step {step_idx}",
        "factor": "Compute",
        "probability": 0.25 if needs_review else 0.75,
        "runner_up": None,
        "tagger": tagger,
        "needs_review": needs_review,
        "depends_on": [-1, *range(step_idx)],
        "taxonomy": "2",
    }


def state(node_id: str, n_visits: int) -> Row:
    return {
        "id": node_id,
        "prefix_id": "s1@0",
        "seed_id": "s1",
        "depth": 0,
        "question": "How many?",
        "steps": [],
        "factors": [],
        "prompt": "How many?\n<Think_Start>\n",
        "legal_factors": ["Plan", "Compute"],
        "prior": [0.5, 0.5],
        "visits": [0, n_visits - 1],
        "pi": [0.0, 1.0],
        "q": [None, 0.5],
        "n_visits": n_visits,
        "value": 0.5,
        "chosen_factor": "Compute",
        "segment": "18",
        "outcome": None,
        "taxonomy": "2",
    }


def step_pair(pair_id: str, kind: str) -> Row:
    return {
        "id": pair_id,
        "seed_id": "s1",
        "prompt": "How many?\n<Think_Start>\n",
        "chosen": f"{pair_id} right",
        "rejected": f"{pair_id} wrong",
        "delta_q": 0.5,
        "kind": kind,
        "n_chosen": 1,
        "n_rejected": 1,
        "chosen_factor": "Compute",
        "rejected_factor": "Plan" if kind == "factor" else "Compute",
    }


def reply(text: str) -> list[Row]:
    return [{"role": "assistant", "content": text}]


ENDED = "<Think_Start>\n1\n<Think_End>\n1"
SEARCHED: dict[str, pl.DataFrame] = {
    "preference": Preference.from_rows(
        [
            {
                "prompt": chat("Q?"),
                "chosen": reply("18"),
                "rejected": reply(wrong),
                "id": f"t1:{i}",
                "seed_id": "s1",
            }
            for i, wrong in enumerate(("<Think_Start>\n1", "<Think_Start>\n2", ENDED))
        ]
    ),
    "step_preference": StepPreference.from_rows(
        [step_pair("n1:n2", "replica"), step_pair("n1:n3", "factor"), step_pair("n4:n5", "factor")]
    ),
    "kto": Kto.from_rows(
        [
            {
                "prompt": chat("Q?"),
                "completion": reply(i),
                "label": i == "t1",
                "id": i,
                "seed_id": "s1",
            }
            for i in ("t1", "t2", "t3", "t4")
        ]
    ),
    "advantages": Advantage.from_rows(
        [
            {
                "id": "t2",
                "seed_id": "s1",
                "prompt": "How many?\n",
                "completions": ["step 0", "step 1"],
                "factors": ["Compute", "Answer"],
                "values": [0.5, None],
                "advantages": [None, None],
                "prover_advantages": [None, None],
                "pit": -1,
                "outcome": "wrong",
                "label_source": "rollouts",
            }
        ]
    ),
    "policy_value": PolicyValue.from_rows([state("n1", 9), state("n2", 3), state("n3", 2)]),
    "critique": CritiqueSft.from_rows(
        [
            {
                "messages": chat("Judge.", f"Step 0: so.\n\\boxed{{{label}}}"),
                "id": f"t{label}/native_critique/0",
                "seed_id": "s1",
                "label": label,
                "n_steps": 2,
            }
            for label in (-1, 0, 1)
        ]
    ),
    "rubric_rewards": RubricReward.from_rows(
        [
            {
                "rollout_id": "r1",
                "seed_id": "s2",
                "prompt": "Why?",
                "completion": "So.",
                "criteria": [{"criterion": "Is short.", "weight": 1.0}],
                "scores": [0.75],
                "reward": 0.75,
                "engine": "e",
            }
        ]
    ),
    "corrections": Correction.from_rows(
        [
            correction("c1", "splice", 1),
            correction("c2", "splice", 1),
            correction("c3", "attempts", 3),
        ]
    ),
    "orm": Orm.from_rows(
        [
            {
                "prompt": "How many?\n",
                "completion": f"<think>\n{i}\n</think>\n\n18",
                "label": int(i == "t1"),
                "id": i,
                "seed_id": "s1",
            }
            for i in ("t1", "t2")
        ]
    ),
    "processbench": ProcessBench.from_rows(
        [
            {
                "id": "t2",
                "generator": "fake",
                "problem": "How many?",
                "steps": ["1+1=3", "3"],
                "final_answer_correct": False,
                "label": 0,
                "seed_id": "s1",
            }
        ]
    ),
    "tags": Tag.from_rows(
        [tag(0, "native"), tag(1, "native"), tag(2, "classifier", needs_review=True)]
    ),
}
ALL = {name: {**WITH_CODE, **SEARCHED}[name] for name in CONFIGS}
HELD_OUT = "s-held-out"
"""The question that is in split ``test``."""


def held_out(config: str) -> pl.DataFrame:
    """One more row of a config, of the question that is held out."""
    if config == "rl":
        row = question(0, 0.5, 4)
        return Rl.from_rows(
            [row | {"extra_info": row["extra_info"] | {"split": "test", "seed_id": HELD_OUT}}]
        )
    key = CONFIGS[config].contract.primary_key()[0]
    return ALL[config][:1].with_columns(pl.col(key) + "-x", seed_id=pl.lit(HELD_OUT))


IN_TEST = {name: held_out(name) for name in ALL if name != "rubric_rewards"}
"""Rows of split ``test``; one config has none."""

BOTH = {name: pl.concat([ALL[name], IN_TEST.get(name, ALL[name].clear())]) for name in ALL}


def questions_of(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Table ``questions`` for these tables; all are in ``train`` but the one that is held out."""
    ids = {i for name, df in tables.items() for i in df.select(id=CONFIGS[name].seed())["id"]}
    return Question.from_rows(
        {
            "question_id": i,
            "seed_id": i,
            "domain": "math",
            "split": "test" if i == HELD_OUT else "train",
            "n_words": 2,
            "language": None,
            "pass_rate": 0.5 if i == "s1" else None,
            "n_rollouts": 4 if i == "s1" else 0,
            "difficulty": "medium" if i == "s1" else "unknown",
        }
        for i in sorted(ids)
    )


def write(
    folder: Path, tables: Mapping[str, pl.DataFrame] | None = None, **over: Any
) -> Repository:
    """Publish to a folder, with what the options do not say made up."""
    chosen = TABLES if tables is None else tables
    options = {"lineage": LINEAGE} | over
    if "questions" not in options:
        options["questions"] = questions_of({k: v for k, v in chosen.items() if k in CONFIGS})
    return write_repository(folder, chosen, **options)


def readme(folder: Path) -> str:
    """The card."""
    return (folder / "README.md").read_text(encoding="utf-8")


def yaml_of(folder: Path) -> dict[str, Any]:
    """The head of the card."""
    return DatasetCard(readme(folder)).data.to_dict()


def contents(folder: Path) -> dict[str, bytes]:
    """Path → content of every file."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def card_of(tables: Mapping[str, pl.DataFrame], **over: Any) -> str:
    """The card of tables that are all in split ``train``, without writing any."""
    split = SplitFiles(1, 1, (DataFile("sft/train-00000-of-00001.parquet", "0", 1, 1),))
    options: dict[str, Any] = {"lineage": LINEAGE, "questions": questions_of(tables)}
    options = options | {"curation": None} | over
    found: Curation | None = options["curation"]
    manifest = Manifest(
        format=1,
        digest="0123",
        code_version="0.1.0",
        taxonomy=None,
        license=options.pop("license", None),
        licenses=options["lineage"].licenses,
        benchmarks=found.benchmarks if found else (),
        rejections=found.rejections if found else None,
        review=options.pop("review", None),
        configs={name: ConfigFiles("0", {"train": split}) for name in tables},
        documents=(),
    )
    return card(tables, manifest=manifest, **options)
