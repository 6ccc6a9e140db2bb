"""Curates questions before anything is made of them, so that no rejected one costs a rollout.

The surprising fact: a question asked twice word for word may stand twice. If two people answered it
each in their own way, both thoughts are worth having, exporters share a question's rows among its
seeds, and equal questions fall into the same split. Only the same question *with the same thought*
is a duplicate. A question that is merely almost the same as another goes, whatever its thought,
because it could fall into the other split.

Every question is held against every rule that looks at one question alone, and gets a row for each
that it breaks. Golds, duplicates and near-duplicates are then compared among those that passed, in
this order: a question that is rejected speaks for no other, and of contradicting golds none may be
taken for a duplicate of the other before they are seen to contradict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from datagen.curate.benchmarks import Benchmark
from datagen.curate.config import CurateConfig
from datagen.curate.contamination import MATCHES, Match, find_contaminated
from datagen.curate.duplicates import exact_duplicates, near_duplicates
from datagen.curate.golds import conflicting_golds, unreadable_golds
from datagen.curate.report import rejection_counts
from datagen.curate.rows import as_rejections, kept
from datagen.curate.screens import foreign_language, wrong_length
from datagen.curate.words import normal_text
from datagen.errors import SeedError
from schemas import BenchmarkCheck, Rejection, RejectionRule

_HELD: Final[Mapping[Match, str]] = {
    "equal": "it is, word for word,",
    "contains": "it contains all words of",
    "8-grams": "it shares many runs of 8 words with",
    "13-gram": "it shares a rare run of 13 words with",
}


_REPEATS: Final[tuple[RejectionRule, ...]] = ("duplicate", "near_duplicate")


@dataclass(frozen=True, slots=True)
class CuratedSeeds:
    """What is kept, what is not, and what it was compared with.

    Attributes:
        seeds: table ``seeds``: the rows that are kept, as they were, in their order.
        code_seeds: table ``code_seeds``, likewise.
        rejections: table ``rejections``: seeds before code seeds, rule by rule.
        benchmark_checks: table ``benchmark_checks``, in the order of the benchmarks.
    """

    seeds: pl.DataFrame
    code_seeds: pl.DataFrame
    rejections: pl.DataFrame
    benchmark_checks: pl.DataFrame


def curate_seeds(
    seeds: pl.DataFrame,
    code_seeds: pl.DataFrame,
    *,
    config: CurateConfig,
    benchmarks: Sequence[Benchmark] = (),
    taken: tuple[pl.DataFrame, pl.DataFrame] | None = None,
) -> CuratedSeeds:
    """Apply the rules for questions; see the module for their order.

    Seeds and code seeds are not compared with each other.

    Args:
        seeds: table ``seeds``.
        code_seeds: table ``code_seeds``; their ids are others than those of ``seeds``.
        config: the rules' settings.
        benchmarks: whose questions must not be among ours.
        taken: seeds and code seeds that other shards keep, with other ids; a question that repeats
            or contradicts one of theirs is rejected, and theirs stays.

    Raises:
        ConfigError: if a language is unknown.
        SeedError: if there are seeds and none of them is kept; counts the reasons. That all of
            them are what other shards have is no error.
    """
    items = pl.concat(
        [table.select("seed_id", id="seed_id", text="question") for table in (seeds, code_seeds)]
    )
    thoughts = seeds.select("seed_id", id="seed_id", text="thought")
    contaminated, checks = _contaminated(items, benchmarks)
    alone = pl.concat(
        [
            unreadable_golds(seeds),
            wrong_length(
                items,
                min_words=config.min_words,
                max_words=config.max_words,
                what="question",
                kind="question",
            ),
            wrong_length(
                thoughts,
                min_words=0,
                max_words=config.max_thought_words,
                what="thought",
                kind="question",
            ),
            foreign_language(items, languages=config.languages),
            contaminated,
        ]
    ).unique(["id", "rule"], keep="first", maintain_order=True)
    rejections = [alone]
    others = taken or (seeds.clear(), code_seeds.clear())
    for table, before in ((seeds, others[0]), (code_seeds, others[1])):
        passed = pl.concat([before, kept(table, alone, id="seed_id", kind="question")])
        repeated = _repeated(passed, config, answered=table is seeds)
        rejections += [
            found.join(before, left_on="id", right_on="seed_id", how="anti", maintain_order="left")
            for found in repeated
        ]
    made = CuratedSeeds(seeds, code_seeds, pl.concat(rejections), checks)
    return _without_rejected(made)


def _contaminated(
    items: pl.DataFrame, benchmarks: Sequence[Benchmark]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of rule ``contaminated``, and of ``benchmark_checks``."""
    if not benchmarks:
        return Rejection.empty(), BenchmarkCheck.empty()
    hits = find_contaminated(items, benchmarks, text="text", id="id")
    place = pl.format("{}#{}", "benchmark", "row")
    strength = pl.col("match").cast(pl.String).replace_strict(MATCHES, range(len(MATCHES)))
    found = (
        hits.sort(strength, -pl.col("score"), maintain_order=True)
        .unique("id", keep="first", maintain_order=True)
        .select(
            "id",
            "score",
            reason=pl.format("{} {}", pl.col("match").replace_strict(_HELD), place),
            other=place,
        )
    )
    n_rejected = dict(hits.group_by("benchmark").agg(pl.col("id").n_unique()).iter_rows())
    checks = BenchmarkCheck.from_rows(
        [
            {
                "name": benchmark.name,
                "source": benchmark.source,
                "digest": benchmark.digest,
                "n_rows": len(benchmark.questions),
                "n_checked": items.height,
                "n_rejected": n_rejected.get(benchmark.name, 0),
            }
            for benchmark in benchmarks
        ]
    )
    return as_rejections(found, items, rule="contaminated", kind="question"), checks


