"""vLLM's core: the processes that run the model, and the one event loop that may talk to them.

vLLM binds its front end to the event loop it was made on, while a pipeline runs several loops, one
after another. So the front end lives on a loop of its own, in a thread, and callers hop there.

The processes write whatever they like to standard output, where a progress bar may be. They are
started with both outputs turned to a nameless file, from which errors are shown when something
fails; set ``VLLM_LOGGING_LEVEL`` to have it on the terminal instead. And they would outlive a
parent that is killed; a shell that waits for the parent's end ends them.
"""

import asyncio
import atexit
import contextlib
import functools
import importlib
import importlib.util
import logging
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Coroutine, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import IO, Any, Final, TypeVar

from datagen.engines.loop_thread import LoopThread
from datagen.engines.vllm.install import how_to_install
from datagen.errors import EngineError

T = TypeVar("T")

_TERMINAL: Final = any(
    name in os.environ for name in ("VLLM_LOGGING_LEVEL", "VLLM_LOGGING_CONFIG_PATH")
)
"""Whether the user asked to see what vLLM has to say."""

_ENVIRONMENT: Final = {
    # Unconfigured, it hands its messages to whatever handlers there are, from warnings upwards.
    "VLLM_CONFIGURE_LOGGING": str(int(_TERMINAL)),
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    # A fork of a process with threads can hang, and ours has many.
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
}
"""Set where the user has not; vLLM reads them when it is imported."""

_ERROR: Final = re.compile(r"^(?:\(.*?\) )?([\w.]*(?:Error|Exception): .+)", re.MULTILINE)
"""The line of a traceback that tells the error, behind the name of a process or not."""

_MOST_CAUSES: Final = 4

_WATCH: Final = """
while read -r pid; do pids="$pids $pid"; done
kill -TERM $pids && sleep 5 && kill -KILL $pids
"""
"""Reads process ids until the pipe breaks, which is when its writer is gone."""


def vllm_module(name: str) -> Any:
    """A module of vLLM, imported only now: it takes seconds, and may be missing.

    Raises:
        EngineError: if vLLM is not here, or cannot be imported.
    """
    for variable, value in _ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    _log()
    if importlib.util.find_spec("vllm") is None:
        raise EngineError(f'engine.kind = "vllm" needs vLLM, which is missing; {how_to_install()}')
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise EngineError(f"vLLM cannot be imported: {error}; {how_to_install()}") from error


