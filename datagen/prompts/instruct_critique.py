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
from datagen.prompts.reading import Opinion
from datagen.traces.model import Trace
from datagen.verify.notation import plain

TASK: Final = """\
Below are a question and a solution to it. The solution is cut into steps; each stands in a tag \
that carries its index, and the first index is 0.

Question:
{question}

Solution:
{steps}
{answer}
Go through the steps in order and say of each whether it is right, given the question and the \
steps before it. Calculate again what is calculated there. A step that is merely clumsy is not \
wrong, and a mistake that a later step takes back does not count. Stop at the earliest wrong step.

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
_QUOTATION_MARKS: Final = "\"'“”‘’«»`*_ \t"


def read_critique(text: str, trace: Trace) -> Opinion:
    """Read a reply to :func:`critique_prompt`; never raises. The reason is the whole of it.

    The last box counts, and without any box the last statement such as *first error: step 3*. A
    critique without a quotation is believed.
    """
    index = _index(text)
    if index is None or not -1 <= index < len(trace.steps):
        return Opinion(None, "", text)
    if index == -1:
        return Opinion(-1, "", text)
    quotes = _QUOTE.findall(text)
    quote = quotes[-1].rstrip(_QUOTATION_MARKS + ".…").strip(_QUOTATION_MARKS) if quotes else ""
    words = _canonical(quote)
    if words not in _canonical(trace.steps[index].text):
        return Opinion(None, "", text)
    return Opinion(index, quote, text)


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


def _canonical(text: str) -> str:
    """Text without what a model changes when it quotes: case, spacing, dress, an ellipsis."""
    text = re.sub(r"\.\.\.|…", " ", plain(text)).casefold()
    return re.sub(r"[\s\"'“”‘’*_]+", "", text)
