"""What all sections are built of: headings, cards, legends, and charts with their numbers."""

from collections.abc import Iterable

from datagen.report.markup import Child, Markup, join, tag


def section(id: str, title: str, lede: Child, *parts: Child) -> Markup:
    """A section of the page, which its navigation can name."""
    return tag(
        "section",
        tag("header", tag("h2", title, id=f"{id}-title"), tag("p", lede, class_="lede")),
        *parts,
        id=id,
        aria_labelledby=f"{id}-title",
    )


def cards(*parts: Child, name: str = "cards") -> Markup:
    """Cards side by side where there is room."""
    return tag("div", *parts, class_=name)


def stacks(left: Iterable[Child], right: Iterable[Child]) -> Markup:
    """Two columns of cards, each as long as it is; one after the other where there is no room."""
    return cards(*(tag("div", *parts, class_="stack") for parts in (left, right)))


def card(title: str, *parts: Child, note: Child = None, wide: bool = False) -> Markup:
    """A framed part with a heading, and a remark below it."""
    return tag(
        "article",
        tag("h3", title),
        *parts,
        tag("p", note, class_="note") if note else None,
        class_="card wide" if wide else "card",
    )


def chart(
    title: str, drawn: Markup, numbers: Markup, *, keys: Iterable[tuple[str, str]] = (), note: str
) -> Markup:
    """A card with a chart, its legend, what it means, and its numbers for whoever wants them."""
    return card(title, legend(keys), drawn, tag("p", note, class_="note"), folded(numbers))


def legend(keys: Iterable[tuple[str, str]]) -> Markup | None:
    """Classes of the sheet, each with what it stands for; nothing if there are none."""
    entries = [
        tag("li", tag("i", class_=f"swatch {colour}", aria_hidden="true"), name)
        for colour, name in keys
    ]
    return tag("ul", *entries, class_="legend") if entries else None


def folded(numbers: Markup, name: str = "Show the numbers") -> Markup:
    """A table that opens on demand."""
    return tag("details", tag("summary", name), tag("div", numbers, class_="numbers"))


def facts(pairs: Iterable[tuple[str, Child, Child]]) -> Markup:
    """Figures with their names and remarks, below each other."""
    return tag(
        "dl",
        *(
            tag(
                "div",
                tag("dt", name),
                tag("dd", tag("b", figure), tag("span", note) if note else None),
            )
            for name, figure, note in pairs
        ),
        class_="facts",
    )


def empty(text: str) -> Markup:
    """That there is nothing to show, and why."""
    return tag("p", text, class_="empty")


def words(*parts: Child) -> Markup:
    """Text and elements, one after the other."""
    return join(parts)
