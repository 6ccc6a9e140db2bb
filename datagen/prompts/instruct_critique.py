r"""The critique job in plain words, for a model that follows instructions.

The form of the task is ProcessBench's (Zheng et al. 2024, arXiv 2412.06559, the prompt for critic
models in its appendix): the steps in numbered tags, a critique step by step, and at the end the
index of the earliest wrong step in ``\boxed{}``, -1 for none.

Added here is a quotation of that step. A model that counts wrong quotes the step that it means, so
a quotation that does not fit its index betrays a vote that would have named the wrong step.
"""

import re
from typing import Final

from datagen.engines.protocol import Chat, Message
from datagen.prompts.reading import Opinion, StepRemark
from datagen.traces.model import Trace
from datagen.verify.notation import plain
from schemas import StepVerdict

TASK: Final = """\
Below are a question and a solution to it. The solution is cut into steps; each stands in a tag \
that carries its index, and the first index is 0.

Question:
{question}

Solution:
{steps}
{answer}
Go through the steps in order and write one paragraph about each, in this form:

Step 0: what the step does, and why it is right or wrong, given the question and the steps before \
it. Verdict: holds

Calculate again what is calculated there. The verdict is one of holds, wrong, and repaired: a \
mistake that a later step takes back is repaired and does not count as wrong, and a step that is \
merely clumsy holds. Stop at the earliest wrong step.

End with two lines. The first repeats, word for word, how that step begins:
Quote: "the first words of the step"
The second is its index:
\\boxed{{index}}
If no step is wrong, leave out the quote and end with \\boxed{{-1}}.
"""
"""What a model is asked; the question, the steps and the answer go where the braces are."""


def critique_prompt(trace: Trace) -> Chat:
    """Ask for a critique of a whole trace."""
    steps = "\n".join(
        f"<step_{idx}>\n{step.text.strip()}\n</step_{idx}>" for idx, step in enumerate(trace.steps)
    )
    answer = "" if trace.answer is None else f"\nAnswer: {trace.answer.strip()}\n"
    text = TASK.format(question=trace.question.strip(), steps=steps, answer=answer)
    return Chat((Message("user", text),))


_INDEX: Final = (
    r"(?:\\text\s?\{)?\s*(?:<?/?\s*(?:step|index|paragraph)[\s_#:]*)?([-−–]?\s?[0-9]{1,6})"
)
_BOXED: Final = re.compile(rf"\\boxed\s?\{{\s*{_INDEX}\s*>?\s*\}}", re.IGNORECASE)
_BOX: Final = re.compile(r"\\boxed\s?\{")
_NAMED: Final = re.compile(
    r"(?:first|earliest)\s(?:(?:wrong|incorrect|erroneous|faulty)\s(?:step|index|paragraph)|"
    r"error|mistake)[^\n0-9]{0,40}?[\s_#:*]([-−–]?[0-9]{1,6})(?![0-9]|\.[0-9])",
    re.IGNORECASE,
)
_QUOTE: Final = re.compile(r"^[\s*_>-]{0,6}quote[\s*_]{0,4}:[ \t*_]*(.{1,2000})$", re.I | re.M)
_HEADING: Final = re.compile(
    r"^[ \t>#*_•+-]{0,8}<?(?:step|paragraph)[ \t_#*]{0,3}([0-9]{1,4})[ \t]*"
    r"(?:[*_]{0,3}[ \t]?[:.)>–—][*_]{0,3}|[*_]{1,3}|[ \t]-[ \t]|$)",
    re.IGNORECASE | re.MULTILINE,
)
_VERDICT: Final = re.compile(
    r"[*_(\[]{0,4}\bverdict[*_]{0,3}[ \t]?(?::|=|is\b)[*_ \t\"“'(\[]{0,4}"
    r"(holds|repaired|wrong|correct|right|incorrect)\b",
    re.IGNORECASE,
)
_VERDICTS: Final[dict[str, StepVerdict]] = {
    "holds": "holds",
    "correct": "holds",
    "right": "holds",
    "repaired": "repaired",
    "wrong": "wrong",
    "incorrect": "wrong",
}
_CLOSING_TAG: Final = re.compile(r"</(?:step|paragraph)_?[0-9]{0,4}>", re.IGNORECASE)
_QUOTATION_MARKS: Final = "\"'“”‘’«»`*_ \t"


