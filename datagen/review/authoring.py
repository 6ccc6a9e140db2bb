"""Seeds that people write in a review tool: the form, and what becomes of it.

The surprising fact: Argilla has no form for something new, only records to answer. So empty forms
are records that say what to write, and there are always a few left.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from datagen.review.tool import Problem, PulledSeeds

DATASET: Final = "seeds"
"""Name of the dataset of forms."""

QUESTION: Final = "question"
THOUGHT: Final = "thought"
ANSWER: Final = "answer"


@dataclass(frozen=True, slots=True)
class Blank:
    """A blank of the form."""

    title: str
    description: str
    is_required: bool = True


FORM: Final[dict[str, Blank]] = {
    QUESTION: Blank("Question", "Everything that is needed to answer it, and nothing else."),
    THOUGHT: Blank(
        "Thought",
        "How you find the answer, one step per line. Write what you really think, checks and "
        "detours that you correct included.",
    ),
    ANSWER: Blank("Answer", "The final answer alone: 42, x = 3, yes."),
    "source": Blank(
        "Source", "Where the question is from, if it is not your own.", is_required=False
    ),
}
"""What is asked for, in order."""

TASK: Final = (
    "Write a question of your own, how you think it through, and its answer. "
    "Prefer questions that take four or more steps. Submit when all three are complete."
)

GUIDELINES: Final = """# How to write a seed

One good example is worth a thousand generated ones: each is multiplied into many.

- **Question.** Complete and unambiguous; exactly one answer is right. No personal data. Copy
  nothing whose licence forbids it, and name the source if it is not your own.
- **Thought.** One step per line, in the order in which you think. Say what is asked for, what is
  given, what you try, and check the result before you end. If you go wrong, leave it in, say that
  it is wrong, and put it right.
- **Answer.** The final answer alone, in the form in which it should be compared.

Example:

> **Question:** A tray holds 6 eggs. Ana has 4 trays and breaks 3 eggs. How many eggs are whole?
>
> **Thought:**
> I want the number of whole eggs.
> 4 trays of 6 eggs: 4*6=24
> 3 are broken: 24-3=21
> Check: 21+3=24, and 24/6=4 trays.
>
> **Answer:** 21

Discard a form to leave it out. You may change a seed after submitting it.
"""


def new_form_ids(taken: Collection[str], n: int) -> list[str]:
    """``n`` ids of forms that are not taken yet, none if ``n`` is negative."""
    used = {int(id[5:]) for id in taken if id.startswith("seed-") and id[5:].isdecimal()}
    first = max(used, default=0) + 1
    return [f"seed-{number:05}" for number in range(first, first + max(0, n))]


def seeds_of(
    written: Iterable[tuple[str, str, str, Mapping[str, Any]]], *, tool: str
) -> PulledSeeds:
    """Rows of a JSONL source of seeds.

    Args:
        written: when, by whom, a stable id, and the answers by blank, in the order of the rows.
        tool: the tool; the source of what names none.
    """
    rows: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for moment, author, response_id, answers in written:
        given = {name: str(answers.get(name) or "").strip() for name in FORM}
        missing = [name for name, blank in FORM.items() if blank.is_required and not given[name]]
        if missing:
            reason = f"{', '.join(missing)} is empty; fill it in, or discard the form"
            problems.append(Problem(f"seed {response_id}, {author}", reason))
            continue
        rows.append(
            {
                "seed_id": f"{tool}-{response_id}",
                "question": given[QUESTION],
                "thought": given[THOUGHT],
                "answer": given[ANSWER],
                "source": given["source"] or f"{tool}:{author}",
                "meta": {"author": author, "written_at": moment},
            }
        )
    return PulledSeeds(tuple(rows), tuple(problems))
