"""Settings of what goes out."""

from typing import Literal

from pydantic import Field

from datagen.config.section import OwnName, Reference, Section
from datagen.export.replies import Ending


class ExportSettings(Section):
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
    further: dict[OwnName, Reference] = Field(
        default_factory=dict,
        description='Datasets of your own: name -> "module:name" of a `datagen.export.Export`',
    )


class PublishSettings(Section):
    """Where the datasets go, and what must hold before they do."""

    to: str | None = Field(
        default=None, description='Folder, or "org/name" on the Hub; unset: the output folder only'
    )
    private: bool | None = Field(
        default=None, description="On the Hub: seen by its owners only; unset: as it is there"
    )
    gated: Literal["auto", "manual", "no"] | None = Field(
        default=None,
        description='On the Hub: readers ask for access, granted by itself ("auto") or by you '
        '("manual"); unset: as it is there',
    )
    license: str | None = Field(
        default=None, description="Licence of the whole, where seeds come under several"
    )
    require_benchmarks: tuple[str, ...] = Field(
        default=(), description="Benchmarks that all questions must have been compared with"
    )
    min_reviewed_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Least share of the step-labelled traces that people must have decided; 0: "
        "none",
    )
    min_alpha: float | None = Field(
        default=None,
        ge=-1,
        le=1,
        description="Least agreement of reviewers (Krippendorff's alpha); unset: any",
    )
