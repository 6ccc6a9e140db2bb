"""What the stages had the engine do: tokens, time and money, side by side."""

from collections.abc import Mapping, Sequence

from datagen.pictures.canvas import FAINT, OTHER, REST, RIGHT, Axes, Picture, drawn, legend
from datagen.report.numbers import count, money, seconds
from datagen.report.work import STAGES, Work

Bars = Sequence[tuple[str, str, Sequence[float]]]


def stage_work(work: Mapping[str, Work]) -> Picture | None:
    """Tokens, seconds and, where prices are set, cost by stage.

    Args:
        work: by stage, as :func:`datagen.report.work.read_work` gives it.
    """
    asked = {stage: did for stage, did in work.items() if did.asked}
    if not asked:
        return None
    rows, total = list(asked.values()), Work.total(asked.values())
    tokens: Bars = (
        ("generated", RIGHT, [did.n_tokens for did in rows]),
        ("prompt, read", REST, [did.n_prompt_tokens - did.n_cached_tokens for did in rows]),
        ("prompt, cached", FAINT, [did.n_cached_tokens for did in rows]),
    )
    panels: list[tuple[str, Bars]] = [
        ("tokens", tokens),
        ("wall time, s", [("", RIGHT, [did.seconds for did in rows])]),
    ]
    if total.cost:
        panels.append(("cost, as priced", [("", OTHER, [did.cost for did in rows])]))

    def draw(grid: Sequence[Axes]) -> None:
        for axes, (name, bars) in zip(grid, panels, strict=True):
            _bars(axes, bars, name)
        grid[0].set_yticks(range(len(rows)), [STAGES[stage] for stage in asked], fontsize=9)
        for axes in grid[1:]:
            axes.set_yticks([])
        legend(grid[0], ncols=3)

    longest = max(asked, key=lambda stage: asked[stage].seconds)
    cached = total.n_cached_tokens / total.n_prompt_tokens if total.n_prompt_tokens else 0.0
    paid = f", at a cost of {money(total.cost)}" if total.cost else ""
    return drawn(
        draw,
        title=f"What it took (n = {total.n_generated:,} completions drawn, "
        f"{total.n_replayed:,} replayed)",
        told=f"{count(total.n_tokens)} tokens were generated in {seconds(total.seconds)}{paid}; "
        f"{100 * cached:.0f} % of the prompt tokens did not have to be read anew. Longest took "
        f"{STAGES[longest]}, {seconds(asked[longest].seconds)}.",
        height=1.5 + 0.3 * len(rows),
        panels=(1, len(panels)),
    )


def _bars(axes: Axes, bars: Bars, name: str) -> None:
    ends = [0.0] * len(bars[0][2])
    for label, colour, lengths in bars:
        axes.barh(range(len(ends)), lengths, 0.7, left=ends, color=colour, label=label)
        ends = [end + length for end, length in zip(ends, lengths, strict=True)]
    for row, end in enumerate(ends):
        axes.annotate(
            _short(end), (end, row), (3, 0), textcoords="offset points", va="center", fontsize=7.5
        )
    axes.invert_yaxis()
    axes.set_xlim(0, 1.3 * (max(ends) or 1))
    axes.set_xlabel(name, fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=4)
    axes.xaxis.set_major_formatter(lambda value, _: _short(value))
    axes.grid(axis="x", alpha=0.25)


def _short(n: float) -> str:
    """Three digits, as an axis has room for."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= unit:
            return f"{n / unit:.3g}{name}"
    return f"{n:.3g}"
