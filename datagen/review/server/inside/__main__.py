"""Argilla's server with what it usually needs beside it built in: search, queue and migrations.

Stock Argilla does not start without Elasticsearch and Redis. Here SQL over its own tables searches,
a Redis of fakeredis lives in this process, and one thread runs the jobs. All of it is put in place
before the first import of ``argilla_server``, which reads its settings and connects on import.

One line of JSON comes on standard input, the job; one goes out on standard output, the address or
the error. When standard input ends, the parent is gone, and so is this process.
"""

# pyright: basic, reportMissingImports=false

import asyncio
import errno
import json
import os
import shutil
import signal
import socket
import sqlite3
import sys
import tempfile
import threading
from pathlib import Path

_HOST = "127.0.0.1"
_DATABASE = "argilla.db"
_SCRATCH = Path("tmp")
_ENVIRONMENT = {
    "ARGILLA_HOME_PATH": ".",
    # Relative: an absolute path may hold signs that mean something in an address.
    "ARGILLA_DATABASE_URL": f"sqlite+aiosqlite:///{_DATABASE}?check_same_thread=False",
    # Seconds that a writer waits for another one.
    "ARGILLA_DATABASE_SQLITE_TIMEOUT": "30",
    "ARGILLA_SEARCH_ENGINE": "embedded",
    "ARGILLA_AUTH_OAUTH_CFG": "oauth.yaml",
    # Its own page needs no other origin, and the page of its API would come from elsewhere.
    "ARGILLA_CORS_ORIGINS": "[]",
    "ARGILLA_DOCS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
}
_POLICY = b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"
"""Of the page: it asks for fonts from elsewhere, and a record must not be able to."""


def main() -> int:
    """Serve until told to stop; returns the exit status."""
    # Whatever libraries print goes to the log.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def reply(content: dict) -> None:
        print(json.dumps(content), file=replies, flush=True)

    try:
        listener = _listen(job["port"])
    except OSError as error:
        reply({"error": _cannot_listen(job["port"], error)})
        return 1
    _set_environment(job["secret_key"])
    _keep_scratch_here()
    _write_ahead()
    _replace_redis()
    _never_wait_for_a_connection()
    try:
        _migrate()
    except _NewerDatabase as error:
        reply({"error": str(error)})
        return 1
    from accounts import settle_accounts
    from shortcuts import take_shortcuts

    asyncio.run(settle_accounts(job["workspace"], job["users"]))
    take_shortcuts()
    _start_worker()
    _serve(listener, lambda url: reply({"url": url}))
    return 0


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _listen(port: int) -> socket.socket:
    """Takes the port before anything slow happens."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((_HOST, port))
    listener.listen(128)
    return listener


def _cannot_listen(port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {_HOST} is taken; give another with --port"
    return f"port {port} of {_HOST} cannot be used: {error.strerror}; give another with --port"


def _set_environment(secret_key: str) -> None:
    for name in [name for name in os.environ if name.startswith("ARGILLA_")]:
        del os.environ[name]  # meant for clients, or for another server
    os.environ.update(_ENVIRONMENT, ARGILLA_AUTH_SECRET_KEY=secret_key)


def _keep_scratch_here() -> None:
    """Argilla copies its page into a temporary folder at every start, and leaves it there."""
    shutil.rmtree(_SCRATCH, ignore_errors=True)
    _SCRATCH.mkdir()
    tempfile.tempdir = str(_SCRATCH.absolute())


def _write_ahead() -> None:
    """Readers and a writer do not wait for each other; the file remembers it."""
    connection = sqlite3.connect(_DATABASE)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()


def _replace_redis() -> None:
    import fakeredis
    import redis

    server = fakeredis.FakeServer()
    redis.from_url = lambda *_, **__: fakeredis.FakeRedis(server=server)


def _never_wait_for_a_connection() -> None:
    """Jobs run on event loops of their own, and who waits at a pool ties it to one loop."""
    from argilla_server.database import AsyncSessionLocal
    from argilla_server.settings import settings
    from embedded_search import add_functions
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(
        settings.database_url, max_overflow=-1, **settings.database_engine_args
    )
    add_functions(engine)
    AsyncSessionLocal.configure(bind=engine)


class _NewerDatabase(Exception):
    """Made by a version of Argilla that this one does not know."""


def _migrate() -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError
    from argilla_server.database import ALEMBIC_CONFIG_FILE

    # Without Argilla's file, which would switch logging off.
    config = Config()
    folder = Path(ALEMBIC_CONFIG_FILE).parent / "alembic"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise _NewerDatabase(
            f"{str(Path(_DATABASE).absolute())!r} was made by another version of Argilla "
            f"({error}); give another --home"
        ) from error


def _start_worker() -> None:
    from argilla_server.jobs.queues import DEFAULT_QUEUE, HIGH_QUEUE
    from rq import SimpleWorker
    from rq.timeouts import TimerDeathPenalty

    class ThreadWorker(SimpleWorker):
        # Signals are the main thread's.
        death_penalty_class = TimerDeathPenalty

        def _install_signal_handlers(self) -> None:
            pass

    worker = ThreadWorker([HIGH_QUEUE, DEFAULT_QUEUE], connection=DEFAULT_QUEUE.connection)
    threading.Thread(
        target=worker.work, kwargs={"logging_level": "WARNING"}, daemon=True, name="jobs"
    ).start()


def _serve(listener: socket.socket, on_ready) -> None:
    import uvicorn
    from argilla_server._app import app

    class Server(uvicorn.Server):
        async def startup(self, sockets=None) -> None:
            await super().startup(sockets)
            if self.started:
                on_ready(f"http://{_HOST}:{listener.getsockname()[1]}")

    config = uvicorn.Config(
        _with_policy(app),
        log_level="warning",
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=5,
    )
    Server(config).run(sockets=[listener])


def _with_policy(app):
    """The app, whose pages load nothing from anywhere else."""

    async def answer(scope, receive, send):
        async def send_with_policy(message):
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"content-security-policy", _POLICY)]
                message = {**message, "headers": headers}
            await send(message)

        await app(scope, receive, send_with_policy)

    return answer


if __name__ == "__main__":
    sys.exit(main())
