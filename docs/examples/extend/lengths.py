"""A verifier of your own: lengths are equal in whatever units they are written."""

import re

_CM = {"cm": 1, "m": 100, "km": 100_000}


def same_length(answer: str, gold: str) -> bool | None:
    """Say yes, no, or (``None``) that it cannot be told; what is raised counts as that as well."""
    given = _centimetres(answer)
    return None if given is None else given == _centimetres(gold)


def _centimetres(text: str) -> int | None:
    parts = re.findall(r"(\d+) ?([a-z]+)", text)
    return sum(int(n) * _CM[unit] for n, unit in parts) if parts else None
