"""What the run made of what it was given: the tiles on top, the funnel, rows, what was left out."""

from collections.abc import Mapping
from typing import Final

from datagen.report.figures import Count, Figures
from datagen.report.history import METRICS, Run, Unit
from datagen.report.markup import Child, Markup, table, tag
from datagen.report.numbers import count, difference, seconds, share
from datagen.report.sections.frame import card, empty, folded, legend, section, stacks
from datagen.report.svg import bar
from datagen.report.work import Work

_UNITS: Final[Mapping[str, Unit]] = {metric.key: metric.unit for metric in METRICS}
_OUTCOMES: Final = {
    "correct": ("right", "right"),
    "wrong": ("wrong", "wrong"),
    "unverifiable": ("rest", "nobody can judge"),
    "truncated": ("faint", "cut off"),
}


def tiles(found: Figures, now: Mapping[str, float], work: Work | None, last: Run | None) -> Markup:
    """The six figures that a reader in a hurry takes along."""
    labels = found.labels
    verified, judged = share(labels.verified_share), f"of {count(labels.n_judged)} with a verdict"
    thoughts = share(now.get("code_verified_share"))
    rows: list[tuple[str, str, str, str]] = [
        ("published_rows", "Published rows", count(found.n_published), _datasets(found)),
        (
            "rollouts",
            "Rollouts",
            count(sum(found.outcomes.values())),
            f"{share(found.solved_share)} of the judged ones end right",
        ),
        ("measured", "Traces measured", count(labels.n_measured), f"{verified} verified"),
        ("agreed_share", "Judges agree", share(labels.agreed_share), judged),
        (
            "code_verified_share",
            "Thoughts about code",
            count(found.n_of("Thoughts")),
            f"{thoughts} verified against a run",
        ),
        (
            "tokens",
            "Tokens generated",
            count(work.n_tokens) if work else "not recorded",
            f"in {seconds(work.seconds)} of engine time" if work else "",
        ),
    ]
    return tag("ul", *(_tile(*row, now, last) for row in rows), class_="tiles")


def _tile(
    key: str, name: str, figure: str, note: str, now: Mapping[str, float], last: Run | None
) -> Markup:
    change = difference(last.figures.get(key), now.get(key), _UNITS[key]) if last else "same"
    return tag(
        "li",
        tag("span", name, class_="name"),
        tag("b", figure, class_=None if any(map(str.isdigit, figure)) else "none"),
        tag("span", note, class_="note"),
        tag("span", f"{change} since the last run", class_="change")
        if change not in ("same", "–", "new")
        else None,
    )


def _datasets(found: Figures) -> str:
    n = len(found.published)
    return f"in {n} datasets" if n else "nothing is published yet"


def made(found: Figures) -> Markup:
    """The funnels, outcomes, published rows and what was left out."""
    return section(
        "made",
        "From seeds to data",
        "What came in, what the search made of it, and how much of that was fit to be published.",
        stacks(
            [
                card(
                    "Questions in words",
                    _funnel(found.words),
                    note="Bars of one card are to scale.",
                ),
                card("Left out by curation", _left_out(found)),
            ],
            [
                card("Programs", _funnel(found.code)) if found.code else None,
                card("How rollouts end", _outcomes(found.outcomes)),
            ],
        ),
        card("Published rows", _published(found), wide=True),
    )


def _funnel(lines: tuple[Count, ...]) -> Markup:
    # Rows are no traces: a trace is published in many forms, and would dwarf all else.
    scaled = [line for line in lines if line.name != "Published rows"]
    most = max((line.n for line in scaled), default=0)
    return tag(
        "ol",
        *(
            tag(
                "li",
                tag("span", line.name, class_="name"),
                tag("b", count(line.n)),
                bar([("main", line.n)], most) if line in scaled else None,
                tag("span", line.note, class_="note"),
            )
            for line in lines
        ),
        class_="funnel",
    )


def _outcomes(outcomes: Mapping[str, int]) -> Markup:
    n = sum(outcomes.values())
    if not n:
        return empty("There are no rollouts.")
    rows = [(_OUTCOMES[name][1], count(k), share(k / n)) for name, k in outcomes.items()]
    return tag(
        "div",
        legend(_OUTCOMES[name] for name, k in outcomes.items() if k),
        bar([(_OUTCOMES[name][0], k) for name, k in outcomes.items()], n, name="bar tall"),
        table(("ends", "rollouts", "share"), rows, caption="Rollouts by how they end"),
    )


def _left_out(found: Figures) -> Markup:
    if not found.left_out:
        return empty("No question and no trace broke a rule of curation.")
    rows = [
        (f"{line.kind}s: {line.rule.replace('_', ' ')}", count(line.n)) for line in found.left_out
    ]
    return table(("rule", "left out"), rows, caption="What each rule of curation left out")


def _published(found: Figures) -> Markup:
    if not found.published:
        return empty("Nothing is published yet.")
    splits = list(dict.fromkeys(split for own in found.published.values() for split in own))
    most = max(sum(own.values()) for own in found.published.values())
    rows: list[tuple[Child, ...]] = []
    for config, own in found.published.items():
        n = sum(own.values())
        cells = (count(own[split]) if split in own else "–" for split in splits)
        rows.append((tag("code", config), bar([("main", n)], most), *cells, count(n)))
    sums = [sum(own.get(split, 0) for own in found.published.values()) for split in splits]
    drawn = table(
        ("dataset", "", *splits, "rows"),
        rows,
        caption="Rows of each dataset by split",
        text_columns=2,
        total=("all", "", *map(count, sums), count(sum(sums))),
        name="rows",
    )
    return drawn if len(rows) <= 24 else folded(drawn)
