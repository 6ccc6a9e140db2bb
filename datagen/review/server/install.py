"""Makes the environment of Argilla's server: ``python -m datagen.review.server``.

The server and this project need the same libraries in different versions, so it has a virtual
environment of its own. ``constraints.txt`` beside this file pins all that goes into it: the server
gets bug fixes only, and leaves most of what it needs open. Arguments are handed on to pip.
"""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from datagen.errors import ReviewError
from datagen.review.server.places import SERVER_VERSION, VENV_VARIABLE, server_venv

_PACKAGES: Final = {"argilla_server": SERVER_VERSION, "fakeredis": "2.40.0"}
_CONSTRAINTS: Final = Path(__file__).parent / "constraints.txt"
_NEWEST: Final = (3, 13)
"""Python with which the server works at most."""


def venv_python(venv: Path) -> str:
    """The Python of an environment."""
    return str(venv / "bin" / "python")


def problem(venv: Path) -> str | None:
    """What is wrong with the server's environment, as a clause; ``None`` if nothing is."""
    if not Path(venv_python(venv)).exists():
        state = "has lost its Python" if venv.exists() else "is not there"
        return f"the server's environment {str(venv)!r} {state}"
    for name, version in _PACKAGES.items():
        # pip writes this file last, so a package that it was stopped at does not count.
        if not list(venv.glob(f"lib/python*/site-packages/{name}-{version}.dist-info/RECORD")):
            package = name.replace("_", "-")
            return f"the server's environment {str(venv)!r} has no {package} {version}"
    return None


def how_to_install(venv: Path) -> str:
    """What to do to have the server, as the end of a sentence."""
    install = "install it with `datagen review serve --install-only`"
    if venv == server_venv():
        return install
    return f"{install} and {VENV_VARIABLE}={venv}"


def install(venv: Path, pip_arguments: Sequence[str] = ()) -> bool:
    """Make the server's environment, or mend it; returns whether there was anything to do.

    Of two processes that do so at once, one waits for the other.

    Raises:
        ReviewError: if it cannot be made; pip has said why.
    """
    if problem(venv) is None:
        return False
    try:
        venv.parent.mkdir(parents=True, exist_ok=True)
        lock = venv.with_name(f"{venv.name}.lock").open("w")
    except OSError as error:
        raise ReviewError(f"{str(venv)!r} cannot be made: {error}; set DATAGEN_HOME") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if problem(venv) is None:
            return False
        if not Path(venv_python(venv)).exists():
            _make(venv)
        pip = [venv_python(venv), "-m", "pip", "install", "--constraint", str(_CONSTRAINTS)]
        wanted = [f"{name.replace('_', '-')}=={version}" for name, version in _PACKAGES.items()]
        done = subprocess.run([*pip, *pip_arguments, *wanted])
    wrong = "pip failed (above)" if done.returncode else problem(venv)
    if wrong:
        raise ReviewError(
            f"Argilla's server could not be installed: {wrong}. Without a network, let pip find "
            "its wheels elsewhere (PIP_FIND_LINKS or PIP_INDEX_URL), or name an environment that "
            f"has argilla-server {SERVER_VERSION} and fakeredis in {VENV_VARIABLE}"
        )
    return True


def _make(venv: Path) -> None:
    """An empty environment; what is left of an old one goes."""
    if venv.exists() and any(venv.iterdir()) and not (venv / "pyvenv.cfg").exists():
        raise ReviewError(f"{str(venv)!r} is no virtual environment; name another folder")
    made = subprocess.run(
        [_interpreter(), "-m", "venv", "--clear", str(venv)], capture_output=True, text=True
    )
    if made.returncode:
        raise ReviewError(f"{str(venv)!r} could not be made: {(made.stdout + made.stderr).strip()}")


def _interpreter() -> str:
    """A Python that is not too new for the server: this one, or else one on the path."""
    if sys.version_info[:2] <= _NEWEST:
        return sys.executable
    major, newest = _NEWEST
    names = [f"python{major}.{minor}" for minor in range(newest, 10, -1)]
    for name in names:
        if found := shutil.which(name):
            return found
    raise ReviewError(
        f"Argilla's server needs Python {major}.{newest} or older, and this is "
        f"{sys.version.split()[0]}; install one of {', '.join(names)}"
    )


def main(pip_arguments: Sequence[str]) -> int:
    """Install what is missing and say what was done; returns the exit status."""
    venv = server_venv()
    try:
        install(venv, pip_arguments)
    except ReviewError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"argilla-server {SERVER_VERSION} is installed in {venv}.")
    return 0
