"""Checks of what comes in: rows that are refused, benchmarks, duplicates, licences.

The surprising fact: whatever is counted here is left out of the data already. The share of it is
what counts: a source of which most rows are bad is the wrong file, or a broken one, and what is
left of it is not to be trusted either. These checks come before the first rollout, and cost least.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from datagen.checks.finding import Finding
from datagen.checks.shares import Share, at_most
from datagen.publish.licenses import license_slug
from schemas import RejectionRule

_UNUSABLE: Final[Sequence[RejectionRule]] = ("gold", "conflicting_golds")
"""Rules that a row breaks by its own fault; others leave out what is merely not wanted."""

REPEATING: Final[Sequence[RejectionRule]] = ("duplicate", "near_duplicate")
"""Rules that questions and traces break which say what another says."""

_MAX_EXAMPLES: Final = 3
_MAX_CHARS: Final = 120


@dataclass(frozen=True, slots=True)
class Incoming:
    """What a shard was made of.

    Attributes:
        seeds: table ``seeds``, as curated.
        code_seeds: table ``code_seeds``, as curated.
        quarantine: table ``quarantine``.
        rejected: table ``rejected_questions``.
        benchmark_checks: table ``benchmark_checks``.
    """

    seeds: pl.DataFrame
    code_seeds: pl.DataFrame
    quarantine: pl.DataFrame
    rejected: pl.DataFrame
    benchmark_checks: pl.DataFrame

    @property
    def n_kept(self) -> int:
        """Questions that went on."""
        return self.seeds.height + self.code_seeds.height

    @property
    def n_read(self) -> int:
        """Questions that could be read, and were held against the rules of curation."""
        return self.n_kept + self.rejected["id"].n_unique()

    def n_broken(self, rules: Collection[RejectionRule]) -> int:
        """Questions that broke any of these rules."""
        return self.rejected.filter(pl.col("rule").is_in(rules))["id"].n_unique()


def refused(incoming: Incoming, *, max_share: float) -> Finding:
    """Whether most rows of the sources are usable.

    Not usable are those that could not be read, and those without a readable and consistent gold
    answer.
    """
    n_unread = incoming.quarantine.select("source", "row_idx").n_unique()
    n_refused = n_unread + incoming.n_broken(_UNUSABLE)
    n = n_unread + incoming.n_read
    return at_most(
        "refused",
        Share.of(n_refused, n),
        max_share,
        what=f"of {n:,} source rows cannot be used{_reason(incoming)}",
        setting="checks.max_refused_share",
        fix="mend the source, see tables quarantine and rejected_questions, and run the shard "
        "again, or remove it",
    )


def contamination(
    incoming: Incoming, *, max_share: float, required: Collection[str] = ()
) -> Finding:
    """Whether few questions are in benchmarks, and all that are required were looked at.

    Args:
        incoming: what the shard was made of.
        max_share: of the questions.
        required: names of benchmarks.
    """
    n, checks = incoming.n_read, incoming.benchmark_checks
    compared = checks.filter(pl.col("n_checked") >= incoming.n_kept)["name"]
    missing = sorted(set(required).difference(compared)) if n else []
    found = at_most(
        "contamination",
        Share.of(incoming.n_broken(["contaminated"]), n),
        max_share,
        what=f"of {n:,} questions are in a benchmark",
        setting="checks.max_contaminated_share",
        fix="the source is one of the benchmarks, or was made from one, and what no rule found of "
        "it is so too: take another source",
    )
    if missing:
        names = ", ".join(missing)
        detail = f"not compared with {names}; name them in curation.benchmarks and run again"
        return replace(found, passed=False, detail=detail)
    return found


def question_keys(seeds: pl.LazyFrame, code_seeds: pl.LazyFrame) -> pl.DataFrame:
    """What makes two rows the same, word for word: question and thought, or question and code.

    Args:
        seeds: table ``seeds``; of its columns ``seed_id``, ``question`` and ``thought`` are read.
        code_seeds: table ``code_seeds``; likewise, with ``code``.

    Returns:
        ``seed_id`` and ``key`` (uint64, a hash that holds for this process).
    """
    return pl.concat(
        [
            seeds.select("seed_id", key=pl.struct("question", "thought").hash()),
            code_seeds.select("seed_id", key=pl.struct("question", "code").hash()),
        ]
    ).collect(engine="streaming")


def duplicates(incoming: Incoming, elsewhere: pl.DataFrame, *, max_share: float) -> Finding:
    """Whether most questions are new, and no id is in use.

    An id that another accepted shard has is always a failure: with both of them no dataset could
    be made at all.

    Args:
        incoming: what the shard was made of.
        elsewhere: :func:`question_keys` of the other shards that are accepted.
        max_share: of the questions; those that curation left out, and those that are in another
            shard.
    """
    own = question_keys(incoming.seeds.lazy(), incoming.code_seeds.lazy())
    shared = own.join(elsewhere, on="seed_id", how="semi")["seed_id"].sort()
    n_elsewhere = own.join(elsewhere, on="key", how="semi").height
    n = incoming.n_read
    found = at_most(
        "duplicates",
        Share.of(incoming.n_broken(REPEATING) + n_elsewhere, n),
        max_share,
        what=f"of {n:,} questions are there already, {n_elsewhere:,} of them in other shards",
        setting="checks.max_duplicate_share",
        fix="remove the shard, or what it repeats",
    )
    counted = {**found.figures, "elsewhere": n_elsewhere, "shared_ids": len(shared)}
    if len(shared):
        detail = (
            f"{len(shared):,} of {own.height:,} seed_ids are those of other accepted shards: "
            f"{_some(shared)}; remove those rows, or give them other seed_ids if they are others"
        )
        return replace(found, passed=False, detail=detail, figures=counted)
    return replace(found, figures=counted)


def licensing(
    incoming: Incoming, *, allowed: Collection[str] = (), require_known: bool = False
) -> Finding:
    """Whether the licence of every seed is known and allowed; one row is enough to fail.

    Args:
        incoming: what the shard was made of.
        allowed: licences, in any way of writing them; none: any.
        require_known: whether a licence that nobody knows is refused.
    """
    names = pl.concat([table.select("license") for table in (incoming.seeds, incoming.code_seeds)])
    counts: Mapping[str, int] = dict(
        names["license"].value_counts().sort("count", "license", descending=[True, False]).rows()
    )
    wanted = set(map(license_slug, allowed))
    bad = {
        name: n
        for name, n in counts.items()
        if (wanted and license_slug(name) not in wanted)
        or (require_known and license_slug(name) == "unknown")
    }
    shown = "; ".join(f"{name or 'unknown'}: {n:,} seeds" for name, n in (bad or counts).items())
    detail = shown or "there is no seed"
    if bad:
        which = f"allowed are {', '.join(sorted(allowed))}" if allowed else "it must be known"
        detail += (
            f"; {which} (checks.licenses, checks.require_license): state it in the rows or in "
            "seeds.license, or leave the source out"
        )
    return Finding("license", not bad, detail, {name or "unknown": n for name, n in counts.items()})


def _reason(incoming: Incoming) -> str:
    """The first reason that was given."""
    unusable = incoming.rejected.filter(pl.col("rule").is_in(_UNUSABLE))
    reasons = [*incoming.quarantine["reason"].head(1), *unusable["reason"].head(1)]
    if not reasons:
        return ""
    first = " ".join(reasons[0].split())
    return f" (such as: {first if len(first) <= _MAX_CHARS else first[:_MAX_CHARS] + '…'})"


def _some(names: pl.Series) -> str:
    rest = len(names) - _MAX_EXAMPLES
    return ", ".join(names.head(_MAX_EXAMPLES)) + (f" and {rest:,} more" if rest > 0 else "")
