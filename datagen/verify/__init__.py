"""Verification: is a completion's final answer the gold answer?

Nothing here loads a computer-algebra system into the calling process: plain numbers never need
one, and the rest is compared in child processes that can be killed. Answers that are code are run
in a sandbox, which opens when the first of them is judged.
"""

from collections.abc import Callable, Mapping
from typing import Final

from datagen.errors import ConfigError
from datagen.own_code import load_own_function
from datagen.verify.command import CommandVerifier
from datagen.verify.extract import Extraction, extract_answer
from datagen.verify.math import MathVerifier
from datagen.verify.numeric import numeric
from datagen.verify.own import OwnVerifier
from datagen.verify.programs import (
    extract_call,
    extract_literal,
    extract_program,
    extract_text,
    extract_visible,
)
from datagen.verify.python_tests import PythonVerifier
from datagen.verify.python_values import PythonInputVerifier, python_output
from datagen.verify.rubric import rubric
from datagen.verify.text import choice, exact
from datagen.verify.verdict import GoldReader, Outcome, Verdict, Verifier
from schemas import OWN_VERIFIER

__all__ = [
    "VERIFIERS",
    "Extraction",
    "MathVerifier",
    "Outcome",
    "Verdict",
    "Verifier",
    "choice",
    "exact",
    "extract_answer",
    "gold_is_parseable",
    "numeric",
    "use_verifiers",
    "verify_completion",
]

_MATH: Final = MathVerifier()

VERIFIERS: Final[dict[str, Verifier]] = {
    "math": _MATH,
    "exact": exact,
    "choice": choice,
    "numeric": numeric,
    "python": PythonVerifier(),
    "python_output": python_output,
    "python_input": PythonInputVerifier(),
    "command": CommandVerifier(),
    "rubric": rubric,
}
"""Every verifier by the name that seeds carry, with those that :func:`use_verifiers` was given."""

_EXTRACTORS: Final[dict[str, Callable[[str], Extraction | None]]] = {
    "python": extract_program,
    "python_output": extract_literal,
    "python_input": extract_call,
    "command": extract_text,
    "rubric": extract_visible,
}
"""How a verifier's answers are found, where that is not :func:`extract_answer`."""


def use_verifiers(own: Mapping[str, str]) -> None:
    """Make verifiers of the user's own known to this process, in place of earlier ones.

    A run does so by itself, from ``seeds.verifiers``. Whoever rewards with ``own:`` verifiers
    outside of a run calls it first.

    Args:
        own: name → ``"module:name"`` of a function, see :class:`~datagen.verify.own.OwnVerifier`.
            Seeds name it as ``own:name``.

    Raises:
        ConfigError: if one cannot be imported, or does not take answer and gold.
    """
    found = {
        f"{OWN_VERIFIER}{name}": OwnVerifier(
            f"{OWN_VERIFIER}{name}",
            load_own_function(f"seeds.verifiers.{name}", reference, "answer", "gold"),
        )
        for name, reference in own.items()
    }
    VERIFIERS.update(found)
    for name in [name for name in VERIFIERS if name.startswith(OWN_VERIFIER)]:
        if name not in found:
            del VERIFIERS[name]


def _verifier(name: str) -> Verifier:
    try:
        return VERIFIERS[name]
    except KeyError:
        choices = ", ".join(map(repr, VERIFIERS))
        own = (
            "; name your own in seeds.verifiers of the settings, and outside of a run call "
            "datagen.verify.use_verifiers first"
            if name.startswith(OWN_VERIFIER)
            else ""
        )
        raise ConfigError(f"unknown verifier {name!r}; choose one of {choices}{own}") from None


def verify_completion(text: str, gold: str, *, verifier: str, finished: bool = True) -> Verdict:
    """Find the final answer in a completion and judge it.

    Args:
        text: everything that the model wrote after the question, as markup or as prose.
        gold: the expected answer.
        verifier: a key of :data:`VERIFIERS`.
        finished: whether the model ended by itself. If it ran out of tokens, an answer that the
            text does not show to be complete (``#### 7`` at its very end) is not believed.

    Returns:
        The verifier's verdict on the answer; without one, ``truncated`` for an unfinished
        completion and ``unverifiable`` for a finished one.

    Raises:
        ConfigError: if there is no such verifier.
    """
    judge = _verifier(verifier)
    found = _EXTRACTORS.get(verifier, extract_answer)(text)
    if not finished and (found is None or not found.closed):
        why = "before an answer" if found is None else "within the answer, or right after it"
        return Verdict(Outcome.TRUNCATED, None, f"the completion was cut off {why}")
    if found is None:
        return Verdict(Outcome.UNVERIFIABLE, None, "no answer found")
    return judge(found.answer, gold)


def gold_is_parseable(gold: str, *, verifier: str = "math") -> bool:
    """Whether answers can be judged against ``gold`` at all; for curation, before any rollout.

    Raises:
        ConfigError: if there is no such verifier.
    """
    judge = _verifier(verifier)
    if isinstance(judge, GoldReader):
        return judge.gold_is_parseable(gold)
    return judge(gold, gold).outcome is Outcome.CORRECT
