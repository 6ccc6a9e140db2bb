"""Settings of what comes in: seeds, code seeds, and the sandbox that they are tried in."""

import math

from pydantic import Field

from datagen.code.back_translate import BackTranslation
from datagen.config.section import AUTO, BUNDLED, OwnName, Reference, Section
from datagen.engines.protocol import Sampling
from datagen.prompts.dialect import Dialect
from datagen.seeds import Format
from datagen.seeds.code import CodeFormat
from datagen.traces.splitting import Splitting
from datagen.verify.sandbox import Limits, SandboxMode, configure_default
from schemas import ROUTES, Route


class SeedSettings(Section):
    """Where seeds come from."""

    path: str = Field(
        default=BUNDLED, description='File, folder or Hub name; "bundled": demo seeds; "none"'
    )
    format: Format = Field(default="auto", description="Layout of the source")
    mapping: dict[str, str] = Field(
        default_factory=dict, description="Our field name -> column of the source"
    )
    license: str | None = Field(
        default=None, description="SPDX licence of the source; unset: what the source says"
    )
    splitting: Splitting = Field(default="auto", description="How a thought is split into steps")
    limit: int | None = Field(
        default=None, ge=1, description="Most usable seeds to read; unset: all"
    )
    verifiers: dict[OwnName, Reference] = Field(
        default_factory=dict,
        description='Verifiers of your own: name -> "module:name"; seeds say "own:name"',
    )


class PrefixSettings(Section):
    """How human thoughts are truncated."""

    n_prefixes: int = Field(
        default=1, ge=0, description="Truncations per human thought, besides the bare question"
    )


class CodeSettings(Section):
    """From programs to thoughts."""

    path: str = Field(
        default=AUTO,
        description='File, folder or Hub name of code seeds; "none"; "auto": demo ones with others',
    )
    format: CodeFormat = Field(default="auto", description="Layout of the source")
    license: str | None = Field(
        default=None, description="SPDX licence of the source; unset: what the source says"
    )
    limit: int | None = Field(
        default=None, ge=1, description="Most usable code seeds to read; unset: all"
    )
    routes: tuple[Route, ...] = Field(
        default=ROUTES,
        min_length=1,
        description='Who writes thoughts: "model", "grounded" (a run in view), "narrator" (rules)',
    )
    n_thoughts: int = Field(default=1, ge=1, description="Thoughts per program and model route")
    n_round_trips: int = Field(
        default=4, ge=0, description="Programs written from each thought, to test it; 0: none"
    )
    min_round_trip: float = Field(
        default=0.5, ge=0, le=1, description="Least share of those that must pass the tests"
    )
    max_revisions: int = Field(
        default=2, ge=0, description="How often a thought that failed is written anew"
    )
    n_predictions: int = Field(
        default=2, ge=0, description="Output and input tasks per program, each"
    )
    temperature: float = Field(default=1.0, gt=0, description="Of thoughts and programs")
    max_thought_tokens: int = Field(default=512, ge=1, description="Longest thought, tokens")
    max_code_tokens: int = Field(default=256, ge=1, description="Longest program, tokens")
    budget_tokens: int | None = Field(
        default=None, ge=1, description="Stop after so many generated tokens; unset: no limit"
    )

    def back_translation(self, dialect: Dialect) -> BackTranslation:
        """As :func:`~datagen.code.back_translate.back_translate` takes it."""
        return BackTranslation(
            dialect=dialect,
            routes=self.routes,
            n_thoughts=self.n_thoughts,
            n_round_trips=self.n_round_trips,
            min_round_trip=self.min_round_trip,
            max_revisions=self.max_revisions,
            thought=Sampling(temperature=self.temperature, max_tokens=self.max_thought_tokens),
            code=Sampling(temperature=self.temperature, max_tokens=self.max_code_tokens),
        )


class SandboxSettings(Section):
    """Where programs run that seeds hold and models write."""

    mode: SandboxMode = Field(
        default="auto", description='"bubblewrap"; "weak": no walls; "auto": bubblewrap or refuse'
    )
    n_workers: int = Field(default=2, ge=1, description="Programs run side by side")
    wall_s: float = Field(default=5.0, gt=0, description="Longest run of one program, seconds")
    memory_mb: int = Field(default=512, ge=64, description="Most memory of one program, MiB")

    def configure(self) -> None:
        """Make these the settings of this process's sandbox."""
        limits = Limits(wall_s=self.wall_s, cpu_s=math.ceil(self.wall_s), memory_mb=self.memory_mb)
        configure_default(mode=self.mode, limits=limits, size=self.n_workers)
