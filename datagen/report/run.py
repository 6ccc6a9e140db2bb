"""From the tables of a run to its page, and to the line by which the next run remembers it.

The surprising fact: it is asked for its page by whoever publishes, in the middle of publishing.
Only then is the digest of the data known, by which the page finds its predecessor and its date.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from datagen.publish.manifest import Manifest
from datagen.report.figures import Figures, Tables, complete, figures
from datagen.report.history import RUNS, Run, date_of, earlier, headline, read_runs, remember
from datagen.report.numbers import count
from datagen.report.page import About, page
from datagen.report.thoughts import shown_thoughts
from datagen.report.tree import search_trees
from datagen.report.work import Work, read_work
from datagen.shards import shard_folder, shard_names

REPORT: Final = "report.html"
"""Name of the page in a published folder, and in the output folder of a run."""

WORK: Final = "work"
"""Name of the folder of :func:`datagen.report.work.record_work`, in that of each shard."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """The report of one run.

    Attributes:
        tables: some or all of :data:`datagen.report.figures.REPORT_TABLES`.
        out: the output folder, where the work of the stages and the earlier runs are found.
        model: the model's name as a reader would look for it.
        remarks: what a reader must know first, each a paragraph in the card's Markdown.
        now: the date of data that was never published before.
    """

    tables: Tables
    out: Path
    model: str
    remarks: Sequence[str] = ()
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def documents(self, manifest: Manifest) -> dict[str, str]:
        """What :func:`datagen.publish.write_repository` writes beside the data: name → text."""
        return {REPORT: self.page(manifest)}

    def page(self, manifest: Manifest | None) -> str:
        """The page.

        Equal tables give an equal page, but for its date, its cost and what it is compared with.

        Args:
            manifest: of the published data; ``None`` before there is any.
        """
        found, work, run = self._run(manifest)
        runs = read_runs(self.out / RUNS)
        tables = complete(self.tables)
        return page(
            found,
            about=About(
                date=run.date,
                model=self.model,
                facts=_facts(manifest, tables["rollouts"]),
                remarks=self.remarks,
                n_searches=tables["nodes"]["prefix_id"].n_unique(),
                n_writings=tables["code_thoughts"].height,
            ),
            work=work,
            now=run.figures,
            earlier=earlier(runs, run.digest),
            shown_trees=search_trees(tables),
            shown_thoughts=shown_thoughts(tables),
        )

    def remember(self, manifest: Manifest) -> None:
        """Keep the figures for the next run; call it once the data is published."""
        remember(self.out / RUNS, self._run(manifest)[2])

    def _run(self, manifest: Manifest | None) -> tuple[Figures, Mapping[str, Work], Run]:
        found = figures(self.tables, _published(manifest))
        work = work_of_shards(self.out)
        digest = manifest.digest if manifest else ""
        date = date_of(read_runs(self.out / RUNS), digest, now=self.now)
        return found, work, Run(date, digest, headline(found, work))


def work_of_shards(out: Path) -> dict[str, Work]:
    """What all shards of an output folder had the engine do, by stage."""
    return read_work(*(shard_folder(out, shard) / WORK for shard in shard_names(out)))


def _published(manifest: Manifest | None) -> dict[str, dict[str, int]]:
    configs = manifest.configs if manifest else {}
    return {
        name: {split: files.rows for split, files in config.splits.items()}
        for name, config in configs.items()
    }


def _facts(manifest: Manifest | None, rollouts: pl.DataFrame) -> dict[str, str]:
    engines = rollouts["engine"].drop_nulls().unique().sort()
    known = {"Engine": ", ".join(engines) or "none"}
    if manifest is None:
        return known | {"Published": "not yet"}
    licenses = [f"{name} ({count(n)} seeds)" for name, n in manifest.licenses.items()]
    return {
        "Data": manifest.digest,
        "Made by": manifest.code_version,
        **known,
        "Thought factors": f"taxonomy {manifest.taxonomy}" if manifest.taxonomy else "none",
        "Licence": manifest.license or ", ".join(licenses) or "not known",
    }
