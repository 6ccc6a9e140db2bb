"""The code jobs in plain words, for a model that follows instructions.

Each task is one text in which a paragraph stands for every part that may be missing (a run, a
failed attempt, notes), and goes with it. So all words are in the dialect's fingerprint, and a
program is asked for in the same words with and without a thought.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from string import Formatter
from typing import Final

from datagen.engines.protocol import Chat, Completion, CompletionRequest, Message, Sampling, samples
from datagen.factors.taxonomy import ACTIONS, Factor
from datagen.prompts.code import ThoughtJob
from datagen.prompts.pieces import before_goodbye, parts, pieces_of
from datagen.prompts.reading import text_of
from datagen.prompts.sloppy import reply_of
from datagen.prompts.tag_lines import opening, render_steps, tags
from datagen.traces.model import Step
from datagen.verify.programs import extract_program, what_it_defines

_RULES: Final = """\
Begin with the first tag, and write nothing outside of the steps: no headings, no numbers before \
the tags, no bold face. These are the rules:

1. The thought comes before the program. Never speak of "the code", "the program", "the \
solution", "the implementation", a trace or a run, which do not exist yet for the person who \
thinks. Speak of what there is to do: "go through the numbers", "keep the largest so far".
2. Plan so clearly that somebody who knows only the question and the thought could write the same \
program: what it starts with, what is repeated and in which order, each condition, each special \
case, what is given back. Call function, parameters and variables by the names that they have in \
the program. Put plans as orders ("set total to 0"), in [Plan] steps.
3. Walk through at least one concrete example in [TryExample] and [SimulateExecution] steps, with \
the values on the way. State each value plainly, in one of these forms: "take xs = [3, 1], k = 2"; \
"at first total = 0"; "the loop runs 3 times"; "after the second iteration, total = 4"; "f([1, 2]) \
returns 3"; "4 + 16 = 20". Write values as Python does. Each such statement will be compared with \
a real run, so every value must be right: calculate with care, and leave out what is not certain. \
Of any other example say only what the call returns, such as "f([]) returns 0".
4. Write no program text: no fences and no lines of Python. A short expression such as x % 2 == 0 \
may stand in a sentence.
5. The last step is [Consolidate], which gathers the way to go in words, or [CheckResult], which \
checks the example. There is no [Answer] step.

An example. For the question "Write a function count_rises(xs) that counts how often a number is \
larger than the one before it." and the program

```python
def count_rises(xs):
    rises = 0
    for i in range(1, len(xs)):
        if xs[i] > xs[i - 1]:
            rises += 1
    return rises
```

the reply could be:

[RestateGoal] We need count_rises(xs): how many numbers are larger than their left neighbour.
[Deduce] The first number has no left neighbour, so comparing begins at index 1.
[Plan] Set rises to 0. Let i go from 1 to the last index. Where xs[i] is larger than xs[i - 1], \
add 1 to rises. In the end give back rises.
[TryExample] Take xs = [2, 5, 4, 7].
[SimulateExecution] At first rises = 0. After the first iteration, rises = 1, since 5 > 2.
[SimulateExecution] After the second iteration, rises = 1. After the third iteration, rises = 2.
[CheckResult] So count_rises([2, 5, 4, 7]) returns 2, and the rises are from 2 to 5 and from 4 to 7.
[Consolidate] Start with rises at 0, compare each number from index 1 on with its left neighbour, \
add 1 for each that is larger, and give back rises. With fewer than two numbers there is nothing \
to compare: count_rises([5]) returns 0.

Now your task.

Question:
{question}

Program:
{program}

A run of the program: the call, values as they came about, and the result. Take it as your \
example and cite its values as if they had been worked out by hand, without a word about the run:
{execution}

An earlier attempt at the thought:
{failed}

The earlier attempt failed, for the reasons below. Write the whole thought anew and make none of \
these mistakes again. Do not mention the earlier attempt: the reader has never seen it.
{reasons}

Write the thought now, as if the program had never been seen."""

# The rules name some factors, which a thought about code is written in whatever else is in use.
_TAGS: Final = "\n".join(
    f"{opening(factor)} {factor.definition}".replace("{", "{{").replace("}", "}}")
    for factor in Factor
    if factor is not Factor.ANSWER and (factor in ACTIONS or opening(factor) in _RULES)
)

THOUGHT_TASK: Final = (
    """\
