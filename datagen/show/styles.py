"""How values of the tables look in a terminal: as ``rich`` text that holds no markup.

Colour never says anything alone. It tells families of thought apart at a glance, and every factor
is also named, since half of all output ends in a pipe or a bug report.
"""

from collections.abc import Iterable
from typing import Final, Literal, get_args

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from datagen.factors.taxonomy import Factor

Family = Literal["understanding", "planning", "computing", "checking", "concluding"]
"""What kind of thinking a factor belongs to."""

FAMILY: Final[dict[Factor, Family]] = {
    Factor.RESTATE_GOAL: "understanding",
    Factor.EXTRACT_GIVENS: "understanding",
    Factor.FORMALISE: "understanding",
    Factor.RECALL_FACT: "understanding",
    Factor.RECALL_METHOD: "understanding",
    Factor.DECOMPOSE: "planning",
    Factor.SET_SUBGOAL: "planning",
    Factor.PLAN: "planning",
    Factor.CASE_SPLIT: "planning",
    Factor.HYPOTHESISE: "planning",
    Factor.BACKWARD_CHAIN: "planning",
    Factor.TRY_EXAMPLE: "computing",
    Factor.DEDUCE: "computing",
    Factor.COMPUTE: "computing",
    Factor.SIMULATE_EXECUTION: "computing",
    Factor.CHECK_STEP: "checking",
    Factor.CHECK_RESULT: "checking",
    Factor.DETECT_ERROR: "checking",
    Factor.CORRECT_ERROR: "checking",
    Factor.BACKTRACK: "checking",
    Factor.SWITCH_APPROACH: "checking",
    Factor.ASSESS_PROGRESS: "checking",
    Factor.CONSOLIDATE: "concluding",
    Factor.ANSWER: "concluding",
}
"""Every factor but ``other``."""

Field = tuple[str, Text | str]
"""A name and a value to be shown; a plain string is text as well, never markup."""

_COLOUR: Final[dict[Family, str]] = {
    "understanding": "cyan",
    "planning": "magenta",
    "computing": "bright_blue",
    "checking": "yellow",
    "concluding": "green",
}
_COLOUR_OF_NAME: Final = {factor.value: _COLOUR[family] for factor, family in FAMILY.items()}

SHORT_ID: Final = 6
"""Characters of a hashed id that are shown: enough to find it again nearly always."""

_MARK: Final = {"correct": ("✓", "bold green"), "wrong": ("✗", "bold red")}
_WORD: Final = {"correct": "right"}


def one_line(text: str) -> str:
    """The text on one line, with whatever could act on a terminal made visible as ``�``."""
    return "".join(char if char.isprintable() else "�" for char in " ".join(text.split()))


def paragraph(text: str) -> str:
    """The text with its own line breaks, otherwise as :func:`one_line`."""
    return "\n".join(map(verbatim, text.strip().splitlines()))


def verbatim(line: str) -> str:
    """One line with its indentation, otherwise as :func:`one_line`."""
    return "".join(char if char.isprintable() else "�" for char in line.expandtabs(4).rstrip())


def factor_name(factor: str | None) -> Text:
    """A factor in the colour of its family; one that the taxonomy does not know is plain."""
    return Text(one_line(factor or "-"), style=_COLOUR_OF_NAME.get(factor or "", ""))


def mark(outcome: str) -> Text:
    """One character for an outcome; everything undecided is a question mark."""
    return Text(*_MARK.get(outcome, ("?", "bold yellow")))


def outcome_name(outcome: str) -> str:
    """The outcome in a word that goes with "2 of 3 are …"."""
    return _WORD.get(outcome, outcome)


def label_mark(hard_label: bool | None) -> Text:
    """One character for a step label."""
    return mark("") if hard_label is None else mark("correct" if hard_label else "wrong")


def short_id(id: str) -> Text:
    """The beginning of a hashed id."""
    return Text(one_line(id)[:SHORT_ID], style="dim")


class FamilyLegend:
    """The families in their colours; nothing at all where there is no colour."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the line if the console can colour it."""
        if console.color_system is not None and not console.no_color:
            named = (Text(family, style=_COLOUR[family]) for family in get_args(Family))
            yield Text(" ").join(named)


def counted(n: int, noun: str) -> str:
    """A number with its noun, ``1 rollout`` or ``2 rollouts``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def percent_range(low: float, high: float) -> str:
    """An interval of shares in whole per cent."""
    return f"{100 * low:.0f}–{100 * high:.0f}%"


def field_table(fields: Iterable[Field]) -> Table:
    """Named values below each other, wrapped beside their names."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields:
        table.add_row(Text(name), Text(value) if isinstance(value, str) else value)
    return table
