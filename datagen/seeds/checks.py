"""Turns the fields of one source row into one row of the ``seeds`` table, or refuses it.

The surprising fact: nothing is repaired. A row is taken as written or refused with a sentence that
says what to change, because a seed is multiplied into thousands of rows and a guess made here would
be in all of them. (Only the gold answer loses the white space around it, and numbers become text.)
"""

import hashlib
import math
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from typing import Final, cast

import polars as pl

from datagen.errors import SeedError
from datagen.factors.taxonomy import Factor
from datagen.seeds.meta import meta_of
from datagen.seeds.refusals import TAKEN, Refused, preview
from datagen.seeds.rows import Annotation, Fields
from datagen.seeds.rubrics import criteria_of, verifier_with
from datagen.seeds.texts import optional_text, text_of
from datagen.traces.splitting import Splitting, split
from datagen.traces.tagged import factor_of, has_tags, tag_problem
from datagen.verify import VERIFIERS
from schemas import DOMAINS, OWN_VERIFIER, Domain

DEFAULT_MAX_CHARS: Final = 200_000


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for each row of a source that does not say otherwise itself.

    Attributes:
        source: name of the source.
        license: its licence.
        domain: what its questions are about.
        verifier: how its answers are compared; ``None`` takes ``math`` for questions of domain
            ``math`` and ``exact`` for all others, rows with a rubric apart.
        splitting: how its thoughts are cut into steps.
        max_chars: the longest question, thought or answer that is accepted.
    """

    source: str
    license: str = "unknown"
    domain: Domain = "math"
    verifier: str | None = None
    splitting: Splitting = "auto"
    max_chars: int = DEFAULT_MAX_CHARS


def seed_id_of(fields: Fields, defaults: Defaults) -> str:
    """The row's own ``seed_id``, or else 16 hex digits of a hash of its source and question.

    Raises:
        Refused: if the id is no usable text, or there is no question to hash.
    """
    given = fields.get("seed_id")
    if isinstance(given, int) and not isinstance(given, bool):
        return _number(given, "seed_id")
    if given is not None:
        return text_of(fields, "seed_id", defaults.max_chars)
    source = optional_text(fields, "source", defaults.source, defaults.max_chars)
    question = text_of(fields, "question", defaults.max_chars)
    return hashlib.sha256(f"{source}\0{question}".encode()).hexdigest()[:16]


def duplicate_id(seed_id: str, first_row_idx: int) -> Refused:
    """The refusal of a row whose ``seed_id`` row ``first_row_idx`` has already."""
    return Refused(
        "seed_id",
        "duplicate",
        f"seed_id {seed_id!r} was used by row {first_row_idx} already (without a seed_id of its "
        "own, a repeated question repeats it); drop the row or give it another seed_id",
        seed_id,
    )


def refuse_taken(seed_id: str, taken: Mapping[str, str]) -> None:
    """Refuse a row that has come before, in another shard.

    Args:
        seed_id: the row's.
        taken: id → the shard that has it.

    Raises:
        Refused: if it has.
    """
    if (shard := taken.get(seed_id)) is not None:
        raise Refused(
            "seed_id",
            TAKEN,
            f"seed_id {seed_id!r} is in shard {shard!r} already; if this is another question, "
            "give it another seed_id",
            seed_id,
        )


def seed_row(
    fields: Fields, annotations: Sequence[Annotation], seed_id: str, defaults: Defaults
) -> dict[str, object]:
    """The row of the ``seeds`` table for ``fields``.

    Raises:
        Refused: at the first field that cannot be used.
    """
    n = defaults.max_chars
    question, thought = text_of(fields, "question", n), text_of(fields, "thought", n)
    answer = _answer(fields, n)
    domain = _choice(fields, "domain", DOMAINS, defaults.domain)
    default_verifier = defaults.verifier or ("math" if domain == "math" else "exact")
    default_verifier = verifier_with(fields, default_verifier)
    verifier = _choice(fields, "verifier", tuple(VERIFIERS), default_verifier)
    if has_tags(thought) and (problem := tag_problem(thought)):
        raise Refused("thought", "broken markup", f"in thought, {problem}", thought)
    steps = split(thought, defaults.splitting)
    facts = [
        {"step_idx": step_idx, "expression": annotation.expression, "value": annotation.value}
        for step_idx, annotation in zip(_step_idxs(steps, annotations), annotations, strict=True)
    ]
    return {
        "seed_id": seed_id,
        "source": optional_text(fields, "source", defaults.source, n),
        "license": optional_text(fields, "license", defaults.license, n),
        "domain": domain,
        "question": question,
        "thought": thought,
        "steps": steps,
        "factors": _factors(steps, {cast(int, fact["step_idx"]) for fact in facts}),
        "answer": answer,
        "verifier": verifier,
        "criteria": criteria_of(fields, verifier, n),
        "facts": facts,
        "meta": meta_of(fields),
    }


def _factors(steps: Sequence[str], calculating: Collection[int]) -> list[str]:
    """Per step: its own tag, else ``Compute`` if it holds a calculation, else ``Other``."""
    return [
        str(Factor.COMPUTE if i in calculating and not has_tags(step) else factor_of(step))
        for i, step in enumerate(steps)
    ]


def _step_idxs(steps: Sequence[str], annotations: Iterable[Annotation]) -> list[int]:
    """Per annotation, the step that holds its offset; the end of the thought is its last step's."""
    ends = list(accumulate(map(len, steps)))
    return [min(bisect_right(ends, a.offset), len(steps) - 1) for a in annotations]


def _answer(fields: Fields, max_chars: int) -> str:
    value = fields.get("answer")
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _number(value, "answer")
    return text_of(fields, "answer", max_chars).strip()


def _number(value: int | float | Decimal, name: str) -> str:
    try:
        if math.isfinite(value):
            return str(value)
    except (OverflowError, ValueError):  # too large for a float, or too many digits to print
        pass
    raise Refused(
        name, "unusable number", f"{name} is no number that can be written out; quote it as text"
    )


def _choice(fields: Fields, name: str, allowed: Sequence[str], default: str) -> str:
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or value not in allowed:
        is_own = isinstance(value, str) and value.startswith(OWN_VERIFIER)
        raise Refused(
            name,
            f"unknown {name}",
            f"{name} is {preview(value, 40)!r}; use one of {', '.join(allowed)}, "
            f"{'name it in seeds.verifiers, ' if is_own else ''}or leave the column out with "
            f"mapping={{{name!r}: ''}}",
            value,
        )
    return value


def refuse_shared_ids(seeds: pl.DataFrame, code_seeds: pl.DataFrame) -> None:
    """Seeds and code seeds must not share ids: everything that grows from them is told apart so.

    Raises:
        SeedError: if they do; names the first shared id.
    """
    shared = seeds.join(code_seeds, on="seed_id", how="semi")["seed_id"]
    if len(shared):
        raise SeedError(
            f"{len(shared)} ids are used by a seed and by a code seed, first {shared[0]!r}; give "
            "the rows of one of the two sources other seed_ids"
        )
