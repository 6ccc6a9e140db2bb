"""Licences of seeds as the Hub's card has them.

The surprising fact: the Hub refuses a card with a licence that is not on its list, and its list is
not SPDX's: it is in lower case and knows ``odc-by`` but not ``ODC-By-1.0``. What it does not know
must be called ``other`` and be named beside it.
"""

from collections.abc import Iterable
from typing import Final

_NAMES: Final = """
    afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear
    bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0
    cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0
    cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0
    cdla-sharing-1.0 ecl-2.0 epl-1.0 epl-2.0 eupl-1.1 eupl-1.2 gfdl gpl gpl-2.0 gpl-3.0 isc lgpl
    lgpl-2.1 lgpl-3.0 mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openrail osl-3.0 pddl postgresql
    unknown unlicense wtfpl zlib
"""
_HUB: Final = frozenset(_NAMES.split())


def hub_license(names: Iterable[str]) -> tuple[str, str | None]:
    """The licence for the card, and its name where that is ``other``.

    Args:
        names: the licences of all seeds. One that the Hub knows is given as it is, several become
            ``other`` with all their names; none at all is ``unknown``.
    """
    slugs = sorted(set(map(license_slug, names))) or ["unknown"]
    if len(slugs) == 1 and slugs[0] in _HUB:
        return slugs[0], None
    return "other", "-and-".join(slugs)


def license_slug(name: str) -> str:
    """The Hub's form of a name, so that ``CC BY 4.0`` is ``cc-by-4.0``; of none, ``unknown``."""
    kept = (char if char.isalnum() or char == "." else " " for char in name.lower())
    return "-".join("".join(kept).split()) or "unknown"
