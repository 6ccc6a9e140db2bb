"""How far the labels can be trusted."""

from collections.abc import Sequence
from typing import Final

from datagen.report.figures import Figures
from datagen.report.labels import MASSES, LabelFigures, Reliability
from datagen.report.markup import Markup, table
from datagen.report.numbers import count, share
from datagen.report.sections.frame import card, chart, empty, facts, section, stacks
from datagen.report.svg import columns, lines, reliability

_JUDGED: Final = (
    ("right", "judges name the same step"),
    ("wrong", "another"),
    ("rest", "no verdict"),
)
_SOURCES: Final = {
    "posterior": "the posterior over first errors",
    "rollouts": "rollouts from the step",
    "outcome": "the outcome of the trace",
    "execution": "a run of the program",
    "human": "people",
    "none": "nothing: no label",
}


def quality(found: Figures) -> Markup:
    """Agreement, the posterior, values by position, and reliability wherever truth is known."""
    labels = found.labels
    lede = (
        "Rollouts say where a trace first goes wrong; judges who do not see the right answer say "
        "so independently. Where people or runs of programs know the truth, both are held to it."
    )
    if not labels.n_measured and not labels.sources:
        return section(
            "labels", "Label quality", lede, empty("No trace was measured, so there is no label.")
        )
    return section(
        "labels",
        "Label quality",
        lede,
        stacks(
            [
                card("In short", _in_short(labels)),
                _values(labels),
                _by_people(labels),
                card("What labels of steps rest on", _sources(labels)),
            ],
            [_masses(labels), _by_judges(labels), _by_runs(labels)],
        ),
    )


def _in_short(labels: LabelFigures) -> Markup:
    return facts(
        [
            ("Traces measured", count(labels.n_measured), ""),
            ("With a verdict of the judges", count(labels.n_judged), ""),
            (
                "Judges and rollouts agree",
                share(labels.agreed_share),
                f"{count(labels.n_agreed)} of {count(labels.n_judged)}",
            ),
            (
                "Verified",
                share(labels.verified_share),
                f"{count(labels.n_verified)} traces: agreed and sure, or decided by people",
            ),
        ]
    )


def _masses(labels: LabelFigures) -> Markup:
    ends = (*MASSES[1:], 1.0)
    names = [f"{100 * low:.0f}–{100 * high:.0f} %" for low, high in zip(MASSES, ends, strict=True)]
    short = ["<50", *(f"{100 * low:.0f}+" for low in MASSES[1:])]
    parts = [
        list(
            zip(("right", "wrong", "rest"), (b.n_agreed, b.n_differing, b.n_unjudged), strict=True)
        )
        for b in labels.masses
    ]
    rows = [(name, *(count(n) for _, n in own)) for name, own in zip(names, parts, strict=True)]
    return chart(
        "How sure the posterior is",
        columns(
            short,
            parts,
            about=f"Traces by the probability of their first error; {_most(names, parts)}.",
            x_name="probability of the first error, %",
        ),
        table(
            ("probability", "agree", "differ", "no verdict"),
            rows,
            caption="Measured traces by the probability of their first error",
        ),
        keys=_JUDGED,
        note="Measured traces by the probability that rollouts give to the first error they name.",
    )


def _most(names: Sequence[str], parts: Sequence[Sequence[tuple[str, float]]]) -> str:
    totals = [sum(n for _, n in own) for own in parts]
    top = max(range(len(totals)), key=totals.__getitem__)
    return f"most are at {names[top]}: {count(totals[top])} of {count(sum(totals))}"


def _values(labels: LabelFigures) -> Markup:
    names = {"correct": ("right", "traces that end right"), "wrong": ("wrong", "that end wrong")}
    if not any(labels.values.values()):
        return card("Value by step", empty("No step has a value yet."))
    series = [
        (names[outcome][0], [(float(at.position), at.mean) for at in own])
        for outcome, own in labels.values.items()
    ]
    rows = [
        (names[outcome][1], str(at.position), f"{at.mean:.3f}", count(at.n))
        for outcome, own in labels.values.items()
        for at in own
    ]
    return chart(
        "Value by step",
        lines(
            series,
            about="Mean value of steps by position, of traces that end right and that end wrong.",
            x_name="position of the step",
        ),
        table(
            ("traces", "step", "mean value", "steps"),
            rows,
            caption="Mean value of steps by their position",
        ),
        keys=names.values(),
        note="Mean expected share of right endings after each step. The sooner the two part, the "
        "earlier the labels tell good from bad.",
    )


def _by_judges(labels: LabelFigures) -> Markup | None:
    return _reliability(
        "Held to the judges",
        labels.by_judges,
        ("probability claimed", "judges agree", "traces"),
        "Probability of the first error, against the share of judges that name the same. Two that "
        "err alike agree: this is no truth.",
    )


def _by_people(labels: LabelFigures) -> Markup | None:
    found = labels.by_people
    if found is None:
        return card("Held to people", empty("Nobody has decided on a measured trace yet."))
    whose = (
        "drawn at random"
        if found.at_random
        else "that were chosen because they are in doubt, so it looks worse than all of them are"
    )
    return _reliability(
        "Held to people",
        found,
        ("probability claimed", "true, by people", "steps"),
        "Probability that a step comes before the first error, against what people decided; steps "
        f"of traces {whose}.",
    )


def _by_runs(labels: LabelFigures) -> Markup | None:
    return _reliability(
        "Held to runs of programs",
        labels.by_runs,
        ("programs that pass", "all claims true", "thoughts"),
        "Share of the programs written from a thought that pass the tests, against whether the "
        "recorded run bears out all that the thought claims. Below the line, programs passed in "
        "spite of a false claim.",
    )


def _reliability(
    title: str, found: Reliability | None, names: tuple[str, str, str], note: str
) -> Markup | None:
    if found is None:
        return None
    x_name, y_name, noun = names
    rows = [(count(n), f"{predicted:.3f}", f"{true:.3f}") for n, predicted, true in found.bins]
    return chart(
        title,
        reliability(
            found.bins,
            about=f"{x_name} against {y_name}: mean gap {found.gap:.3f} over {count(found.n)} "
            f"{noun}.",
            x_name=x_name,
            y_name=y_name,
            notes=(f"{count(found.n)} {noun}", f"mean gap {found.gap:.2f}"),
        ),
        table((noun, x_name, y_name), rows, caption=title, text_columns=0),
        note=note,
    )


def _sources(labels: LabelFigures) -> Markup:
    n = sum(labels.sources.values())
    rows = [
        (_SOURCES.get(name, name), count(k), share(k / n)) for name, k in labels.sources.items()
    ]
    return table(("label rests on", "steps", "share"), rows, caption="Sources of step labels")
