"""Reads the rubric of a question without a checkable answer: what a good answer does.

A row that carries a rubric is not verified by anything else, and says so by its verifier; to give
a checkable answer a rubric as well would leave open which of the two its rewards come from.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from datagen.seeds.refusals import Refused, preview
from datagen.seeds.rows import Fields
from datagen.seeds.texts import text_of

_FORM: Final = 'write a list of sentences, or of {"criterion": …, "weight": …}'


def criteria_of(fields: Fields, verifier: str, max_chars: int) -> list[dict[str, object]] | None:
    """The criteria in field ``rubric``, each with its weight (1 if it has none).

    Args:
        fields: of the row.
        verifier: the row's; :func:`verifier_with` tells what a rubric makes of it.
        max_chars: the longest criterion that is accepted.

    Returns:
        ``None`` for a row of any other verifier than ``rubric``.

    Raises:
        Refused: if there is a rubric but another verifier, or none where it should be, or if it
            cannot be read.
    """
    given = fields.get("rubric")
    if given is None and verifier != "rubric":
        return None
    if verifier != "rubric":
        raise Refused(
            "rubric",
            "two rewards",
            f"the row has a rubric and the verifier {verifier!r}; remove one of the two, or leave "
            "the column out with mapping={'rubric': ''}",
            given,
        )
    if given is None:
        raise Refused(
            "rubric", "missing", f"the verifier is 'rubric', but there is no rubric; {_FORM}"
        )
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        raise Refused("rubric", "wrong type", f"rubric is {preview(given, 40)!r}; {_FORM}", given)
    return [_criterion(item, max_chars) for item in cast(Sequence[Any], given)]


def verifier_with(fields: Fields, default: str) -> str:
    """The verifier of a row that names none: ``rubric`` if it carries one, else ``default``."""
    return default if fields.get("rubric") is None else "rubric"


def _criterion(item: Any, max_chars: int) -> dict[str, object]:
    plain = {"criterion": item} if isinstance(item, str) else item
    if not isinstance(plain, Mapping) or plain.keys() - {"criterion", "weight"}:
        raise Refused("rubric", "wrong type", f"{preview(item, 40)!r} in rubric; {_FORM}", item)
    weight: Any = cast(Mapping[str, Any], plain).get("weight")
    weight = 1.0 if weight is None else weight
    is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not is_number or not 0 < weight < math.inf:
        raise Refused(
            "rubric",
            "unusable weight",
            f"{preview(weight, 40)!r} is the weight of a criterion; use a number above 0",
            item,
        )
    criterion = text_of(cast(Fields, plain), "criterion", max_chars).strip()
    return {"criterion": criterion, "weight": float(weight)}
