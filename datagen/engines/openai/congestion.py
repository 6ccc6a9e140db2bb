"""How many requests a server is sent at once: as many as it takes.

The window widens with every answer and is halved when the server is overloaded, as TCP does it
(additive increase, multiplicative decrease; slow start before the first overload). Requests that
were already under way when it was halved do not halve it again: a thousand refusals of one moment
are one overload. A pause that one refusal asks for holds up all requests that wait, not just its
own.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class CongestionWindow:
    """Admits requests in the order in which they come. It is used from one event loop.

    Args:
        most: widest window.
        first: window to begin with.

    Attributes:
        limit: most requests in flight now.
        n_in_flight: requests in flight.
    """

    def __init__(self, most: int, *, first: int = 64) -> None:
        self.limit = float(min(first, most))
        self.n_in_flight = 0
        self._most = most
        self._n_cuts = 0
        self._held_until = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[int]:
        """Wait for a place in the window and keep it.

        Yields:
            When the turn began, as :meth:`overloaded` wants to know it.
        """
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._admit()
        try:
            await place
            yield self._n_cuts
        finally:
            if place.done() and not place.cancelled():
                self.n_in_flight -= 1
            else:
                place.cancel()
            self._admit()

    def answered(self) -> None:
        """The server kept up: widen the window, if it was full."""
        if self.n_in_flight >= int(self.limit):
            grown = self.limit + (1 / self.limit if self._n_cuts else 1)
            self.limit = min(grown, float(self._most))

    def overloaded(self, began: int) -> None:
        """The server could not take a request whose turn ``began`` then: halve the window."""
        if began == self._n_cuts:
            self.limit = max(self.limit / 2, 1.0)
            self._n_cuts += 1

    def hold(self, seconds: float) -> None:
        """Admit nothing for a while."""
        now = asyncio.get_running_loop().time()
        self._held_until = max(self._held_until, now + seconds)

    def _admit(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and self.n_in_flight < int(self.limit):
            if loop.time() < self._held_until:
                if self._timer is None:
                    self._timer = loop.call_at(self._held_until, self._wake)
                return
            place = self._waiting.popleft()
            if not place.done():
                self.n_in_flight += 1
                place.set_result(None)

    def _wake(self) -> None:
        self._timer = None
        self._admit()
