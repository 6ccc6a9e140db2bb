"""Every setting of the pipeline, with its default, unit and help, in one typed tree.

A ``datagen.toml`` holds the same names in the same sections. An unknown name is an error, since a
misspelt setting that is silently ignored costs a night of GPU time.
"""

import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from datagen.code.back_translate import BackTranslation
from datagen.corrections import CorrectionConfig, JointConfig
from datagen.engines.protocol import Sampling
from datagen.engines.team import Members
from datagen.errors import ConfigError
from datagen.export.replies import Ending
from datagen.factors.tagging import TaggerChoice, TaggingConfig
from datagen.judge import Judge, checker, critique_judge
from datagen.measure import MeasureConfig
from datagen.prompts.dialect import DIALECTS, Dialect, PromptStyle
from datagen.search.beam import BeamConfig
from datagen.search.best_of_n import BestOfNConfig
from datagen.search.budget import Budget
from datagen.search.expansion import Replica
from datagen.search.first_error import FirstErrorConfig
from datagen.search.generate import GenerateConfig, TreeSearch
from datagen.search.omega import OmegaConfig
from datagen.search.puct import PuctConfig
from datagen.search.revise import ReviseConfig
from datagen.seeds import Format
from datagen.seeds.code import CodeFormat
from datagen.summaries import SummaryConfig, Writer
from datagen.traces.splitting import Splitting
from datagen.verify.sandbox import Limits, SandboxMode, configure_default
from schemas import ROUTES, Route

EMBEDDED: Final = "embedded"
"""Name that stands for the reasoner that ships with this package."""

BUNDLED: Final = "bundled"
"""Name that stands for the seeds that ship with this package."""

NONE: Final = "none"
"""Name that stands for no source at all."""

