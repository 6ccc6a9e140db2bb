"""Settings of what is left out of the datasets, and of their splits."""

from pydantic import Field

from datagen.config.section import Section
from datagen.curate.config import CurateConfig
from schemas import DIFFICULTIES, Difficulty


class CurationSettings(Section):
    """What is left out, and how the rest is split."""

    benchmarks: dict[str, str] = Field(
        default_factory=dict,
        description='Benchmark -> "hub", file or Hub name: questions found there are left out',
    )
    near_duplicates: float = Field(
        default=0.8, ge=0, le=1, description="Questions so alike are left out; 0: none"
    )
    trace_near_duplicates: float = Field(
        default=0.9, ge=0, le=1, description="The same for traces of one question; 0: none"
    )
    same_numbers: bool = Field(
        default=True, description="Only texts with the same numbers are near-duplicates"
    )
    min_words: int = Field(default=1, ge=0, description="Shortest question, words")
    max_words: int = Field(default=2000, ge=1, description="Longest question, words")
    max_thought_words: int | None = Field(
        default=None, ge=1, description="Longest thought, words; unset: any"
    )
    languages: tuple[str, ...] = Field(
        default=(), description='Languages of questions, ISO 639-1, as "en"; none named: any'
    )
    difficulties: tuple[Difficulty, ...] = Field(
        default=DIFFICULTIES, min_length=1, description="Bins of the pass rate that go into rl"
    )
    test_share: float = Field(
        default=0.05, ge=0, lt=1, description="Share of the questions that are in split test"
    )

    def curate_config(self) -> CurateConfig:
        """As the functions of :mod:`datagen.curate` take it."""
        return CurateConfig(
            min_words=self.min_words,
            max_words=self.max_words,
            max_thought_words=self.max_thought_words,
            languages=self.languages,
            near_duplicates=self.near_duplicates or None,
            trace_near_duplicates=self.trace_near_duplicates or None,
            same_numbers=self.same_numbers,
            test_share=self.test_share,
            difficulties=self.difficulties,
        )
