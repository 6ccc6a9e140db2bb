"""Tells a run of a function as the thought of somebody who has yet to write it; no model needed.

The narrator is the baseline of back-translation and the text that the embedded reasoner learns from
(CodeI/O and SemCoder's monologues are the published relatives; theirs are written by a model).
Everything that it says of values is read off the execution, in phrases that
:mod:`datagen.code.claims` reads back, so whatever does not check is a bug in one of the two.
"""

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from datagen.code.execution import Execution, function_of
from datagen.code.happenings import Happening, equations, happenings, outcome
from datagen.code.plan import plan_of
from datagen.factors.taxonomy import Factor
from datagen.traces.model import Step

_ORDINALS: Final = (
    *("first", "second", "third", "fourth", "fifth", "sixth"),
    *("seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"),
)
_ASKED = re.compile(
    r"^(?:please\s+|your task is to\s+)?(?:write|create|implement|define|develop)\s+(?:an?|the)\s+"
    r"(?:python\s+)?(?:function|method|program)"
    r"(?:\s+`?\w+`?\s*\((?:[^()]|\([^()]*\))*\)`?)?\s+(that|which|to|for)\s+",
    re.IGNORECASE,
)
_DESCRIBED = re.compile(r"^(?:this|the|your)\s+(?:function|method|program)\s+", re.IGNORECASE)
_SIGNATURE = re.compile(r"^\s*(?:from\s.*|import\s.*|@.*|(?:async\s+)?def\s.*|class\s.*|```.*)$")


@dataclass(frozen=True, slots=True)
class NarratorStyle:
    """What a narration holds besides the plan and the run.

    Attributes:
        restate: whether it opens with the goal.
        n_givens: how many examples it lists; none if the question holds none.
        one_plan: whether the plan is one step, not one step per statement.
    """

    restate: bool = True
    n_givens: int = 2
    one_plan: bool = False


def narrate(
    question: str,
    executions: Sequence[Execution],
    *,
    entry_point: str,
    style: NarratorStyle = NarratorStyle(),
) -> tuple[Step, ...]:
    """A hidden chain of thought about the function that ``executions`` ran.

    Args:
        question: what is asked for.
        executions: the first is walked through; further ones are known examples.
        entry_point: the function's name.
        style: what to leave out.

    Returns:
        Steps of provenance ``code``; none if there is no execution.
    """
    if not executions:
        return ()
    told = _tell(question, executions, entry_point, style)
    return tuple(Step(text, factor, "code") for text, factor in told)


def _tell(
    question: str, executions: Sequence[Execution], entry_point: str, style: NarratorStyle
) -> Iterator[tuple[str, Factor]]:
    shown = executions[0]
    function = function_of(shown.code, entry_point)
    if style.restate:
        given = "" if function is None else ", ".join(_parameters(function.args))
        yield f"we need {entry_point}({given}){goal_of(question)}", Factor.RESTATE_GOAL
    # Only what the question tells is given; a run of anything else is found out by thinking.
    asked = _squeezed(question)
    told = [e for e in executions if _squeezed(e.call) in asked][: style.n_givens]
    if examples := [text for text in map(outcome, told) if text]:
        yield "; ".join(examples), Factor.EXTRACT_GIVENS
    plan = plan_of(function) if function else ()
    for phrase in ("; ".join(plan),) if style.one_plan and plan else plan:
        yield phrase, Factor.PLAN
    if function and (function.args.vararg or function.args.kwarg):
        yield f"take {shown.call}", Factor.TRY_EXAMPLE
    elif arguments := equations(shown.arguments):
        yield f"take {arguments}", Factor.TRY_EXAMPLE
    for idx, happening in enumerate(happenings(shown)):
        yield _phrase(happening, first=idx == 0), Factor.SIMULATE_EXECUTION
    if result := outcome(shown):
        yield f"so {result}", Factor.CHECK_RESULT


def _parameters(args: ast.arguments) -> list[str]:
    names = [arg.arg for arg in (*args.posonlyargs, *args.args)]
    names += [f"*{args.vararg.arg}"] if args.vararg else []
    names += [arg.arg for arg in args.kwonlyargs]
    return names + ([f"**{args.kwarg.arg}"] if args.kwarg else [])


def _squeezed(text: str) -> str:
    """Text in which calls can be looked for, however they are spaced and quoted."""
    return "".join(text.split()).replace('"', "'")


def goal_of(question: str) -> str:
    """The first sentence of a question, to stand behind "we need f(x)"; without its markup."""
    prose = " ".join(
        line.strip().removeprefix('"""').removeprefix("'''").strip()
        for line in (_documentation(question) or question).splitlines()
        if not _SIGNATURE.match(line)
    )
    prose = " ".join(prose.split())
    sentence = re.split(r"(?<=[.!?])\s+(?=[A-Z>])|>>>|\"\"\"|'''", prose, maxsplit=1)[0]
    sentence = sentence.strip().rstrip(" .:")
    asked = _ASKED.match(sentence)
    if asked:
        return f" {asked.group(1)} {sentence[asked.end() :]}"
    if described := _DESCRIBED.match(sentence):
        return f" that {sentence[described.end() :]}"
    return f": {sentence}" if sentence else ""


def _documentation(question: str) -> str:
    """The docstring, if the question is the head of a function."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in the text of others
            nodes = ast.walk(ast.parse(question))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    documented = [ast.get_docstring(node) for node in nodes if isinstance(node, ast.FunctionDef)]
    return next((text for text in reversed(documented) if text), "")


def ordinal(number: int) -> str:
    """``number`` from 1 on as a word, e.g. ``third``; from 13 on in digits, e.g. ``13th``."""
    if number <= len(_ORDINALS):
        return _ORDINALS[number - 1]
    last = 0 if number % 100 in (11, 12, 13) else number % 10
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(last, 'th') }"


def _phrase(happening: Happening, *, first: bool) -> str:
    loop = "" if happening.loop is None else f" of the {ordinal(happening.loop + 1)} loop"
    match happening.kind:
        case "assigned":
            return f"{'at first' if first else 'now'} {equations(happening.state)}"
        case "loop":
            return f"{loop.removeprefix(' of ') or 'the loop'} runs {happening.number} times"
        case "iteration":
            which = "last" if happening.last else ordinal(happening.number)
            return f"after the {which} iteration{loop}, {equations(happening.state)}"
        case "call":
            return f"the inner call {happening.call} returns {happening.returned}"
