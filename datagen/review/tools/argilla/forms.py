"""What Argilla's datasets look like: their field, their questions, their guidelines.

The surprising fact: a trace has one field, which draws everything. Further text fields would bring
raw text into the script of the page (see :mod:`datagen.review.tools.records`).
"""

import re
from typing import Any, Final

from datagen.review.tools import authoring, questions
from datagen.review.tools.records import guidelines, template
from schemas.review_queue import REVIEW_KINDS
from schemas.reviews import ANSWER_VERDICTS

FIELD: Final = "trace"


def review_settings(sdk: Any, *, n_wanted: int, max_steps: int) -> Any:
    """Settings of a dataset for reviews, in the SDK's terms."""

    def asked(name: str) -> dict[str, Any]:
        return {
            "name": name,
            "title": questions.TITLES[name],
            "description": questions.DESCRIPTIONS[name],
            "required": name in questions.REQUIRED,
        }

    return sdk.Settings(
        guidelines=page(guidelines()),
        fields=[sdk.CustomField(FIELD, title="Trace", template=template(), advanced_mode=True)],
        questions=[
            sdk.LabelQuestion(
                labels=questions.step_choices(max_steps), **asked(questions.FIRST_WRONG)
            ),
            sdk.LabelQuestion(labels=list(ANSWER_VERDICTS), **asked(questions.VERDICT)),
            sdk.RatingQuestion(values=list(questions.RATINGS), **asked(questions.RATING)),
            *(
                sdk.TextQuestion(**asked(name))
                for name in (questions.FACTORS, questions.CORRECTED, questions.COMMENT)
            ),
        ],
        metadata=[
            sdk.TermsMetadataProperty("kind", options=list(REVIEW_KINDS), title="Kind"),
            sdk.IntegerMetadataProperty("n_steps", title="Steps"),
        ],
        allow_extra_metadata=True,
        distribution=sdk.TaskDistribution(min_submitted=n_wanted),
    )


def seed_settings(sdk: Any) -> Any:
    """Settings of the dataset for new seeds, in the SDK's terms."""
    return sdk.Settings(
        guidelines=page(authoring.GUIDELINES),
        fields=[sdk.TextField("task", title="Task", use_markdown=True)],
        questions=[
            sdk.TextQuestion(
                name, title=asked.title, description=asked.description, required=asked.is_required
            )
            for name, asked in authoring.FORM.items()
        ],
        allow_extra_metadata=True,
        distribution=sdk.TaskDistribution(min_submitted=1),
    )


def page(markdown: str) -> str:
    """Markdown for Argilla, which ends a line wherever its source does: long lines are joined."""
    lines: list[str] = []
    is_long = False
    for line in markdown.split("\n"):
        if is_long and (rest := re.fullmatch(r"(?:> |  )?(?!\d+\. )([\w(*`\"].*)", line)):
            lines[-1] += f" {rest[1]}"
        else:
            lines.append(line)
        is_long = len(line) > 80
    return "\n".join(lines)
