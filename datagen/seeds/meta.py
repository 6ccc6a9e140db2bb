"""Gathers what a source row holds beyond the fields that its table has columns for.

The surprising fact: this is the one place that converts. Extra columns are for people to look at
later, so a date or an image there is put into words, and never a reason to lose the seed.
"""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from datagen.seeds.refusals import Refused, preview
from datagen.seeds.rows import SEED_FIELDS, Fields


def meta_of(fields: Fields, known: Collection[str] = SEED_FIELDS) -> str:
    """``meta`` and every field that is not ``known``, as one JSON object.

    Raises:
        Refused: if ``meta`` is no JSON object, shares a key with a further field, or cannot be
            written as UTF-8.
    """
    given = fields.get("meta")
    try:
        meta = _object(given)
        extra = {name: value for name, value in fields.items() if name not in known}
        if clash := sorted(meta.keys() & extra.keys()):
            raise Refused(
                "meta",
                "name clash",
                f"{preview(clash[0], 40)!r} is a key of meta and a field of the row; rename one",
                given,
            )
        text = json.dumps(_plain({**meta, **extra}), ensure_ascii=False)
        text.encode()
    except RecursionError:
        raise Refused(
            "meta", "nested too deeply", "meta is nested too deeply; flatten it"
        ) from None
    except UnicodeEncodeError:
        raise Refused(
            "meta",
            "unprintable character",
            "meta (or a further field of the row) holds a lone surrogate; remove or replace it",
            given,
        ) from None
    return text


def _object(given: object) -> Mapping[str, object]:
    try:
        value = json.loads(given) if isinstance(given, str) else given
    except ValueError:
        value = given
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused(
            "meta",
            "wrong type",
            f"meta is {preview(given, 40)!r}; write it as a JSON object",
            given,
        )
    return {str(key): item for key, item in cast(dict[object, object], value).items()}


def _plain(value: Any) -> Any:
    """``value`` with all that JSON cannot hold put into words."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(k): _plain(v) for k, v in cast(Mapping[object, object], value).items()}
        case list() | tuple():
            return [_plain(item) for item in cast(Sequence[object], value)]
        case bytes():
            return f"<{len(value)} bytes>"
        case _:
            return str(value)
