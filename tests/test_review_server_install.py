"""Logins and environment of Argilla's server, without starting it."""

import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datagen.errors import ReviewError
from datagen.review.server import install as server_install
from datagen.review.server import serve
from datagen.review.server.credentials import add_annotators, credentials_file, read_credentials
from datagen.review.server.install import install, problem


def test_new_people_get_passwords_and_keys_in_a_file_for_the_owner_alone(tmp_path: Path):
    credentials, added = add_annotators(tmp_path, ["ann", "bob", "ann"])
    assert [user.username for user in added] == ["owner", "ann", "bob"]
    assert list(credentials.annotators) == ["ann", "bob"]
    assert stat.S_IMODE(credentials_file(tmp_path).stat().st_mode) == 0o600
    secrets = {user.password for user in added} | {user.api_key for user in added}
    assert len(secrets) == 6 and min(map(len, secrets)) >= 16
    assert not any(secret in repr(credentials) for secret in secrets)


def test_who_has_a_login_keeps_it(tmp_path: Path):
    first, _ = add_annotators(tmp_path, ["ann"])
    second, added = add_annotators(tmp_path, ["bob", "ann"])
    assert [user.username for user in added] == ["bob"]
    assert second.users[:2] == first.users and second.secret_key == first.secret_key
    assert read_credentials(tmp_path) == second


@pytest.mark.parametrize("name", ["", "a b", "owner", "ann\n"])
def test_a_name_that_cannot_be_a_username_is_refused_and_nothing_written(name: str, tmp_path: Path):
    with pytest.raises(ReviewError, match=r"username|in any case"):
        add_annotators(tmp_path, ["ann", name])
    assert not credentials_file(tmp_path).exists()


def test_a_damaged_credentials_file_is_named(tmp_path: Path):
    credentials_file(tmp_path).write_text('{"users": []}')
    with pytest.raises(ReviewError, match=r"credentials\.json.*secret_key.*delete it"):
        add_annotators(tmp_path, [])


def fake_venv(folder: Path, *, packages: bool = True) -> Path:
    """An environment whose Python fails."""
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").touch()
    (folder / "bin" / "python").symlink_to("/bin/false")
    for name in ("argilla_server-2.8.0", "fakeredis-2.40.0") if packages else ():
        info = folder / "lib" / "python3.11" / "site-packages" / f"{name}.dist-info"
        info.mkdir(parents=True)
        (info / "RECORD").touch()
    return folder


def test_a_server_without_its_environment_says_how_to_make_it(tmp_path: Path):
    with (
        pytest.raises(ReviewError, match=r"venv' is not there; .*--install-only.*ARGILLA_VENV="),
        serve(tmp_path / "home", venv=tmp_path / "venv"),
    ):
        pass
    assert not (tmp_path / "home").exists()


def test_an_environment_is_complete_only_with_all_its_packages_and_its_python(tmp_path: Path):
    venv = fake_venv(tmp_path / "venv")
    assert problem(venv) is None
    (record,) = venv.glob("**/fakeredis-*/RECORD")
    record.unlink()
    assert "has no fakeredis 2.40.0" in str(problem(venv))
    (venv / "bin" / "python").unlink()
    (venv / "bin" / "python").symlink_to(tmp_path / "gone")
    assert "has lost its Python" in str(problem(venv))


@pytest.fixture
def pip_calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """Commands that are run; a new environment appears, and a pip that is told so succeeds."""
    calls: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        if command[2] == "venv":
            fake_venv(Path(command[-1]), packages=False)
        elif "--offline" not in command:
            venv = Path(command[0]).parents[1]
            fake_venv(venv.with_name("packages"))
            venv.with_name("packages").joinpath("lib").rename(venv / "lib")
        return subprocess.CompletedProcess(command, int("--offline" in command), "", "")

    monkeypatch.setattr(subprocess, "run", run)
    yield calls


def test_installing_makes_the_environment_once_with_pinned_packages(
    pip_calls: list[list[str]], tmp_path: Path
):
    assert install(tmp_path / "venv", ["--quiet"])
    make, pip = pip_calls
    assert make[1:3] == ["-m", "venv"] and make[-1] == str(tmp_path / "venv")
    constraints = Path(pip[pip.index("--constraint") + 1]).read_text()
    assert {"SQLAlchemy", "redis", "pydantic"} <= {
        line.split("==")[0] for line in constraints.split()
    }
    assert pip[-3:] == ["--quiet", "argilla-server==2.8.0", "fakeredis==2.40.0"]
    assert not install(tmp_path / "venv")
    assert len(pip_calls) == 2


def test_a_failing_pip_is_an_error_that_says_what_to_do_without_a_network(
    pip_calls: list[list[str]], tmp_path: Path
):
    with pytest.raises(ReviewError, match=r"pip failed.*PIP_FIND_LINKS.*DATAGEN_ARGILLA_VENV"):
        install(tmp_path / "venv", ["--offline"])
    assert install(tmp_path / "venv")
    assert [command[2] for command in pip_calls] == ["venv", "pip", "pip"]


def test_a_folder_of_other_things_is_never_cleared(pip_calls: list[list[str]], tmp_path: Path):
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "thesis.tex").touch()
    with pytest.raises(ReviewError, match="is no virtual environment"):
        install(tmp_path / "venv")
    assert not pip_calls


def test_a_python_that_is_too_new_gives_way_to_an_older_one(
    pip_calls: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(server_install, "_NEWEST", (3, 10))
    with pytest.raises(ReviewError, match=r"needs Python 3\.10 or older"):
        install(tmp_path / "venv")
    monkeypatch.setattr(server_install, "_NEWEST", (2, 13))
    monkeypatch.setattr(server_install.shutil, "which", lambda name: f"/opt/{name}")
    install(tmp_path / "venv")
    assert pip_calls[0][0] == "/opt/python2.13"


def test_a_broken_environment_is_an_error_with_the_log(tmp_path: Path):
    venv = fake_venv(tmp_path / "venv")
    with (
        pytest.raises(ReviewError, match=r"did not start \(status 1\).*server\.log"),
        serve(tmp_path / "home", venv=venv),
    ):
        pass
    (venv / "bin" / "python").unlink()
    (venv / "bin" / "python").write_text("no program")
    with (
        pytest.raises(ReviewError, match=r"is broken: .*Permission denied.*delete it"),
        serve(tmp_path / "home", venv=venv),
    ):
        pass
