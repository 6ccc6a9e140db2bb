"""Seeds that people write in a review tool: the form, and what becomes of it.

The surprising fact: Argilla has no form for something new, only records to answer. So empty forms
are records that say what to write, and there are always a few left.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from datagen.review.tools.protocol import Problem, PulledSeeds
from datagen.seeds.checks import Defaults, seed_row
from datagen.seeds.refusals import Refused

DATASET: Final = "seeds"
"""Name of the dataset of forms."""

QUESTION: Final = "question"
THOUGHT: Final = "thought"
ANSWER: Final = "answer"
SOURCE: Final = "source"
LICENSE: Final = "license"


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
    SOURCE: Blank(
        "Source", "Where the question is from, if it is not your own.", is_required=False
    ),
    LICENSE: Blank(
        "Licence",
        "Of that source, if it is not your own: CC-BY-4.0, MIT, …",
        is_required=False,
    ),
}
"""What is asked for, in order."""

TASK: Final = (
    "Write a question of your own, how you think it through, and its answer. "
    "Prefer questions that take four or more steps. Submit when all three are complete."
)
"""The guidelines in short."""

GUIDELINES: Final = """# How to write a seed

Write a question of your own, how you think it through, and its answer. Prefer questions that take
four or more steps. One good example is worth a thousand generated ones: each is multiplied into
many.

- **Question.** Complete and unambiguous; exactly one answer is right. No personal data. Copy
  nothing whose licence forbids it; if it is not your own, name the source and its licence.
- **Thought.** One step per line, in the order in which you think. Say what is asked for, what is
  given, what you try, and check the result before you end. If you go wrong, leave it in, say that
  it is wrong, and put it right.
- **Answer.** The final answer alone, in the form in which it should be compared.

## Example

> **Question:** A tray holds 6 eggs. Ana has 4 trays and breaks 3 eggs. How many eggs are whole?
>
> **Thought:**
> I want the number of whole eggs.
> 4 trays of 6 eggs: 4*6=24
> 3 are broken: 24-3=21
> Check: 21+3=24, and 24/6=4 trays.
>
> **Answer:** 21

## When you are done

Submit when all three are complete, or save a draft and come back. You may change a seed after
submitting it; the last version counts. To take one back, open it again and discard it.
"""


def new_form_ids(taken: Collection[str], n: int) -> list[str]:
    """``n`` ids of forms that are not taken yet, none if ``n`` is negative."""
    used = {int(id[5:]) for id in taken if id.startswith("seed-") and id[5:].isdecimal()}
    first = max(used, default=0) + 1
    return [f"seed-{number:05}" for number in range(first, first + max(0, n))]


@dataclass(frozen=True, slots=True, order=True)
class Written:
    """What somebody made of a form; in order of time.

    Attributes:
        moment: when, ISO 8601 in UTC.
        author: by whom.
        written_id: stable, the same at every pull.
        answers: by blank; None if it is a draft or was discarded.
    """

    moment: str
    author: str
    written_id: str
    answers: Mapping[str, Any] | None = field(compare=False)


def seeds_of(written: Iterable[Written], *, tool: str) -> PulledSeeds:
    """Rows of a JSONL source of seeds, in the order in which they were written.

    A row has no licence where the author names neither a source nor a licence: it is the team's.
    What the reader of seeds would refuse is named as a problem.

    Args:
        written: what was made of the forms; of those with one id the latest counts.
        tool: the tool; the source of what names none.
    """
    rows: list[dict[str, Any]] = []
    problems: list[Problem] = []
    retracted: list[str] = []
    newest = {form.written_id: form for form in sorted(written)}
    for form in sorted(newest.values()):
        seed_id = f"{tool}-{form.written_id}"
        if form.answers is None:
            retracted.append(seed_id)
            continue
        where = f"seed {form.written_id}, {form.author}"
        given = {name: str(form.answers.get(name) or "").strip() for name in FORM}
        missing = [name for name, blank in FORM.items() if blank.is_required and not given[name]]
        if missing:
            reason = f"{', '.join(missing)} is empty; fill it in, or discard the form"
            problems.append(Problem(where, reason))
            continue
        row: dict[str, Any] = {
            "seed_id": seed_id,
            **{name: given[name] for name in (QUESTION, THOUGHT, ANSWER)},
            # Sources are published; who wrote what stays in ``meta``, which is not.
            SOURCE: given[SOURCE] or tool,
            "meta": {"author": form.author, "written_at": form.moment},
        }
        if given[SOURCE] or given[LICENSE]:  # else it is the team's own, which sets the licence
            row[LICENSE] = given[LICENSE] or "unknown"
        try:
            seed_row(row, (), seed_id, Defaults(tool))
        except Refused as refused:
            problems.append(Problem(where, str(refused)))
        else:
            rows.append(row)
    return PulledSeeds(tuple(rows), tuple(problems), frozenset(retracted))
