"""What the run cost, stage by stage."""

from collections.abc import Mapping

from datagen.report.figures import Figures
from datagen.report.markup import Child, Markup, table, tag
from datagen.report.numbers import NOTHING, count, money, seconds, share
from datagen.report.sections.frame import card, cards, empty, section
from datagen.report.svg import bar
from datagen.report.work import STAGES, Work


def cost(found: Figures, work: Mapping[str, Work]) -> Markup:
    """Tokens, time and money of every stage that asks a model."""
    lede = (
        "What was asked of the model. Completions that were replayed came from the journal: an "
        "earlier run had paid for them."
    )
    if not work:
        held = sum(found.held_tokens.values())
        return section(
            "cost",
            "What it cost",
            lede,
            empty(
                f"The work of the stages was not recorded. The tables hold {count(held)} generated "
                "tokens, whenever they were paid for."
            ),
        )
    most = max(own.n_tokens for own in work.values())
    total = Work.total(work.values())
    rows = [_row(stage, name, work.get(stage), found, most) for stage, name in STAGES.items()]
    drawn = table(
        ("stage", "", "tokens out", "completions", "replayed", "tokens in", "time", "cost"),
        rows,
        caption="Work of each stage",
        text_columns=2,
        total=("all stages", "", *_cells(total)),
        name="stack work",
    )
    ended = [STAGES[stage] for stage, own in work.items() if own.budget_spent]
    notes = [
        f"{share(total.n_cached_tokens / total.n_prompt_tokens)} of the tokens in did not have to "
        "be read anew."
        if total.n_prompt_tokens
        else "",
        "" if total.cost else "Nothing has a price: see engine.price_prompt and price_generated.",
        f"The budget ended: {', '.join(ended)}." if ended else "",
    ]
    return section(
        "cost",
        "What it cost",
        lede,
        cards(card("By stage", drawn, note=" ".join(filter(None, notes)), wide=True)),
    )


def _row(stage: str, name: str, own: Work | None, found: Figures, most: int) -> tuple[Child, ...]:
    if own is None:
        held = found.held_tokens.get(stage)
        told = f"not recorded; {count(held)} in the tables" if held else "not recorded"
        return name, tag("span", told, class_="dim"), *[NOTHING] * 6
    if not own.asked:
        return name, tag("span", "no model was asked", class_="dim"), *[NOTHING] * 6
    return name, bar([("main", own.n_tokens)], most), *_cells(own)


def _cells(own: Work) -> tuple[str, ...]:
    return (
        count(own.n_tokens),
        count(own.n_generated),
        count(own.n_replayed),
        count(own.n_prompt_tokens),
        seconds(own.seconds),
        money(own.cost) if own.cost else NOTHING,
    )
