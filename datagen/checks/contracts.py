"""Checks that the tables on disk are what the present code would write.

The surprising fact: every table was valid when it was written. It is read again because the code
moves on: a table of an older version that no asset of this run had to read would otherwise go into
the datasets with columns missing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from datagen.checks.finding import Finding
from schemas import Contract, ContractError

_MAX_CHARS: Final = 300

_DISTINCT: Final = (
    ("seeds", "code_seeds", "seed_id"),
    ("rollouts", "probes", "rollout_id"),
    ("traces", "corrections", "trace_id"),
)
"""Tables whose ids must differ, since datasets hold rows of both."""


def contracts(paths: Mapping[str, Path], contract_of: Mapping[str, type[Contract]]) -> Finding:
    """Whether every table on disk keeps its contract.

    One table after the other is read, so memory holds one of them and a few columns of ids.

    Args:
        paths: where each table should be.
        contract_of: the contract of each.
    """
    problems: list[str] = []
    ids: dict[str, pl.Series] = {}
    wanted = {table: column for *tables, column in _DISTINCT for table in tables}
    n_rows = 0
    for name, path in paths.items():
        try:
            frame = contract_of[name].validate(pl.read_parquet(path))
        except FileNotFoundError:
            problems.append(f"there is no table {name}")
        except (ContractError, OSError, pl.exceptions.PolarsError) as error:
            said = _short(error)
            problems.append(said if said.startswith(f"{name}:") else f"{name}: {said}")
        else:
            n_rows += frame.height
            if name in wanted:
                ids[name] = frame[wanted[name]]
    for first, second, column in _DISTINCT:
        if first in ids and second in ids:
            both = ids[first].filter(ids[first].is_in(ids[second].implode()))
            if len(both):
                problems.append(
                    f"{first} and {second} share {len(both):,} of {column}, as {both[0]!r}"
                )
    detail = f"{len(paths)} tables with {n_rows:,} rows keep their contracts"
    if problems:
        detail = f"{'; '.join(problems)}: materialise these assets again"
    return Finding("contracts", not problems, detail, {"tables": len(paths), "rows": n_rows})


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}…"
