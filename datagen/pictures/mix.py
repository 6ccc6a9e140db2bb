"""What the data is like: what its steps do, and how hard its questions are."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from datagen.pictures.canvas import RIGHT, WRONG, Axes, Picture, columns, drawn, legend, places
from datagen.report.figures import N_PASS_RATES, FactorCount, factor_counts, pass_rates
from datagen.show.styles import one_line

_MAX_BARS: Final = 26
"""All factors of the built-in taxonomy, and ``other``."""

_MAX_NAME: Final = 28
_MIN_STEPS: Final = 20
"""Steps that a factor needs before its shares are compared in words."""


def factor_mix(traces: pl.DataFrame, tags: pl.DataFrame | None = None) -> Picture | None:
    """Which share of the steps performs each factor, in traces that end right and wrong.

    Args:
        traces: table ``traces``.
        tags: table ``tags``, whose word on the factors counts if it is given.
    """
    steps = traces.select("outcome", "factors")
    if tags is not None:
        ends = traces.select("trace_id", "outcome")
        said = tags.select("trace_id", factors=pl.concat_list("factor"))
        steps = said.join(ends, on="trace_id")
    counts = factor_counts(steps)
    n_right, n_wrong = (sum(getattr(c, name) for c in counts) for name in ("n_right", "n_wrong"))
    if not n_right + n_wrong:
        return None
    shown, sums = counts[:_MAX_BARS], (n_right, n_wrong)
    shares = [_shares(line, *sums) for line in shown]

    def draw(grid: Sequence[Axes]) -> None:
        axes, rows = grid[0], range(len(shown))
        for offset, label, colour, idx in (
            (-0.2, "in right traces", RIGHT, 0),
            (0.2, "in wrong ones", WRONG, 1),
        ):
            if sums[idx]:
                ends = [100 * share[idx] for share in shares]
                axes.barh([row + offset for row in rows], ends, 0.38, color=colour, label=label)
        for row, line in enumerate(shown):
            end = 100 * max(shares[row])
            axes.annotate(
                f"{line.n:,}",
                (end, row),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=7.5,
                color="#555555",
            )
        # The name of a factor may hold anything, and a dollar sign would begin a formula.
        names = [one_line(line.name)[:_MAX_NAME] for line in shown]
        axes.set_yticks(rows, names, fontsize=8.5, parse_math=False)
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        axes.set_xlim(0, 109 * max(max(share) for share in shares))
        axes.set_xlabel("share of the steps, % (beside the bars: steps)", fontsize=9)
        axes.grid(axis="x", alpha=0.25)
        legend(axes)

    n = sum(line.n for line in counts)
    return drawn(
        draw,
        title=f"Thought factors (n = {n:,} steps, {n_right:,} in right traces, {n_wrong:,} in "
        "wrong ones)",
        told=_in_words(counts, *sums),
        height=1.3 + 0.24 * len(shown),
    )


def pass_rate_histogram(questions: pl.DataFrame) -> Picture | None:
    """Questions by how often the model solves them: table ``questions``."""
    found = pass_rates(questions)
    if not found.n or found.mean is None:
        return None
    names = ["never", *(f"{100 * k // N_PASS_RATES}+" for k in range(N_PASS_RATES)), "always"]

    def draw(grid: Sequence[Axes]) -> None:
        columns(grid[0], [("questions", RIGHT, found.bins)])
        places(grid[0], names)
        grid[0].set_xlabel("pass rate from the bare question, %", fontsize=9)
        grid[0].set_ylabel("questions", fontsize=9)

    n_never, n_always = found.bins[0], found.bins[-1]
    return drawn(
        draw,
        title=f"How hard the questions are (n = {found.n:,} that were tried)",
        told=f"Mean pass rate {100 * found.mean:.0f} %. Never solved: {n_never:,}; always: "
        f"{n_always:,}. What reinforcement learning can use lies between. {found.n_untried:,} were "
        "not tried, such as tasks about programs.",
        height=3.0,
    )


def _shares(line: FactorCount, n_right: int, n_wrong: int) -> tuple[float, float]:
    return line.n_right / max(n_right, 1), line.n_wrong / max(n_wrong, 1)


def _in_words(counts: Sequence[FactorCount], n_right: int, n_wrong: int) -> str:
    n, first = sum(line.n for line in counts), counts[0]
    told = f"Most frequent: {_code(first.name)}, {100 * first.n / n:.0f} % of all steps."
    frequent = [line for line in counts if line.n >= _MIN_STEPS]
    if not (n_right and n_wrong and frequent):
        return told

    def excess(line: FactorCount) -> float:
        right, wrong = _shares(line, n_right, n_wrong)
        return wrong - right

    most, least = max(frequent, key=excess), min(frequent, key=excess)
    parts = [
        f"{_code(line.name)} ({100 * _shares(line, n_right, n_wrong)[1]:.1f} % of the steps in "
        f"wrong traces, {100 * _shares(line, n_right, n_wrong)[0]:.1f} % in right ones)"
        for line in (most, least)
    ]
    return f"{told} Most typical of wrong traces is {parts[0]}, of right ones {parts[1]}."


def _code(name: str) -> str:
    """A name set as code in Markdown, whatever it holds."""
    return f"`{one_line(name)[:_MAX_NAME].replace('`', chr(39))}`"
