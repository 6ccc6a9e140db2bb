"""Frames as Arrow in the form that Hugging Face datasets has; the one file that touches pyarrow.

Polars exports ``large_string`` and ``large_list``. Files that hold those load with other features
than ordinary data and cannot be concatenated with it. So everything is narrowed to ``string`` and
``list``, slice by slice where a column would overflow their 32-bit offsets. Numbers are widened to
64 bits for the same reason: that is what they are in rows that somebody typed.
"""

# pyarrow and datasets ship no types, so what comes from them is Any.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, Final

import polars as pl
import pyarrow as pa

_SLICE_ROWS: Final = 8_192
"""Rows of 256 KiB each still fit; byte sizes cannot be asked for, as Polars shares text by view."""

_PRIMITIVES: Final[dict[pl.DataType, Any]] = {
    pl.String(): pa.string(),
    pl.Boolean(): pa.bool_(),
    pl.Int32(): pa.int32(),
    pl.Int64(): pa.int64(),
    pl.Float32(): pa.float32(),
    pl.Float64(): pa.float64(),
}

_PUBLISHED: Final[dict[pl.DataType, Any]] = {
    **_PRIMITIVES,
    pl.Int32(): pa.int64(),
    pl.Float32(): pa.float64(),
}


def arrow_schema(schema: pl.Schema) -> Any:
    """The ``pyarrow.Schema`` of a Polars schema; ``KeyError`` for a type that no contract uses."""
    return pa.schema([(name, _arrow_type(dtype, _PUBLISHED)) for name, dtype in schema.items()])


def hf_features(schema: pl.Schema) -> Any:
    """The ``datasets.Features`` of a Polars schema."""
    from datasets import Features  # takes seconds to import, and few callers need it

    return Features.from_arrow_schema(arrow_schema(schema))


def arrow_table(frame: pl.DataFrame) -> Any:
    """The frame as a ``pyarrow.Table`` with the schema that ``arrow_schema`` gives it."""
    schema = arrow_schema(frame.schema)
    starts = range(0, max(frame.height, 1), _SLICE_ROWS)
    # A slice shares the lists of the whole frame, and Arrow would be given all of them each time.
    parts = [
        frame.select(pl.all().gather(pl.int_range(start, min(start + _SLICE_ROWS, frame.height))))
        for start in starts
    ]
    return pa.concat_tables([part.to_arrow().cast(schema) for part in parts])


def published_type(dtype: Any) -> pl.DataType:
    """What Polars reads from a published file where a frame has ``dtype``."""
    if isinstance(dtype, pl.List):
        return pl.List(published_type(dtype.inner))
    if isinstance(dtype, pl.Struct):
        return pl.Struct({field.name: published_type(field.dtype) for field in dtype.fields})
    if dtype == pl.Int32:
        return pl.Int64()
    return pl.Float64() if dtype == pl.Float32 else dtype


def exact_series(name: str, values: Sequence[object], dtype: pl.DataType) -> pl.Series:
    """A series of exactly these values.

    Polars itself would truncate 1.5 to an integer, null an overflow inside a list, and drop a key
    that a struct does not have.

    Raises:
        ValueError: A value that the type cannot hold; TypeError and OverflowError likewise.
    """
    _refuse_losses(values, dtype)
    return pl.Series(name, pa.array(values, _arrow_type(dtype, _PRIMITIVES)), dtype=dtype)


def _refuse_losses(values: Sequence[object], dtype: Any) -> None:
    """Raise for the two things that pyarrow drops without a word: fractions and unknown keys."""
    if isinstance(dtype, pl.List):
        lists = (value for value in values if isinstance(value, Sequence))
        _refuse_losses([item for items in lists for item in items], dtype.inner)
    elif isinstance(dtype, pl.Struct):
        given = [value for value in values if isinstance(value, Mapping)]
        if unknown := set[str]().union(*given) - {field.name for field in dtype.fields}:
            raise ValueError(f"no such key: {', '.join(repr(key) for key in sorted(unknown))}")
        for field in dtype.fields:
            _refuse_losses([value.get(field.name) for value in given], field.dtype)
    elif dtype.is_integer():
        for value in values:
            if value is not None and not isinstance(value, (int, Integral)):
                raise ValueError(f"{value!r} is not an integer")


def _arrow_type(dtype: Any, kinds: Mapping[pl.DataType, Any]) -> Any:
    if isinstance(dtype, pl.List):
        return pa.list_(_arrow_type(dtype.inner, kinds))
    if isinstance(dtype, pl.Struct):
        return pa.struct([(field.name, _arrow_type(field.dtype, kinds)) for field in dtype.fields])
    return kinds[dtype() if isinstance(dtype, type) else dtype]
