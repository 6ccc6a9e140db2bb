"""HumanEval's fields: a prompt that ends inside a function, the rest of it, and ``check``.

The surprising fact: the prompt is code and question at once. As the question it is kept whole,
helper functions included, because the tests of some tasks (``HumanEval/32``) call those.

Source: Chen et al. 2021, "Evaluating Large Language Models Trained on Code"; the data is MIT.
"""

from typing import Final

from datagen.seeds.checks import DEFAULT_MAX_CHARS, text_of
from datagen.seeds.code.rows import CodeDialect
from datagen.seeds.rows import Fields

_FIELDS: Final = ("prompt", "entry_point", "canonical_solution", "test")


def looks_like_humaneval(fields: Fields) -> bool:
    """Whether a row has HumanEval's fields."""
    return all(name in fields for name in _FIELDS)


def from_humaneval(fields: Fields) -> Fields:
    """Our fields: ``task_id`` is the seed's id.

    Raises:
        Refused: if ``prompt`` or ``canonical_solution`` is no usable text.
    """
    prompt = text_of(fields, "prompt", DEFAULT_MAX_CHARS)
    solution = text_of(fields, "canonical_solution", DEFAULT_MAX_CHARS)
    used = {"task_id", "prompt", "canonical_solution", "test"}
    return {
        **{name: value for name, value in fields.items() if name not in used},
        "seed_id": fields.get("task_id"),
        "question": prompt,
        "code": prompt + solution,
        "tests": fields.get("test"),
    }


HUMANEVAL: Final = CodeDialect(read=from_humaneval, required=_FIELDS, license="MIT")
"""HumanEval, from whichever container."""
