"""The verifier ``python``: code is right if the seed's tests pass in the sandbox."""

import json
from typing import Any

from datagen.verify.gold import read_gold
from datagen.verify.sandbox import default_sandbox
from datagen.verify.verdict import Verdict, correct, unverifiable, wrong


def _read(gold: str) -> dict[str, Any] | str:
    return read_gold(gold, required={"entry_point": str, "tests": str}, optional={"prelude": str})


def python_gold(*, entry_point: str, tests: str, prelude: str = "") -> str:
    """The gold answer of a seed with tests."""
    return json.dumps({"entry_point": entry_point, "tests": tests, "prelude": prelude})


class PythonVerifier:
    """Runs ``{"entry_point": …, "tests": …, "prelude": …}`` against the answer.

    Tests that fail, raise, or do not end are ``wrong``. Tests that decide nothing are
    ``unverifiable``, and so is an answer without code.
    """

    def __call__(self, answer_text: str, gold: str, /) -> Verdict:
        """Judge ``answer_text``, which is code alone."""
        fields = _read(gold)
        if isinstance(fields, str):
            return unverifiable(answer_text, fields)
        if not answer_text.strip():
            return unverifiable(answer_text, "there is no code")
        report = default_sandbox().run_tests(
            answer_text,
            tests=fields["tests"],
            entry_point=fields["entry_point"],
            prelude=fields.get("prelude", ""),
        )
        if report.passed:
            return correct(answer_text, f"the tests pass ({report.reason})")
        if report.state == "error":
            return unverifiable(answer_text, report.reason)
        return wrong(answer_text, report.reason)

    def gold_is_parseable(self, gold: str) -> bool:
        """Whether the gold answer is an object with the keys that are needed."""
        return not isinstance(_read(gold), str)
