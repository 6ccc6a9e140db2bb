"""The workers on a Ray cluster, kept from one stage to the next.

Opening an engine can take minutes, so whoever asks again with the same settings gets the workers
that are already there. Ray is told never to restart them: a worker that died is replaced by us, who
know which shard it had and can say so.
"""

import atexit
import logging
import os
import socket
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import ray
from ray.exceptions import RayError

from datagen.cluster.worker import Worker
from datagen.config import Settings
from datagen.engines.protocol import Engine
from datagen.errors import ConfigError, EngineError

_CONNECT_S: Final = 10.0
_CLOSE_S: Final = 30.0
_CLIENT_PORT: Final = 10001

OpenEngine = Callable[[Settings], Engine]


def connect(address: str) -> None:
    """Connect this process to a cluster, or start one here.

    Raises:
        ConfigError: if that is no address.
        EngineError: if no cluster answers there.
    """
    # Ray itself tries for minutes, and then may end the process.
    try:
        parts = urlsplit(address if "://" in address else f"ray-gcs://{address}")
        port = parts.port or (_CLIENT_PORT if parts.scheme == "ray" else None)
        if parts.hostname and port:
            socket.create_connection((parts.hostname, port), timeout=_CONNECT_S).close()
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address == "local":
            with _workers_like_us():
                ray.init(address=address, include_dashboard=False, **options)
        else:
            ray.init(address=address, **options)
    except ValueError as error:
        raise ConfigError(
            f'ray.address={address!r} is no address: {error}. Use "local", "auto", '
            '"host:6379" or "ray://host:10001"'
        ) from error
    except (OSError, RuntimeError, RayError, SystemExit) as error:
        raise EngineError(
            f"no Ray cluster answers at {address!r}: {error}. Start one with "
            '`ray start --head`, correct ray.address, or set it to "local"'
        ) from error


@contextmanager
def _workers_like_us() -> Generator[None]:
    """A Ray that is started meanwhile finds the very modules that this process does."""
    before = dict(os.environ)
    os.environ["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Pool:
    """Workers, each of which is starting, idle or lent out.

    Args:
        settings: name the cluster, and the engine that each worker opens.
        open_engine: how to open it.

    Attributes:
        idle: workers that wait for a shard.
        starting: by the call that returns, with the worker's place, once it is up.
    """

    def __init__(self, settings: Settings, open_engine: OpenEngine):
        self.idle: list[Any] = []
        self.starting: dict[Any, Any] = {}
        self._arguments = (settings, open_engine)
        cluster = settings.ray
        self._connected = not ray.is_initialized()
        if self._connected:
            connect(cluster.address or "local")
        options: dict[str, Any] = {
            "num_cpus": cluster.cpus_per_worker,
            "num_gpus": cluster.gpus_per_worker,
            "max_restarts": 0,
            "max_task_retries": 0,
            "concurrency_groups": {"side": 1},
            "scheduling_strategy": "SPREAD",
        }
        self._actor: Any = ray.remote(**options)(Worker)

    def start(self) -> None:
        """Ask the cluster for one more worker; it comes when there is room."""
        worker = self._actor.remote(*self._arguments)
        self.starting[worker.where.remote()] = worker

    def end(self, worker: Any) -> None:
        """End a worker at once."""
        with suppress(RayError, ValueError):
            ray.kill(worker)

    def close(self, lent: Iterable[Any] = ()) -> None:
        """End all workers; those that are idle close their engines before."""
        with suppress(RayError, ConnectionError):
            closing = [worker.close.remote() for worker in self.idle]
            if closing:
                ray.wait(closing, num_returns=len(closing), timeout=_CLOSE_S)
            for worker in (*lent, *self.idle, *self.starting.values()):
                self.end(worker)
        self.idle.clear()
        self.starting.clear()
        if self._connected:
            ray.shutdown()


_pools: dict[tuple[Any, ...], Pool] = {}


def pool_for(settings: Settings, open_engine: OpenEngine) -> Pool:
    """The workers for these settings, which may be there already; others are closed."""
    cluster = settings.ray
    key = (
        *(cluster.address, cluster.cpus_per_worker, cluster.gpus_per_worker),
        *(settings.engine.model_dump_json(), open_engine),
        *(settings.search.replica_models, settings.search.value_model),
    )
    if key not in _pools:
        close_workers()
        _pools[key] = Pool(settings, open_engine)
    return _pools[key]


def close_workers() -> None:
    """End the workers that were kept for a further stage, and leave the cluster."""
    while _pools:
        _pools.popitem()[1].close()


atexit.register(close_workers)