class VllmCore:
    """A running vLLM.

    Args:
        arguments: of ``AsyncEngineArgs``.

    Attributes:
        config: vLLM's own view of its settings, a ``VllmConfig``.
        dead: what vLLM raises when its core has died.

    Raises:
        EngineError: if the model cannot be loaded.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._model: str = arguments["model"]
        self._log_begin = _log_size()
        self._thread = LoopThread("vllm")
        watch = _start_watch()
        self._opened: list[Any] = []
        # Called by close(), or when this object is gone, or when the interpreter ends.
        self._close = weakref.finalize(self, _shut_down, self._thread, watch, self._opened)
        try:
            self._open(arguments, watch)
        except BaseException as error:
            self.close()
            if not isinstance(error, Exception):
                raise
            raise EngineError(
                f"vLLM cannot load model {self._model!r}: {error}. Set engine.model to a "
                "folder with config.json and weights or to a Hub name, and engine.options to "
                f"whatever else vLLM has to be told{self._causes()}"
            ) from error
        # Before multiprocessing's own exit, which waits for the processes; so it comes after it.
        atexit.register(self._close)

    def _open(self, arguments: Mapping[str, Any], watch: subprocess.Popen[bytes]) -> None:
        # The purpose that gives the widest batches; a server's are narrower, for latency.
        purpose = vllm_module("vllm.usage.usage_lib").UsageContext.LLM_CLASS
        engine_arguments = vllm_module("vllm.engine.arg_utils").AsyncEngineArgs
        front_end = vllm_module("vllm.v1.engine.async_llm").AsyncLLM
        self.dead: Any = vllm_module("vllm.v1.engine.exceptions").EngineDeadError
        self.config: Any = engine_arguments(**arguments).create_engine_config(purpose)

        async def open_front_end() -> None:
            self._opened.append(
                front_end.from_vllm_config(
                    self.config, usage_context=purpose, disable_log_stats=True
                )
            )

        n_processes: int = self.config.parallel_config.data_parallel_size_local
        with ThreadPoolExecutor(1) as aside:
            with _outputs_to(_log()):
                opening = aside.submit(self._thread.run_and_wait, open_front_end())
                _watch_over(watch, opening, n_processes)
            opening.result()

    @property
    def llm(self) -> Any:
        """The front end, an ``AsyncLLM``; for coroutines under :meth:`run` only."""
        return self._opened[0]

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on vLLM's loop; cancelling this cancels that.

        Raises:
            EngineError: if it is closed.
        """
        try:
            if not self._close.alive:
                coroutine.close()
                raise asyncio.CancelledError
            return await self._thread.run(coroutine)
        except asyncio.CancelledError:
            if self._close.alive:
                raise
            raise EngineError(
                f"the vLLM engine of model {self._model!r} is closed; open another"
            ) from None

    def death(self) -> EngineError:
        """What to tell when vLLM raised :attr:`dead`."""
        return EngineError(
            f"vLLM's core process for model {self._model!r} died. What it answered before "
            "is in the journal: run again to go on from there. If memory ran out, lower "
            "engine.memory_share (on a CPU: VLLM_CPU_KVCACHE_SPACE) or engine.max_context"
            f"{self._causes()}"
        )

    def _causes(self) -> str:
        """The errors that vLLM wrote of since it was started, oldest first."""
        log = _log()
        if log is None:
            return "; its output says more"
        # Not by the file's own position, which the processes write at.
        text = os.pread(log.fileno(), 1 << 20, max(self._log_begin, _log_size() - (1 << 20)))
        lines = dict.fromkeys(_ERROR.findall(text.decode(errors="replace")))
        return "".join(f"\n  vLLM: {line}" for line in list(lines)[:_MOST_CAUSES])

    def close(self) -> None:
        """End the core process and the loop; may be called twice."""
        atexit.unregister(self._close)
        self._close()


@functools.cache
def _log() -> IO[str] | None:
    """A file for what vLLM writes, in this process and its own; ``None`` for the terminal."""
    if _TERMINAL:
        return None
    log = tempfile.TemporaryFile("a+", buffering=1)  # noqa: SIM115 - for as long as this process
    logger = logging.getLogger("vllm")
    logger.addHandler(logging.StreamHandler(log))
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    return log


def _log_size() -> int:
    log = _log()
    return os.fstat(log.fileno()).st_size if log else 0


@contextlib.contextmanager
def _outputs_to(log: IO[str] | None) -> Generator[None]:
    """Turn this process's outputs to ``log``, for the processes that it starts meanwhile."""
    if log is None:
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    saved = {output: os.dup(output) for output in (1, 2)}
    try:
        for output in saved:
            os.dup2(log.fileno(), output)
        yield
    finally:
        for output, original in saved.items():
            os.dup2(original, output)
            os.close(original)


def _start_watch() -> subprocess.Popen[bytes]:
    """A process that ends those it is told of when this one is gone."""
    watch = subprocess.Popen(
        ["sh", "-c", _WATCH],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # what ends the whole group of the parent must not end it
    )
    assert watch.stdin is not None
    # A forked process would hold the pipe open.
    os.register_at_fork(after_in_child=watch.stdin.close)
    return watch


def _watch_over(watch: subprocess.Popen[bytes], opening: Future[None], n_processes: int) -> None:
    """Tell the watch of each core process as it starts; returns once all have, or none will."""
    assert watch.stdin is not None
    known = set(multiprocessing.active_children())
    while n_processes > 0 and not wait([opening], timeout=0.02).done:
        for process in set(multiprocessing.active_children()) - known:
            known.add(process)
            if process.name.startswith("EngineCore"):
                n_processes -= 1
                watch.stdin.write(f"{process.pid}\n".encode())
                watch.stdin.flush()


def _shut_down(thread: LoopThread, watch: subprocess.Popen[bytes], opened: list[Any]) -> None:
    async def end() -> None:
        if opened:
            opened.pop().shutdown()  # nobody holds it from here on

    assert watch.stdin is not None
    if opened:  # then vLLM ends its processes; else the watch does, now that its pipe breaks
        watch.kill()
        watch.wait()
    watch.stdin.close()
    with contextlib.suppress(Exception):  # of a core that has died
        thread.close(end)
