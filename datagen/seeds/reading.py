"""``read_seeds``: one entry for every kind of seed source.

The surprising fact: a bad row never stops a run and never disappears. It becomes a row of the
``quarantine`` table with its number, field and reason; only a source without any usable row is an
error, and that error counts the reasons.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from datagen.errors import ConfigError
from datagen.seeds.checks import (
    DEFAULT_MAX_CHARS,
    Defaults,
    duplicate_id,
    refuse_taken,
    seed_id_of,
    seed_row,
)
from datagen.seeds.containers import peek, read_rows, require_columns
from datagen.seeds.gsm8k import GSM8K, looks_like_gsm8k
from datagen.seeds.references import Format, Reference, resolve
from datagen.seeds.refusals import Refused, RefusedRows
from datagen.seeds.rows import OWN, SEED_FIELDS, Dialect, Row
from datagen.traces.splitting import SPLITTINGS, Splitting
from datagen.verify import VERIFIERS
from schemas import DOMAINS, Domain, Seed


@dataclass(frozen=True, slots=True)
class SeedBatch:
    """What was read.

    Attributes:
        seeds: the usable rows, in the order of the source; table ``seeds``.
        quarantine: the refused rows with their reasons; table ``quarantine``.
    """

    seeds: pl.DataFrame
    quarantine: pl.DataFrame


def read_seeds(
    path_or_ref: str | Path,
    *,
    format: Format = "auto",
    mapping: Mapping[str, str] | None = None,
    source: str | None = None,
    license: str | None = None,
    domain: Domain | None = None,
    verifier: str | None = None,
    splitting: Splitting = "auto",
    hf_split: str | None = None,
    limit: int | None = None,
    max_chars: int = DEFAULT_MAX_CHARS,
    taken: Mapping[str, str] | None = None,
) -> SeedBatch:
    """Read human-written seeds from a file, a dataset folder or the Hugging Face Hub.

    Args:
        path_or_ref: a path, or ``org/name``, ``org/name:config``, ``org/name@revision``.
        format: ``jsonl`` and ``parquet`` read our own fields; ``gsm8k`` reads GSM8K's, from either
            of these or from the Hub; ``hf`` reads any dataset that ``datasets`` can stream;
            ``auto`` tells by what the path is and by the first row that can be read.
        mapping: seed field → column of the source, where the names differ. A field mapped to the
            empty string is not read. Columns that are no seed field go into ``meta``.
        source: for rows without one; by default the file's or dataset's name.
        license: for rows without one; by default ``MIT`` for GSM8K, else ``unknown``.
        domain: for rows without one; by default ``math``.
        verifier: for rows without one; by default ``rubric`` for those with a rubric, ``numeric``
            for GSM8K, else ``math`` in the domain ``math`` and ``exact`` in others.
        splitting: how thoughts are cut into steps, see :func:`datagen.traces.splitting.split`.
        hf_split: the split of a Hugging Face dataset; by default ``train`` or the only one.
        limit: stop after this many usable rows.
        max_chars: the longest question, thought or answer that is accepted.
        taken: ids that other shards have, with the shard; such rows are refused.

    Returns:
        The seeds and the quarantine, both valid under their contracts. ``row_idx`` counts from 0;
        in text files it is the line, blank lines included.

    Raises:
        ConfigError: if an option is unknown or out of range.
        SeedError: if the source is missing, empty, of an unknown kind, cannot be read, or has no
            usable row, but for rows of other shards.
    """
    _check_options(mapping, domain, verifier, splitting, limit, max_chars)
    columns = dict(mapping or {})
    reference, container = resolve(path_or_ref, format, hf_split)
    rows, first = peek(read_rows(reference, container, columns, SEED_FIELDS))
    is_gsm8k = format == "gsm8k" or (format == "auto" and looks_like_gsm8k(first))
    dialect = GSM8K if is_gsm8k else OWN
    if container != "jsonl":
        require_columns(reference, first, dialect.required, columns)
    defaults = Defaults(
        source=source or reference.name,
        license=license or dialect.license,
        domain=domain or "math",
        verifier=verifier or dialect.verifier,
        splitting=splitting,
        max_chars=max_chars,
    )
    return _collect(rows, reference, dialect, defaults, limit, taken or {})


def _collect(
    rows: Iterator[Row],
    reference: Reference,
    dialect: Dialect,
    defaults: Defaults,
    limit: int | None,
    taken: Mapping[str, str],
) -> SeedBatch:
    seeds: list[dict[str, object]] = []
    refused = RefusedRows(defaults.source)
    rows_of_ids: dict[str, int] = {}
    for row_idx, row in rows:
        seed_id: str | None = None
        try:
            if isinstance(row, Refused):
                raise row
            fields, annotations = dialect.read(row)
            seed_id = seed_id_of(fields, defaults)
            if seed_id in rows_of_ids:
                raise duplicate_id(seed_id, rows_of_ids[seed_id])
            refuse_taken(seed_id, taken)
            seeds.append(seed_row(fields, annotations, seed_id, defaults))
            rows_of_ids[seed_id] = row_idx
        except Refused as reason:
            refused.add(row_idx, seed_id, reason)
        if limit is not None and len(seeds) >= limit:
            break
    if not seeds:
        refused.refuse_nothing_usable(reference)
    return SeedBatch(Seed.from_rows(seeds), refused.frame())


def _check_options(
    mapping: Mapping[str, str] | None,
    domain: str | None,
    verifier: str | None,
    splitting: str,
    limit: int | None,
    max_chars: int,
) -> None:
    for field in mapping or {}:
        if field not in SEED_FIELDS:
            raise ConfigError(
                f"mapping names {field!r}, which is no seed field; "
                f"use {', '.join(SEED_FIELDS)} as keys and columns as values"
            )
    for name, value, allowed in (
        ("domain", domain, (None, *DOMAINS)),
        ("verifier", verifier, (None, *VERIFIERS)),
        ("splitting", splitting, SPLITTINGS),
    ):
        if value not in allowed:
            known = ", ".join(str(choice) for choice in allowed if choice)
            raise ConfigError(f"{name}={value!r} is unknown; use one of {known}")
    for name, number in (("limit", limit), ("max_chars", max_chars)):
        if number is not None and number < 1:
            raise ConfigError(f"{name}={number!r} must be at least 1")
