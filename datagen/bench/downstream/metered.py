"""A journal that counts what a stage had generated, whether it was generated now or before.

A run that goes on where it was stopped finds most answers here. Budgets must not depend on that, so
an answer counts when a stage is given it, and once only.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from datagen.engines.protocol import Answer, Completion, Request
from datagen.journal import Journal, journal_key


class MeteredJournal(Journal):
    """Counts the tokens of all completions that went through it since :meth:`restart`.

    Args:
        path: as of any journal.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self._n_tokens: dict[str, int] = {}

    def restart(self) -> None:
        """Count from 0 again."""
        self._n_tokens = {}

    @property
    def n_tokens(self) -> int:
        """Tokens of the distinct completions since then."""
        return sum(self._n_tokens.values())

    def look_up(self, keys: Sequence[str]) -> dict[str, Answer]:
        """As any journal, and count."""
        found = super().look_up(keys)
        self._count(found)
        return found

    def append(self, fingerprint: str, answered: Sequence[tuple[Request, Answer]]) -> None:
        """As any journal, and count."""
        super().append(fingerprint, answered)
        self._count({journal_key(fingerprint, request): answer for request, answer in answered})

    def _count(self, answers: Mapping[str, Answer]) -> None:
        for key, answer in answers.items():
            if isinstance(answer, Completion):
                self._n_tokens[key] = answer.n_tokens
