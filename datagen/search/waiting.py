"""The line of requests that wait for the engine.

An engine that keeps a prefix cache is best asked for what continues a text it has just read, so
there the request with the longest prefix that its own search has asked for before comes first:
searches are followed to their end before others begin, and the cache holds few of them at a time.
An engine without one is served in the order of asking, which keeps its batches full to the end.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from datagen.engines.protocol import (
    ChoiceRequest,
    CompletionRequest,
    EvaluationRequest,
    Request,
    ScoreRequest,
)

_PRECEDENCE: Final[tuple[type[Request], ...]] = (
    EvaluationRequest,
    ChoiceRequest,
    ScoreRequest,
    CompletionRequest,
)
"""What costs one pass comes before what generates."""


@dataclass(slots=True, eq=False)
class Pending:
    """One request of a wave, and where its answer goes.

    Attributes:
        live: the search that waits for it.
        slot: its place in the wave.
        key: journal key.
        request: what is asked.
        dropped: the search does not want the answer any more.
        taken: it has left the line.
    """

    live: Any
    slot: int
    key: str
    request: Request
    dropped: bool = False
    taken: bool = False


class WaitingLine:
    """Requests by precedence of kind, then firm before idle ones, then by warmth, then by age."""

    def __init__(self) -> None:
        self._heaps: dict[type[Request], list[tuple[bool, int, int, Pending]]] = {
            kind: [] for kind in _PRECEDENCE
        }
        self._age = count()
        self.n_firm = 0

    def push(self, pending: Pending, *, warmth: int = 0, idle: bool = False) -> None:
        """Queue a request.

        Args:
            pending: the request.
            warmth: characters of its prompt that the engine has read before.
            idle: whether to ask it only if the engine has nothing better to do.
        """
        heap = self._heaps[type(pending.request)]
        heapq.heappush(heap, (idle, -warmth, next(self._age), pending))
        self.n_firm += not idle

    def take(self, n: int, kinds: Sequence[type[Request]] = _PRECEDENCE) -> list[Pending]:
        """Remove and return up to ``n`` requests of the first kind that has any."""
        for kind in kinds:
            heap, taken = self._heaps[kind], list[Pending]()
            while heap and len(taken) < n:
                idle, _, _, pending = heapq.heappop(heap)
                self.n_firm -= not idle
                if not (pending.dropped or pending.taken):
                    pending.taken = True
                    taken.append(pending)
            if taken:
                return taken
        return []


def shared_prefix(a: str, b: str) -> int:
    """How many leading characters two texts share."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
