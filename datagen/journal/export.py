"""Writes a journal's completions with their requests as one Parquet file for anybody's use.

The surprising fact: this is not the format of segments. A segment has to give back every bit. Here
a conversation has columns of its own, and text that is no valid Unicode is replaced.
"""

# pyarrow ships no types, so what comes from it is Any.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from datagen.journal.codec import Stored, bytes_of, fault_of, model_of, prompt_of, shown
from datagen.journal.columns import groups, list_column, readable, request_columns
from datagen.journal.failures import UNREADABLE, damaged, explained
from datagen.journal.salvage import stored_entries
from datagen.journal.segments import Segment, folder_of
from datagen.journal.store import Journal

_TURNS: Final = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
EXPORTED: Final = pa.schema(
    [
        ("key", pa.string()),
        ("fingerprint", pa.string()),
        ("prompt", pa.string()),
        ("messages", _TURNS),
        ("prefill", pa.string()),
        ("temperature", pa.float64()),
        ("top_p", pa.float64()),
        ("max_tokens", pa.int64()),
        ("stop", pa.list_(pa.string())),
        ("sample_idx", pa.int64()),
        ("text", pa.string()),
        ("finish", pa.string()),
        ("n_tokens", pa.int64()),
        ("logprobs", pa.list_(pa.float64())),
        ("ends", pa.list_(pa.uint32())),
    ]
)
"""Columns of an export; ``docs/journal.md`` says what each is."""


def export_completions(path: Path | str, out: Path) -> int:
    """Write all completions whose request is known, in the order in which they came.

    Memory holds one row group at a time. The file appears when it is whole.

    Args:
        path: the journal's SQLite file; a run may be writing to it.
        out: the Parquet file to write; one that is there is replaced.

    Returns:
        Rows written.

    Raises:
        JournalError: if the journal cannot be read, or is damaged.
    """
    name, n_rows = str(path), 0
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.tmp")
    try:
        with pq.ParquetWriter(temporary, EXPORTED, compression="zstd", store_schema=False) as file:
            for group in groups(_completions(name)):
                file.write_table(_table(group))
                n_rows += len(group)
        temporary.replace(out)
    except (*UNREADABLE, pa.ArrowException) as error:
        raise explained(error, name) from error
    finally:
        temporary.unlink(missing_ok=True)
    return n_rows


def _completions(name: str) -> Iterator[Stored]:
    for stored in _all(name):
        if isinstance(stored, str):
            raise damaged(name, stored)
        if fault := fault_of(stored):
            raise damaged(name, f"entry {shown(stored.entry.key)}: {fault}")
        if stored.entry.kind == "completion" and stored.entry.request is not None:
            yield stored


def _all(name: str) -> Iterator[Stored | str]:
    with Journal(name, read_only=True) as journal, journal.snapshot() as db:
        for (segment,) in db.execute("SELECT name FROM segments ORDER BY id").fetchall():
            with closing(Segment(folder_of(name) / segment)) as file:
                for group in range(file.n_groups):
                    rows = file.read_group(group, prompts=True)
                    yield from map(rows.stored, range(len(rows)))
        yield from stored_entries(db, 2)


def _table(rows: Sequence[Stored]) -> Any:
    cells: list[dict[str, Any]] = []
    for entry, prompt, _ in rows:
        request = request_columns(entry.kind, readable(entry.request or b""))
        cells.append(
            {
                "key": entry.key.hex(),
                "fingerprint": readable(model_of(entry) or b""),
                **_prompt_columns(prompt or b""),
                **request,
                "text": readable(entry.text or b""),
                "finish": entry.finish,
                "n_tokens": entry.n_tokens,
            }
        )
    lists = {
        "logprobs": list_column([stored.entry.logprobs for stored in rows], "d"),
        "ends": list_column([stored.entry.ends for stored in rows], "I"),
    }
    arrays = [
        lists[field.name]
        if field.name in lists
        else pa.array([cell[field.name] for cell in cells], field.type)
        for field in EXPORTED
    ]
    return pa.Table.from_arrays(arrays, schema=EXPORTED)


def _prompt_columns(data: bytes) -> dict[str, Any]:
    """A prompt that is text, or the turns of one that is a conversation."""
    prompt = prompt_of(bytes_of(readable(data)))
    if isinstance(prompt, str):
        return {"prompt": prompt, "messages": None, "prefill": None}
    turns = [asdict(message) for message in prompt.messages]
    return {"prompt": None, "messages": turns, "prefill": prompt.prefill}
