"""How this run differs from the one before it."""

from collections.abc import Mapping, Sequence
from typing import Final

from datagen.report.history import METRICS, Metric, Run
from datagen.report.markup import Child, Markup, table, tag
from datagen.report.numbers import day, difference, written
from datagen.report.sections.frame import card, cards, empty, section, words
from datagen.report.svg import spark

_MAX_RUNS: Final = 30
"""Runs in the small lines."""

_MIN_RUNS: Final = 3


def previous(now: Mapping[str, float], runs: Sequence[Run]) -> Markup:
    """Compare with the last run of other data.

    Args:
        now: figures of this run.
        runs: those before, oldest first.
    """
    title = "Since the last run"
    if not runs:
        return section(
            "previous",
            title,
            "Each published version of the data is compared with the one before it.",
            empty("This is the first version that is remembered; the next is compared with it."),
        )
    last = runs[-1]
    shown = [m for m in METRICS if _is_known(m, last.figures, now)]
    line = len(runs) + 1 >= _MIN_RUNS
    header = ("figure", "before", "now", "change", *(["over time"] if line else []))
    rows = [(*_row(m, last.figures, now), *([_line(m, runs, now)] if line else [])) for m in shown]
    lede = words(
        "Compared with the data that was published on ",
        tag("time", day(last.date), datetime=last.date),
        ", ",
        tag("code", last.digest[:12]),
        ".",
    )
    note = f"The small lines show the last {min(len(runs), _MAX_RUNS) + 1} runs." if line else None
    drawn = table(header, rows, caption="Figures of the last run and of this one", name="changes")
    return section(
        "previous", title, lede, cards(card("Figure by figure", drawn, note=note, wide=True))
    )


def _is_known(metric: Metric, before: Mapping[str, float], now: Mapping[str, float]) -> bool:
    """Whether there is anything to compare; where nothing has a price, no cost is."""
    values = [own[metric.key] for own in (before, now) if metric.key in own]
    return any(values) if metric.unit == "money" else bool(values)


def _row(
    metric: Metric, before: Mapping[str, float], now: Mapping[str, float]
) -> tuple[Child, ...]:
    old, new = before.get(metric.key), now.get(metric.key)
    change = difference(old, new, metric.unit)
    name = "dim"
    if metric.better and old is not None and new is not None and change != "same":
        name = "good" if (new > old) == (metric.better == "up") else "bad"
    told = {"good": "better: ", "bad": "worse: "}.get(name)
    return (
        metric.name,
        written(old, metric.unit),
        written(new, metric.unit),
        tag("span", tag("span", told, class_="hidden") if told else None, change, class_=name),
    )


def _line(metric: Metric, runs: Sequence[Run], now: Mapping[str, float]) -> Markup:
    past = [run.figures for run in runs[-_MAX_RUNS:]]
    values = [own[metric.key] for own in (*past, now) if metric.key in own]
    return spark(values) if len(values) >= _MIN_RUNS else tag("span")
