"""Values as JSON and back, by exact base type, between two processes that do not trust each other.

Reading never runs code of the sender, which is why this is neither ``pickle`` nor ``marshal``: the
reader gets new objects of built-in types, whatever classes the sender made. A subclass travels as
its base (a ``Counter`` as a ``dict``), so an ``__eq__`` that always says yes stays behind.

Bare JSON stands for ``None``, booleans, finite floats, integers below 2**53, strings and lists;
everything else is an object ``{"t": tag, "v": content}``.
"""

# pyright: basic
# (no typing: every import is paid twice per test run)

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator

MAX_FRAME_BYTES = 8 << 20
"""Longest message between two processes."""

_SMALL = 2**53
_MAX_ITEMS = 10_000


class NotPlainError(TypeError):
    """A value that is not plain data."""


def dump(value, *, keep: Callable[[object], int] | None = None) -> bytes:
    """One line of ASCII without its end.

    Args:
        value: plain data.
        keep: told of each iterator met, and returns the number under which the other side may
            fetch its items; without it an iterator's items are sent, if there are not too many.

    Raises:
        NotPlainError: for anything else; :class:`RecursionError`: for cycles.
    """
    return json.dumps(_tagged(value, keep), separators=(",", ":")).encode("ascii")


def load(line: bytes, *, fetch: Callable[[int], object] | None = None):
    """The value of a line.

    Args:
        line: what :func:`dump` wrote; hostile lines are expected.
        fetch: makes an iterator of the number that the sender's ``keep`` gave.

    Raises:
        ValueError: if the line is not of this encoding, or nests too deeply.
    """
    try:
        return _untagged(json.loads(line), fetch)
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError) as error:
        raise ValueError(f"not plain data: {type(error).__name__}") from None


def _tagged(value, keep: Callable[[object], int] | None):
    # Base methods are called by name: a subclass's own may do anything.
    if value is None or value is True or value is False:
        return value
    if isinstance(value, int):
        number = int.__index__(value)
        # Decimal digits are limited and quadratic; hexadecimal ones are neither.
        return number if -_SMALL < number < _SMALL else {"t": "int", "v": hex(number)}
    if isinstance(value, float):
        number = float.__float__(value)
        return number if math.isfinite(number) else {"t": "float", "v": float.__repr__(number)}
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, list):
        return [_tagged(item, keep) for item in list.__iter__(value)]
    if isinstance(value, tuple):
        return {"t": "tuple", "v": [_tagged(item, keep) for item in tuple.__iter__(value)]}
    if isinstance(value, dict):
        pairs = dict.items(value)
        return {"t": "dict", "v": [[_tagged(k, keep), _tagged(v, keep)] for k, v in pairs]}
    if isinstance(value, set):
        return {"t": "set", "v": [_tagged(item, keep) for item in set.__iter__(value)]}
    if isinstance(value, frozenset):
        return {"t": "frozenset", "v": [_tagged(item, keep) for item in frozenset.__iter__(value)]}
    if isinstance(value, bytes):
        return {"t": "bytes", "v": bytes.hex(value)}
    if isinstance(value, complex):
        parts = complex.__complex__(value)
        return {"t": "complex", "v": [_tagged(parts.real, None), _tagged(parts.imag, None)]}
    if isinstance(value, range):
        return {"t": "range", "v": [value.start, value.stop, value.step]}
    if isinstance(value, Iterator):
        if keep is not None:
            return {"t": "iterator", "v": keep(value)}
        items = list(itertools.islice(value, _MAX_ITEMS + 1))
        if len(items) <= _MAX_ITEMS:
            return {"t": "items", "v": [_tagged(item, keep) for item in items]}
        raise NotPlainError(f"an iterator of more than {_MAX_ITEMS} items")
    raise NotPlainError(f"a value of type {type(value).__name__!r} is not plain data")


def _untagged(tree, fetch: Callable[[int], object] | None):
    if isinstance(tree, list):
        return [_untagged(item, fetch) for item in tree]
    if not isinstance(tree, dict):
        return tree
    tag, content = tree["t"], tree["v"]
    if tag == "int":
        return int(content, 16)
    if tag == "float":
        return float(content)
    if tag == "bytes":
        return bytes.fromhex(content)
    if tag == "iterator" and fetch is not None:
        return fetch(int(content))
    if tag == "range":
        return range(*content)
    items = [_untagged(item, fetch) for item in content]
    if tag == "dict":
        return dict(items)
    if tag == "complex":
        real, imag = items
        return complex(real, imag)
    if tag in _COLLECTIONS:
        return _COLLECTIONS[tag](items)
    raise ValueError(f"unknown tag {tag!r}")


_COLLECTIONS = {"tuple": tuple, "set": set, "frozenset": frozenset, "items": iter}


def overwrite(old, new) -> bool:
    """Give a caller's mutable object the content of ``new``, in place and in depth.

    Returns:
        Whether it could be done; ``False`` if they are not both lists, both dicts or both sets.
    """
    if isinstance(old, list) and isinstance(new, list):
        if len(old) == len(new):
            new = [a if overwrite(a, b) else b for a, b in zip(old, new, strict=True)]
        old[:] = new
    elif isinstance(old, dict) and isinstance(new, dict):
        merged = {k: old[k] if k in old and overwrite(old[k], v) else v for k, v in new.items()}
        old.clear()
        old.update(merged)
    elif isinstance(old, set) and isinstance(new, set):
        old.clear()
        old.update(new)
    else:
        return False
    return True
