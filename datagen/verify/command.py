"""The verifier ``command``: any program decides, a compiler, a proof checker or a solver.

The program runs in the sandbox with the answer in a file. It judges by its exit status and, if the
gold answer asks for it, by what it prints, so one verifier serves every language.
"""

import re
from typing import Any, cast

from datagen.verify.boxes.programs import leads_out
from datagen.verify.gold import read_gold
from datagen.verify.sandbox import default_sandbox
from datagen.verify.verdict import Verdict, correct, shown, unverifiable, wrong


def _read(gold: str) -> dict[str, Any] | str:
    """The gold answer with its defaults, or what is wrong with it."""
    fields = read_gold(
        gold,
        required={"argv": list, "answer_file": str},
        optional={"files": dict, "expect_stdout": (str, type(None)), "expect_status": int},
    )
    if isinstance(fields, str):
        return fields
    defaults: dict[str, Any] = {"files": {}, "expect_stdout": None, "expect_status": 0}
    fields = defaults | fields
    argv, files = cast(list[Any], fields["argv"]), cast(dict[str, Any], fields["files"])
    if not argv or not all(isinstance(word, str) for word in argv):
        return "the gold answer's 'argv' is not a list of strings"
    if not all(isinstance(text, str) for text in files.values()):
        return "the gold answer's 'files' are not texts"
    for name in (*files, fields["answer_file"]):
        if leads_out(name):
            return f"the gold answer's file name {name!r} leads out of the folder"
    try:
        re.compile(fields["expect_stdout"] or "")
    except re.error as error:
        return f"the gold answer's 'expect_stdout' is no pattern: {error}"
    return fields


class CommandVerifier:
    """Runs ``{"argv": […], "files": {…}, "answer_file": …, "expect_stdout": …, …}``.

    ``argv`` and the texts of ``files`` are the seed's, and trusted to judge; ``expect_stdout`` is a
    pattern that must be found in what the program prints; ``expect_status`` is 0 unless given. A
    program that is not there decides nothing; one that does not end did not accept the answer. A
    program that *executes* the answer lets the answer choose its exit status, so give it something
    to print that the answer cannot know, or let it only read.
    """

    def __call__(self, answer_text: str, gold: str, /) -> Verdict:
        """Judge ``answer_text``, the content of the answer file."""
        fields = _read(gold)
        if isinstance(fields, str):
            return unverifiable(answer_text, fields)
        argv: list[str] = fields["argv"]
        files = {**fields["files"], fields["answer_file"]: answer_text}
        result = default_sandbox().run_command(argv, files=files)
        if result.state in ("missing", "error"):
            return unverifiable(answer_text, result.reason)
        if result.state == "timeout":
            return wrong(answer_text, result.reason)
        told = (result.stderr.strip() or result.stdout.strip()).split("\n")[0]
        if result.status != fields["expect_status"]:
            reason = f"{argv[0]} ended with {result.status}, not {fields['expect_status']}"
            return wrong(answer_text, f"{reason}: {shown(told)}" if told else reason)
        pattern: str | None = fields["expect_stdout"]
        if pattern is not None and not re.search(pattern, result.stdout):
            reason = f"{shown(pattern)} is not in the output {shown(result.stdout)}"
            return wrong(answer_text, reason)
        return correct(answer_text, f"{argv[0]} accepted it")

    def gold_is_parseable(self, gold: str) -> bool:
        """Whether the gold answer is an object with the keys that are needed."""
        return not isinstance(_read(gold), str)
