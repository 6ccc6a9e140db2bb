"""What a search is to the scheduler: a generator of waves of requests.

A wave is usually a plain sequence, answered in full. A search that would rather ask one after the
other until it has seen enough says so by :class:`Until`; whether its requests then run one by one
or side by side is the scheduler's business and changes nothing about what the search is sent.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar, overload

from datagen.engines.protocol import Answer, Request

T = TypeVar("T")

Search = Generator[Sequence[Request], Sequence[Answer], T]
"""Yields requests, is sent the answers in the same order, returns its result."""


class BudgetSpent(Exception):
    """Thrown into a search that must end now; it may still return what it has.

    A search of several stages gets it again at each further request, until it has ended.
    """


@dataclass(frozen=True, slots=True, eq=False)
class Until(Sequence[Request]):
    """Requests to be asked in order until the answers so far are enough.

    The search is sent the shortest run of answers, from the first on, that ``enough`` accepts, or
    all of them. It is the same run however many were under way at once, and on a resumed run: an
    answer that came early does not count before those asked in front of it. (If it did, short
    completions would be seen more often than they are drawn.)

    Attributes:
        requests: in the order of asking.
        enough: whether these first answers suffice; asked once for each further answer.
    """

    requests: Sequence[Request]
    enough: Callable[[Sequence[Answer]], bool]

    @overload
    def __getitem__(self, index: int) -> Request: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Request]: ...
    def __getitem__(self, index: int | slice) -> Request | Sequence[Request]:
        """One request, or some."""
        return self.requests[index]

    def __len__(self) -> int:
        """How many may be asked."""
        return len(self.requests)
