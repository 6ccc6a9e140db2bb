"""The card's section about code: how its thoughts were checked, and how its questions are rewarded.

The section appears only if the published tables hold thoughts or questions about code.
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

from datagen.publish.card.markdown import bullets, section, share, table
from datagen.publish.card.statistics import CodeStatistics, code_statistics

_ROWS: Final = """\
In `code_thoughts` a row is one writing of a thought: one that failed was revised, and its earlier \
writings stay as negatives, with their `reasons`. Its steps are labelled by what a run of the \
program says of their claims, and not by rollouts: from the first contradicted claim on they are \
wrong. Its `thought_id` is the `id` that it has in the other configs; what stands in \
`step_source` of `traces` is the key of its completion, or `execution` where no model wrote it."""

_LIMIT: Final = """\
Only claims are checked, not every word: a step without a claim that a run can decide is \
`uncheckable`, which means neither right nor wrong."""

_REWARD: Final = """\
In `rl` the rows whose `ability` is `code` are rewarded by running code, not by comparing \
strings. `extra_info.verifier` says how, and `reward_model.ground_truth` is what it needs: for \
`python` unit tests (JSON: `entry_point`, `tests`, `prelude`), for `python_input` a function and \
the result that the answer must give (JSON: `code`, `entry_point`, `output`), for `python_output` \
the value that a call returns, as a Python literal. The reward above for TRL does all of this. A \
trainer that hands over `answer` alone cannot: leave these rows out there."""

_SANDBOX: Final = (
    "It runs what a model wrote in a sandbox; do not run it, or the tests, without one."
)


def about_code(tables: Mapping[str, pl.DataFrame]) -> str:
    """The section, from whichever of ``code_thoughts`` and ``rl`` there are; it may be empty.

    Args:
        tables: config → table with rows.
    """
    parts: list[str] = []
    if "code_thoughts" in tables:
        parts += [_ROWS, *_figures(code_statistics(tables["code_thoughts"])), _LIMIT]
    if asks_for_code(tables):
        parts += [_REWARD, _SANDBOX]
    return section("Code", *parts) if parts else ""


def asks_for_code(tables: Mapping[str, pl.DataFrame]) -> bool:
    """Whether a question of ``rl`` is about code."""
    return "rl" in tables and bool((tables["rl"]["ability"] == "code").any())


def _figures(found: CodeStatistics) -> tuple[str, str, str]:
    routes = [
        (route, f"{n:,}", share(n_verified, n), f"{n_rows:,}")
        for route, (n, n_verified, n_rows) in found.routes.items()
    ]
    n_verified, n_all = (sum(column) for column in zip(*found.claims.values(), strict=True))
    claims = [
        (verdict, f"{verified:,}", share(verified, n_verified), f"{n:,}", share(n, n_all))
        for verdict, (verified, n) in found.claims.items()
    ]
    facts = [
        f"Rows with a contradicted claim: {share(found.n_contradicted_rows, found.n_rows)}",
        f"Verified rows: {share(found.n_verified_rows, found.n_rows)}",
    ]
    if found.round_trip_rate is not None and found.bare_rate is not None:
        facts.append(
            "Programs written from question and thought that pass the tests: "
            f"{100 * found.round_trip_rate:.1f} % on average; from the question alone: "
            f"{100 * found.bare_rate:.1f} %; mean `sufficiency`, which is the difference: "
            f"{found.sufficiency:+.2f} ({found.n_round_trip_rows:,} rows)"
        )
    return (
        table(("route", "thoughts", "verified in the end", "rows"), routes),
        table(("claims", "in verified rows", "share", "in all rows", "share"), claims),
        bullets(facts),
    )
