"""The examination: every check in turn, none of which can bring down the others."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from datagen.doctor.belongings import dagster_home, hugging_face, reasoner, seeds, taxonomy
from datagen.doctor.finding import Finding, one_line
from datagen.doctor.machine import devices, output, sandbox
from datagen.doctor.packages import declaration, extras, packages, python

_PACKAGE: Final = Path(__file__).parents[1]


def examine(
    out: Path = Path("out"), *, env: Mapping[str, str] = os.environ, package: Path = _PACKAGE
) -> list[Finding]:
    """Look at everything; takes a few seconds, most of them for importing torch.

    Args:
        out: the output folder, which need not exist.
        env: environment variables.
        package: folder of the installed ``datagen`` package.
    """
    declared, own = declaration(package)
    checks: dict[str, Callable[[], Iterable[Finding]]] = {
        "python": lambda: python(declared),
        "packages": lambda: packages(declared),
        "devices": devices,
        "extras": lambda: extras(declared),
        "reasoner": lambda: reasoner(package / "reasoner" / "weights"),
        "seeds": lambda: seeds(package / "reasoner" / "seeds.jsonl"),
        "taxonomy": taxonomy,
        "disk": lambda: output(out),
        "hugging face": lambda: hugging_face(env),
        "dagster home": lambda: dagster_home(env),
        "sandbox": sandbox,
    }
    return [own, *(finding for name, check in checks.items() for finding in _tried(name, check))]


def _tried(name: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """A check's findings; one that breaks down cannot call anything healthy."""
    try:
        return list(check())
    except Exception as error:
        return [Finding(name, "missing", f"could not be examined: {one_line(error)}")]
