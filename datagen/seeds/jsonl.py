"""Reads JSON Lines, one bad line at a time.

The surprising fact: the file is read as bytes. Decoding a whole text file fails at its first bad
byte and takes the good rows behind it along; here each line is decoded, and refused, alone.
"""

import json
from collections.abc import Iterator
from typing import BinaryIO, Final, NoReturn, cast

from datagen.seeds.references import Reference
from datagen.seeds.refusals import Refused, preview
from datagen.seeds.rows import Fields, Row

MAX_LINE_BYTES: Final = 64 * 2**20
_BOM: Final = b"\xef\xbb\xbf"


def read_jsonl(reference: Reference) -> Iterator[Row]:
    """Each line of the file; blank lines are skipped but counted.

    A byte-order mark at the start and Windows line ends are accepted. Lines over
    ``MAX_LINE_BYTES`` are refused without being held in memory.
    """
    with reference.file.open("rb") as file:
        for row_idx, line in _lines(file):
            content = line.removeprefix(_BOM) if row_idx == 0 else line
            if isinstance(line, _Overlong):
                yield (
                    row_idx,
                    Refused(
                        "",
                        "line too long",
                        f"the line is longer than {MAX_LINE_BYTES} bytes; write one row per line",
                        content,
                    ),
                )
            elif content.strip():
                try:
                    yield row_idx, parse_line(content)
                except Refused as refused:
                    yield row_idx, refused


class _Overlong(bytes):
    """The beginning of a line whose rest was thrown away."""


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    row_idx = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES:
            rest = line
            while rest and not rest.endswith(b"\n"):
                rest = file.readline(MAX_LINE_BYTES)
            line = _Overlong(line[:1000])
        yield row_idx, line
        row_idx += 1


def parse_line(line: bytes) -> Fields:
    """The JSON object on one line.

    Raises:
        Refused: if the line is not UTF-8, not JSON, more than JSON, or not an object.
    """
    try:
        text = line.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise Refused(
            "",
            "not UTF-8",
            f"byte {line[error.start]:#04x} at position {error.start} is not UTF-8; "
            "save the file as UTF-8",
            line,
        ) from None
    try:
        value: object = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise _not_json(text, error) from None
    except RecursionError:
        raise Refused(
            "", "invalid JSON", "the JSON is nested too deeply to read; flatten it", text
        ) from None
    except ValueError as error:  # NaN, Infinity, an integer of thousands of digits
        raise Refused(
            "", "invalid JSON", f"the line holds a number that cannot be read: {error}", text
        ) from None
    if not isinstance(value, dict):
        raise Refused(
            "",
            "no JSON object",
            f"the line holds {preview(text, 40)!r}, which is no JSON object; write one "
            '{"question": …, …} per line',
            text,
        )
    return cast(Fields, value)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON; use null or a number")


def _not_json(text: str, error: json.JSONDecodeError) -> Refused:
    found = preview(text[error.pos :], 40)
    if error.msg == "Extra data":
        return Refused(
            "",
            "trailing garbage",
            f"after the JSON value the line goes on with {found!r}; write one object per line",
            text,
        )
    return Refused(
        "",
        "invalid JSON",
        f"the line is not JSON: {error.msg} at column {error.colno}, where it reads {found!r}; "
        "write one JSON object per line",
        text,
    )
