"""``read_seeds``: one entry for every kind of seed source.

The surprising fact: a bad row never stops a run and never disappears. It becomes a row of the
``quarantine`` table with its number, field and reason; only a source without any usable row is an
error, and that error counts the reasons.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import polars as pl

from datagen.errors import ConfigError, SeedError
from datagen.seeds.checks import DEFAULT_MAX_CHARS, Defaults, seed_id_of, seed_row
from datagen.seeds.gsm8k import GSM8K, looks_like_gsm8k
from datagen.seeds.huggingface import read_huggingface
from datagen.seeds.jsonl import read_jsonl
from datagen.seeds.parquet import read_parquet
from datagen.seeds.references import Container, Format, Reference, resolve
from datagen.seeds.refusals import Refused
from datagen.seeds.rows import OWN, SEED_FIELDS, Dialect, Fields, Row
from datagen.traces.splitting import SPLITTINGS, Splitting
from schemas import DOMAINS, VERIFIERS, Domain, Quarantine, Seed, Verifier

_READERS: Final[dict[Container, Callable[[Reference], Iterator[Row]]]] = {
    "jsonl": read_jsonl,
    "parquet": read_parquet,
    "hf": read_huggingface,
}


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
    verifier: Verifier | None = None,
    splitting: Splitting = "auto",
    hf_split: str | None = None,
    limit: int | None = None,
    max_chars: int = DEFAULT_MAX_CHARS,
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
        verifier: for rows without one; by default ``numeric`` for GSM8K, else ``math`` in the
            domain ``math`` and ``exact`` in others.
        splitting: how thoughts are cut into steps, see :func:`datagen.traces.splitting.split`.
        hf_split: the split of a Hugging Face dataset; by default ``train`` or the only one.
        limit: stop after this many usable rows.
        max_chars: the longest question, thought or answer that is accepted.

    Returns:
        The seeds and the quarantine, both valid under their contracts. ``row_idx`` counts from 0;
        in text files it is the line, blank lines included.

    Raises:
        ConfigError: if an option is unknown or out of range.
        SeedError: if the source is missing, empty, of an unknown kind, cannot be read, or has no
            usable row.
    """
    _check_options(mapping, domain, verifier, splitting, limit, max_chars)
    columns = dict(mapping or {})
    reference, container = resolve(path_or_ref, format, hf_split)
    rows = (
        (i, row if isinstance(row, Refused) else _renamed(row, columns))
        for i, row in _READERS[container](reference)
    )
    try:
        rows, first = _peek(rows)
        is_gsm8k = format == "gsm8k" or (format == "auto" and looks_like_gsm8k(first))
        dialect = GSM8K if is_gsm8k else OWN
        if container != "jsonl":
            _require_columns(reference, first, dialect, columns)
        defaults = Defaults(
            source=source or reference.name,
            license=license or dialect.license,
            domain=domain or "math",
            verifier=verifier or dialect.verifier,
            splitting=splitting,
            max_chars=max_chars,
        )
        return _collect(rows, reference, dialect, defaults, limit)
    except OSError as error:
        raise SeedError(f"{reference.text!r} cannot be read: {error}") from error


def _peek(rows: Iterator[Row]) -> tuple[Iterator[Row], Fields]:
    """All rows, and the fields of the first readable one (none if there is none)."""
    head: list[Row] = []
    for row in rows:
        head.append(row)
        if not isinstance(row[1], Refused):
            return chain(head, rows), row[1]
    return iter(head), {}


def _renamed(fields: Fields, columns: Mapping[str, str]) -> Fields:
    """The row with each mapped column under its seed field's name."""
    if not columns:
        return fields
    taken = set(columns.values())
    kept = {
        name: value
        for name, value in fields.items()
        if name not in columns and (name in SEED_FIELDS or name not in taken)
    }
    return {
        **kept,
        **{name: fields[column] for name, column in columns.items() if column in fields},
    }


def _require_columns(
    reference: Reference, first: Fields, dialect: Dialect, columns: Mapping[str, str]
) -> None:
    """Refuse a typed table as a whole if it cannot hold a single seed."""
    missing = [name for name in dialect.required if first and name not in first]
    if missing:
        wanted = ", ".join(repr(columns.get(name) or name) for name in missing)
        raise SeedError(
            f"{reference.text!r} has no column {wanted} (its columns: {', '.join(first)}); say "
            "which column holds which field, e.g. "
            "mapping={'question': 'problem', 'thought': 'solution', 'answer': 'answer'}"
        )


def _collect(
    rows: Iterator[Row],
    reference: Reference,
    dialect: Dialect,
    defaults: Defaults,
    limit: int | None,
) -> SeedBatch:
    seeds: list[dict[str, object]] = []
    refused: list[dict[str, object]] = []
    kinds = Counter[str]()
    rows_of_ids: dict[str, int] = {}
    for row_idx, row in rows:
        seed_id: str | None = None
        try:
            if isinstance(row, Refused):
                raise row
            fields, annotations = dialect.read(row)
            seed_id = seed_id_of(fields, defaults)
            if seed_id in rows_of_ids:
                raise _duplicate(seed_id, rows_of_ids[seed_id])
            seeds.append(seed_row(fields, annotations, seed_id, defaults))
            rows_of_ids[seed_id] = row_idx
        except Refused as reason:
            kinds[f"{reason.field or 'row'}: {reason.kind}"] += 1
            refused.append(
                {
                    "source": defaults.source,
                    "row_idx": row_idx,
                    "seed_id": seed_id,
                    "field": reason.field,
                    "reason": reason.reason,
                    "preview": reason.preview,
                }
            )
        if limit is not None and len(seeds) >= limit:
            break
    if not seeds:
        raise _nothing_usable(reference, refused, kinds)
    return SeedBatch(Seed.from_rows(seeds), Quarantine.from_rows(refused))


def _duplicate(seed_id: str, first_row_idx: int) -> Refused:
    return Refused(
        "seed_id",
        "duplicate",
        f"seed_id {seed_id!r} was used by row {first_row_idx} already (without a seed_id of its "
        "own, a repeated question repeats it); drop the row or give it another seed_id",
        seed_id,
    )


def _nothing_usable(
    reference: Reference, refused: list[dict[str, object]], kinds: Counter[str]
) -> SeedError:
    if not refused:
        return SeedError(f"{reference.text!r} holds no row; write at least one")
    counts = ", ".join(f"{n} × {kind}" for kind, n in kinds.most_common())
    first = refused[0]
    return SeedError(
        f"{reference.text!r}: none of {len(refused)} rows is usable ({counts}); "
        f"row {first['row_idx']}: {first['reason']}"
    )


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
