"""``read_code_seeds``: one entry for every kind of code seed source.

The surprising fact: reading runs code. A function is a seed only once its own tests have passed in
the sandbox, so rows are judged in batches that keep the sandbox's workers busy.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, get_args

import polars as pl

from datagen.code.tracer import normalised
from datagen.errors import ConfigError
from datagen.seeds.checks import (
    DEFAULT_MAX_CHARS,
    Defaults,
    duplicate_id,
    optional_text,
    refuse_taken,
    seed_id_of,
    text_of,
)
from datagen.seeds.code.calls import calls_of, given_calls
from datagen.seeds.code.functions import holds_python, python_reference, read_functions
from datagen.seeds.code.humaneval import HUMANEVAL, looks_like_humaneval
from datagen.seeds.code.mbpp import MBPP, looks_like_mbpp
from datagen.seeds.code.rows import CODE_FIELDS, OWN, CodeDialect, lines_of
from datagen.seeds.code.validation import check_code, check_tests, run_all
from datagen.seeds.containers import peek, read_rows, require_columns
from datagen.seeds.meta import meta_of
from datagen.seeds.references import Reference, resolve
from datagen.seeds.refusals import Refused, RefusedRows
from datagen.seeds.rows import Fields, Row
from datagen.verify.sandbox import Sandbox, default_sandbox
from schemas import CodeSeed

CodeFormat = Literal["auto", "jsonl", "humaneval", "mbpp", "functions"]

_BATCH_ROWS: Final = 64

CodeRow = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CodeSeedBatch:
    """What was read.

    Attributes:
        code_seeds: the usable rows, in the order of the source; table ``code_seeds``.
        quarantine: the refused rows with their reasons; table ``quarantine``.
    """

    code_seeds: pl.DataFrame
    quarantine: pl.DataFrame


def read_code_seeds(
    path_or_ref: str | Path,
    *,
    format: CodeFormat = "auto",
    mapping: Mapping[str, str] | None = None,
    source: str | None = None,
    license: str | None = None,
    hf_split: str | None = None,
    limit: int | None = None,
    max_chars: int = DEFAULT_MAX_CHARS,
    sandbox: Sandbox | None = None,
    taken: Mapping[str, str] | None = None,
) -> CodeSeedBatch:
    """Read functions with tests from a file, a folder or the Hugging Face Hub, and run the tests.

    Args:
        path_or_ref: a path, or ``org/name``, ``org/name:config``, ``org/name@revision``.
        format: ``jsonl`` reads our own fields; ``humaneval`` and ``mbpp`` read theirs, from JSON
            Lines, Parquet or the Hub; ``functions`` reads a folder of Python modules, or one;
            ``auto`` tells by what the path is and by the first row that can be read.
        mapping: code seed field → column of the source, where the names differ. A field mapped to
            the empty string is not read. Columns that are no such field go into ``meta``.
        source: for rows without one; by default the file's or dataset's name.
        license: for rows without one; by default ``MIT`` for HumanEval, ``CC-BY-4.0`` for MBPP,
            else ``unknown``.
        hf_split: the split of a Hugging Face dataset; by default ``train`` or the only one.
        limit: stop after this many usable rows.
        max_chars: the longest text that is accepted in a field.
        sandbox: where the tests run; by default :func:`datagen.verify.sandbox.default_sandbox`.
        taken: ids that other shards have, with the shard; such rows are refused.

    Returns:
        The code seeds and the quarantine, both valid under their contracts. ``row_idx`` counts
        from 0: lines of a file (blank ones included), or functions of a folder.

    Raises:
        ConfigError: if an option is unknown or out of range, or there is no sandbox.
        SeedError: if the source is missing, empty, of an unknown kind, cannot be read, or has no
            usable row.
    """
    _check_options(format, mapping, limit, max_chars)
    reference, rows, dialect = _open(path_or_ref, format, dict(mapping or {}), hf_split)
    defaults = Defaults(
        source=source or reference.name, license=license or dialect.license, max_chars=max_chars
    )
    return _collect(
        rows, reference, dialect, defaults, limit, sandbox or default_sandbox(), taken or {}
    )


def _open(
    path_or_ref: str | Path, format: CodeFormat, columns: Mapping[str, str], hf_split: str | None
) -> tuple[Reference, Iterator[Row], CodeDialect]:
    path = Path(path_or_ref).expanduser()
    if format == "functions" or (format == "auto" and holds_python(path)):
        reference = python_reference(path, str(path_or_ref))
        return reference, read_functions(reference), OWN
    reference, container = resolve(path_or_ref, format, hf_split, formats=get_args(CodeFormat))
    rows, first = peek(read_rows(reference, container, columns, CODE_FIELDS))
    dialect = OWN
    if format == "humaneval" or (format == "auto" and looks_like_humaneval(first)):
        dialect = HUMANEVAL
    elif format == "mbpp" or (format == "auto" and looks_like_mbpp(first)):
        dialect = MBPP
    if container != "jsonl":
        require_columns(reference, first, dialect.required, columns)
    return reference, rows, dialect


def _collect(
    rows: Iterator[Row],
    reference: Reference,
    dialect: CodeDialect,
    defaults: Defaults,
    limit: int | None,
    sandbox: Sandbox,
    taken: Mapping[str, str],
) -> CodeSeedBatch:
    seeds: list[CodeRow] = []
    refused = RefusedRows(defaults.source)
    rows_of_ids: dict[str, int] = {}
    rows_of_code: dict[tuple[str, str], int] = {}
    n_wanted = _BATCH_ROWS if limit is None else min(limit, _BATCH_ROWS)
    while n_wanted and (batch := list(islice(rows, n_wanted))):
        for row_idx, seed_id, judged in _judged(batch, dialect, defaults, sandbox, taken):
            try:
                if isinstance(judged, Refused):
                    raise judged
                identity = _identity(judged)
                if (earlier := rows_of_ids.get(judged["seed_id"])) is not None:
                    raise duplicate_id(judged["seed_id"], earlier)
                if (earlier := rows_of_code.get(identity)) is not None:
                    raise _duplicate_code(judged, earlier)
            except Refused as reason:
                refused.add(row_idx, seed_id, reason)
            else:
                rows_of_ids[judged["seed_id"]] = rows_of_code[identity] = row_idx
                seeds.append(judged)
        n_wanted = _BATCH_ROWS if limit is None else min(limit - len(seeds), _BATCH_ROWS)
    if not seeds:
        refused.refuse_nothing_usable(reference)
    return CodeSeedBatch(CodeSeed.from_rows(seeds), refused.frame())


def _judged(
    batch: Iterable[Row],
    dialect: CodeDialect,
    defaults: Defaults,
    sandbox: Sandbox,
    taken: Mapping[str, str],
) -> Iterator[tuple[int, str | None, CodeRow | Refused]]:
    """Each row with its number and id: as a row of the table, or why it cannot be one."""
    drafts = [(row_idx, *_draft(row, dialect, defaults, taken)) for row_idx, row in batch]
    complete = [draft for _, _, draft in drafts if not isinstance(draft, Refused)]
    verdicts = iter(run_all(complete, sandbox))
    for row_idx, seed_id, draft in drafts:
        verdict = draft if isinstance(draft, Refused) else next(verdicts)
        yield row_idx, seed_id, draft if verdict is None else verdict


def _draft(
    row: Fields | Refused, dialect: CodeDialect, defaults: Defaults, taken: Mapping[str, str]
) -> tuple[str | None, CodeRow | Refused]:
    """The row's id, where it has one, and the row as far as it can be judged without running it."""
    seed_id: str | None = None
    try:
        if isinstance(row, Refused):
            raise row
        fields = dialect.read(row)
        seed_id = seed_id_of(fields, defaults)
        refuse_taken(seed_id, taken)
        return seed_id, _code_row(fields, seed_id, defaults)
    except Refused as refused:
        return seed_id, refused
    except RecursionError:
        return seed_id, _too_deep()


