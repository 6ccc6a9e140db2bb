"""What goes wrong with a table: it does not match its contract.

Drawn here, and not with the library's other errors, because ``schemas`` imports nothing of ours.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


class ContractError(Exception):
    """A table does not match its contract; the failing rows come with it, as data.

    Attributes:
        table: Name of the contract's table, e.g. ``"seeds"``; empty if unknown.
        failures: The failing rows, in the form that ``Contract.filter`` returns them; ``None``
            where the shape of the table is wrong (columns or types), so that no row can be judged.
    """

    def __init__(
        self, message: str, *, table: str = "", failures: "pl.DataFrame | None" = None
    ) -> None:
        super().__init__(message)
        self.table = table
        self.failures = failures
