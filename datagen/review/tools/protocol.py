"""What the pipeline asks of a tool in which people review traces.

The surprising fact: a tool is told the whole queue as it ought to be, never what to change. So a
push that broke off is mended by pushing again, and an item that is no longer in the queue is
withdrawn without anybody having to remember it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import polars as pl

from schemas import ReviewToolName


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push changed. Items that it found in the tool count once, as updated or the same.

    Attributes:
        n_new: items that the tool did not hold.
        n_updated: items that nobody had answered, which now show what the pipeline knows by now.
        n_same: items that were left alone: nothing is new, or somebody has answered.
        n_withdrawn: unanswered items that were taken back.
        n_too_long: items with more steps than the tool can ask about; they were left out.
    """

    n_new: int
    n_updated: int
    n_same: int
    n_withdrawn: int
    n_too_long: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a person wrote and that could not be taken as it stands.

    Attributes:
        where: file and line, or item and annotator.
        reason: what is wrong and how to mend it.
    """

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class Pulled:
    """What people submitted.

    Attributes:
        reviews: rows of the ``reviews`` table, by item and annotator; one per item and annotator,
            the latest.
        problems: what could not be read.
        retracted: ``review_id`` of those that are there but not submitted, or not any more:
            discarded, or a draft. One that is simply gone, record and all, is not among them.
    """

    reviews: pl.DataFrame
    problems: tuple[Problem, ...] = ()
    retracted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PulledSeeds:
    """What people authored.

    Attributes:
        rows: rows of a JSONL source of seeds, in the order in which they were written.
        problems: what could not be taken.
        retracted: ``seed_id`` of those that are there but not submitted, or not any more.
    """

    rows: tuple[dict[str, Any], ...]
    problems: tuple[Problem, ...] = ()
    retracted: frozenset[str] = frozenset()


class ReviewTool(Protocol):
    """A place where people answer questions about traces. Every method raises ``ReviewError``."""

    name: ClassVar[ReviewToolName]
    """What it is called in the table ``reviews``."""

    def push(self, items: pl.DataFrame) -> Pushed:
        """Make the open items of the tool those of ``items``.

        Answers are never touched: an item that anybody answered stays as that person saw it, also
        if it is no longer wanted. Doing it twice changes nothing the second time.

        Args:
            items: the whole ``review_queue`` as it is now; put up in the order of ``rank``.
        """
        ...

    def pull(self) -> Pulled:
        """All reviews submitted so far, and which were taken back.

        Drafts and discarded records are no reviews. A review whose record was deleted is neither
        among the reviews nor among those that were taken back.
        """
        ...

    def withdraw(self, item_ids: Collection[str]) -> int:
        """Take items back that nobody has answered; returns how many those were."""
        ...

    def offer_seeds(self, n_open: int) -> int:
        """Have at least ``n_open`` empty forms for new seeds; returns how many were added."""
        ...

    def pull_seeds(self) -> PulledSeeds:
        """All seeds that people have submitted so far, and which were taken back."""
        ...

    def watermark(self) -> str:
        """A text that differs whenever something may have been submitted, changed or taken back.

        Cheap enough to ask every minute.
        """
        ...
