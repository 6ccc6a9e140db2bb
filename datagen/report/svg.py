"""Charts as SVG text, drawn for a card 360 units wide, which is about a phone's width.

The surprising fact: they are drawn small on purpose. A chart that is drawn for a wide page shrinks
on a phone until nobody can read its labels; one that is drawn for a phone only grows. Colours are
classes, so that the page's own sheet turns them over in the dark.
"""

from collections.abc import Callable, Iterable, Sequence
from math import ceil, floor, log10
from typing import Final

from datagen.report.markup import Markup, tag

_WIDTH: Final = 360.0
_HEIGHT: Final = 208.0
_LEFT: Final = 44.0
_RIGHT: Final = 8.0
_TOP: Final = 10.0
_BOTTOM: Final = 40.0

Part = tuple[str, float]
"""A class of the sheet, and a length."""


def bar(parts: Iterable[Part], whole: float, *, name: str = "bar") -> Markup:
    """A horizontal bar that fills its cell; ``whole`` is the length of a full one."""
    at, drawn = 0.0, list[Markup]()
    for colour, length in parts:
        width = 100 * length / whole if whole else 0.0
        if width:
            # What there is must be seen.
            drawn.append(
                tag("rect", x=at, y=0.0, width=max(width, 0.4), height=10.0, class_=colour)
            )
        at += width
    return tag(
        "svg",
        *drawn,
        viewBox="0 0 100 10",
        preserveAspectRatio="none",
        class_=name,
        aria_hidden="true",
    )


def columns(
    names: Sequence[str],
    values: Sequence[Sequence[Part]],
    *,
    about: str,
    x_name: str,
    every: int = 1,
) -> Markup:
    """Columns of stacked parts, their heights on an axis of counts.

    Args:
        names: of the columns; every ``every``-th is written.
        values: the parts of each, from the bottom up.
        about: what the chart shows, in a sentence, for whoever cannot see it.
        x_name: name of the horizontal axis.
        every: see above.
    """
    totals = [sum(length for _, length in parts) for parts in values]
    top, ticks = _ticks(max(totals, default=0))
    y = _scale(0, top, _HEIGHT - _BOTTOM, _TOP)
    slot = (_WIDTH - _LEFT - _RIGHT) / len(names)
    drawn = [*_grid(ticks, y, lambda value: f"{value:,.0f}")]
    for n, (name, parts, total) in enumerate(zip(names, values, totals, strict=True)):
        x, height = _LEFT + n * slot, 0.0
        for colour, length in parts:
            if length:
                low, high = y(height), y(height + length)
                drawn.append(
                    tag(
                        "rect",
                        x=x + 0.12 * slot,
                        y=high,
                        width=0.76 * slot,
                        height=max(low - high, 0.8),
                        class_=colour,
                    )
                )
            height += length
        if total:
            drawn.append(_text(x + slot / 2, y(total) - 4, f"{total:,.0f}", "middle", "value"))
        if n % every == 0:
            drawn.append(_text(x + slot / 2, _HEIGHT - _BOTTOM + 14, name, "middle"))
    drawn.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 5, x_name, "middle", "axis"))
    return _chart(drawn, about)


def lines(
    series: Sequence[tuple[str, Sequence[tuple[float, float]]]], *, about: str, x_name: str
) -> Markup:
    """Shares from 0 to 1 over whole numbers from 1 on, one line per series.

    Args:
        series: class and points of each.
        about: as in :func:`columns`.
        x_name: as there.
    """
    last = max((x for _, points in series for x, _ in points), default=2)
    x, y = _scale(1, max(last, 2), _LEFT + 8, _WIDTH - _RIGHT - 8), _shares()
    drawn = [*_grid((0, 0.25, 0.5, 0.75, 1), y, _percent)]
    step = ceil(last / 12)
    drawn += [
        _text(x(n), _HEIGHT - _BOTTOM + 14, f"{n}", "middle") for n in range(1, int(last) + 1, step)
    ]
    for colour, points in series:
        if len(points) > 1:
            path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)
            drawn.append(tag("polyline", points=path, class_=f"line {colour}"))
        drawn += [tag("circle", cx=x(a), cy=y(b), r=2.6, class_=colour) for a, b in points]
    drawn.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 5, x_name, "middle", "axis"))
    return _chart(drawn, about)


