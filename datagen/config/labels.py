"""Settings of what is found out about traces: labels, factors, corrections, summaries."""

from pydantic import Field

from datagen.config.section import Section
from datagen.corrections import CorrectionConfig, JointConfig
from datagen.engines.protocol import Sampling
from datagen.factors.tagging import TaggerChoice, TaggingConfig
from datagen.judge import Judge, checker, critique_judge
from datagen.prompts.dialect import Dialect
from datagen.summaries import SummaryConfig, Writer


class LabelSettings(Section):
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


class FactorSettings(Section):
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


class CorrectionSettings(Section):
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


class SummarySettings(Section):
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
