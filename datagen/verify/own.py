"""A verifier of the user's own: a function of answer and gold that says yes, no, or neither.

Whatever it raises is ``unverifiable``: one answer that it did not foresee must not end a night's
run. It judges in the process that runs the searches, so one that does not come back stops them.
"""

from collections.abc import Callable
from typing import Any

from datagen.verify.verdict import (
    GoldReader,
    Outcome,
    Verdict,
    correct,
    shown,
    unverifiable,
    wrong,
)


class OwnVerifier:
    """Makes a verdict of what a function says.

    Args:
        name: of the verifier, for reasons.
        judge: takes answer and gold; says ``True``, ``False``, ``None`` for neither, or a whole
            verdict. If it has a function ``gold_is_parseable``, that tells usable golds, and else
            they are those that it accepts as their own answer.
    """

    def __init__(self, name: str, judge: Callable[[str, str], Any]) -> None:
        self._name, self._judge = name, judge

    def __call__(self, answer_text: str, gold: str, /) -> Verdict:
        """Judge ``answer_text``."""
        try:
            said = self._judge(answer_text, gold)
        except Exception as error:
            what = f"{type(error).__name__} {shown(' '.join(str(error).split()))}"
            return unverifiable(answer_text, f"{self._name} raised {what}")
        if isinstance(said, Verdict):
            return said
        if said is None:
            return unverifiable(answer_text, f"{self._name} cannot tell")
        if type(said).__name__ not in ("bool", "bool_"):  # NumPy has a type of its own
            what = shown(" ".join(repr(said).split()))
            return unverifiable(
                answer_text, f"{self._name} said {what}, which is not True, False, None or Verdict"
            )
        if said:
            return correct(answer_text, f"{self._name} accepts it")
        return wrong(answer_text, f"{self._name} does not accept it")

    def gold_is_parseable(self, gold: str) -> bool:
        """Whether answers can be judged against ``gold`` at all."""
        if isinstance(self._judge, GoldReader):
            try:
                return bool(self._judge.gold_is_parseable(gold))
            except Exception:
                return False
        return self(gold, gold).outcome is Outcome.CORRECT