def reliability(
    bins: Sequence[tuple[int, float, float]],
    *,
    about: str,
    x_name: str,
    y_name: str,
    notes: Sequence[str] = (),
) -> Markup:
    """Predicted against true shares; a dot's area is its count, and on the diagonal all is well.

    Args:
        bins: ``(n, predicted, true)`` of each dot.
        about: as in :func:`columns`.
        x_name: name of the horizontal axis.
        y_name: name of the vertical one; it stands above it, since turned text is hard to read.
        notes: lines beside the plot.
    """
    side, top = 140.0, _TOP + 16
    x, y = _scale(0, 1, _LEFT, _LEFT + side), _scale(0, 1, top + side, top)
    drawn = [_text(_LEFT, top - 10, f"{y_name} ↑", "start", "axis")]
    for value in (0, 0.5, 1):
        drawn += [
            tag("line", x1=_LEFT, y1=y(value), x2=_LEFT + side, y2=y(value), class_="grid"),
            tag("line", x1=x(value), y1=top, x2=x(value), y2=top + side, class_="grid"),
            _text(_LEFT - 6, y(value) + 4, _percent(value), "end"),
            _text(x(value), top + side + 15, _percent(value), "middle"),
        ]
    drawn.append(tag("line", x1=x(0), y1=y(0), x2=x(1), y2=y(1), class_="ideal"))
    most = max((n for n, _, _ in bins), default=1)
    for n, predicted, true in bins:
        radius = 3 + 5 * (n / most) ** 0.5
        drawn.append(tag("circle", cx=x(predicted), cy=y(true), r=radius, class_="dot main"))
    drawn.append(_text(_LEFT + side / 2, top + side + 32, f"{x_name} →", "middle", "axis"))
    told = (*notes, "", "on the dashed line", "the two are equal")
    left = _LEFT + side + 22
    drawn += [_text(left, top + 14 + 16 * n, line, "start", "axis") for n, line in enumerate(told)]
    return _chart(drawn, about)


def spark(values: Sequence[float]) -> Markup:
    """A line as small as a word; the last value is a dot."""
    low, high = min(values), max(values)
    y = _scale(low, high, 15, 3) if high > low else (lambda _: 9.0)
    x = _scale(0, len(values) - 1, 3, 77)
    path = " ".join(f"{x(n):.1f},{y(value):.1f}" for n, value in enumerate(values))
    return tag(
        "svg",
        tag("polyline", points=path, class_="line main"),
        tag("circle", cx=x(len(values) - 1), cy=y(values[-1]), r=2.4, class_="main"),
        viewBox="0 0 80 18",
        class_="spark",
        aria_hidden="true",
    )


def _chart(drawn: Iterable[Markup], about: str) -> Markup:
    return tag(
        "svg",
        *drawn,
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        class_="chart",
        role="img",
        aria_label=about,
    )


def _grid(
    ticks: Sequence[float], y: Callable[[float], float], name: Callable[[float], str]
) -> Iterable[Markup]:
    for value in ticks:
        yield tag(
            "line",
            x1=_LEFT,
            y1=y(value),
            x2=_WIDTH - _RIGHT,
            y2=y(value),
            class_="grid" if value else "base",
        )
        yield _text(_LEFT - 6, y(value) + 4, name(value), "end")


def _text(x: float, y: float, text: str, anchor: str, name: str | None = None) -> Markup:
    return tag("text", text, x=x, y=y, text_anchor=anchor, class_=name)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (end - start) * (value - low) / ((high - low) or 1)


def _shares() -> Callable[[float], float]:
    return _scale(0, 1, _HEIGHT - _BOTTOM, _TOP)


def _ticks(most: float) -> tuple[float, list[float]]:
    """The end of an axis of counts, with a little room above, and a few round numbers."""
    if most <= 0:
        return 1.0, [0.0, 1.0]
    rough = most / 4
    scale = 10.0 ** floor(log10(rough)) if rough >= 1 else 1.0
    step = next(factor * scale for factor in (1.0, 2.0, 5.0, 10.0) if factor * scale >= rough)
    ticks = [step * n for n in range(floor(most / step) + 1)]
    return max(most * 1.12, 1.0), ticks


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"
