"""Settings of what people are asked, and where they answer."""

from typing import Self

from pydantic import Field, model_validator

from datagen.config.section import Section
from datagen.review.ask.queue import QueueConfig
from schemas import ReviewToolName


class ReviewSettings(Section):
    """Traces that people look at, and what becomes of their answers."""

    tool: ReviewToolName = Field(
        default="jsonl",
        description='Where people answer: "argilla", or "jsonl": files in the output folder',
    )
    workspace: str = Field(
        default="datagen", min_length=1, description="Of Argilla; its members review"
    )
    n_items: int = Field(default=100, ge=0, description="Traces that people are asked about, most")
    random_share: float = Field(
        default=0.1, ge=0, le=1, description="Part of them drawn at random, to measure all labels"
    )
    trap_share: float = Field(
        default=0.05, ge=0, le=1, description="Part of them whose truth is known, to measure people"
    )
    n_annotators: int = Field(default=2, ge=1, description="People who look at each trace")
    seniors: tuple[str, ...] = Field(
        default=(), description="People who settle what the others disagree about"
    )
    suggest: bool = Field(default=True, description="Fill in beforehand what the pipeline believes")
    n_seed_forms: int = Field(
        default=5, ge=0, description="Empty forms in which people can write seeds, kept open"
    )
    seeds_license: str | None = Field(
        default=None, description="SPDX licence of the seeds that people write"
    )

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        if self.random_share + self.trap_share > 1:
            raise ValueError(
                f"random_share={self.random_share!r} and trap_share={self.trap_share!r} must not "
                "exceed 1 together"
            )
        return self

    def queue_config(self, *, temperature: float) -> QueueConfig:
        """As :func:`~datagen.review.ask.queue.make_queue` takes it."""
        return QueueConfig(
            n_items=self.n_items,
            random_share=self.random_share,
            trap_share=self.trap_share,
            n_annotators=self.n_annotators,
            temperature=temperature,
        )
