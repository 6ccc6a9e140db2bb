r"""Expressions that are not plain numbers, compared by math-verify in a child process.

Answers are rewritten before they are sent, because the LaTeX parser reads what it does not know as
a product of letters (``even`` as e·v·e·n, ``18 dollars`` as 18·d·o·l·l·a·r·s) and then compares
confidently; and they are screened, because the cheapest way to survive ``9^{9^{9^9}}`` is not to
start.
"""

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Final

from datagen.verify.notation import plain
from datagen.verify.units import KNOWN_UNITS
from datagen.verify.worker_pool import WorkerPool

MAX_LENGTH: Final = 1_000
"""Longest expression that is sent to the algebra system, in characters."""

_MAX_DEPTH: Final = 40
_HUGE: Final = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (r"\^\s?\{?\s?-?[0-9]{5,}", "an exponent of five digits or more"),
        (r"[0-9]{5,}\s?\}?\)?\s?!|!\s?!", "a huge factorial"),
        (r"[0-9]\s?[})]?\s?\^\s?\{?\s?\(?\s?-?[0-9]+\s?\^", "a tower of powers"),
        (r"[0-9]{400}", "a number of hundreds of digits"),
    )
)
# '\log_2 8' is fine; '1 8' would be read as 9 by the library.
_SIDE_BY_SIDE = re.compile(r"(?<![_^0-9.])[0-9.]+\s+[0-9.]")

_SYMBOLS: Final = str.maketrans(
    {
        "π": r"\pi ",
        "θ": r"\theta ",
        "∞": r"\infty ",
        "×": r"\times ",
        "·": r"\cdot ",
        "⋅": r"\cdot ",
        "÷": "/",
        "−": "-",
        "–": "-",
        "≤": r"\le ",
        "≥": r"\ge ",
        "≠": r"\ne ",
        "±": r"\pm ",
        "∪": r"\cup ",
        "∩": r"\cap ",
        "∈": r"\in ",
        "∅": r"\emptyset ",
        "°": r"^{\circ}",
        "²": "^{2}",
        "³": "^{3}",
        "⁴": "^{4}",
        "ⁿ": "^{n}",
        "$": "",
        "\xa0": " ",
    }
)
_ASCII: Final = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"√\s?\(([^()]*)\)|(?<!\\)(?<![A-Za-z])sqrt\s?\(([^()]*)\)", r"\\sqrt{\1\2}"),
        (r"√\s?([0-9]+|[A-Za-z])", r"\\sqrt{\1}"),
        (r"\*\*", "^"),
        (r"\*", r"\\cdot "),
        (r"(?<![\\A-Za-z])(pi|sin|cos|tan|log|ln|exp)(?![A-Za-z])", r"\\\1 "),
        (r"(?<![\\A-Za-z])(?:infinity|inf|oo)(?![A-Za-z])", r"\\infty "),
        (r"\^\(([^()]*)\)", r"^{\1}"),
        (r"<=", r"\\le "),
        (r">=", r"\\ge "),
        (r"!=", r"\\ne "),
    )
)
_UNIT_BEHIND = re.compile(
    r"\s+(?:square |sq\.? |cubic )?(?:"
    # One letter may as well be a variable.
    + "|".join(sorted((re.escape(u) for u in KNOWN_UNITS if len(u) > 1), key=len, reverse=True))
    + r")(?:\s?\^\s?\{?[23]\}?)?$"
)
_WORDS = re.compile(
    r"(?<![\\A-Za-z])(?!(?:sin|cos|tan|log|exp|sqrt|and|max|min|gcd|lcm|mod|inf|infinity)(?![A-Za-z]))"
    r"(?:[A-Za-z]{3,}|[AaPp]\.?[Mm](?![A-Za-z]))"
)


def has_words(text: str) -> bool:
    """Whether plain text holds words of a language, so that it is no formula."""
    # Names of environments and their column specifications are TeX, not words.
    text = re.sub(r"\\(?:begin|end)\{[A-Za-z]+\*?\}(?:\{[lcr|]+\})?", " ", text)
    return _WORDS.search(_UNIT_BEHIND.sub("", plain(text))) is not None


def to_latex(text: str) -> str:
    """Rewrite Unicode and ASCII mathematics as the LaTeX that the parser knows."""
    text = text.translate(_SYMBOLS)
    for pattern, replacement in _ASCII:
        text = pattern.sub(replacement, text)
    return _UNIT_BEHIND.sub("", text.strip())


def refusal(text: str) -> str | None:
    """Why an expression is not sent to the algebra system; ``None`` if it may be."""
    if len(text) > MAX_LENGTH:
        return f"it is {len(text)} characters long, more than {MAX_LENGTH}"
    depth = deepest = 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        deepest = max(deepest, depth)
    if deepest > _MAX_DEPTH:
        return f"its brackets nest deeper than {_MAX_DEPTH}"
    for pattern, reason in _HUGE:
        if pattern.search(text):
            return f"it holds {reason}"
    if _SIDE_BY_SIDE.search(plain(text)):
        return "it holds two numbers side by side"
    return None


class Algebra:
    """The algebra system behind a time limit, with its answers cached."""

    def __init__(self, *, limit_s: float = 5.0, n_workers: int | None = None) -> None:
        """Describe the child processes; none starts before the first question.

        Args:
            limit_s: wall-clock seconds for one comparison.
            n_workers: child processes at most; four, or fewer on a small machine, if not given.
        """
        self.limit_s = limit_s
        self._pool = WorkerPool(
            Path(__file__).with_name("sympy_worker.py"),
            size=n_workers or min(4, os.cpu_count() or 1),
            limit_s=limit_s,
        )
        # Rollouts of one question repeat the same few answers; a hostile one must cost its
        # time limit once, not once per rollout.
        self._cached = lru_cache(maxsize=16_384)(self._ask)

    def _ask(self, gold: str, answer: str | None) -> str:
        request = {"gold": gold} if answer is None else {"gold": gold, "answer": answer}
        reply = self._pool.ask(request)
        return reply if isinstance(reply, str) else str(reply.get("state"))

    def parses(self, gold: str) -> bool:
        """Whether a gold answer can be read at all."""
        return refusal(gold) is None and self._cached(to_latex(gold), None) == "parsed"

    def compare(self, gold: str, answer: str) -> str:
        """Compare two undressed expressions.

        Returns:
            ``equal``, ``different``, ``bad_gold``, ``bad_answer``, ``timeout``, ``died`` or
            ``error``.
        """
        return self._cached(to_latex(gold), to_latex(answer))

    def close(self) -> None:
        """End the idle child processes."""
        self._pool.close()
