"""Starts Argilla's server as a process of its own, and ends it.

The process holds the home's lock and the end of a pipe to its parent, so two servers can never
write one database, and one whose parent was killed ends by itself.
"""

import contextlib
import fcntl
import json
import select
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from datagen.errors import ReviewError
from datagen.review.server.credentials import Credentials, User, add_annotators, read_credentials
from datagen.review.server.install import how_to_install, problem, venv_python
from datagen.review.server.places import review_home, server_venv

DEFAULT_PORT: Final = 6900
"""Argilla's own."""

WORKSPACE: Final = "datagen"

_INSIDE: Final = Path(__file__).parent / "inside"
_LOG_LINES: Final = 15
"""Of the log, shown when the server fails."""
_STOP_S: Final = 15.0
_LOCK_S: Final = 2.0
_LOOK_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers."""

    url: str
    home: Path
    credentials: Credentials
    added: tuple[User, ...]
    """Who has a login since this start; the owner too on the first."""
    log: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    def wait(self) -> None:
        """Until it ends, which it does not by itself.

        Raises:
            ReviewError: as soon as it has ended.
        """
        # Not one long wait: a signal that another thread was given would not interrupt it.
        while (status := self.process.poll()) is None:
            time.sleep(_LOOK_S)
        raise ReviewError(f"Argilla's server ended with status {status}{_tail(self.log)}")


def find(home: Path | None = None) -> tuple[str, str] | None:
    """Address and owner's key of the server that runs on a home; ``None`` if none does."""
    home = (home or review_home()).absolute()
    credentials = read_credentials(home)
    try:
        with _lock_file(home).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        url = _told(home).get("url")
        return (url, credentials.owner.api_key) if url and credentials else None
    except OSError:
        pass
    return None


@contextlib.contextmanager
def serve(
    home: Path | None = None,
    *,
    port: int = DEFAULT_PORT,
    annotators: Iterable[str] = (),
    venv: Path | None = None,
    timeout_s: float = 180.0,
) -> Generator[Server]:
    """A server on 127.0.0.1 for as long as the context lasts, with its workspace and its users.

    Args:
        home: folder of its database, credentials and log; made if need be.
        port: 0 takes a free one.
        annotators: names of people to add; those of earlier starts stay.
        venv: the server's environment, which must be installed.
        timeout_s: seconds that it may take to answer.

    Raises:
        ReviewError: if its environment is missing or broken, another server runs on this home, the
            port is taken, or it does not start.
    """
    venv = venv or server_venv()
    if wrong := problem(venv):
        raise ReviewError(f"{wrong}; {how_to_install(venv)}")
    home = (home or review_home()).absolute()
    log = home / "server.log"
    with _lock(home) as lock:
        credentials, added = add_annotators(home, annotators)
        with _process(venv, home, log, lock) as process:
            deadline = time.monotonic() + timeout_s
            job = {
                "port": port,
                "workspace": WORKSPACE,
                "secret_key": credentials.secret_key,
                "users": [
                    {"username": u.username, "role": u.role}
                    | {"password": u.password, "api_key": u.api_key}
                    for u in credentials.users
                ],
            }
            url = _started(process, job, log, deadline)
            _tell(lock, {"url": url, "pid": process.pid})
            yield Server(url, home, credentials, added, log, process)


def _lock_file(home: Path) -> Path:
    return home / "server.lock"


@contextlib.contextmanager
def _lock(home: Path) -> Generator[IO[str]]:
    """The home's lock, which child processes that are given it hold too."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = _lock_file(home).open("a+", encoding="utf-8")
    except OSError as error:
        raise ReviewError(
            f"{str(home)!r} cannot hold the server's data: {error.strerror}; give another --home"
        ) from error
    with file:
        if not _taken(file):
            told = _told(home)
            where = f" at {told['url']} (process {told['pid']})" if told else ""
            raise ReviewError(
                f"a server already runs on {str(home)!r}{where}; stop it, or give another --home"
            )
        _tell(file, {})
        yield file


def _taken(lock: IO[str]) -> bool:
    """Take the lock; whose parent was killed has a moment to end."""
    deadline = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)


def _tell(lock: IO[str], content: dict[str, Any]) -> None:
    """Write into the lock's file what others may want to know of the server."""
    lock.truncate(0)
    lock.write(json.dumps(content))
    lock.flush()


def _told(home: Path) -> dict[str, Any]:
    try:
        return json.loads(_lock_file(home).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


@contextlib.contextmanager
def _process(
    venv: Path, home: Path, log: Path, lock: IO[str]
) -> Generator[subprocess.Popen[bytes]]:
    """The server's process, which is gone when the context ends.

    It has a session of its own, so Ctrl-C in a terminal reaches only us, who end it in good order.
    """
    log.touch(mode=0o600)
    with log.open("wb") as log_file:
        try:
            process = subprocess.Popen(
                [venv_python(venv), "-s", "-E", str(_INSIDE)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                cwd=home,
                pass_fds=(lock.fileno(),),
                umask=0o077,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise ReviewError(
                f"the server's environment {str(venv)!r} is broken: {error}; delete it, "
                f"then {how_to_install(venv)}"
            ) from error
    with process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
            shutil.rmtree(home / "tmp", ignore_errors=True)


def _started(
    process: subprocess.Popen[bytes], job: dict[str, Any], log: Path, deadline: float
) -> str:
    """Hand the job over and wait until the server answers; returns its address."""
    assert process.stdin is not None and process.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps(job).encode() + b"\n")
    if not select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
        raise ReviewError(f"Argilla's server did not start in time{_tail(log)}")
    line = process.stdout.readline()
    if not line:
        raise ReviewError(f"Argilla's server did not start (status {process.wait()}){_tail(log)}")
    reply = json.loads(line)
    if "error" in reply:
        raise ReviewError(reply["error"])
    _check(reply["url"], log, deadline)
    return reply["url"]


def _check(url: str, log: Path, deadline: float) -> None:
    """One request, past any proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        left = max(1.0, deadline - time.monotonic())
        opener.open(f"{url}/api/v1/status", timeout=left).close()
    except (OSError, urllib.error.URLError) as error:
        raise ReviewError(f"Argilla's server does not answer: {error}{_tail(log)}") from error


def _tail(log: Path) -> str:
    """The end of the log, as the end of a message."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
    shown = "".join(f"\n    {line}" for line in lines)
    return f"; its log is {str(log)!r}{':' if shown else ''}{shown}"
