"""A memory for what is fetched with ``await``: each key once, however many ask at the same time."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Fetches and keeps values. A fetch that fails is not kept. It is used from one event loop.

    Args:
        fetch: gets the value of a key.
        most: values to keep; the one longest unused goes first.
    """

    def __init__(self, fetch: Callable[[K], Coroutine[Any, Any, V]], *, most: int) -> None:
        self._fetch, self._most = fetch, most
        self._tasks: OrderedDict[K, asyncio.Task[V]] = OrderedDict()

    async def __call__(self, key: K) -> V:
        """The value of ``key``; whoever is cancelled while waiting does not end the fetch."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(self._fetch(key))
            task.add_done_callback(lambda done: self._forget_failed(key, done))
            if len(self._tasks) > self._most:
                self._tasks.popitem(last=False)
        else:
            self._tasks.move_to_end(key)
        return await asyncio.shield(task)

    def _forget_failed(self, key: K, task: asyncio.Task[V]) -> None:
        failed = task.cancelled() or task.exception() is not None
        if failed and self._tasks.get(key) is task:
            del self._tasks[key]
