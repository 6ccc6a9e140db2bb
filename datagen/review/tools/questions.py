"""What people are asked of a trace: the same questions in every tool.

The surprising fact: people count steps from 1 and tables count from 0. The shift happens in
:mod:`datagen.review.tools.records` on the way out and in :mod:`datagen.review.tools.answers` on the
way back, and nowhere else.
"""

from typing import Final

FIRST_WRONG: Final = "first_wrong_step"
VERDICT: Final = "answer_verdict"
RATING: Final = "rating"
FACTORS: Final = "factors"
CORRECTED: Final = "corrected_step"
COMMENT: Final = "comment"

NONE: Final = "none"
UNSURE: Final = "unsure"

MAX_STEPS: Final = 40
"""Most steps of a trace that people are asked about, unless a team sets another limit."""

RATINGS: Final = (1, 2, 3, 4, 5)

TITLES: Final[dict[str, str]] = {
    FIRST_WRONG: "Which step is the first wrong one?",
    VERDICT: "Is the final answer right?",
    RATING: "How good is the thought as a whole?",
    FACTORS: "Kinds of the steps in doubt",
    CORRECTED: "What should the first wrong step say?",
    COMMENT: "Anything else?",
}
"""The questions, in the order in which they are asked."""

DESCRIPTIONS: Final[dict[str, str]] = {
    FIRST_WRONG: "The number of the first step that is wrong and is not put right later. "
    '"none": no step is wrong. "unsure": you cannot tell.',
    VERDICT: "Compare with the expected answer. The form does not matter: 0.5 is 1/2.",
    RATING: "1: nobody should learn from this. 5: a model of clear and complete thinking.",
    FACTORS: "One line per step, its number and its kind, as in 3: Compute. "
    "Keep a line if it is right, change it if not, remove it if you cannot tell.",
    CORRECTED: "Only if a step is wrong: write it as it should be. Leave it empty if that is hard.",
    COMMENT: "A doubtful expected answer, an unclear question, a remark for the team.",
}
"""What helps to answer them."""

REQUIRED: Final = (FIRST_WRONG, VERDICT)
"""The questions that nobody can leave out."""


def step_choices(max_steps: int) -> list[str]:
    """Answers to the first question; steps come first, so that the key for step 4 is a 4."""
    return [*map(str, range(1, max_steps + 1)), NONE, UNSURE]
