"""How figures are written: short enough for a table, and never more exact than they are."""

from datetime import datetime
from typing import Final

from datagen.report.history import Unit

NOTHING: Final = "–"
"""Where a figure is not known, or there is nothing to count."""

_TIMES: Final = 3
"""From this factor on it is written as one, and not in per cent."""

_MINUTE: Final = 60
_HOUR: Final = 3600


def count(n: float) -> str:
    """A whole number, its thousands apart."""
    return f"{n:,.0f}"


def share(value: float | None) -> str:
    """A share in per cent."""
    return NOTHING if value is None else f"{100 * value:.1f} %"


def seconds(value: float) -> str:
    """A length of time in the two largest units that it has."""
    if value < 1:
        return "under 1 s" if value else "0 s"
    if round(value) < _MINUTE:
        return f"{value:.0f} s"
    whole = round(value)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    minutes = round(value / _MINUTE)
    return f"{minutes // _MINUTE:,} h {minutes % _MINUTE:02d} min"


def money(value: float) -> str:
    """A sum of money, in the currency of whoever set the prices."""
    return f"{value:,.2f}" if value >= 0.01 or not value else f"{value:.2g}"


def written(value: float | None, unit: Unit) -> str:
    """A figure by its unit."""
    if value is None:
        return NOTHING
    return {"count": count, "share": share, "seconds": seconds, "money": money}[unit](value)


def difference(before: float | None, now: float | None, unit: Unit) -> str:
    """How a figure changed: shares in points, all else in per cent of what it was."""
    if before is None or now is None:
        return NOTHING
    if before == now:
        return "same"
    if unit == "share":
        points = 100 * (now - before)
        return _signed(f"{points:+.1f} pts") if abs(points) >= 0.05 else "same"
    if not before:
        return "new"
    if now / before >= _TIMES:
        return f"× {now / before:.1f}"
    percent = 100 * (now / before - 1)
    return _signed(f"{percent:+,.0f} %") if abs(percent) >= 0.5 else "same"


def _signed(text: str) -> str:
    """With a minus that is as wide as the plus."""
    return text.replace("-", "−")


def day(iso: str) -> str:
    """A date for people, to the minute."""
    return f"{datetime.fromisoformat(iso):%-d %B %Y, %H:%M} UTC"
