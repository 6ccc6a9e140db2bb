"""A dataset of the user's own: tables in, one table out, and what is promised of it.

The tables are those that its function names as parameters, as a test names its fixtures. So it says
once what it reads, and the graph of assets follows from that.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from datagen.errors import ConfigError
from datagen.own_code import load_own
from schemas import Contract

_SEED: Final = "seed_id"


@dataclass(frozen=True, slots=True)
class Export:
    """What ``export.further`` names.

    Attributes:
        make: gives the rows as a frame; each parameter has the name of a table, and is given it.
        contract: what the rows hold. It has the column ``seed_id``, by which rows are split.
        purpose: what they are for, as the card says it.
    """

    make: Callable[..., Any]
    contract: type[Contract]
    purpose: str

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that it is made of."""
        return tuple(inspect.signature(self.make).parameters)

    def table(self, tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        """Make the rows, held to the contract.

        Raises:
            ContractError: if they break it.
            ConfigError: if what is made is no table.
        """
        frame = self.make(**tables)
        if not isinstance(frame, pl.DataFrame):
            raise ConfigError(
                f"{self.make.__module__}:{self.make.__qualname__} made an object of type "
                f"{type(frame).__name__!r}; return a polars.DataFrame"
            )
        return self.contract.validate(frame)


def load_export(setting: str, reference: str) -> Export:
    """Import a dataset, as far as it can be told that it can be made and published.

    Args:
        setting: name of the setting, for errors.
        reference: ``"module:name"`` of an :class:`Export`.

    Raises:
        ConfigError: if it cannot be imported, or cannot be published.
    """
    export: Export = load_own(setting, reference, of=Export)
    where, contract = f"{setting}={reference!r}", export.contract
    for name, parameter in inspect.signature(export.make).parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigError(
                f"{where}: `make` takes {str(parameter)!r}; name each table that it reads as a "
                "parameter of its own"
            )
        if parameter.default is not parameter.empty:
            raise ConfigError(
                f"{where}: `make` has a default for {name!r}, and would be given the table {name}; "
                "parameters are tables"
            )
    what = f"{where}: its contract {contract.__name__!r}"
    if not hasattr(contract, "table"):
        raise ConfigError(f'{what} has no name; give it `table = "…"`')
    if contract.polars_schema().get(_SEED) != pl.String:
        raise ConfigError(
            f"{what} has no column {_SEED!r}, by which rows are split; add "
            f"`{_SEED} = schemas.columns.seed_column()`"
        )
    try:
        contract.arrow_schema()
    except KeyError as error:
        raise ConfigError(
            f"{what} has a column of type {error}; use String, Boolean, Int32, Int64, Float32, "
            "Float64, or List and Struct of them"
        ) from error
    return export
