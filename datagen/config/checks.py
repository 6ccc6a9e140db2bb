"""Settings of what a shard must keep to be accepted.

Shares fail only if they are beyond their limit by more than chance explains, see
:mod:`datagen.checks.shares`.
"""

from typing import Self

from pydantic import Field, model_validator

from datagen.config.section import Section


class CheckSettings(Section):
    """Limits beyond which a shard is stopped, or a warning given."""

    max_refused_share: float = Field(
        default=0.25, ge=0, le=1, description="Source rows that cannot be used, most"
    )
    max_contaminated_share: float = Field(
        default=0.2, ge=0, le=1, description="Questions that a benchmark holds, most"
    )
    max_duplicate_share: float = Field(
        default=0.5, ge=0, le=1, description="Questions that are there already, most"
    )
    licenses: tuple[str, ...] = Field(
        default=(), description="Licences that seeds may come under; none named: any"
    )
    require_license: bool = Field(default=False, description="Refuse seeds of unknown licence")
    min_pass_rate: float = Field(
        default=0.01, ge=0, le=1, description="Rollouts that end right, least; 0: even none"
    )
    max_pass_rate: float = Field(
        default=0.98, ge=0, le=1, description="Rollouts that end right, most"
    )
    max_unverifiable_share: float = Field(
        default=0.5, ge=0, le=1, description="Rollouts whose answer nobody can verify, most"
    )
    max_truncated_share: float = Field(
        default=0.5, ge=0, le=1, description="Rollouts that are cut off, most"
    )
    max_repeated_share: float = Field(
        default=0.9, ge=0, le=1, description="Traces by a model that repeat another, most; warns"
    )
    min_agreement: float = Field(
        default=0.25, ge=0, le=1, description="Judged first errors that judges agree with, least"
    )
    max_drift: float = Field(
        default=0.1, ge=0, le=1, description="Change of that from accepted shards, most; warns"
    )
    max_tokens: int | None = Field(
        default=None, ge=1, description="Tokens of all stages of a shard; unset: no limit"
    )
    max_cost: float | None = Field(
        default=None, gt=0, description="Their cost, by engine.price_*; unset: no limit"
    )
    max_seconds: float | None = Field(
        default=None, gt=0, description="Seconds of the engine for a shard; unset: no limit"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_pass_rate > self.max_pass_rate:
            raise ValueError(
                f"min_pass_rate={self.min_pass_rate!r} is above "
                f"max_pass_rate={self.max_pass_rate!r}; no shard could be accepted"
            )
        return self
