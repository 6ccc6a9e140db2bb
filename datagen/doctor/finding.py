"""What the doctor says of one thing, and how all of it is shown.

There are three grades, and only one is bad: most of what a machine lacks it does not need.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from rich.console import Group
from rich.table import Table
from rich.text import Text

Status = Literal["ok", "missing", "note"]

_STYLE: Final[dict[Status, tuple[str, str]]] = {
    "ok": ("✓", "green"),
    "missing": ("✗", "bold red"),
    "note": ("·", "yellow"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Attributes:
        name: what was looked at.
        status: ``missing`` stops the pipeline, ``note`` is optional or only good to know.
        detail: what was found; never a secret.
        fix: what to do or type, if anything.
    """

    name: str
    status: Status
    detail: str
    fix: str | None = None


def render(findings: Iterable[Finding]) -> Group:
    """Findings as a list with marks, each fix below its finding, and a verdict at the end."""
    told = list(findings)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in told:
        detail = Text(finding.detail)
        if finding.fix:
            detail.append(f"\n→ {finding.fix}", style="bold" if finding.status == "missing" else "")
        table.add_row(Text(*_STYLE[finding.status]), Text(finding.name), detail)
    missing = [finding.name for finding in told if finding.status == "missing"]
    verdict = (
        Text(f"Missing: {', '.join(missing)}.", style="bold red")
        if missing
        else Text("Everything that is needed is here.", style="bold green")
    )
    return Group(table, Text(), verdict)


def one_line(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
