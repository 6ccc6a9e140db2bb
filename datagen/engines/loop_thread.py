"""An event loop on a thread of its own, for connections that outlive the loops of their callers.

A connection belongs to the loop that opened it, but an engine serves one ``asyncio.run`` after the
other. A thread of its own also keeps timeouts honest: the caller's loop stands still while an
answer is verified or committed, and that time is not the server's.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs coroutines on one event loop until it is closed.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether nothing can be run any more."""
        return self._loop.is_closed()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` there and await it here; to cancel the one cancels the other."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def run_and_wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` there and block until it is done."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Cancel what is running, run ``last`` and end the thread. May be called twice."""
        if self.closed:
            return
        self.run_and_wait(_cancel_others())
        self.run_and_wait(last())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