def _code_row(fields: Fields, seed_id: str, defaults: Defaults) -> CodeRow:
    n = defaults.max_chars
    question, code = text_of(fields, "question", n), text_of(fields, "code", n)
    entry_point = text_of(fields, "entry_point", n)
    check_code(code, entry_point)
    written = "\n".join(lines_of(fields, "tests")) or None
    tests = text_of({**fields, "tests": written}, "tests", n)
    check_tests(tests, entry_point)
    given: Sequence[str] = lines_of(fields, "calls")
    calls = given_calls(given, entry_point) if given else calls_of(question, tests, entry_point)
    if not calls:
        raise Refused(
            "calls",
            "none",
            f"neither question nor tests call {entry_point} with literal arguments; list some in "
            f'calls, e.g. ["{entry_point}(1)"]',
            tests,
        )
    return {
        "seed_id": seed_id,
        "source": optional_text(fields, "source", defaults.source, n),
        "license": optional_text(fields, "license", defaults.license, n),
        "question": question,
        "code": code,
        "entry_point": entry_point,
        "tests": tests,
        # All of the code, because tests may use its helpers and constants; an empty one is kept.
        "prelude": "" if fields.get("prelude") == "" else optional_text(fields, "prelude", code, n),
        "calls": calls,
        "meta": meta_of(fields, CODE_FIELDS),
    }


def _identity(row: CodeRow) -> tuple[str, str]:
    try:
        return normalised(row["code"]), row["entry_point"]
    except SyntaxError:  # it parses, so it must be this
        raise _too_deep() from None


def _too_deep() -> Refused:
    return Refused("", "nested too deeply", "the source is nested too deeply to read; flatten it")


def _duplicate_code(row: CodeRow, earlier: int) -> Refused:
    return Refused(
        "code",
        "duplicate",
        f"code is that of row {earlier} but for comments and layout; drop one of the two",
        row["code"],
    )


def _check_options(
    format: str, mapping: Mapping[str, str] | None, limit: int | None, max_chars: int
) -> None:
    if format not in get_args(CodeFormat):
        known = ", ".join(get_args(CodeFormat))
        raise ConfigError(f"format={format!r} is unknown; use one of {known}")
    for field in mapping or {}:
        if field not in CODE_FIELDS:
            raise ConfigError(
                f"mapping names {field!r}, which is no code seed field; "
                f"use {', '.join(CODE_FIELDS)} as keys and columns as values"
            )
    for name, number in (("limit", limit), ("max_chars", max_chars)):
        if number is not None and number < 1:
            raise ConfigError(f"{name}={number!r} must be at least 1")
