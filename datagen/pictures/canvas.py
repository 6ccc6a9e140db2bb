"""What all pictures share: their size, their colours, and how they become small files.

The surprising fact: a picture ends as sixty-odd colours. It is kept in the event log of every run,
as text, and a palette makes it a third of what it was while nobody sees the difference. Nothing
here is global to the process either: stages may run side by side in threads of a server.
"""

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

RIGHT: Final = "#1b6ca8"
WRONG: Final = "#d1495b"
REST: Final = "#b9b9b9"
FAINT: Final = "#e3e3e3"
OTHER: Final = "#edae49"
"""Blue and red, not green and red: most who are colour-blind can tell them apart."""

_WIDTH: Final = 7.8
_DPI: Final = 100
_N_COLOURS: Final = 64

Axes = Any
"""``matplotlib.axes.Axes``, which has no types worth the name."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn chart.

    Attributes:
        png: the file, 780 pixels wide on white, so that it can be read on any page.
        title: what is drawn, and of how many.
        told: what one sees, in a sentence or two, as Markdown.
    """

    png: bytes
    title: str
    told: str

    def markdown(self) -> str:
        """The picture itself, no link to it, and the sentence below."""
        encoded = b64encode(self.png).decode("ascii")
        return f"![{self.title}](data:image/png;base64,{encoded})\n\n{self.told}"


def drawn(
    draw: Callable[[Sequence[Axes]], None],
    *,
    title: str,
    told: str,
    height: float = 3.4,
    panels: tuple[int, int] = (1, 1),
) -> Picture:
    """Draw a picture.

    Args:
        draw: given the axes, row by row, to draw on.
        title: as in :class:`Picture`.
        told: as there.
        height: in inches, a hundred pixels each.
        panels: rows and columns of axes.
    """
    # Takes a second to import, and few callers draw.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure: Any = Figure(
        figsize=(_WIDTH, height), dpi=_DPI, layout="constrained", facecolor="white"
    )
    canvas = FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", parse_math=False)
    grid = list(figure.subplots(*panels, squeeze=False).flat)
    for axes in grid:
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=9)
    draw(grid)
    figure.align_labels()
    return Picture(_png(canvas), title, told)


def columns(
    axes: Axes, parts: Sequence[tuple[str, str, Sequence[float]]], *, counted: bool = True
) -> None:
    """Stacked columns at 0, 1, 2 …; each part is a label, a colour and the heights."""
    ends = [0.0] * len(parts[0][2])
    for label, colour, heights in parts:
        places = range(len(heights))
        axes.bar(places, heights, bottom=ends, color=colour, label=label, width=0.76)
        ends = [end + height for end, height in zip(ends, heights, strict=True)]
    if counted:
        numbers(axes, ends)
        axes.set_ylim(0, 1.12 * max(*ends, 1))
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y", alpha=0.25)


def numbers(axes: Axes, counts: Sequence[float], *, at: float | None = None) -> None:
    """Counts above columns, or all at one height."""
    for place, n in enumerate(counts):
        if n:
            axes.annotate(
                f"{n:,.0f}",
                (place, n if at is None else at),
                (0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=7.5,
                color="#555555",
            )


def places(axes: Axes, names: Sequence[str], *, every: int = 1) -> None:
    """Names below the columns, every so many of them; they are text, never formulas."""
    shown = range(0, len(names), every)
    axes.set_xticks(shown, [names[n] for n in shown], parse_math=False)
    axes.tick_params(axis="x", length=0)


def legend(axes: Axes, **more: Any) -> None:
    """The keys in one row above the axes."""
    settings = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 4, "borderaxespad": 0.2}
    keys = axes.legend(frameon=False, fontsize=8.5, handlelength=1.2, **(settings | more))
    # Room is kept above the axes; a row of keys that is wider than they are may stand over others.
    axes.set_title(" ", fontsize=9)
    keys.set_in_layout(False)


def _png(canvas: Any) -> bytes:
    from PIL import Image

    canvas.draw()
    size = canvas.get_width_height()
    whole = Image.frombuffer("RGBA", size, canvas.buffer_rgba(), "raw", "RGBA", 0, 1).convert("RGB")
    file = BytesIO()
    reduced = whole.quantize(_N_COLOURS, dither=Image.Dither.NONE)
    reduced.save(file, format="PNG", optimize=True)
    return file.getvalue()