At the end of this message are a question and a program that answers it. Think of the person who \
is going to write this program and has not begun: there is nothing yet but the question. Write \
down the hidden chain of thought by which this person finds the way that the program goes.

The thought is a list of steps. Each step begins on a new line with a tag, which is a name in \
square brackets that says what kind of step it is. A step holds one thought and may run over \
several lines. These are the tags:

"""
    + f"{_TAGS}\n\n"
    + _RULES
)
"""What a model is asked to write a thought; run, attempt and reasons are left out where missing."""

CODE_TASK: Final = """\
Write the Python program that the question below asks for. Name functions and parameters as the \
question does.

Question:
{question}

Notes of somebody who has thought about the question. Write the program that they lead to:
{notes}

Reply with nothing but the whole program, with its imports and all that it needs, in one block \
that begins with ```python and ends with ```. No explanation, no examples, no tests."""
"""What a model is asked to write a program; the notes are left out where there are none."""


_PROGRAM: Final = re.compile(
    r"^[ \t]*(?:`{3}|~{3}|(?:async[ \t]+)?def[ \t]+\w+[ \t]*\(|class[ \t]+\w+[^\n]{0,200}:[ \t]*$)",
    re.MULTILINE,
)
"""What betrays program text in an answer step."""


def thought_request(job: ThoughtJob, *, sampling: Sampling, sample_idx: int) -> CompletionRequest:
    """Ask for one sample of the thought; what failed is shown with the reasons, or not at all."""
    text = _filled(
        THOUGHT_TASK,
        question=job.question.strip(),
        program=_fenced(job.code),
        execution=job.execution.strip(),
        failed=render_steps(job.failed).strip() if job.reasons else "",
        reasons="\n".join(f"- {reason}" for reason in job.reasons),
    )
    return CompletionRequest(Chat((Message("user", text),)), sampling, sample_idx)


def read_thought(completion: Completion) -> tuple[Step, ...] | None:
    """The steps, however they were written down, without an answer step that holds code.

    What a model thinks before its reply is about the task and no part of it, unless the tags are
    there and not in the reply. ``None`` if there is no step, or the reply does not come to its end.
    """
    text = text_of(completion)
    thought, reply = parts(text)
    if completion.finish != "stop" or (thought is not None and thought[1] == len(text)):
        return None
    if thought is not None and not _has_tags(text[slice(*reply)]):
        reply = thought if _has_tags(text[slice(*thought)]) else reply
    steps = [piece.step for piece in pieces_of(text[slice(*reply)])[0]]
    kept = [s for s in steps if s.factor is not Factor.ANSWER or not _PROGRAM.search(s.text)]
    if not kept:
        return None
    return (*kept[:-1], replace(kept[-1], text=before_goodbye(kept[-1].text)))


def code_requests(
    question: str, thought: Sequence[Step], n: int, *, sampling: Sampling
) -> list[CompletionRequest]:
    """Ask ``n`` times for code, from question and thought alone."""
    notes = render_steps(thought).strip()
    text = _filled(CODE_TASK, question=question.strip(), notes=notes)
    return samples(Chat((Message("user", text),)), n, sampling=sampling)


def read_code(completion: Completion) -> str | None:
    """The code, from a fence or as all of the reply; ``None`` if it is no Python, or was cut off.

    A fence that was closed is believed whatever became of the words behind it.
    """
    found = extract_program(reply_of(text_of(completion)))
    if found is None or not (found.closed or completion.finish == "stop"):
        return None
    code = found.answer.strip("\r\n")
    return code if what_it_defines(code) else None


def _filled(task: str, **given: str) -> str:
    """The task with what is given, without the paragraphs of what is empty."""
    paragraphs = [
        paragraph
        for paragraph in task.split("\n\n")
        if all(given[name] for _, name, _, _ in Formatter().parse(paragraph) if name)
    ]
    return "\n\n".join(paragraphs).format(**given)


def _fenced(code: str) -> str:
    """Code in a fence that it cannot close."""
    longest = max(map(len, re.findall("`+", code)), default=0)
    fence, body = "`" * max(3, longest + 1), code.strip("\n")
    return f"{fence}python\n{body}\n{fence}"


def _has_tags(text: str) -> bool:
    return next(tags(text), None) is not None
