"""Tables of a made-up run, as large as one likes, with repetitions and leaks planted in them.

The surprising fact: what is planted has no traces. It stands behind everything else, as if a second
source had been read after the first, and a run spends nothing on questions that are rejected.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from datagen.bench.curation_labels import label_tables
from datagen.bench.curation_texts import DISGUISES, EDITS, dealt, disguised, edited
from datagen.bench.curation_traces import lay_out, make_questions, make_traces, repeat
from datagen.bench.curation_trees import make_nodes
from schemas import CodeSeed, CodeTask, Correction, Prefix, Probe, Rollout, Seed, Summary, Trace

Kinds = Mapping[str, Sequence[tuple[str, ...]]]
"""Kind of disguise or edit → the ids of each thing that is planted: one, or a pair."""


@dataclass(frozen=True, slots=True)
class Planted:
    """What was hidden among the questions and traces.

    Attributes:
        innocent: ``seed_id`` of the questions that people wrote and no benchmark has.
        leaks: disguise → ``seed_id`` of each question of the benchmark.
        questions: edit → pairs of ``seed_id``, a question and its near-duplicate.
        traces: edit → pairs of ``trace_id``, likewise.
    """

    innocent: Sequence[str]
    leaks: Kinds
    questions: Kinds
    traces: Kinds


def make_tables(
    n_questions: int,
    n_planted: int,
    *,
    benchmark: Sequence[str],
    innocent: Sequence[str],
    seed: int = 0,
) -> tuple[dict[str, pl.DataFrame], Planted]:
    """Make the tables of a run, each under its contract.

    Args:
        n_questions: questions that stand there once; each has
            :data:`~datagen.bench.curation_traces.PER_QUESTION` traces.
        n_planted: questions of the benchmark among them; questions that nearly repeat another; and
            traces that do. Each kind of disguise or edit gets a fourth.
        benchmark: questions of a benchmark, ``n_planted`` or more.
        innocent: questions of the same kind, which stand in place of the first ones made up; at
            most ``n_questions - n_planted``.
        seed: another one draws other tables.
    """
    rng, chance = np.random.default_rng(seed), random.Random(seed)
    asked = make_questions(n_questions, innocent, rng)
    slots, pairs = repeat(lay_out(asked, rng), n_planted, chance)
    traces = make_traces(slots, rng)
    seeds = _seeds(traces.filter(pl.col("provenance") == "human"))
    made_up = seeds.slice(len(innocent))
    leaked, leaks = _leaked(made_up, benchmark, n_planted, chance)
    repeated, questions = _repeated(made_up, n_planted, chance)
    ids = traces["trace_id"]
    tables = {
        "seeds": Seed.validate(pl.concat([seeds, leaked, repeated])),
        "code_seeds": CodeSeed.empty(),
        "code_tasks": CodeTask.empty(),
        "prefixes": _prefixes(seeds),
        "rollouts": _rollouts(traces),
        "probes": Probe.empty(),
        "traces": Trace.validate(traces.select(Trace.column_names())),
        "corrections": Correction.empty(),
        "summaries": _summaries(traces),
        **label_tables(traces, rng),
        "nodes": make_nodes(traces, rng),
    }
    return tables, Planted(
        innocent=seeds["seed_id"].head(len(innocent)).to_list(),
        leaks=leaks,
        questions=questions,
        traces={edit: [(ids[a], ids[b]) for a, b in found] for edit, found in pairs.items()},
    )


def _seeds(human: pl.DataFrame) -> pl.DataFrame:
    steps = human["steps"].list.eval(pl.element() + "\n")
    return Seed.validate(
        human.select(
            "seed_id",
            pl.lit("bench").alias("source"),
            pl.lit("Apache-2.0").alias("license"),
            pl.lit("math").alias("domain"),
            "question",
            steps.list.join("").alias("thought"),
            steps.alias("steps"),
            "factors",
            pl.col("gold").alias("answer"),
            "verifier",
            pl.lit(None).alias("criteria"),
            pl.lit([]).alias("facts"),
            pl.lit("{}").alias("meta"),
        )
    )


def _leaked(
    seeds: pl.DataFrame, benchmark: Sequence[str], n: int, chance: random.Random
) -> tuple[pl.DataFrame, dict[str, list[tuple[str]]]]:
    """Seeds that ask questions of the benchmark, each disguised."""
    texts = chance.sample(benchmark, n)
    sentences = [text.split(". ")[0] + "." for text in seeds["question"].head(n + 1)]
    by_disguise = dealt(DISGUISES, n)
    questions = [
        disguised(texts[i], disguise, chance, around=sentences[i : i + 2])
        for disguise, own in by_disguise.items()
        for i in own
    ]
    found = _asking(seeds.head(n), questions, "leak")
    ids = found["seed_id"]
    return found, {disguise: [(ids[i],) for i in own] for disguise, own in by_disguise.items()}


def _repeated(
    seeds: pl.DataFrame, n: int, chance: random.Random
) -> tuple[pl.DataFrame, dict[str, list[tuple[str, str]]]]:
    """Seeds that nearly ask what another one asks."""
    originals = seeds[chance.sample(range(seeds.height), n)]
    texts, by_edit = originals["question"], dealt(EDITS, n)
    questions = [edited(texts[i], edit, chance) for edit, own in by_edit.items() for i in own]
    found = _asking(originals, questions, "copy")
    pairs = list(zip(originals["seed_id"], found["seed_id"], strict=True))
    return found, {edit: [pairs[i] for i in own] for edit, own in by_edit.items()}


def _asking(seeds: pl.DataFrame, questions: Sequence[str], name: str) -> pl.DataFrame:
    """The same seeds with other questions, out of another source."""
    return seeds.with_columns(
        pl.format(f"{name}-{{}}", pl.int_range(pl.len())).alias("seed_id"),
        pl.lit("bench-second").alias("source"),
        pl.Series("question", questions, pl.String),
    )


def _prefixes(seeds: pl.DataFrame) -> pl.DataFrame:
    nothing = pl.lit([], pl.List(pl.String))
    return Prefix.validate(
        seeds.select(
            pl.format("{}@0", "seed_id").alias("prefix_id"),
            "seed_id",
            pl.lit(0, pl.Int32).alias("n_steps"),
            pl.col("steps").list.len().cast(pl.Int32).alias("n_seed_steps"),
            "question",
            nothing.alias("steps"),
            nothing.alias("factors"),
            "answer",
            "verifier",
        )
    )


def _rollouts(traces: pl.DataFrame) -> pl.DataFrame:
    """The completion behind each trace that the model wrote."""
    n_tokens = pl.col("steps").list.eval((pl.element().str.count_matches(" ") + 3).cast(pl.Int32))
    logprob = pl.element().str.len_chars() % 17 / -4.0
    return Rollout.validate(
        traces.filter(pl.col("rollout_id").is_not_null()).select(
            *("rollout_id", "prefix_id", "seed_id"),
            pl.lit(None, pl.String).alias("node_id"),
            pl.lit("puct").alias("algorithm"),
            pl.col("nth").cast(pl.Int32).alias("sample_idx"),
            pl.lit(0, pl.Int32).alias("n_given_steps"),
            *("steps", "factors", "step_source"),
            n_tokens.alias("step_n_tokens"),
            pl.col("steps").list.eval(logprob).alias("step_min_logprob"),
            pl.lit(False).alias("sloppy"),
            pl.lit("").alias("tail"),
            *("answer", "gold", "verifier", "outcome"),
            pl.format("compared with {}", "gold").alias("reason"),
            n_tokens.list.sum().cast(pl.Int64).alias("n_tokens"),
            pl.lit(1.0).alias("temperature"),
            "engine",
            pl.col("key").alias("completion_key"),
        )
    )


def _summaries(traces: pl.DataFrame) -> pl.DataFrame:
    return Summary.validate(
        traces.filter(pl.col("outcome") == "correct").select(
            "trace_id",
            "seed_id",
            pl.format("Each change was followed. The answer is {}.", "answer").alias("summary"),
            pl.lit("extract").alias("writer"),
            pl.lit(0, pl.Int32).alias("n_attempts"),
            pl.lit(None, pl.String).alias("reason"),
            pl.lit(None, pl.String).alias("completion_key"),
            pl.lit(None, pl.String).alias("engine"),
        )
    )
