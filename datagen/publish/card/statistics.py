"""The numbers of the dataset card, counted from the very tables that are published.

The surprising fact: nothing here is handed in by whoever made the data. A number that is counted
from the files cannot go stale, and a number that cannot be counted from them is not on the card.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from datagen.publish.configs import CONFIGS
from schemas.vocabulary import CLAIM_VERDICTS, ROUTES


@dataclass(frozen=True, slots=True)
class TraceStatistics:
    """Of table ``traces``; all but the first two and the steps count generated traces only.

    Generated traces end in a rollout. Those that a search put together do not, since it took the
    best of several steps again and again. Nor do those about code: they were revised until they
    were right, or made from a run. So their outcomes would say nothing of how good the model is.

    Attributes:
        n_human: traces that a person wrote to the end.
        n_built: traces that a search put together.
        n_code: traces about code.
        n_correct: traces that ended right.
        n_decided: traces that ended right or wrong.
        outcomes: outcome → traces, most frequent first.
        factors: thought factor → steps, of all traces, most frequent first.
        median_steps: steps per trace, of all traces.
        max_steps: steps of the longest trace.
    """

    n_human: int
    n_built: int
    n_code: int
    n_correct: int
    n_decided: int
    outcomes: Mapping[str, int]
    factors: Mapping[str, int]
    median_steps: float
    max_steps: int


@dataclass(frozen=True, slots=True)
class LabelStatistics:
    """Of table ``prm``.

    Attributes:
        n_rows: traces.
        n_rows_with_error: traces with a wrong step.
        n_rows_past_error: traces that have steps after their first wrong one.
        n_steps: labelled steps.
        n_wrong_steps: steps labelled wrong.
    """

    n_rows: int
    n_rows_with_error: int
    n_rows_past_error: int
    n_steps: int
    n_wrong_steps: int


@dataclass(frozen=True, slots=True)
class QuestionStatistics:
    """Of table ``rl``.

    Attributes:
        n_questions: questions.
        n_tried: questions with at least one rollout.
        n_rollouts: rollouts of all questions.
        mean_pass_rate: mean over the questions tried, ``None`` if none was.
        n_never_solved: questions tried and never solved.
        n_always_solved: questions tried and solved every time.
    """

    n_questions: int
    n_tried: int
    n_rollouts: int
    mean_pass_rate: float | None
    n_never_solved: int
    n_always_solved: int


@dataclass(frozen=True, slots=True)
class CodeStatistics:
    """Of table ``code_thoughts``. A thought that failed and was revised has several rows.

    Attributes:
        n_rows: rows.
        n_verified_rows: rows that passed every check.
        n_contradicted_rows: rows with a claim that a run contradicts.
        routes: route → (thoughts, thoughts of which some row is verified, rows), in the order of
            the vocabulary.
        claims: verdict → (claims of verified rows, claims of all rows), in the order of the
            vocabulary, without gaps.
        round_trip_rate: mean share of programs written from question and thought that pass, of the
            rows with both kinds of programs; ``None`` if there are none.
        bare_rate: the same of programs written from the question alone.
        sufficiency: the mean difference of the two.
        n_round_trip_rows: the rows that these three are of.
    """

    n_rows: int
    n_verified_rows: int
    n_contradicted_rows: int
    routes: Mapping[str, tuple[int, int, int]]
    claims: Mapping[str, tuple[int, int]]
    round_trip_rate: float | None
    bare_rate: float | None
    sufficiency: float | None
    n_round_trip_rows: int

    @property
    def n_thoughts(self) -> int:
        """Thoughts, however often they were revised."""
        return sum(thoughts for thoughts, _, _ in self.routes.values())

    @property
    def n_verified(self) -> int:
        """Thoughts of which some row is verified."""
        return sum(verified for _, verified, _ in self.routes.values())


def trace_statistics(traces: pl.DataFrame) -> TraceStatistics:
    """Count a table ``traces`` that has rows."""
    generated = traces.filter(pl.col("rollout_id").is_not_null())
    n_human = traces.filter(pl.col("provenance") == "human").height
    n_built = traces["node_id"].count()
    outcomes = counts(generated["outcome"])
    n_correct = outcomes.get("correct", 0)
    steps = traces.select(
        median_steps=pl.col("steps").list.len().median(), max_steps=pl.col("steps").list.len().max()
    )
    return TraceStatistics(
        n_human=n_human,
        n_built=n_built,
        n_code=traces.height - generated.height - n_human - n_built,
        n_correct=n_correct,
        n_decided=n_correct + outcomes.get("wrong", 0),
        outcomes=outcomes,
        factors=counts(traces["factors"].explode().drop_nulls()),
        **_only_row(steps),
    )


def label_statistics(prm: pl.DataFrame) -> LabelStatistics:
    """Count a table ``prm`` that has rows."""
    labels = pl.col("labels")
    found = prm.select(
        n_rows_with_error=(~labels.list.all()).sum(),
        n_rows_past_error=(~labels.list.head(labels.list.len() - 1).list.all()).sum(),
        n_steps=labels.list.len().sum(),
        n_wrong_steps=labels.list.eval(~pl.element()).list.sum().sum(),
    )
    return LabelStatistics(n_rows=prm.height, **_only_row(found))


def question_statistics(rl: pl.DataFrame) -> QuestionStatistics:
    """Count a table ``rl`` that has rows."""
    info = rl["extra_info"].struct
    pass_rate = pl.col("pass_rate")
    found = pl.DataFrame([info.field("pass_rate"), info.field("n_rollouts")]).select(
        n_tried=pass_rate.count(),
        n_rollouts=pl.col("n_rollouts").sum(),
        mean_pass_rate=pass_rate.mean(),
        n_never_solved=(pass_rate == 0).sum(),
        n_always_solved=(pass_rate == 1).sum(),
    )
    return QuestionStatistics(n_questions=rl.height, **_only_row(found))


def code_statistics(code_thoughts: pl.DataFrame) -> CodeStatistics:
    """Count a table ``code_thoughts``; it may be empty."""
    chains = code_thoughts.group_by("route", "seed_id", "thought_idx").agg(
        pl.col("verified").any(), n_rows=pl.len()
    )
    routes = {
        route: (own.height, int(own["verified"].sum()), int(own["n_rows"].sum()))
        for route in ROUTES
        if (own := chains.filter(pl.col("route") == route)).height
    }
    verdict = pl.col("claims").struct.field("verdict")
    of_all = counts(code_thoughts.explode("claims").select(verdict)["verdict"])
    verified = code_thoughts.filter("verified")
    of_verified = counts(verified.explode("claims").select(verdict)["verdict"])
    tried = code_thoughts.filter(pl.col("sufficiency").is_not_null()).select(
        round_trip_rate=(pl.col("n_passed") / pl.col("n_round_trips")).mean(),
        bare_rate=(pl.col("n_bare_passed") / pl.col("n_bare")).mean(),
        sufficiency=pl.col("sufficiency").mean(),
        n_round_trip_rows=pl.len(),
    )
    return CodeStatistics(
        n_rows=code_thoughts.height,
        n_verified_rows=verified.height,
        n_contradicted_rows=code_thoughts.filter(pl.col("first_error") >= 0).height,
        routes=routes,
        claims={name: (of_verified.get(name, 0), of_all.get(name, 0)) for name in CLAIM_VERDICTS},
        **_only_row(tried),
    )


def longest_rows(tables: Mapping[str, pl.DataFrame]) -> dict[str, int]:
    """Characters of each config's longest row, as far as a model reads them."""
    return {
        config: _only_row(table.select(n_chars=CONFIGS[config].n_chars().max()))["n_chars"]
        for config, table in tables.items()
    }


def counts(values: pl.Series) -> dict[Any, int]:
    """How often each value occurs, most frequent first, equals in alphabetical order."""
    found = values.alias("value").to_frame().group_by("value").len()
    return dict(found.sort(["len", "value"], descending=[True, False]).iter_rows())


def _only_row(frame: pl.DataFrame) -> dict[str, Any]:
    return frame.row(0, named=True)
