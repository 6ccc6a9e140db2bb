"""Contracts as JSON Schema, draft 2020-12: one object is one row.

Rules that span columns have no keyword there; they are listed as sentences under ``x-rules``.
"""

from typing import Any, Final

import dataframely as dy
import polars as pl

from schemas.columns import Choice

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_FORMATS: Final[dict[pl.DataType, str]] = {
    pl.Int32(): "int32",
    pl.Int64(): "int64",
    pl.Float32(): "float",
    pl.Float64(): "double",
}

_KEYWORDS: Final = {
    "min_length": "minLength",  # bytes in Polars, characters here: the same for the 1 that we use
    "max_length": "maxLength",
    "regex": "pattern",
    "min": "minimum",
    "max": "maximum",
    "min_exclusive": "exclusiveMinimum",
    "max_exclusive": "exclusiveMaximum",
}


def column_schema(column: dy.Column) -> dict[str, Any]:
    """The JSON Schema of one value of a column, its nullability included."""
    schema: dict[str, Any] = {}
    if column.description is not None:
        schema["description"] = column.description
    kind = _kind(column)
    schema["type"] = [kind, "null"] if column.nullable else kind
    if isinstance(column, dy.List):
        schema["items"] = column_schema(column.inner)
        if column.min_length is not None:
            schema["minItems"] = column.min_length
        if column.max_length is not None:
            schema["maxItems"] = column.max_length
        return schema
    if isinstance(column, dy.Struct):
        return {**schema, **object_schema(column.inner)}
    if isinstance(column, Choice):
        schema["enum"] = [*column.values, None] if column.nullable else [*column.values]
        return schema
    if (name := _FORMATS.get(column.dtype)) is not None:
        schema["format"] = name
    for attribute, keyword in _KEYWORDS.items():
        if (bound := getattr(column, attribute, None)) is not None:
            schema[keyword] = bound
    return schema


def object_schema(columns: dict[str, dy.Column]) -> dict[str, Any]:
    """The JSON Schema keywords of an object that has exactly these keys."""
    return {
        "properties": {name: column_schema(column) for name, column in columns.items()},
        "required": list(columns),
        "additionalProperties": False,
    }


def _kind(column: dy.Column) -> str:
    dtype = column.dtype
    if isinstance(dtype, pl.List):
        return "array"
    if isinstance(dtype, pl.Struct):
        return "object"
    if dtype.is_integer():
        return "integer"
    if dtype.is_float():
        return "number"
    return "boolean" if dtype == pl.Boolean() else "string"
