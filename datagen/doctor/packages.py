"""Python and packages, held against what the project declares.

A version in range proves little for compiled code, which can be there and not load; so such
packages are imported as well. Dagster never is: this library does without it.
"""

import importlib
import platform
import shlex
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from datagen.doctor.finding import Finding, one_line

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_IMPORTED: Final = (
    "numpy",
    "polars",
    "dataframely",
    "pyarrow",
    "pydantic",
    "safetensors",
    "tokenizers",
    "torch",
)
"""Packages of compiled code: installed in the right version, they can still fail to load."""

_PURPOSE: Final[dict[str, str]] = {
    "vllm": "fast generation with large models on a GPU",
    "review": "review by people, in Argilla",
    "ray": "runs spread over many machines",
    "dev": "the Dagster UI, tests and checks",
}


@dataclass(frozen=True, slots=True)
class Declared:
    """What the project says that it needs: a range of Pythons, and requirements as written."""

    python: str
    requirements: tuple[str, ...] = ()

    def of(self, extra: str = "") -> list["Requirement"]:
        """Requirements that hold on this machine, or those that ``extra`` adds to them."""
        from packaging.requirements import Requirement

        def holds(requirement: Requirement, extra: str) -> bool:
            return requirement.marker is None or requirement.marker.evaluate({"extra": extra})

        return [
            requirement
            for requirement in map(Requirement, self.requirements)
            if holds(requirement, extra) and not (extra and holds(requirement, ""))
        ]


def declaration(package: Path) -> tuple[Declared, Finding]:
    """The project's own metadata; a checkout that is not installed is read from its pyproject."""
    try:
        own = metadata.distribution("datagen")
    except metadata.PackageNotFoundError:
        pass
    else:
        declared = Declared(own.metadata["Requires-Python"] or "", tuple(own.requires or ()))
        return declared, Finding("datagen", "ok", f"{own.version} at {package}")
    try:
        project = tomllib.loads((package.parent / "pyproject.toml").read_text("utf-8"))["project"]
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return Declared(""), Finding("datagen", "missing", f"not installed: {package}")
    extras = (
        f"{requirement}; extra == '{extra}'"
        for extra, requirements in project["optional-dependencies"].items()
        for requirement in requirements
    )
    declared = Declared(project["requires-python"], (*project["dependencies"], *extras))
    fix = f"pip install -e {shlex.quote(str(package.parent))}"
    return declared, Finding("datagen", "note", f"a checkout, not installed: {package}", fix)


def python(declared: Declared) -> Iterator[Finding]:
    """The interpreter."""
    from packaging.specifiers import SpecifierSet

    version = platform.python_version()
    if SpecifierSet(declared.python).contains(version, prereleases=True):
        yield Finding("python", "ok", f"{version}  {sys.executable}")
    else:
        fix = f"make PYTHON=<a Python {declared.python}>"
        yield Finding("python", "missing", f"{version}, needs {declared.python}", fix)


def packages(declared: Declared) -> Iterator[Finding]:
    """Required packages: there, in range, and those of compiled code loadable."""
    for requirement in sorted(declared.of(), key=lambda requirement: requirement.name):
        name, wanted = requirement.name, _range(requirement)
        version = _version(name)
        fix = f"pip install {shlex.quote(f'{name}{wanted}')}"
        if version is None:
            yield Finding(name, "missing", f"not installed, needs {wanted}", fix)
        elif not requirement.specifier.contains(version, prereleases=True):
            yield Finding(name, "missing", f"{version}, needs {wanted}", fix)
        elif name in _IMPORTED and (broken := _import_error(name)):
            fix = fix.replace("install", "install --force-reinstall", 1)
            yield Finding(name, "missing", f"{version} does not load: {broken}", fix)
        else:
            yield Finding(name, "ok", f"{version}  ({wanted})")


def extras(declared: Declared) -> Iterator[Finding]:
    """Optional features. The fix names packages, since an index may hold another "datagen"."""
    for extra, purpose in _PURPOSE.items():
        requirements = declared.of(extra)
        found = {requirement.name: _version(requirement.name) for requirement in requirements}
        absent = [
            f"{requirement.name}{_range(requirement)}"
            for requirement in requirements
            if (version := found[requirement.name]) is None
            or not requirement.specifier.contains(version, prereleases=True)
        ]
        versions = ", ".join(f"{name} {version or '–'}" for name, version in found.items())
        if absent:
            # vLLM has a build of its own for machines without a GPU.
            own = "python -m datagen.engines.vllm.install" if extra == "vllm" else None
            fix = own or f"pip install {shlex.join(absent)}"
            yield Finding(f"extra {extra}", "note", f"for {purpose}; {versions}", fix)
        elif requirements:
            yield Finding(f"extra {extra}", "ok", f"for {purpose}; {versions}")


def _range(requirement: "Requirement") -> str:
    """The versions wanted, lower bound first, as people write it."""
    return ",".join(sorted(map(str, requirement.specifier), reverse=True))


def _version(name: str) -> str | None:
    """Version of an installed distribution; vLLM's build for CPUs has a name of its own."""
    for distribution in (name, f"{name}-cpu"):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None


def _import_error(module: str) -> str | None:
    try:
        importlib.import_module(module)
    except Exception as error:  # a broken binary can raise nearly anything
        return one_line(error)
    return None
