"""The page: one HTML file with its style, its script and its data in it, which loads nothing.

The surprising fact: the page forbids itself whatever it does not need. Its policy allows one style
and one script, by their hashes, so that even a step that got past all escaping could neither run
nor call home.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Final

from datagen.report.figures import Figures
from datagen.report.history import Run
from datagen.report.markup import Child, Markup, join, remark, tag
from datagen.report.numbers import day
from datagen.report.sections.cost import cost
from datagen.report.sections.examples import thoughts, trees
from datagen.report.sections.made import made, tiles
from datagen.report.sections.mix import mix
from datagen.report.sections.people import people
from datagen.report.sections.previous import previous
from datagen.report.sections.quality import quality
from datagen.report.thoughts import ShownThought
from datagen.report.tree import SearchTree
from datagen.report.work import Work

_SECTIONS: Final = {
    "made": "Data",
    "cost": "Cost",
    "labels": "Labels",
    "mix": "Content",
    "trees": "Search",
    "code": "Code",
    "review": "Review",
    "previous": "Changes",
}


@dataclass(frozen=True, slots=True)
class About:
    """What the page says of itself.

    Attributes:
        date: when the data was first published, as ISO 8601 in UTC.
        model: the model's name as a reader would look for it.
        facts: name → value, for the foot of the page.
        remarks: what a reader must know first, each a paragraph in the card's Markdown.
        n_searches: searches of the run.
        n_writings: thoughts about code, revisions included.
    """

    date: str
    model: str
    facts: Mapping[str, str]
    remarks: Sequence[str]
    n_searches: int
    n_writings: int


def page(
    found: Figures,
    *,
    about: About,
    work: Mapping[str, Work],
    now: Mapping[str, float],
    earlier: Sequence[Run],
    shown_trees: Sequence[SearchTree],
    shown_thoughts: Sequence[ShownThought],
) -> str:
    """Put the page together.

    Args:
        found: what was counted.
        about: what it says of itself.
        work: what each stage had the engine do, by stage.
        now: the figures to compare, by key.
        earlier: the runs to compare with, oldest first.
        shown_trees: the searches to show.
        shown_thoughts: the thoughts about code to show.
    """
    style, script = _packaged("page.css"), _packaged("page.js")
    total = Work.total(work.values()) if work else None
    body = join(
        (
            _hero(about, tiles(found, now, total, earlier[-1] if earlier else None)),
            made(found),
            cost(found, work),
            quality(found),
            mix(found),
            trees(shown_trees, n_searches=about.n_searches),
            thoughts(shown_thoughts, n_thoughts=about.n_writings),
            people(found),
            previous(now, earlier),
        )
    )
    return Template(_packaged("page.html")).substitute(
        title=join([f"datagen report, {day(about.date)}"]),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        navigation=join(tag("a", name, href=f"#{id}") for id, name in _SECTIONS.items()),
        body=body,
        footer=_footer(about),
    )


def _hero(about: About, figures: Markup) -> Markup:
    date = tag("time", day(about.date), datetime=about.date)
    return tag(
        "section",
        tag("h1", "Run report"),
        tag("p", "Written by ", tag("b", about.model), ", ", date, class_="about"),
        tag("div", *map(remark, about.remarks), class_="remarks") if about.remarks else None,
        figures,
        class_="hero",
        aria_label="In short",
    )


def _footer(about: About) -> Markup:
    lines: list[Child] = []
    for name, value in about.facts.items():
        lines += [tag("dt", name), tag("dd", value)]
    return tag("dl", *lines)


def _hash(text: str) -> str:
    """As a content security policy names what it allows."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _packaged(name: str) -> str:
    return files("datagen.report").joinpath(name).read_text(encoding="utf-8")
