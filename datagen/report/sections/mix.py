"""What the data is like: what its steps do, and how hard its questions are."""

from datagen.report.figures import N_PASS_RATES, Figures, PassRates
from datagen.report.markup import Child, Markup, table, tag
from datagen.report.numbers import count, share
from datagen.report.sections.frame import card, cards, chart, empty, legend, section, words
from datagen.report.svg import bar, columns

_ENDS = (("right", "in right traces"), ("wrong", "in wrong ones"), ("rest", "undecided"))


def mix(found: Figures) -> Markup:
    """The thought factors, and the histogram of pass rates."""
    return section(
        "mix",
        "What the data is like",
        "What its steps do, and how hard its questions are for the model that was asked.",
        cards(
            card("Thought factors", _factors(found), wide=True),
            _difficulty(found.pass_rates),
            card("Questions", _questions(found)),
        ),
    )


def _factors(found: Figures) -> Markup:
    if not found.factors:
        return empty("No trace has steps.")
    most = max(line.n for line in found.factors)
    n = sum(line.n for line in found.factors)
    rows: list[tuple[Child, ...]] = [
        (
            words(tag("i", class_=f"swatch {line.family}", title=line.family), line.name),
            bar([("right", line.n_right), ("wrong", line.n_wrong), ("rest", line.n_rest)], most),
            count(line.n),
            share(line.n / n),
        )
        for line in found.factors
    ]
    return tag(
        "div",
        legend(key for key, n_of in zip(_ENDS, _by_end(found), strict=True) if n_of),
        table(
            ("factor", "", "steps", "share"),
            rows,
            caption="Steps by thought factor",
            text_columns=2,
            name="rows",
        ),
        tag("p", "The squares are kinds of thinking: ", *_families(found), class_="note"),
    )


def _questions(found: Figures) -> Markup:
    """By what they are about, and by split."""
    if not found.questions:
        return empty("No question is asked.")
    splits = list(dict.fromkeys(split for own in found.questions.values() for split in own))
    rows = [
        (domain, *(count(own[split]) for split in splits), count(sum(own.values())))
        for domain, own in found.questions.items()
    ]
    sums = [sum(own[split] for own in found.questions.values()) for split in splits]
    return table(
        ("about", *splits, "questions"),
        rows,
        caption="Questions by what they are about, and by split",
        total=("all", *map(count, sums), count(sum(sums))),
    )


def _by_end(found: Figures) -> tuple[int, int, int]:
    lines = found.factors
    return (
        sum(line.n_right for line in lines),
        sum(line.n_wrong for line in lines),
        sum(line.n_rest for line in lines),
    )


def _families(found: Figures) -> list[Child]:
    names = dict.fromkeys(line.family for line in found.factors)
    return [
        tag("span", tag("i", class_=f"swatch {name}", aria_hidden="true"), name, class_="key")
        for name in names
    ]


def _difficulty(rates: PassRates) -> Markup:
    if not rates.n:
        return card("How hard the questions are", empty("No question was tried from its start."))
    full = [
        "never",
        *(
            f"{100 * n // N_PASS_RATES}–{100 * (n + 1) // N_PASS_RATES} %"
            for n in range(N_PASS_RATES)
        ),
        "always",
    ]
    # On a phone there is room for every other name, and the words at the ends need more.
    short = ["never", *(f"{n}0+" if n in (2, 4, 6, 8) else "" for n in range(10)), "always"]
    n_never, n_always = rates.bins[0], rates.bins[-1]
    return chart(
        "How hard the questions are",
        columns(
            short,
            [[("main", float(n))] for n in rates.bins],
            about=f"Questions by pass rate, on average {share(rates.mean)}; {count(n_never)} were "
            f"never solved, {count(n_always)} always.",
            x_name="pass rate of the question, %",
        ),
        table(
            ("pass rate", "questions"),
            list(zip(full, map(count, rates.bins), strict=True)),
            caption="Questions by pass rate",
        ),
        note=f"{count(rates.n)} questions that were tried from their start; "
        f"{count(rates.n_untried)} were not, such as tasks about programs. Mean pass rate "
        f"{share(rates.mean)}; never solved {count(n_never)}, always {count(n_always)}.",
    )
