"""The card's section on configs of the user's own: what their columns mean, by their contracts.

Built-in configs have documentation elsewhere. Of these the card is the only one, and it says what
the contract says.
"""

from collections.abc import Iterable

from datagen.publish.card.markdown import code, line, section, subsection, table
from datagen.publish.configs import CONFIGS, own_configs


def further(configs: Iterable[str]) -> str:
    """The section; empty if no config is the user's own.

    Args:
        configs: names of the configs that have rows.
    """
    present = set(configs)
    parts = [_config(name) for name in own_configs() if name in present]
    return section("Further configs", *parts) if parts else ""


def _config(name: str) -> str:
    contract = CONFIGS[name].contract
    rows = [
        (code(column), code(str(kind.dtype)), line(kind.description or ""))
        for column, kind in contract.columns().items()
    ]
    about = line((contract.__doc__ or "").replace("``", ""))
    return subsection(code(name), about, table(("column", "type", "meaning"), rows))
