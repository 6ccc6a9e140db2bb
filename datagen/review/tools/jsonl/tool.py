"""Review in files, for teams without a review tool: the queue goes out as JSONL and comes back.

The surprising fact: the first line is no item but the instructions, so that whoever is sent the
file needs nothing else. What comes back is kept, file by file, in a folder that a push never
touches::

    queue.jsonl  disputes.jsonl  seeds.jsonl     to be sent out; disputes to seniors only
    filled/0001/ann.jsonl                        came back; the name says who answered
"""

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, cast

import polars as pl

from datagen.errors import ReviewError
from datagen.review.tools import authoring
from datagen.review.tools.answers import latest, read_answers, review_id
from datagen.review.tools.jsonl import rows as jsonl_rows
from datagen.review.tools.jsonl.rows import Refused
from datagen.review.tools.protocol import Problem, Pulled, PulledSeeds, Pushed
from datagen.review.tools.records import Item
from schemas.review_queue import ReviewItem
from schemas.reviews import Review, ReviewToolName

_QUEUE: Final = "queue.jsonl"
_DISPUTES: Final = "disputes.jsonl"
_SEEDS: Final = "seeds.jsonl"
_FILLED: Final = "filled"


class JsonlTool:
    """The queue as files; see :class:`datagen.review.tools.protocol.ReviewTool`."""

    name: ClassVar[ReviewToolName] = "jsonl"

    def __init__(self, folder: Path, *, suggest: bool = True) -> None:
        """Use a folder, which is made with the first file.

        Args:
            folder: where the files are.
            suggest: write down what the pipeline believes.
        """
        self.folder = folder
        self._suggest = suggest

    def push(self, items: pl.DataFrame) -> Pushed:
        """See :meth:`datagen.review.tools.protocol.ReviewTool.push`; rewrites what is sent out."""
        wanted = list(ReviewItem.validate(items).sort("rank").iter_rows(named=True))
        before = self._out(_QUEUE) | self._out(_DISPUTES)
        after = {item["item_id"]: self._line(item) for item in wanted}
        disputed = {item["item_id"] for item in wanted if item["reason"] == "dispute"}
        self._write(_QUEUE, (row for id, row in after.items() if id not in disputed))
        self._write(_DISPUTES, (row for id, row in after.items() if id in disputed))
        n_same = sum(before.get(item_id) == row for item_id, row in after.items())
        n_new = sum(item_id not in before for item_id in after)
        return Pushed(
            n_new, len(after) - n_new - n_same, n_same, sum(id not in after for id in before)
        )

    def take(self, path: Path) -> Pulled:
        """Keep a file that came back, and read it; a file that was taken before is not kept twice.

        Args:
            path: a filled-in copy; its name says who answered where the rows do not.

        Raises:
            ReviewError: it cannot be read or copied.
        """
        try:
            content, name = path.read_bytes(), path.with_suffix(".jsonl").name
            # Two people may say the same to the letter; only their files' names differ.
            taken = (p for p in self._filled() if p.name == name and p.read_bytes() == content)
            kept = next(taken, None)
            if kept is None:
                number = 1 + max((int(p.parent.name) for p in self._filled()), default=0)
                kept = self.folder / _FILLED / f"{number:04}" / name
                kept.parent.mkdir(parents=True)
                shutil.copy2(path, kept)
        except OSError as error:
            raise ReviewError(f"{str(path)!r} cannot be taken: {error.strerror}") from error
        return self._pull([kept])

    def pull(self) -> Pulled:
        """See :meth:`datagen.review.tools.protocol.ReviewTool.pull`; refuses row by row."""
        return self._pull(self._filled())

    def withdraw(self, item_ids: Collection[str]) -> int:
        """See :meth:`datagen.review.tools.protocol.ReviewTool.withdraw`; copies stay out."""
        n_withdrawn = 0
        answered = {row["item_id"] for row in self.pull().reviews.iter_rows(named=True)}
        for name in (_QUEUE, _DISPUTES):
            rows = self._out(name)
            kept = [row for id, row in rows.items() if id not in item_ids or id in answered]
            if len(kept) < len(rows):
                self._write(name, kept)
            n_withdrawn += len(rows) - len(kept)
        return n_withdrawn

    def offer_seeds(self, n_open: int) -> int:
        """See :meth:`datagen.review.tools.protocol.ReviewTool.offer_seeds`."""
        out = self._out(_SEEDS)
        returned = {row["form_id"] for row, _, _ in self._rows("form_id", self._filled(), [])}
        still_open = [form_id for form_id in out if form_id not in returned]
        new = authoring.new_form_ids({*out, *returned}, n_open - len(still_open))
        self._write(_SEEDS, map(jsonl_rows.form, (*still_open, *new)))
        return len(new)

    def pull_seeds(self) -> PulledSeeds:
        """See :meth:`datagen.review.tools.protocol.ReviewTool.pull_seeds`."""
        problems: list[Problem] = []
        written: list[authoring.Written] = []
        for row, where, path in self._rows("form_id", self._filled(), problems):
            try:
                given = jsonl_rows.read_seed(row, path)
            except Refused as refused:
                problems.append(Problem(where, str(refused)))
                continue
            if given is not None:
                form_id = review_id(self.name, row["form_id"], given.annotator)
                written.append(
                    authoring.Written(given.moment, given.annotator, form_id, given.answers)
                )
        seeds = authoring.seeds_of(written, tool=self.name)
        return PulledSeeds(seeds.rows, (*problems, *seeds.problems), seeds.retracted)

    def watermark(self) -> str:
        """See :meth:`datagen.review.tools.protocol.ReviewTool.watermark`."""
        stats = ((path, path.stat()) for path in self._filled())
        return " ".join(
            f"{path.relative_to(self.folder)}:{stat.st_size}:{stat.st_mtime_ns}"
            for path, stat in stats
        )

    def _line(self, item: Item) -> dict[str, Any]:
        return jsonl_rows.row_of(item, suggest=self._suggest)

    def _pull(self, paths: list[Path]) -> Pulled:
        problems: list[Problem] = []
        rows: list[dict[str, Any]] = []
        for row, where, path in self._rows("item_id", paths, problems):
            try:
                review = self._review(row, path)
            except Refused as refused:
                problems.append(Problem(where, str(refused)))
            else:
                rows += [review] if review else []
        newest = latest(rows)
        return Pulled(
            Review.from_rows([row for row in newest if "tool" in row]),
            tuple(problems),
            frozenset(row["review_id"] for row in newest if "tool" not in row),
        )

    def _review(self, row: Mapping[str, Any], path: Path) -> dict[str, Any] | None:
        """The review in a row, without a tool if it was taken back; None if there is none yet."""
        given = jsonl_rows.read_response(row, path)
        if given is None:
            return None
        item_id = row["item_id"]
        review = {
            "review_id": review_id(self.name, item_id, given.annotator),
            "item_id": item_id,
            "annotator": given.annotator,
            "submitted_at": given.moment,
        }
        if given.answers is None:
            return review
        answers = read_answers(given.answers, n_steps=len(jsonl_rows.steps_of(row)))
        if answers.problems:
            raise Refused("; ".join(answers.problems))
        return {**review, "trace_id": item_id, "tool": self.name, **answers.columns}

    def _filled(self) -> list[Path]:
        return sorted((self.folder / _FILLED).glob("[0-9]*/*.jsonl"))

    def _rows(
        self, id_name: str, paths: list[Path], problems: list[Problem]
    ) -> Iterator[tuple[dict[str, Any], str, Path]]:
        """Rows with this id, where they stand, and the file; refuses what is no row at all."""
        for path in paths:
            for n, line in enumerate(path.read_bytes().splitlines(), start=1):
                if not line.strip():
                    continue
                where = f"{path}, line {n}"
                try:
                    row = jsonl_rows.parsed(line)
                except Refused as refused:
                    if id_name == "item_id":  # said once, not for reviews and for seeds
                        problems.append(Problem(where, str(refused)))
                else:
                    if id_name in row:
                        yield row, where, path

    def _out(self, name: str) -> dict[str, dict[str, Any]]:
        """Rows of a file that was written to be sent out, by id."""
        path = self.folder / name
        if not path.exists():
            return {}
        rows = (cast(dict[str, Any], json.loads(line)) for line in path.open(encoding="utf-8"))
        return {row.get("item_id") or row["form_id"]: row for row in rows if "about" not in row}

    def _write(self, name: str, rows: Any) -> None:
        """Replace a file as a whole, header first."""
        path = self.folder / name
        draft = path.with_suffix(".new")
        header = jsonl_rows.SEEDS_HEADER if name == _SEEDS else jsonl_rows.header()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with draft.open("w", encoding="utf-8") as file:
                for row in (header, *rows):
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
            draft.replace(path)
        except OSError as error:
            raise ReviewError(f"{str(path)!r} cannot be written: {error.strerror}") from error