def _repeated(
    questions: pl.DataFrame, config: CurateConfig, *, answered: bool
) -> list[pl.DataFrame]:
    """Rows of the rules that compare questions with each other.

    ``answered`` says whether they have a thought and a gold answer.
    """
    found: list[pl.DataFrame] = []
    if answered:
        found.append(conflicting_golds(questions))
        questions = kept(questions, found[-1], id="seed_id", kind="question")
    items = questions.select(
        "seed_id",
        id="seed_id",
        text="question",
        asked=normal_text(pl.col("question")),
        said="thought" if answered else "question",
    )
    what = "with the same thought" if answered else "already"
    equal = exact_duplicates(items, text="said", id="id", by=["asked"]).with_columns(
        reason=pl.format(f"{{}} asks the same {what}", "other")
    )
    found.append(as_rejections(equal, items, rule="duplicate", kind="question"))
    items = kept(items, found[-1], id="id", kind="question")
    if config.near_duplicates is not None:
        found.append(_almost_equal(items, config.near_duplicates, config))
    return found


def _almost_equal(items: pl.DataFrame, threshold: float, config: CurateConfig) -> pl.DataFrame:
    """Rows of rule ``near_duplicate``: of equal questions, all or none."""
    asking = items.filter(pl.col("asked") != "")
    first = asking.unique("asked", keep="first", maintain_order=True)
    near = near_duplicates(
        first, text="text", id="id", threshold=threshold, same_numbers=config.same_numbers
    )
    found = (
        near.join(first.select("id", "asked"), on="id")
        .drop("id")
        .join(asking.select("id", "asked"), on="asked")
        .with_columns(reason=pl.format("it is almost the same question as {}", "other"))
    )
    return as_rejections(
        found.select("id", "other", "score", "reason"),
        items,
        rule="near_duplicate",
        kind="question",
    )


def _without_rejected(made: CuratedSeeds) -> CuratedSeeds:
    """The tables without what is rejected; an error if that is everything."""
    tables = [
        kept(table, made.rejections, id="seed_id", kind="question")
        for table in (made.seeds, made.code_seeds)
    ]
    n_read = made.seeds.height + made.code_seeds.height
    own = pl.concat([table.select("seed_id") for table in (made.seeds, made.code_seeds)])
    repeat_others = pl.col("other").is_not_null() & ~pl.col("other").is_in(own["seed_id"].implode())
    wrong = made.rejections.filter(~(pl.col("rule").is_in(_REPEATS) & repeat_others))
    if n_read and wrong.height and not any(table.height for table in tables):
        counts = ", ".join(
            f"{n} × {rule}" for _, rule, n in rejection_counts(made.rejections).iter_rows()
        )
        first = made.rejections.row(0, named=True)
        raise SeedError(
            f"curation keeps none of {n_read} seeds ({counts}); {first['seed_id']!r}, for example: "
            f"{first['reason']}"
        )
    return CuratedSeeds(tables[0], tables[1], made.rejections, made.benchmark_checks)
