"""The base of all contracts: a dataframely schema that is strict and speaks Arrow and JSON.

A frame that passes is exactly the table: no column more, none less, no type converted on the way.
The one thing that is mended is a type that Polars could not know, because every value was null or
every list empty. All rules of all rows are evaluated at once, and failures are data: ``filter``
returns them as a frame, and the error that ``validate`` raises carries the same frame.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from types import new_class
from typing import Any, ClassVar, Final

import dataframely as dy
import polars as pl

from schemas._arrow import (
    arrow_schema,
    arrow_table,
    exact_series,
    hf_features,
    published_type,
)
from schemas._json_schema import DIALECT, object_schema
from schemas.errors import ContractError

ROW: Final = "failed_row_idx"
"""Column of a failures frame: the row's 0-based position in the frame that was given."""

RULES: Final = "failed_rules"
"""Column of a failures frame: names of the rules that the row breaks."""

_FORBIDDEN: Final = {"nullability": "null", "nan": "NaN", "inf": "infinite"}
_MAX_EXAMPLES: Final = 3
_MAX_PREVIEW: Final = 120


class Contract(dy.Schema):
    """What a table promises: its columns, their types and bounds, and rules between columns.

    A rule that spans columns is named like ``one_factor_per_step``; one on a single column like
    ``answer|min_length``. Rules see nulls as fulfilled: nullability is a rule of its own.
    """

    table: ClassVar[str]
    """Name of the table, of its asset and of its Parquet file: a plural noun."""

    @classmethod
    def validate(cls, frame: pl.DataFrame, /) -> pl.DataFrame:  # pyright: ignore[reportIncompatibleMethodOverride] # no casts here
        """Hold a frame to the contract.

        Args:
            frame: The rows, with the contract's columns in any order.

        Returns:
            The same rows in the same order, with the columns in the contract's order.

        Raises:
            ContractError: Columns or types differ, or rows break rules; the message names the
                table and each rule, says how many rows break it, and shows some of them.
        """
        typed = cls._typed(frame)
        # Whether any rule is broken costs half of what it costs to tell which, and where.
        if cls.is_valid(typed):
            return typed
        _, failures = cls.filter(typed)
        if failures.height:
            raise ContractError(
                _explain(cls, failures, n_rows=frame.height), table=cls.table, failures=failures
            )
        return typed

    @classmethod
    def filter(cls, frame: pl.DataFrame, /) -> tuple[pl.DataFrame, pl.DataFrame]:  # pyright: ignore[reportIncompatibleMethodOverride] # no casts here
        """Split a frame into the rows that keep the contract and those that do not.

        Args:
            frame: The rows, with the contract's columns in any order.

        Returns:
            The good rows, and the failing rows with two more columns: ``failed_row_idx`` (int64,
            position in the frame given) and ``failed_rules`` (list of rule names). Both keep the
            order of the rows. Rows that share a primary key all fail.

        Raises:
            ContractError: Columns or types differ, so that no row can be judged.
        """
        numbered = _numbered(cls)
        good, failure = super(Contract, numbered).filter(cls._typed(frame).with_row_index(ROW))
        details = failure.details()
        broken = [
            pl.when(pl.col(rule) == "invalid").then(pl.lit(rule))
            for rule in details.columns
            if rule not in numbered.column_names()
        ]
        failures = details.select(
            *cls.column_names(),
            pl.col(ROW).cast(pl.Int64),
            pl.concat_list(broken).list.drop_nulls().alias(RULES),
        )
        return good.drop(ROW), failures

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
        """Build a valid frame from dicts; a key that is left out stands for null.

        Unlike ``pl.DataFrame(rows, schema=...)``, which truncates 1.5 to an integer column and
        nulls an overflow inside a list, this raises for a value that its type cannot hold.

        Raises:
            ContractError: An unknown key, a value of the wrong type, or a broken rule.
        """
        given = list(rows)
        if unknown := set[str]().union(*given) - set(cls.column_names()):
            raise ContractError(
                f"{cls.table}: no such column: {_quoted(sorted(unknown))}; "
                f"the contract has {_quoted(cls.column_names())}",
                table=cls.table,
            )
        columns: list[pl.Series] = []
        for name, dtype in cls.polars_schema().items():
            try:
                columns.append(exact_series(name, [row.get(name) for row in given], dtype))
            except (ValueError, TypeError, OverflowError) as error:
                raise ContractError(
                    f"{cls.table}: column {name!r} must be {dtype}: {error}", table=cls.table
                ) from error
        return cls.validate(pl.DataFrame(columns))

    @classmethod
    def empty(cls) -> pl.DataFrame:
        """The table with its types and no row."""
        return pl.DataFrame(schema=cls.polars_schema())

    @classmethod
    def rules(cls) -> dict[str, str]:
        """The rules that span columns: name and one-line statement, in the order written.

        Those of a contract that it extends come first.
        """
        return {
            name: (rule.validation_fn.__doc__ or name).strip().splitlines()[0]
            for base in reversed(cls.__mro__)
            for name, rule in vars(base).items()
            if hasattr(rule, "validation_fn")
        }

    @classmethod
    def polars_schema(cls) -> pl.Schema:
        """Column names and Polars types, in order."""
        return pl.Schema({name: column.dtype for name, column in cls.columns().items()})

    @classmethod
    def arrow_schema(cls) -> Any:
        """The ``pyarrow.Schema`` of published files: never large types, and numbers of 64 bits."""
        return arrow_schema(cls.polars_schema())

    @classmethod
    def features(cls) -> Any:
        """The ``datasets.Features`` of published files; they have the same Arrow schema."""
        return hf_features(cls.polars_schema())

    @classmethod
    def from_published(cls, frame: pl.DataFrame, /) -> pl.DataFrame:
        """A frame that was read from published files, held to the contract.

        Raises:
            ContractError: As :meth:`validate`; ``polars.exceptions.InvalidOperationError`` for a
                number that is too large for the contract's type.
        """
        typed = [
            pl.col(name).cast(dtype)
            for name, dtype in cls.polars_schema().items()
            if frame.schema.get(name) == published_type(dtype)
        ]
        return cls.validate(frame.with_columns(typed))

    @classmethod
    def to_arrow(cls, frame: pl.DataFrame, /, *, valid: bool = False) -> Any:
        """A frame, once it is validated, as the ``pyarrow.Table`` to publish.

        With ``valid`` it is part of a frame that was validated before. Write it with
        ``pq.write_table(table, path, compression="zstd", store_schema=False)``: a stored Arrow
        schema would override what readers infer.
        """
        return arrow_table(frame if valid else cls.validate(frame))

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """JSON Schema (draft 2020-12) of one row as an object.

        Rules between columns are listed under ``x-rules``, the primary key under
        ``x-primary-key``; both are annotations that a JSON Schema validator does not enforce.
        """
        return {
            "$schema": DIALECT,
            "title": cls.table,
            "description": " ".join((cls.__doc__ or "").replace("``", "`").split()),
            "type": "object",
            **object_schema(cls.columns()),
            "x-primary-key": cls.primary_key(),
            "x-rules": cls.rules(),
        }

    @classmethod
    def _typed(cls, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with the contract's columns in order, untyped nulls typed; or the error."""
        wanted, actual = cls.polars_schema(), frame.schema
        problems: list[str] = []
        if missing := [name for name in wanted if name not in actual]:
            problems.append(f"missing columns: {_quoted(missing)}")
        if unexpected := [name for name in actual if name not in wanted]:
            problems.append(f"unexpected columns: {_quoted(unexpected)}")
        problems += [
            f"column {name!r} is {actual[name]}, must be {dtype}"
            for name, dtype in wanted.items()
            if name in actual and not _differs_only_in_nulls(actual[name], dtype)
        ]
        if problems:
            raise ContractError(
                f"{cls.table}: the frame does not have the shape of {cls.__name__}\n  "
                + "\n  ".join(problems)
                + f"\nbuild frames with {cls.__name__}.from_rows(rows) or cast them explicitly",
                table=cls.table,
            )
        return frame.select(
            pl.col(name) if actual[name] == dtype else pl.col(name).cast(dtype)
            for name, dtype in wanted.items()
        )


@cache
def _numbered(contract: type[Contract]) -> type[Contract]:
    """The contract plus a row number, which dataframely then carries through to its failures."""
    body = {ROW: dy.UInt32()}
    return new_class(contract.__name__, (contract,), exec_body=lambda space: space.update(body))


def _differs_only_in_nulls(actual: Any, wanted: Any) -> bool:
    """Whether a type becomes another by typing its nulls (and reordering its struct fields)."""
    if actual in (wanted, pl.Null()):
        return True
    if isinstance(actual, pl.List) and isinstance(wanted, pl.List):
        return _differs_only_in_nulls(actual.inner, wanted.inner)
    if isinstance(actual, pl.Struct) and isinstance(wanted, pl.Struct):
        fields = {field.name: field.dtype for field in actual.fields}
        return fields.keys() == {field.name for field in wanted.fields} and all(
            _differs_only_in_nulls(fields[field.name], field.dtype) for field in wanted.fields
        )
    return False


def _explain(contract: type[Contract], failures: pl.DataFrame, *, n_rows: int) -> str:
    """Name the table, then per broken rule its statement, its count and its first rows."""
    lines = [f"{contract.table}: {failures.height} of {n_rows} rows break the contract"]
    for rule in failures[RULES].explode().unique(maintain_order=True):
        rows = failures.filter(pl.col(RULES).list.contains(rule))
        lines.append(f"  {rule} ({_statement(contract, rule)}), rows: {rows.height}")
        shown = rows.select(ROW, *_columns_read(contract, rule)).head(_MAX_EXAMPLES)
        for idx, *values in shown.iter_rows():
            preview = (f"{n}={_short(v)}" for n, v in zip(shown.columns[1:], values, strict=True))
            lines.append(f"    row {idx}: {', '.join(preview)}")
    return "\n".join(lines)


def _statement(contract: type[Contract], rule: str) -> str:
    """What a rule demands."""
    if rule == "primary_key":
        return f"{_quoted(contract.primary_key())} must be unique"
    if "|" not in rule:
        return contract.rules()[rule].rstrip(".")
    name, _, check = rule.partition("|")
    column = contract.columns()[name]
    while check.startswith("inner_"):  # a rule on list items or struct fields
        check = check.removeprefix("inner_")
        if isinstance(column, dy.List):
            column = column.inner
        elif isinstance(column, dy.Struct):
            name = max((f for f in column.inner if check.startswith(f"{f}_")), key=len)
            column, check = column.inner[name], check.removeprefix(f"{name}_")
    if check in _FORBIDDEN:
        return f"{name} must not be {_FORBIDDEN[check]}"
    attribute = "values" if check == "one_of" else check
    return f"{name} has {attribute} {getattr(column, attribute, column)!r}"


def _columns_read(contract: type[Contract], rule: str) -> list[str]:
    """The columns that a rule looks at."""
    if rule == "primary_key":
        return contract.primary_key()
    if "|" in rule:
        return [rule.partition("|")[0]]
    names: list[str] = getattr(contract, rule).validation_fn(contract).meta.root_names()
    return list(dict.fromkeys(names))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_PREVIEW else f"{text[:_MAX_PREVIEW]}…"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
