"""The review benchmark: what an hour of people's time is worth where the queue sends them.

The pipeline labels traces of the embedded reasoner, whose true first errors the oracle of its world
knows. Then the oracle plays the reviewer: once for the tenth of the traces that the queue chooses,
its random slice and its traps included, and once for a tenth at random. The surprising fact: the
second takes no sampling at all. Reviewing a tenth at random removes a tenth of the errors, so that
is what the queue is held against, without noise.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from datagen.bench.questions import bare_prefixes, world_problems
from datagen.bench.scores import Estimate, bootstrap
from datagen.cluster.stages import STAGES
from datagen.config import Settings
from datagen.engines.protocol import Engine
from datagen.journal import Journal
from datagen.measure import pick_traces
from datagen.reasoner.oracle import first_error
from datagen.reasoner.world import Problem
from datagen.review.ask.queue import QueueConfig, make_queue
from datagen.review.decide.adjudicate import adjudicate
from datagen.review.decide.apply import apply_decisions, count_changes
from datagen.review.decide.quality import measure_reviews
from datagen.review.decide.recalibrate import recalibrate
from datagen.traces.assemble import assemble_traces
from datagen.traces.rows import trace_of
from schemas import CodeThought, Correction, Review, Seed, Tag

_RNG_SEED: Final = 50_000_017
_ORACLE: Final = "oracle"


@dataclass(frozen=True, slots=True)
class ReviewPlan:
    """How large a run is.

    Attributes:
        n_questions: questions, of which up to three traces each are measured.
        n_root_rollouts: rollouts from each.
        share: part of the traces that can be reviewed.
    """

    n_questions: int = 600
    n_root_rollouts: int = 6
    share: float = 0.1


QUICK: Final = ReviewPlan(n_questions=64, n_root_rollouts=4)
"""A run of about a minute, with intervals to match."""


@dataclass(frozen=True, slots=True)
class ReviewReport:
    """What the benchmark found.

    Attributes:
        figures: the headline numbers, as ``--json`` writes them.
        ways: one row per way to choose the same number of traces: ``way``, and the share of wrong
            first errors and of wrong step labels that it removes, with 95 % intervals.
    """

    figures: dict[str, float]
    ways: pl.DataFrame


def bench_review(
    engine: Engine, journal: Journal, plan: ReviewPlan, *, note: Callable[[str], None]
) -> ReviewReport:
    """Label traces, have a part of them reviewed, and count the errors that are left.

    Args:
        engine: the embedded reasoner.
        journal: where its answers go; a run that was interrupted goes on from it.
        plan: how large.
        note: told what is going on.
    """
    problems = _problems(plan.n_questions)
    note(f"labelling traces of {len(problems)} questions")
    tables = _labelled(problems, engine, journal, plan)
    truth = {
        row["trace_id"]: first_error(problems[row["seed_id"]], trace_of(row).steps)
        for row in tables["measured_traces"].iter_rows(named=True)
    }
    note(f"reviewing {plan.share:.0%} of {len(truth)} traces")
    return measure_queue(tables, truth, share=plan.share)


def measure_queue(
    tables: Mapping[str, pl.DataFrame], truth: Mapping[str, int], *, share: float
) -> ReviewReport:
    """How many wrong labels a queue removes if its reviewers are always right.

    Args:
        tables: ``traces``, ``step_labels``, ``trace_labels`` and ``critiques`` of a run.
        truth: true first error of every measured trace, -1 for none.
        share: part of the measured traces that is reviewed.
    """
    before = tables["trace_labels"]
    n_reviewed = round(share * before.height)
    queues = {
        "the queue": _queue(tables, QueueConfig(n_items=n_reviewed)),
        "by value alone": _queue(
            tables, QueueConfig(n_items=n_reviewed, random_share=0.0, trap_share=0.0)
        ),
    }
    wrong = _wrong(before, truth)
    removed: dict[str, npt.NDArray[np.float64]] = {}
    figures: dict[str, float] = {}
    for way, queue in queues.items():
        reviews = _answers(queue, truth)
        decisions = adjudicate(reviews, queue, min_annotators=1)
        steps, after = apply_decisions(tables["step_labels"], before, decisions)
        removed[way] = wrong - _wrong(after, truth)
        if way == "the queue":
            figures |= _told(before, tables["step_labels"], steps, reviews, decisions)
    orders = {
        "least sure posterior": pl.col("first_error_mass"),
        "disagreements first": pl.col("review_rank").fill_null(before.height),
    }
    for way, order in orders.items():
        chosen = before.with_row_index("row").sort(order, "trace_id")["row"].head(n_reviewed)
        removed[way] = np.zeros_like(wrong)
        removed[way][chosen.to_numpy()] = wrong[chosen.to_numpy()]
    estimates = {
        way: [_share(gone[:, col], wrong[:, col]) for col in (0, 1)]
        for way, gone in removed.items()
    }
    part = n_reviewed / max(1, before.height)
    of_traces, of_steps = estimates["the queue"]
    figures |= {
        "n_traces": before.height,
        "n_reviewed": n_reviewed,
        "error_before": float((wrong[:, 0] > 0).mean()),
        "error_after_queue": float((wrong - removed["the queue"])[:, 0].mean()),
        "error_after_random": float(wrong[:, 0].mean() * (1 - part)),
        "ratio": of_traces.value / part,
        "ratio_low": of_traces.low / part,
        "ratio_high": of_traces.high / part,
        "step_ratio": of_steps.value / part,
        "step_ratio_low": of_steps.low / part,
        "step_ratio_high": of_steps.high / part,
    }
    rows = [{"way": "at random", "first_errors": part, "steps": part}]
    rows += [
        {"way": way} | _columns("first_errors", of_traces) | _columns("steps", of_steps)
        for way, (of_traces, of_steps) in estimates.items()
    ]
    return ReviewReport(figures, pl.DataFrame(rows, infer_schema_length=None))


def _columns(name: str, estimate: Estimate) -> dict[str, Any]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _problems(n: int) -> dict[str, Problem]:
    return {f"review-{idx:04d}": problem for idx, problem in enumerate(world_problems(n))}


def _labelled(
    problems: Mapping[str, Problem], engine: Engine, journal: Journal, plan: ReviewPlan
) -> dict[str, pl.DataFrame]:
    """The tables of a run over these questions, by the stages of the pipeline."""
    settings = Settings.model_validate(
        {"search": {"algorithm": "best_of_n", "n_root_rollouts": plan.n_root_rollouts}}
    )
    prefixes = bare_prefixes(
        (seed_id, problem.question, str(problem.answer)) for seed_id, problem in problems.items()
    )
    tables = {"prefixes": prefixes}
    for stage in ("search", "critiques", "labels"):
        made, _ = STAGES[stage](tables, engine, journal, settings, lambda _: None)
        tables |= made
        if stage == "search":
            found = (tables["rollouts"], tables["nodes"])
            tables["traces"] = assemble_traces(Seed.empty(), prefixes, *found)
            tables["measured_traces"] = pick_traces(
                tables["traces"],
                tables["rollouts"],
                n_right=settings.labels.n_right_traces,
                n_wrong=settings.labels.n_wrong_traces,
            )
    return tables


def _queue(tables: Mapping[str, pl.DataFrame], config: QueueConfig) -> pl.DataFrame:
    traces, steps, labels = (tables[name] for name in ("traces", "step_labels", "trace_labels"))
    return make_queue(
        traces,
        steps,
        labels,
        tables["critiques"],
        Tag.empty(),
        CodeThought.empty(),
        Correction.empty(),
        config=config,
    )


def _answers(queue: pl.DataFrame, truth: Mapping[str, int]) -> pl.DataFrame:
    """Reviews of the whole queue by one who is always right."""
    return Review.from_rows(
        {
            "review_id": f"{trace_id}/{_ORACLE}",
            "item_id": trace_id,
            "trace_id": trace_id,
            "annotator": _ORACLE,
            "submitted_at": "2026-01-01T00:00:00Z",
            "first_error": truth[trace_id],
            "factors": [],
            "comment": "",
            "tool": "jsonl",
        }
        for trace_id in queue["trace_id"]
    )


def _wrong(labels: pl.DataFrame, truth: Mapping[str, int]) -> npt.NDArray[np.float64]:
    """Per trace: whether its first error is wrong, and how many labels of its steps are."""
    n = labels["n_steps"].to_numpy()
    said = labels["first_error"].to_numpy()
    true = np.array([truth[trace_id] for trace_id in labels["trace_id"]])
    # "None" stands behind the last step.
    steps = np.abs(np.where(said < 0, n, said) - np.where(true < 0, n, true))
    return np.stack([said != true, steps], axis=1).astype(float)


def _share(gone: npt.NDArray[np.float64], wrong: npt.NDArray[np.float64]) -> Estimate:
    def share(rows: npt.NDArray[np.int64]) -> float:
        total = float(wrong[rows].sum())
        return float(gone[rows].sum()) / total if total else float("nan")

    return bootstrap(share, len(wrong))


def _told(
    before: pl.DataFrame,
    old: pl.DataFrame,
    new: pl.DataFrame,
    reviews: pl.DataFrame,
    decisions: pl.DataFrame,
) -> dict[str, float]:
    """What the reviews of the queue say, without any oracle."""
    changes, quality = count_changes(old, new), measure_reviews(reviews, decisions)
    fit = recalibrate(before, decisions)
    told: dict[str, float | None] = {
        "n_changed_traces": changes.n_first_errors,
        "n_changed_steps": changes.n_steps,
        "n_changed_elsewhere": changes.n_elsewhere,
        "n_random": quality.n_random,
        "label_error": quality.label_error,
        "label_error_low": quality.label_error_low,
        "label_error_high": quality.label_error_high,
        "temperature": fit.temperature,
        "ece_before": fit.ece_before,
        "ece_after": fit.ece_after,
    }
    return {name: float("nan") if value is None else value for name, value in told.items()}
