"""What curation keeps, in one place.

The surprising fact: everything but repetition and unusable golds is off or wide open by default.
Whether a question is too long, too easy or in the wrong language depends on who trains with it;
that it stands there twice, or can reward nobody, does not.
"""

import re
from dataclasses import dataclass

from datagen.errors import ConfigError
from schemas import DIFFICULTIES, Difficulty


@dataclass(frozen=True, slots=True)
class CurateConfig:
    """What is left out, and how what is kept is split.

    Attributes:
        min_words: fewest words of a question.
        max_words: most words of a question.
        max_thought_words: most words of a thought that a person wrote, or a model; ``None``: any.
            Human traces are judged as seeds only.
        languages: ISO 639-1 codes of the languages that questions may be written in; empty: any. A
            question with too few words to tell its language is kept.
        near_duplicates: Jaccard similarity from which a question is too much like an earlier one;
            ``None``: any may be kept.
        trace_near_duplicates: the same for traces of one question that come to the same answer.
        same_numbers: whether only texts with the same numbers are near-duplicates. Without it, a
            problem asked again with other numbers is one.
        test_share: share of the questions that are published in split ``test``.
        difficulties: bins of the pass rate whose questions are published for reinforcement
            learning.
    """

    min_words: int = 1
    max_words: int = 2_000
    max_thought_words: int | None = None
    languages: tuple[str, ...] = ()
    near_duplicates: float | None = 0.8
    trace_near_duplicates: float | None = 0.9
    same_numbers: bool = True
    test_share: float = 0.05
    difficulties: tuple[Difficulty, ...] = DIFFICULTIES

    def __post_init__(self) -> None:
        if not 0 <= self.min_words <= self.max_words:
            raise ConfigError(
                f"min_words={self.min_words!r} and max_words={self.max_words!r} must be a range "
                "that starts at 0 or later"
            )
        if self.max_thought_words is not None and self.max_thought_words < 1:
            raise ConfigError(
                f"max_thought_words={self.max_thought_words!r} must be at least 1; leave it unset "
                "for no limit"
            )
        for code in self.languages:
            if not re.fullmatch("[a-z]{2}", code):
                raise ConfigError(f"languages: {code!r} is no ISO 639-1 code; write 'en', 'de', …")
        for name in ("near_duplicates", "trace_near_duplicates"):
            threshold: float | None = getattr(self, name)
            if threshold is not None and not 0 < threshold <= 1:
                raise ConfigError(
                    f"{name}={threshold!r} is a similarity; set it above 0 and to 1 at most"
                )
        if not 0 <= self.test_share < 1:
            raise ConfigError(
                f"test_share={self.test_share!r} is a share; set it from 0 to below 1"
            )
        if unknown := [name for name in self.difficulties if name not in DIFFICULTIES]:
            raise ConfigError(
                f"difficulties: {unknown[0]!r} is unknown; use some of {', '.join(DIFFICULTIES)}"
            )
        if not self.difficulties:
            raise ConfigError("difficulties=() keeps no question; list at least one bin")
