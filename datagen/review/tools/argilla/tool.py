"""Review in Argilla: the queue as records, what people submit as reviews.

The surprising fact: there is one dataset per number of reviewers wanted, because Argilla lets a
record go when as many people have answered as its *dataset* says. Disputes lie in a workspace of
their own, so that only seniors see who said what before.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl

from datagen.review.tools import authoring, questions
from datagen.review.tools.argilla import forms as argilla_forms
from datagen.review.tools.argilla.connection import ArgillaConnection
from datagen.review.tools.argilla.datasets import make_dataset, make_workspace
from datagen.review.tools.argilla.records import (
    Held,
    Response,
    held_records,
    record_of,
    responses,
    send,
    withdraw,
)
from datagen.review.tools.argilla.reviews import reviews_of
from datagen.review.tools.protocol import Pulled, PulledSeeds, Pushed
from datagen.review.tools.records import Item, digest_of
from schemas.review_queue import ReviewItem
from schemas.reviews import ReviewToolName


@dataclass(frozen=True, slots=True)
class _Place:
    """Where records lie: a dataset, which need not exist yet."""

    workspace: str
    dataset: str
    n_wanted: int


class ArgillaTool:
    """The review tool Argilla; see :class:`datagen.review.tools.protocol.ReviewTool`."""

    name: ClassVar[ReviewToolName] = "argilla"

    def __init__(
        self,
        *,
        url: str | None = None,
        key: str | None = None,
        workspace: str = "datagen",
        dataset: str = "review",
        suggest: bool = True,
        seniors: Sequence[str] = (),
        max_steps: int = questions.MAX_STEPS,
        timeout_s: float = 120.0,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Log in to a server.

        Args:
            url: the server; else ``ARGILLA_API_URL``.
            key: an owner's or admin's key; else ``ARGILLA_API_KEY``.
            workspace: whose members review; an owner's key creates it. Disputes lie in
                ``<workspace>-seniors``, whose members are the seniors.
            dataset: datasets are called ``<dataset>-1`` and so on, by the reviewers wanted, and
                ``<dataset>-disputes``.
            suggest: fill the answers in beforehand with what the pipeline believes.
            seniors: usernames of those who decide disputes.
            max_steps: of a trace that people are asked about; there is a button for each.
            timeout_s: longest wait for one answer of the server.
            progress: told after each batch how many records of a dataset were sent, and of how
                many.

        Raises:
            ReviewError: the server cannot be used.
        """
        self._connection = ArgillaConnection(url, key, timeout_s=timeout_s)
        self._workspace, self._dataset = workspace, dataset
        self._suggest, self._seniors = suggest, tuple(seniors)
        self._max_steps = max_steps
        self._progress = progress or (lambda _done, _all: None)
        self._disputes = _Place(f"{workspace}-seniors", f"{dataset}-disputes", 1)
        self._seeds = _Place(workspace, authoring.DATASET, 1)

    def push(self, items: pl.DataFrame) -> Pushed:
        """See :meth:`~datagen.review.tools.protocol.ReviewTool.push`."""
        wanted: dict[_Place, dict[str, Item]] = {}
        n_too_long = 0
        for item in ReviewItem.validate(items).sort("rank").iter_rows(named=True):
            if len(item["steps"]) > self._max_steps:
                n_too_long += 1
            else:
                wanted.setdefault(self._place(item), {})[item["item_id"]] = item
        n_new = n_updated = n_same = n_withdrawn = 0
        with self._connection.errors("pushing the queue"):
            existing = self._existing()
            held = {
                place: held_records(self._connection, dataset_id)
                for place, dataset_id in existing.items()
            }
            for place, here in wanted.items():
                there = held.get(place, {})
                new = [item for item_id, item in here.items() if item_id not in there]
                stale = [
                    item
                    for item_id, item in here.items()
                    if item_id in there and self._is_stale(there[item_id], item)
                ]
                if new or stale:
                    records = [there[item["item_id"]] for item in stale]
                    dataset, gone = self._make_room(place, records)
                    again = [item for item in stale if there[item["item_id"]].record_id in gone]
                    self._send(dataset, sorted((*new, *again), key=lambda item: item["rank"]))
                    n_new, n_updated = n_new + len(new), n_updated + len(again)
                    n_same -= len(new) + len(again)
                n_same += len(here)
            for place, there in held.items():
                here = wanted.get(place, {})
                moot = [record for item_id, record in there.items() if item_id not in here]
                n_withdrawn += len(withdraw(self._connection, existing[place], moot))
        return Pushed(n_new, n_updated, n_same, n_withdrawn, n_too_long)

    def pull(self) -> Pulled:
        """See :meth:`~datagen.review.tools.protocol.ReviewTool.pull`."""
        with self._connection.errors("pulling reviews"):
            found = self._responses(self._existing())
        return reviews_of(found, tool=self.name)

    def withdraw(self, item_ids: Collection[str]) -> int:
        """See :meth:`~datagen.review.tools.protocol.ReviewTool.withdraw`."""
        ids = set(item_ids)
        n_withdrawn = 0
        with self._connection.errors("withdrawing items"):
            for dataset_id in self._existing().values():
                held = held_records(self._connection, dataset_id)
                records = [record for item_id, record in held.items() if item_id in ids]
                n_withdrawn += len(withdraw(self._connection, dataset_id, records))
        return n_withdrawn

    def offer_seeds(self, n_open: int) -> int:
        """See :meth:`~datagen.review.tools.protocol.ReviewTool.offer_seeds`."""
        sdk = self._connection.sdk
        with self._connection.errors("offering forms for seeds"):
            dataset = self._make(self._seeds, argilla_forms.seed_settings(sdk))
            held = held_records(self._connection, str(dataset.id))
            n_missing = n_open - sum(not record.is_answered for record in held.values())
            task = argilla_forms.page(authoring.GUIDELINES)
            forms = [
                sdk.Record(id=form_id, fields={"task": task})
                for form_id in authoring.new_form_ids(held, n_missing)
            ]
            return sum(send(self._connection, dataset, forms))

    def pull_seeds(self) -> PulledSeeds:
        """See :meth:`~datagen.review.tools.protocol.ReviewTool.pull_seeds`."""
        with self._connection.errors("pulling seeds"):
            dataset_id = self._find(self._seeds)
            found = self._responses({self._seeds: dataset_id} if dataset_id else {})
        written = [
            authoring.Written(
                given.changed_at,
                given.annotator,
                given.response_id,
                given.answers if given.is_submitted else None,
            )
            for given in found
        ]
        return authoring.seeds_of(written, tool=self.name)

    def watermark(self) -> str:
        """See :meth:`~datagen.review.tools.protocol.ReviewTool.watermark`; drafts move it."""
        with self._connection.errors("looking for new reviews"):
            marks: list[str] = []
            for name in (self._workspace, self._disputes.workspace):
                workspace = self._connection.workspace(name)
                datasets = self._connection.datasets(workspace) if workspace else {}
                marks += [f"{id}:{found['last_activity_at']}" for id, found in datasets.items()]
        return " ".join(sorted(marks))

    def _place(self, item: Item) -> _Place:
        if item["reason"] == "dispute":
            return self._disputes
        n_wanted = item["n_wanted"]
        return _Place(self._workspace, f"{self._dataset}-{n_wanted}", n_wanted)

    def _is_stale(self, record: Held, item: Item) -> bool:
        """Whether a record ought to show something else, and may."""
        return not record.is_answered and record.digest != digest_of(item, suggest=self._suggest)

    def _existing(self) -> dict[_Place, str]:
        """Ids of our datasets for review that there are."""
        found: dict[_Place, str] = {}
        if workspace := self._connection.workspace(self._workspace):
            for name, dataset in self._connection.datasets(workspace).items():
                match = re.fullmatch(rf"{re.escape(self._dataset)}-(\d+)", name)
                if match and dataset["status"] == "ready":
                    found[_Place(self._workspace, name, int(match[1]))] = dataset["id"]
        if disputes := self._find(self._disputes):
            found[self._disputes] = disputes
        return found

    def _find(self, place: _Place) -> str | None:
        """The id of a dataset, if it is there and usable."""
        workspace = self._connection.workspace(place.workspace)
        found = workspace and self._connection.datasets(workspace).get(place.dataset)
        return found["id"] if found and found["status"] == "ready" else None

    def _make(self, place: _Place, settings: Any) -> Any:
        """The dataset as the SDK has it, created or brought up to date."""
        seniors = self._seniors if place == self._disputes else ()
        workspace = make_workspace(self._connection, place.workspace, seniors)
        return make_dataset(self._connection, workspace, place.dataset, settings)

    def _make_room(self, place: _Place, stale: Sequence[Held]) -> tuple[Any, set[str]]:
        """The dataset without its stale records, and the ids of those that could be deleted."""
        settings = argilla_forms.review_settings(
            self._connection.sdk, n_wanted=place.n_wanted, max_steps=self._max_steps
        )
        dataset = self._make(place, settings)
        return dataset, withdraw(self._connection, str(dataset.id), stale)

    def _send(self, dataset: Any, items: Sequence[Item]) -> None:
        n_done = 0
        records = [record_of(self._connection, item, suggest=self._suggest) for item in items]
        for n_sent in send(self._connection, dataset, records):
            n_done += n_sent
            self._progress(n_done, len(items))

    def _responses(self, places: dict[_Place, str]) -> list[Response]:
        workspaces = {place.workspace for place in places}
        return list(responses(self._connection, places.values(), workspaces))
