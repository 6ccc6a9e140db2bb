"""The whole tree of settings, and how it is read from a file."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ValidationError, model_validator

from datagen.config.checks import CheckSettings
from datagen.config.curation import CurationSettings
from datagen.config.datasets import ExportSettings, PublishSettings
from datagen.config.labels import CorrectionSettings, FactorSettings, LabelSettings, SummarySettings
from datagen.config.models import EngineSettings, RaySettings
from datagen.config.review import ReviewSettings
from datagen.config.search import SearchSettings
from datagen.config.section import AUTO, BUNDLED, NONE, Section
from datagen.config.shards import ShardSettings
from datagen.config.sources import CodeSettings, PrefixSettings, SandboxSettings, SeedSettings
from datagen.errors import ConfigError
from datagen.measure import MeasureConfig
from datagen.search.budget import Budget
from datagen.search.suspects import FirstErrorConfig


class Settings(Section):
    """All settings; sections as in ``datagen.toml``."""

    seeds: SeedSettings = SeedSettings()
    curation: CurationSettings = CurationSettings()
    prefixes: PrefixSettings = PrefixSettings()
    engine: EngineSettings = EngineSettings()
    search: SearchSettings = SearchSettings()
    labels: LabelSettings = LabelSettings()
    code: CodeSettings = CodeSettings()
    sandbox: SandboxSettings = SandboxSettings()
    factors: FactorSettings = FactorSettings()
    corrections: CorrectionSettings = CorrectionSettings()
    summaries: SummarySettings = SummarySettings()
    checks: CheckSettings = CheckSettings()
    review: ReviewSettings = ReviewSettings()
    export: ExportSettings = ExportSettings()
    publish: PublishSettings = PublishSettings()
    shards: ShardSettings = ShardSettings()
    ray: RaySettings = RaySettings()

    @model_validator(mode="after")
    def _priced(self) -> Self:
        limits = {
            "search.budget_cost": self.search.budget_cost,
            "checks.max_cost": self.checks.max_cost,
        }
        for name, limit in limits.items():
            if limit and not (self.engine.price_prompt or self.engine.price_generated):
                raise ValueError(
                    f"{name}={limit!r} needs engine.price_prompt or engine.price_generated, or "
                    "nothing ever costs anything"
                )
        return self

    def search_budget(self) -> Budget:
        """Of the search, as the scheduler takes it."""
        return Budget(
            max_tokens=self.search.budget_tokens,
            max_seconds=self.search.budget_seconds,
            max_cost=self.search.budget_cost,
            price_prompt=self.engine.price_prompt,
            price_generated=self.engine.price_generated,
        )

    def budget(self, max_tokens: int | None) -> Budget:
        """Of any other stage."""
        return Budget(
            max_tokens=max_tokens,
            price_prompt=self.engine.price_prompt,
            price_generated=self.engine.price_generated,
        )

    @property
    def code_path(self) -> str | None:
        """Where code seeds are read from: a path, :data:`BUNDLED`, or ``None`` for none."""
        if self.code.path == AUTO:
            return BUNDLED if self.seeds.path == BUNDLED else None
        return None if self.code.path == NONE else self.code.path

    def measure_config(self) -> MeasureConfig:
        """As :func:`~datagen.measure.run.measure_traces` takes it."""
        labels = self.labels
        return MeasureConfig(
            search=FirstErrorConfig(
                confidence=labels.confidence,
                max_rollouts=labels.max_rollouts,
                sampling=self.search.sampling(),
                dialect=self.engine.dialect,
            ),
            prover_k=labels.prover_k,
            min_mass=labels.min_mass,
            min_trials=labels.min_trials,
            threshold=labels.threshold,
        )

    def table(self) -> Iterator[tuple[str, str, str]]:
        """Every setting as ``(section.name, default as TOML would have it, help)``."""
        for section, field in type(self).model_fields.items():
            kind = field.annotation
            assert isinstance(kind, type) and issubclass(kind, BaseModel)
            for name, setting in kind.model_fields.items():
                default = setting.get_default(call_default_factory=True)
                yield f"{section}.{name}", _toml(default), setting.description or ""


def _toml(value: Any) -> str:
    match value:
        case None:
            return "unset"
        case str():
            return f'"{value}"'
        case tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case _:
            return str(value)


def load_settings(path: Path | None = None, **overrides: dict[str, Any]) -> Settings:
    """Read settings from a TOML file, then lay ``overrides`` over it.

    Args:
        path: the file; ``None`` for defaults only.
        overrides: section -> {name: value}; a value of ``None`` leaves the setting as it was.

    Raises:
        ConfigError: if the file cannot be read, or a setting is unknown or out of range.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            tree = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot read the settings file {str(path)!r}: {error}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{str(path)!r} is not valid TOML: {error}") from error
    for section, values in overrides.items():
        given = {name: value for name, value in values.items() if value is not None}
        tree[section] = {**tree.get(section, {}), **given}
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        where = f" in {str(path)!r}" if path else ""
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc']))}={item['input']!r}: {item['msg']}"
            for item in error.errors()
        )
        raise ConfigError(
            f"bad settings{where}: {problems}. `datagen config` lists every setting"
        ) from error