def read_critique(text: str, trace: Trace) -> Opinion:
    """Read a reply to :func:`critique_prompt`; never raises. The reason is the whole of it.

    The last box counts, and without any box the last statement such as *first error: step 3*. A
    critique without a quotation is believed.
    """
    index = _index(text)
    if index is None or not -1 <= index < len(trace.steps):
        return Opinion(None, "", text)
    remarks = _remarks(text, len(trace.steps) if index == -1 else index + 1, index)
    if index == -1:
        return Opinion(-1, "", text, remarks)
    quotes = _QUOTE.findall(text)
    quote = quotes[-1].rstrip(_QUOTATION_MARKS + ".…").strip(_QUOTATION_MARKS) if quotes else ""
    words = _canonical(quote)
    if words not in _canonical(trace.steps[index].text):
        return Opinion(None, "", text)
    return Opinion(index, quote, text, remarks)


def _index(text: str) -> int | None:
    boxes = list(_BOX.finditer(text))
    if boxes:
        # A box that cannot be read is not made good by an earlier one.
        found = _BOXED.match(text, boxes[-1].start())
        digits = found[1] if found else None
    else:
        named = _NAMED.findall(text)
        digits = named[-1] if named else None
    return int(re.sub(r"[−–]", "-", digits).replace(" ", "")) if digits else None


def _remarks(text: str, n_steps: int, first_error: int) -> tuple[StepRemark, ...]:
    """The paragraphs on the first ``n_steps`` steps; none if one of them is missing or empty.

    A paragraph that does not end in a verdict has the one that the critique's end gives it.
    """
    found: list[re.Match[str]] = []
    for heading in _HEADING.finditer(text):
        # Anything else is a step that a paragraph speaks of.
        if int(heading[1]) == len(found):
            found.append(heading)
    if len(found) < n_steps or not n_steps:
        return ()
    ends = [*(heading.start() for heading in found[1:]), _end_of_remarks(text, found[-1].end())]
    remarks: list[StepRemark] = []
    for idx, (heading, end) in enumerate(list(zip(found, ends, strict=True))[:n_steps]):
        paragraph = text[heading.end() : end]
        stated = list(_VERDICT.finditer(paragraph))
        words = paragraph[: stated[-1].start()] if stated else paragraph
        implied: StepVerdict = "wrong" if idx == first_error else "holds"
        verdict = _VERDICTS[stated[-1][1].lower()] if stated else implied
        lines = _CLOSING_TAG.sub("", words).strip().split("\n")
        analysis = "\n".join(line.rstrip() for line in lines if line.strip())
        if not analysis:
            return ()
        remarks.append(StepRemark(idx, analysis, verdict))
    return tuple(remarks)


def _end_of_remarks(text: str, begin: int) -> int:
    """Where the two last lines begin that the task asks for, or the text ends."""
    quotes = [quote.start() for quote in _QUOTE.finditer(text, begin)]
    boxes = [box.start() for box in _BOX.finditer(text, begin)]
    ends = [*quotes[-1:], *(_line_start(text, begin, box) for box in boxes[-1:])]
    return min(ends, default=len(text))


def _line_start(text: str, begin: int, at: int) -> int:
    """Where the line of ``at`` begins; ``at`` itself on the line of ``begin``."""
    found = text.rfind("\n", begin, at)
    return at if found < 0 else found


def _canonical(text: str) -> str:
    """Text without what a model changes when it quotes: case, spacing, dress, an ellipsis."""
    text = re.sub(r"\.\.\.|…", " ", plain(text)).casefold()
    return re.sub(r"[\s\"'“”‘’*_]+", "", text)