AUTO: Final = "auto"
"""Of code seeds: those that ship with this package if the other seeds do too, else none."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SeedSettings(_Section):
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


class PrefixSettings(_Section):
    """How human thoughts are truncated."""

    n_prefixes: int = Field(
        default=1, ge=0, description="Truncations per human thought, besides the bare question"
    )


class EngineSettings(_Section):
    """The language model, and how to reach it."""

    kind: Literal["transformers", "vllm", "openai"] = Field(
        default="transformers",
        description='"transformers" or "vllm" in this process; "openai": any compatible server',
    )
    model: str = Field(
        default=EMBEDDED, description='Model folder, Hub or server name; "embedded": shipped one'
    )
    prompts: PromptStyle = Field(
        default="native",
        description='How the model is asked: "native" markup, or "instruct" chats in plain words',
    )
    device: str = Field(
        default="auto", description='transformers: "cpu", "cuda", …; "auto": a GPU if there is one'
    )
    dtype: str = Field(default="auto", description='"float32", "bfloat16"; "auto": by device')
    batch_size: int = Field(
        default=256, ge=1, description="transformers: samples decoded side by side"
    )
    concurrency: int = Field(
        default=2048, ge=1, description="vllm, openai: most requests in flight at once"
    )
    max_context: int | None = Field(
        default=None, ge=1, description="vllm: longest context, tokens; unset: the model's own"
    )
    tensor_parallel: int = Field(default=1, ge=1, description="vllm: GPUs that share each layer")
    data_parallel: int = Field(default=1, ge=1, description="vllm: copies of the model")
    quantization: str | None = Field(
        default=None, description='vllm: "fp8", "awq", …; unset: what the checkpoint says'
    )
    memory_share: float = Field(
        default=0.9, gt=0, le=1, description="vllm: share of a GPU's memory to use"
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="vllm: any further engine argument, by vLLM's own name"
    )
    url: str = Field(
        default="http://127.0.0.1:8000/v1", description="openai: base address of the server"
    )
    endpoint: Literal["auto", "completions", "chat"] = Field(
        default="auto", description='openai: "completions" continues exactly; "auto": by the prompt'
    )
    key_variable: str = Field(
        default="OPENAI_API_KEY", description="openai: environment variable that holds the key"
    )
    timeout_s: float = Field(default=600.0, gt=0, description="openai: longest wait for one answer")
    max_retries: int = Field(
        default=8, ge=0, description="openai: attempts after the first, if a request fails"
    )
    price_prompt: float = Field(default=0.0, ge=0, description="Cost of a million prompt tokens")
    price_generated: float = Field(
        default=0.0, ge=0, description="Cost of a million generated tokens"
    )

    @property
    def dialect(self) -> Dialect:
        """How every job is asked of the model."""
        return DIALECTS[self.prompts]


class SearchSettings(_Section):
    """Rollouts and tree search."""

    algorithm: TreeSearch = Field(
        default="puct",
        description='"puct": over thought factors; "beam": a few paths, led by value_model; '
        '"revise": attempts that doubt themselves; "omega": bisects wrong rollouts; "best_of_n"',
    )
    n_simulations: int = Field(
        default=4, ge=0, description="Per search: PUCT simulations, or OmegaPRM bisections at most"
    )
    n_root_rollouts: int = Field(
        default=8,
        ge=1,
        description="On-policy rollouts from each root; the n of best-of-n; attempts to revise",
    )
    n_rollouts: int = Field(
        default=1,
        ge=0,
        description="On-policy rollouts from each segment; 0 only where value_model is all judges",
    )
    n_bisect_rollouts: int = Field(
        default=8, ge=1, description="On-policy rollouts from each prefix that OmegaPRM measures"
    )
    replica_temperatures: tuple[float, ...] = Field(
        default=(0.8, 1.2), min_length=1, description="One replica per entry proposes each segment"
    )
    replica_models: tuple[str, ...] = Field(
        default=(), description="Further models, named as engine.model, that propose segments"
    )
    value_model: str | None = Field(
        default=None,
        description="Folder of a PRM or two-headed model that judges states; unset: none",
    )
    guide_prior: float = Field(
        default=0.0, ge=0, le=1, description="Weight of value_model's policy in the prior"
    )
    guide_value: float = Field(
        default=1.0, ge=0, le=1, description="Weight of value_model's value against own rollouts"
    )
    n_beams: int = Field(default=4, ge=1, description="beam: paths, each in a subtree of its own")
    beam_width: int = Field(default=4, ge=1, description="beam: segments proposed on each path")
    n_revisions: int = Field(default=2, ge=0, description="revise: most revisions of an attempt")
    reuse_rollouts: bool = Field(
        default=True, description="Steps that rollouts wrote are proposals; replicas add the rest"
    )
    c_puct: float = Field(default=1.5, ge=0, description="Weight of the prior against the value")
    min_prior: float = Field(
        default=0.02, ge=0, le=1, description="Less likely factors are not tried"
    )
    temperature: float = Field(
        default=1.0, gt=0, description="Of rollouts; any value but 1 makes them off-policy"
    )
    max_step_tokens: int = Field(default=64, ge=1, description="Longest segment, tokens")
    max_tokens: int = Field(default=256, ge=1, description="Longest rollout, tokens")
    budget_tokens: int | None = Field(
        default=None, ge=1, description="Stop after so many generated tokens; unset: no limit"
    )
    budget_seconds: float | None = Field(
        default=None, gt=0, description="Stop after so many seconds of search; unset: no limit"
    )
    budget_cost: float | None = Field(
        default=None, gt=0, description="Stop after this cost, by engine.price_*; unset: no limit"
    )

    def sampling(self) -> Sampling:
        """Of rollouts."""
        return Sampling(temperature=self.temperature, max_tokens=self.max_tokens)

    def generate_config(self, dialect: Dialect, members: Members | None = None) -> GenerateConfig:
        """As the search takes it.

        Args:
            dialect: how the models are asked.
            members: whom the search can ask besides the policy. Further models propose segments at
                the first of the temperatures.

        Raises:
            ConfigError: if a weight has nothing to weigh.
        """
        rollout = self.sampling()
        team = members or Members()
        if self.guide_prior and team.guide and not team.has_policy:
            raise ConfigError(
                f"search.guide_prior={self.guide_prior!r}, but search.value_model="
                f"{self.value_model!r} has no policy; set search.guide_prior to 0, or "
                "search.value_model to a two-headed model"
            )
        temperatures = self.replica_temperatures
        shared: dict[str, Any] = {
            "n_rollouts": self.n_rollouts,
            "replicas": (
                *map(Replica, temperatures),
                *(Replica(temperatures[0], model) for model in team.replicas),
            ),
            "guide": team.guide or None,
            "guide_prior": self.guide_prior,
            "guide_value": self.guide_value,
            "min_prior": self.min_prior,
            "max_step_tokens": self.max_step_tokens,
            "rollout": rollout,
            "dialect": dialect,
        }
        return GenerateConfig(
            algorithm=self.algorithm,
            puct=PuctConfig(
                n_simulations=self.n_simulations,
                n_root_rollouts=self.n_root_rollouts,
                c_puct=self.c_puct,
                reuse=self.reuse_rollouts,
                **shared,
            ),
            beam=BeamConfig(
                n_subtrees=self.n_beams,
                width=self.beam_width,
                n_root_rollouts=self.n_root_rollouts,
                **shared,
            ),
            revise=ReviseConfig(
                n_chains=self.n_root_rollouts,
                n_revisions=self.n_revisions,
                guide=team.guide or None,
                max_step_tokens=self.max_step_tokens,
                rollout=rollout,
                dialect=dialect,
            ),
            omega=OmegaConfig(
                n_screening=self.n_root_rollouts,
                n_searches=self.n_simulations,
                n_rollouts=self.n_bisect_rollouts,
                rollout=rollout,
                dialect=dialect,
            ),
            best_of_n=BestOfNConfig(n=self.n_root_rollouts, rollout=rollout, dialect=dialect),
        )


class LabelSettings(_Section):
    """From rollouts to step labels."""

    n_right_traces: int = Field(default=1, ge=0, description="Right traces to measure per prefix")
    n_wrong_traces: int = Field(default=2, ge=0, description="Wrong traces to measure per prefix")
    confidence: float = Field(
        default=0.9, gt=0, lt=1, description="Posterior mass at which a first error is settled"
    )
    max_rollouts: int = Field(
        default=12, ge=0, description="Most rollouts to find one trace's first error"
    )
    prover_k: int = Field(
        default=4, ge=1, description="The prover of advantages is the best of so many rollouts"
    )
    n_critiques: int = Field(
        default=1, ge=0, description="Critiques per measured trace that the model is asked for"
    )
    max_critique_tokens: int = Field(default=512, ge=1, description="Longest critique, tokens")
    min_mass: float = Field(
        default=0.5, ge=0, le=1, description="Least posterior mass of a verified first error"
    )
    budget_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Critiques and measuring: stop after so many tokens each; unset: no limit",
    )
    min_trials: int = Field(default=3, ge=1, description="Fewest trials that can call a step wrong")
    threshold: float = Field(
        default=0.0, ge=0, lt=1, description="A step whose Monte-Carlo value is above this is good"
    )

    def judges(self, dialect: Dialect) -> tuple[Judge, ...]:
        """Who judges: always the checker, and the model if it is asked for critiques."""
        if not self.n_critiques:
            return (checker,)
        sampling = Sampling(temperature=1.0, max_tokens=self.max_critique_tokens)
        return (
            checker,
            critique_judge(n_votes=self.n_critiques, sampling=sampling, dialect=dialect),
        )


class RaySettings(_Section):
    """More than one machine."""

    address: str | None = Field(
        default=None,
        description='"ray://host:10001", "auto", or "local" to start Ray here; unset: no Ray',
    )
    n_workers: int = Field(default=1, ge=1, description="Workers, each with an engine of its own")
    shard_size: int = Field(default=256, ge=1, description="Seeds per shard")
    cpus_per_worker: float = Field(default=1.0, ge=0, description="CPUs that a worker reserves")
    gpus_per_worker: float = Field(default=0.0, ge=0, description="GPUs that a worker reserves")
    max_restarts: int = Field(
        default=3, ge=0, description="How often a shard may be begun again after its worker died"
    )


class CodeSettings(_Section):
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


class SandboxSettings(_Section):
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


class FactorSettings(_Section):
    """Which thought factor each step performs."""

    tagger: TaggerChoice = Field(
        default="classifier",
        description='Who tags prose: "classifier" (CPU, English), "model" (engine.model), "none"',
    )
    min_probability: float = Field(
        default=0.5, ge=0, le=1, description="Less probable tags are not used, and need review"
    )
    budget_tokens: int | None = Field(
        default=None, ge=1, description="Stop after so many generated tokens; unset: no limit"
    )

    def tagging(self, dialect: Dialect) -> TaggingConfig:
        """As :func:`~datagen.factors.tagging.tag_traces` takes it."""
        return TaggingConfig(self.tagger, self.min_probability, dialect)


class CorrectionSettings(_Section):
    """Traces that go wrong, notice it and end right."""

    max_attempts: int = Field(
        default=4, ge=1, le=4, description="Most wrong attempts in one such trace"
    )
    max_rows: int = Field(default=4, ge=0, description="Most rows per question and kind; 0: none")
    n_joints: int = Field(
        default=4, ge=1, description="Samples of the words that join an error and its repair"
    )
    budget_tokens: int | None = Field(
        default=None, ge=1, description="Stop after so many generated tokens; unset: no limit"
    )

    def correction_config(self, dialect: Dialect) -> CorrectionConfig:
        """As :func:`~datagen.corrections.make_corrections` takes it."""
        return CorrectionConfig(
            max_attempts=self.max_attempts,
            max_rows=self.max_rows,
            joint=JointConfig(n_joints=self.n_joints, dialect=dialect),
        )


class SummarySettings(_Section):
    """What is shown of a hidden thought."""

    writer: Writer = Field(
        default="auto",
        description='"model" (follows instructions), "extract" (sentences of the thought), "auto"',
    )
    max_words: int = Field(default=80, ge=1, description="Longest summary, words")
    max_attempts: int = Field(
        default=3, ge=1, description="Summaries that a model is asked for, until one passes"
    )
    budget_tokens: int | None = Field(
        default=None, ge=1, description="Stop after so many generated tokens; unset: no limit"
    )

    def summary_config(self, dialect: Dialect) -> SummaryConfig:
        """As :func:`~datagen.summaries.summarise_traces` takes it."""
        return SummaryConfig(
            writer=self.writer,
            max_words=self.max_words,
            max_attempts=self.max_attempts,
            dialect=dialect,
        )


class ExportSettings(_Section):
    """What goes into the datasets."""

    max_per_question: int = Field(default=4, ge=1, description="Most SFT rows per question")
    after_first_error: Literal["keep", "drop"] = Field(
        default="keep", description="PRM steps behind the first wrong one"
    )
    wrong_ends_at: Ending = Field(
        default="pit",
        description='Rejected replies: cut behind the first "pit", or whole: "answer"',
    )
    max_pairs_per_question: int = Field(
        default=4, ge=1, description="Most preference pairs per question"
    )
    min_delta_q: float = Field(
        default=0.25, gt=0, le=1, description="Least difference of Q in a pair of steps"
    )


class Settings(_Section):
    """All settings; sections as in ``datagen.toml``."""

    seeds: SeedSettings = SeedSettings()
    prefixes: PrefixSettings = PrefixSettings()
    engine: EngineSettings = EngineSettings()
    search: SearchSettings = SearchSettings()
    labels: LabelSettings = LabelSettings()
    code: CodeSettings = CodeSettings()
    sandbox: SandboxSettings = SandboxSettings()
    factors: FactorSettings = FactorSettings()
    corrections: CorrectionSettings = CorrectionSettings()
    summaries: SummarySettings = SummarySettings()
    export: ExportSettings = ExportSettings()
    ray: RaySettings = RaySettings()

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if self.search.budget_cost and not (
            self.engine.price_prompt or self.engine.price_generated
        ):
            raise ValueError(
                f"search.budget_cost={self.search.budget_cost!r} needs engine.price_prompt or "
                "engine.price_generated, or nothing ever costs anything"
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
        """As :func:`~datagen.measure.measure_traces` takes it."""
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
