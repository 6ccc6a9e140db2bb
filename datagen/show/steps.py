"""A table of steps: number, writer, factor and text, and whatever a caller adds on the right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from types import MappingProxyType

from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from datagen.show.styles import factor_name, paragraph


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step to be listed.

    Attributes:
        by: who wrote it; where no step says so, there is no column for it.
        factor: its thought factor; likewise.
        text: its text.
        more: further cells by column header.
        below: lines that stand under its text.
    """

    by: str
    factor: str
    text: str
    more: Mapping[str, Text] = field(default_factory=dict[str, Text])
    below: Sequence[Text] = ()


def step_table(
    steps: Sequence[StepLine], columns: Mapping[str, JustifyMethod] = MappingProxyType({})
) -> Table:
    """List steps under their 0-based index, the text wrapped to the width that is left.

    Args:
        steps: the steps.
        columns: headers of further columns, and how their cells are justified.
    """
    signed, tagged = (any(map(attrgetter(name), steps)) for name in ("by", "factor"))
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("#", justify="right", no_wrap=True)
    if signed:
        table.add_column("by", no_wrap=True)
    if tagged:
        table.add_column("factor", no_wrap=True)
    table.add_column("step", ratio=1, overflow="fold")
    for header, justify in columns.items():
        table.add_column(header, justify=justify, no_wrap=True)
    for idx, step in enumerate(steps):
        table.add_row(
            Text(str(idx)),
            *([Text(step.by, style="dim")] if signed else ()),
            *([factor_name(step.factor)] if tagged else ()),
            Text("\n").join([Text(paragraph(step.text)), *step.below]),
            *(step.more.get(header, Text()) for header in columns),
        )
    return table
