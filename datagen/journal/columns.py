"""The columns of a segment, which anybody can read who reads Parquet.

The surprising fact: a text that is no valid Unicode is in a row twice. Parquet's strings refuse
lone surrogates, and bytes would make every text unreadable for others; so the columns hold what can
be read, with U+FFFD for the rest, and ``exact`` holds the bytes of the few rows that need them.
"""

# pyarrow ships no types, so what comes from it is Any.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Final

import pyarrow as pa

from datagen.journal.codec import Stored, bytes_of

_TEXTS: Final = pa.struct(
    [(name, pa.binary()) for name in ("fingerprint", "prompt", "request", "text")]
)
SCHEMA: Final = pa.schema(
    [
        ("key", pa.string()),
        ("fingerprint", pa.string()),
        ("kind", pa.string()),
        ("prompt", pa.string()),
        ("prompt_hash", pa.binary(16)),
        ("request", pa.string()),
        ("temperature", pa.float64()),
        ("top_p", pa.float64()),
        ("max_tokens", pa.int64()),
        ("stop", pa.list_(pa.string())),
        ("sample_idx", pa.int64()),
        ("choices", pa.list_(pa.string())),
        ("scored_text", pa.string()),
        ("finish", pa.string()),
        ("text", pa.string()),
        ("n_tokens", pa.int64()),
        ("logprobs", pa.list_(pa.float64())),
        ("ends", pa.list_(pa.uint32())),
        ("checksum", pa.uint32()),
        ("exact", _TEXTS),
    ]
)
"""Columns of a segment; ``docs/journal.md`` says what each is."""

_GROUP_ROWS: Final = 2048
_GROUP_BYTES: Final = 8 << 20


def groups(rows: Iterable[Stored]) -> Iterator[list[Stored]]:
    """Cut rows into row groups, bounded in number and bytes."""
    group: list[Stored] = []
    size = 0
    for stored in rows:
        group.append(stored)
        size += len(stored.prompt or b"") + len(stored.entry.text or b"")
        size += len(stored.entry.logprobs) + len(stored.entry.ends or b"")
        if len(group) == _GROUP_ROWS or size > _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def table_of(rows: Sequence[Stored]) -> Any:
    """Rows with the columns of a segment."""
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for entry, prompt, checksum in rows:
        bytes_of_texts = {
            "fingerprint": entry.fingerprint,
            "prompt": prompt,
            "request": entry.request,
            "text": entry.text,
        }
        for name, data in bytes_of_texts.items():
            columns[name].append(None if data is None else readable(data))
        exact = None if all(map(is_readable, bytes_of_texts.values())) else bytes_of_texts
        row = {
            "key": entry.key.hex(),
            "kind": entry.kind,
            "prompt_hash": entry.prompt_hash,
            "finish": entry.finish,
            "n_tokens": entry.n_tokens,
            "checksum": checksum,
            "exact": exact,
            **request_columns(entry.kind, columns["request"][-1]),
        }
        for name, value in row.items():
            columns[name].append(value)
    lists = {
        "logprobs": list_column([stored.entry.logprobs for stored in rows], "d"),
        "ends": list_column([stored.entry.ends for stored in rows], "I"),
    }
    arrays = [
        lists[field.name] if field.name in lists else pa.array(columns[field.name], field.type)
        for field in SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def request_columns(kind: str, request: str | None) -> dict[str, Any]:
    """What a request says besides its prompt, as columns."""
    columns: dict[str, Any] = dict.fromkeys(
        ("temperature", "top_p", "max_tokens", "stop", "sample_idx", "choices", "scored_text")
    )
    fields = [] if request is None else json.loads(request)
    match kind, fields:
        case "completion", [sampling, sample_idx, *_]:
            columns |= {**sampling, "sample_idx": sample_idx}
        case "choice", [choices]:
            columns["choices"] = choices
        case "score", [text]:
            columns["scored_text"] = text
        case _:
            pass
    return columns


def list_column(cells: Sequence[bytes | None], typecode: str) -> Any:
    """Bytes of numbers as lists; no number becomes an object of Python's on the way."""
    size = array(typecode).itemsize
    data = b"".join(cell or b"" for cell in cells)
    inner = pa.float64() if typecode == "d" else pa.uint32()
    values = pa.Array.from_buffers(inner, len(data) // size, [None, pa.py_buffer(data)])
    ends = accumulate((len(cell or b"") // size for cell in cells), initial=0)
    offsets = pa.array(ends, pa.int32())
    mask = pa.array([cell is None for cell in cells], pa.bool_())
    return pa.ListArray.from_arrays(offsets, values, mask=mask)


def readable(data: bytes) -> str:
    """Bytes of text as valid Unicode, with U+FFFD for each lone surrogate."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        text = data.decode("utf-8", "surrogatepass")
        return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)


def is_readable(data: bytes | None) -> bool:
    """Whether text is what :func:`readable` makes of it."""
    return data is None or bytes_of(readable(data)) == data
