"""What the report counts, as a tree of plain values that JSON can hold.

The surprising fact: every table may be missing. A run that was stopped, or one without code, gets
its report all the same; what cannot be counted is 0 or ``None``, and the page says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from datagen.publish.curation import curation
from datagen.publish.manifest import RejectionCount
from datagen.report.labels import LabelFigures, label_figures, reviewed_labels
from datagen.report.reviews import ReviewFigures, review_figures
from datagen.show.styles import FAMILY
from schemas import CONTRACTS, DOMAINS, OUTCOMES, SPLITS, Contract

Tables = Mapping[str, pl.DataFrame]

REPORT_TABLES: Final[Mapping[str, type[Contract]]] = {
    **{
        name: CONTRACTS[name]
        for name in (
            *("seeds", "code_seeds", "quarantine", "questions", "prefixes", "rollouts", "nodes"),
            *("traces", "critiques", "probes", "trace_labels", "executions", "code_thoughts"),
            *("prm", "review_queue", "reviews", "decisions", "annotators"),
        )
    },
    "measured_traces": CONTRACTS["traces"],
    "reviewed_trace_labels": CONTRACTS["trace_labels"],
    "reviewed_step_labels": CONTRACTS["step_labels"],
    **dict.fromkeys(
        ("rejected_questions", "rejected_traces", "rejected_by_difficulty"),
        CONTRACTS["rejections"],
    ),
}
"""The tables that the report is made of, each with its contract."""

N_PASS_RATES: Final = 10
"""Bins of pass rates strictly between 0 and 1, which are bins of their own."""

_MAX_FACTORS: Final = 40
_FAMILIES: Final = {factor.value: family for factor, family in FAMILY.items()}


@dataclass(frozen=True, slots=True)
class Count:
    """One line of the funnel.

    Attributes:
        name: what is counted.
        n: how many there are.
        note: what it says of them, one phrase.
    """

    name: str
    n: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class FactorCount:
    """Steps that perform one thought factor, by how their trace ended.

    Attributes:
        name: the factor.
        family: the kind of thinking that it belongs to.
        n_right: steps in right traces.
        n_wrong: steps in wrong traces.
        n_rest: steps in traces that nobody could judge.
    """

    name: str
    family: str
    n_right: int
    n_wrong: int
    n_rest: int

    @property
    def n(self) -> int:
        """All steps."""
        return self.n_right + self.n_wrong + self.n_rest


@dataclass(frozen=True, slots=True)
class PassRates:
    """How often the model solves the questions that it tried.

    Attributes:
        bins: questions by pass rate: 0, then :data:`N_PASS_RATES` equal bins in between, then 1.
        mean: of all that were tried; ``None`` if none was.
        n_untried: questions without a rollout from the bare question.
    """

    bins: tuple[int, ...]
    mean: float | None
    n_untried: int

    @property
    def n(self) -> int:
        """Questions that were tried."""
        return sum(self.bins)


@dataclass(frozen=True, slots=True)
class Figures:
    """All that the report counts.

    Attributes:
        words: the funnel of questions in words, from seeds to verified traces.
        code: the funnel of code seeds; empty without any.
        outcomes: outcome → rollouts, in the order of the vocabulary.
        left_out: what curation left out, by rule.
        published: config → split → rows.
        held_tokens: stage → generated tokens that the tables hold; what was replayed is included.
        labels: how far the labels can be trusted.
        factors: the thought factors, most frequent first.
        pass_rates: how hard the questions are.
        questions: domain → split → questions; domains without any are left out.
        reviews: what people said.
    """

    words: tuple[Count, ...]
    code: tuple[Count, ...]
    outcomes: Mapping[str, int]
    left_out: tuple[RejectionCount, ...]
    published: Mapping[str, Mapping[str, int]]
    held_tokens: Mapping[str, int]
    labels: LabelFigures
    factors: tuple[FactorCount, ...]
    pass_rates: PassRates
    questions: Mapping[str, Mapping[str, int]]
    reviews: ReviewFigures

    @property
    def n_published(self) -> int:
        """Rows of all configs and splits."""
        return sum(sum(splits.values()) for splits in self.published.values())

    @property
    def solved_share(self) -> float | None:
        """Share of right ones among the rollouts that could be judged; ``None`` if none could."""
        n_right = self.outcomes["correct"]
        n = n_right + self.outcomes["wrong"]
        return n_right / n if n else None

    def n_of(self, name: str) -> int:
        """A line of either funnel; 0 if there is none of this name."""
        return next((line.n for line in (*self.words, *self.code) if line.name == name), 0)


def complete(tables: Tables) -> dict[str, pl.DataFrame]:
    """All of :data:`REPORT_TABLES`, with empty ones for those that are not given."""
    return {
        name: tables[name] if name in tables else contract.empty()
        for name, contract in REPORT_TABLES.items()
    }


def figures(tables: Tables, published: Mapping[str, Mapping[str, int]]) -> Figures:
    """Count.

    Args:
        tables: some or all of :data:`REPORT_TABLES`.
        published: config → split → rows of the published folder; empty before there is one.
    """
    found = complete(tables)
    rejected = [found[name] for name in found if name.startswith("rejected_")]
    return Figures(
        words=_words(found, published),
        code=_code(found),
        outcomes={
            outcome: found["rollouts"].filter(pl.col("outcome") == outcome).height
            for outcome in OUTCOMES
        },
        left_out=curation(*rejected).rejections,
        published={config: dict(splits) for config, splits in published.items()},
        held_tokens={
            stage: int(found[table]["n_tokens"].sum())
            for stage, table in _HELD.items()
            if found[table].height
        },
        labels=label_figures(found),
        factors=factor_counts(found["traces"]),
        pass_rates=pass_rates(found["questions"]),
        questions=_questions(found["questions"]),
        reviews=review_figures(found),
    )


_HELD: Final = {
    "code_thoughts": "code_thoughts",
    "search": "rollouts",
    "critiques": "critiques",
    "labels": "probes",
}
"""Stage → the table with the tokens of its completions."""


def _words(found: Tables, published: Mapping[str, Mapping[str, int]]) -> tuple[Count, ...]:
    seeds, prefixes, rollouts, traces = (
        found[name] for name in ("seeds", "prefixes", "rollouts", "traces")
    )
    lost = {"refused": found["quarantine"].height, "rejected": _n_ids(found["rejected_questions"])}
    in_words = traces.filter(~pl.col("seed_id").is_in(found["code_seeds"]["seed_id"].implode()))
    left_out = found["rejected_traces"]["id"].implode()
    kept = in_words.filter(~pl.col("trace_id").is_in(left_out))
    measured = reviewed_labels(found)
    n_rows = sum(sum(splits.values()) for splits in published.values())
    return (
        Count(
            "Seeds",
            seeds.height,
            ", ".join(f"{n:,} {what}" for what, n in lost.items() if n) or "none refused",
        ),
        Count("Prefixes", prefixes.height, _per(prefixes.height, seeds.height, "seed")),
        Count("Rollouts", rollouts.height, _per(rollouts.height, prefixes.height, "prefix")),
        Count("Traces", in_words.height, "whole thoughts, right and wrong"),
        Count("Traces kept", kept.height, _less(in_words.height - kept.height, "repeated others")),
        Count("Measured", found["measured_traces"].height, "their first error was sought"),
        Count("Verified", int(measured["verified"].sum()), "the first error is agreed on"),
        Count("Published rows", n_rows, f"in {len(published)} datasets" if published else ""),
    )


def _code(found: Tables) -> tuple[Count, ...]:
    seeds, thoughts = found["code_seeds"], found["code_thoughts"]
    if seeds.is_empty():
        return ()
    chain = ("route", "seed_id", "thought_idx")
    chains = thoughts.group_by(chain).agg(pl.col("verified").any())
    return (
        Count("Programs", seeds.height, "code seeds"),
        Count("Recorded runs", found["executions"].height, "value by value"),
        Count("Thoughts written", thoughts.height, "revisions included"),
        Count("Thoughts", chains.height, "a revised one counts once"),
        Count("Verified thoughts", int(chains["verified"].sum()), "no claim against a run"),
    )


def factor_counts(traces: pl.DataFrame) -> tuple[FactorCount, ...]:
    """What the steps of table ``traces`` do, most frequent first; the rarest are one line."""
    outcome = pl.col("outcome")
    n_right, n_wrong = ((outcome == name).sum() for name in ("correct", "wrong"))
    rows = (
        traces.select("outcome", factor="factors")
        .explode("factor")
        .drop_nulls("factor")
        .group_by("factor")
        .agg(n=pl.len(), n_right=n_right, n_wrong=n_wrong)
        .sort(["n", "factor"], descending=[True, False])
        .rows(named=True)
    )
    shown = [
        FactorCount(
            name := str(row["factor"]),
            _FAMILIES.get(name, "other"),
            row["n_right"],
            row["n_wrong"],
            row["n"] - row["n_right"] - row["n_wrong"],
        )
        for row in rows[:_MAX_FACTORS]
    ]
    if rest := rows[_MAX_FACTORS:]:
        n, right, wrong = (sum(row[k] for row in rest) for k in ("n", "n_right", "n_wrong"))
        name = f"{len(rest)} rarer factors"
        shown.append(FactorCount(name, "other", right, wrong, n - right - wrong))
    return tuple(shown)


def pass_rates(questions: pl.DataFrame) -> PassRates:
    """How hard the questions of table ``questions`` are."""
    rates = questions["pass_rate"].drop_nulls()
    # A rate of exactly 0 or 1 says something else than one that is merely close to it.
    places = pl.DataFrame({"rate": rates}).select(
        place=pl.when(pl.col("rate") <= 0)
        .then(0)
        .when(pl.col("rate") >= 1)
        .then(N_PASS_RATES + 1)
        .otherwise((pl.col("rate") * N_PASS_RATES).floor().cast(pl.Int64) + 1)
    )
    counts: dict[Any, int] = dict(places.group_by("place").len().iter_rows())
    mean = rates.mean()
    return PassRates(
        bins=tuple(counts.get(place, 0) for place in range(N_PASS_RATES + 2)),
        mean=float(mean) if isinstance(mean, int | float) else None,
        n_untried=questions.height - len(rates),
    )


def _questions(questions: pl.DataFrame) -> dict[str, dict[str, int]]:
    counts: dict[tuple[str, str], int] = {
        (domain, split): n
        for domain, split, n in questions.group_by("domain", "split").len().iter_rows()
    }
    return {
        domain: {split: counts.get((domain, split), 0) for split in SPLITS}
        for domain in DOMAINS
        if any((domain, split) in counts for split in SPLITS)
    }


def _n_ids(rejected: pl.DataFrame) -> int:
    return rejected["id"].n_unique()


def _per(n: int, of: int, noun: str) -> str:
    return f"{n / of:.1f} per {noun}" if of else ""


def _less(n: int, why: str) -> str:
    return f"{n:,} {why}" if n else f"none {why}"
