"""What every asset needs to know: the settings, and the folder that a run writes to."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import dagster as dg
from pydantic import PrivateAttr

from assets import environment
from datagen.config import BUNDLED, NONE, Settings, load_settings
from datagen.engines.protocol import Engine
from datagen.engines.registry import open_team
from datagen.reasoner.bundle import CODE_SEEDS, SEEDS
from datagen.review.tools.jsonl.tool import JsonlTool
from datagen.review.tools.opening import open_tool
from datagen.review.tools.protocol import ReviewTool
from datagen.shards import MAIN, shard_folder
from datagen.verify import use_verifiers
from datagen.verify.sandbox import Sandbox, default_sandbox

PARTITION_NAME_TAG = "dagster/partition"
"""Tag by which Dagster says what partition a run is about."""


class Workspace(dg.ConfigurableResource[None]):
    """Settings and output folder.

    Attributes:
        out: folder for tables, journal and published datasets, and for those of the shards.
        settings_json: the settings as JSON; empty takes the file named by ``DATAGEN_CONFIG``, or
            the defaults.
    """

    out: str
    settings_json: str = ""
    _engine: Engine | None = PrivateAttr(default=None)
    _shard: str = PrivateAttr(default=MAIN)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Take the shard from the run, and what is the user's own from the settings."""
        use_verifiers(self.settings.seeds.verifiers)
        tags = context.run.tags if context.run else {}
        self._shard = tags.get(PARTITION_NAME_TAG, MAIN)

    @cached_property
    def settings(self) -> Settings:
        """The settings of this run."""
        if self.settings_json:
            return Settings.model_validate_json(self.settings_json)
        return default_settings()

    def engine(self) -> Engine:
        """The engine of this run: opened when it is first asked for, and shared by all stages."""
        if self._engine is None:
            self._engine = open_team(self.settings)
        return self._engine

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Close the engine."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    @property
    def seeds_path(self) -> str | None:
        """Where seeds are read from, if anywhere."""
        path = self.settings.seeds.path
        return None if path == NONE else str(SEEDS) if path == BUNDLED else path

    @property
    def code_path(self) -> str | None:
        """Where code seeds are read from, if anywhere."""
        path = self.settings.code_path
        return str(CODE_SEEDS) if path == BUNDLED else path

    def sandbox(self) -> Sandbox:
        """Where programs run, as the settings have it."""
        self.settings.sandbox.configure()
        return default_sandbox()

    @property
    def shard(self) -> str:
        """The shard that the run is about; of assets that are made of all, no meaning."""
        return self._shard

    @property
    def root(self) -> Path:
        """The output folder."""
        return Path(self.out)

    @property
    def folder(self) -> Path:
        """Of the shard: its tables, its journal, the record of its work."""
        return shard_folder(self.root, self._shard)

    @property
    def journal_path(self) -> Path:
        """Where the engine's answers about the shard are kept."""
        return self.folder / "journal.sqlite"

    @property
    def published_path(self) -> Path:
        """The published dataset repository."""
        return self.root / "published"

    @property
    def review_path(self) -> Path:
        """Files that go out to reviewers and come back, and the seeds that people authored."""
        return self.root / "review"

    @property
    def authored_path(self) -> Path:
        """The source of seeds that people wrote in a review tool."""
        return self.review_path / "authored.jsonl"

    def review_tool(self) -> ReviewTool:
        """Where people review."""
        settings = self.settings.review
        return open_tool(
            settings.tool,
            self.review_path,
            workspace=settings.workspace,
            seniors=settings.seniors,
            suggest=settings.suggest,
        )

    def review_tools(self) -> Sequence[ReviewTool]:
        """Wherever people may have answered: files always count, too."""
        tool = self.review_tool()
        return [tool] if tool.name == "jsonl" else [tool, JsonlTool(self.review_path)]


def default_out() -> str:
    """Output folder outside the command line: ``DATAGEN_OUT``, else ``out``."""
    return os.environ.get(environment.OUT, "out")


def default_settings() -> Settings:
    """Settings outside the command line: of the file that ``DATAGEN_CONFIG`` names, else defaults.

    Raises:
        ConfigError: if the file cannot be read, or a setting is unknown or out of range.
    """
    path = os.environ.get(environment.CONFIG)
    return load_settings(Path(path) if path else None)
