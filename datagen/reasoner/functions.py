"""The embedded reasoner's second world: small Python functions, told in English.

A function is data first (its normalised code) and English second, like a word problem. A part of
all functions, told by a hash of what they compute, is never trained on: see :func:`is_unseen`.
"""

import ast
import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

MAX_VALUE: Final = 400
_HELD_OUT: Final = 8
"""One function in so many is never trained on."""

_NAMES: Final = ("f", "g", "solve", "score", "work", "total_of", "measure", "process")
_LISTS: Final = ("xs", "nums", "values", "items")
_ITEMS: Final = ("x", "v", "num", "item")
_SUMS: Final = ("total", "result", "acc", "out")
_NUMBERS: Final = ("n", "m", "number")


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the world.

    Attributes:
        name: what it is called.
        code: its source, normalised.
        question: what is asked for, with one or two examples.
        calls: the examples of the question first, then further calls; 7 or more.
        results: what each of the calls returns.
        kind: what it computes, without any names.
    """

    name: str
    code: str
    question: str
    calls: tuple[str, ...]
    results: tuple[Any, ...]
    kind: str

    @property
    def tests(self) -> str:
        """One assertion a line."""
        told = zip(self.calls, self.results, strict=True)
        return "\n".join(f"assert {call} == {result!r}" for call, result in told)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A function before its names and its English are settled; ``{f} {xs} {x} {t} {n}`` are names.

    Attributes:
        code: its source.
        told: what it does.
        vague: the same with a number left open that the examples tell; ``None`` without one.
        draw: makes the arguments of one call, small ones for an example.
    """

    code: str
    told: str
    vague: str | None
    draw: Callable[[random.Random, bool], tuple[Any, ...]]


def is_unseen(kind: str) -> bool:
    """Whether functions of this kind are kept out of training."""
    return hashlib.sha256(kind.encode()).digest()[0] % _HELD_OUT == 0


def draw_function(rng: random.Random, *, unseen: bool = False) -> Function:
    """Draw a function, of those that training sees or of the others."""
    while True:
        draft = rng.choice(_SHAPES)(rng)
        if is_unseen(draft.code) == unseen and (made := _settled(draft, rng)):
            return made


def _settled(draft: _Draft, rng: random.Random) -> Function | None:
    """The draft with names, English and calls; ``None`` if its values are dull or too large."""
    names = {
        "f": rng.choice(_NAMES), "xs": rng.choice(_LISTS), "x": rng.choice(_ITEMS),
        "t": rng.choice(_SUMS), "n": rng.choice(_NUMBERS),
    }  # fmt: skip
    code = ast.unparse(ast.parse(draft.code.format(**names)))
    space: dict[str, Any] = {}
    exec(compile(code, "<world>", "exec"), space)
    run = space[names["f"]]
    drawn: dict[str, Any] = {}
    for _ in range(40):
        arguments = draft.draw(rng, len(drawn) < 2)
        call = f"{names['f']}({', '.join(map(repr, arguments))})"
        drawn.setdefault(call, run(*arguments))
        if len(drawn) == 8:
            break
    flat = [v for r in drawn.values() for v in (r if isinstance(r, list) else [r])]
    if len(drawn) < 7 or len({repr(r) for r in drawn.values()}) < 4:
        return None
    if any(abs(v) > MAX_VALUE for v in flat):
        return None
    parameters = ast.unparse(ast.parse(code).body[0].args)  # pyright: ignore
    calls = list(drawn)
    open_number = draft.vague is not None and rng.random() < 0.35
    told = (draft.vague if open_number else draft.told) or draft.told
    told = told.format(**names)
    n_examples = 2 if open_number or rng.random() < 0.5 else 1
    examples = [f"{call} returns {drawn[call]!r}" for call in calls[:n_examples]]
    question = (
        f"Write a function {names['f']}({parameters}) that {told}. "
        f"For example, {' and '.join(examples)}."
    )
    return Function(
        names["f"], code, question, tuple(calls), tuple(drawn[c] for c in calls), draft.code
    )


def _numbers(rng: random.Random, small: bool) -> tuple[list[int]]:
    """A list: two to four numbers for an example, none to six for a test."""
    n = rng.randint(2, 4) if small else rng.randint(0, 6)
    return ([rng.randint(1, 12) if small else rng.randint(-5, 20) for _ in range(n)],)


def _number(low: int, high: int) -> Callable[[random.Random, bool], tuple[int]]:
    return lambda rng, small: (rng.randint(low, (low + 2 * high) // 3 if small else high),)


def _condition(rng: random.Random, item: str) -> tuple[str, str]:
    """A test of one item, in code and in English (of several items)."""
    k = rng.randint(2, 9)
    return rng.choice(
        (
            (f"{item} % 2 == 0", "even"),
            (f"{item} % 2 == 1", "odd"),
            (f"{item} % {3 + k % 3} == 0", f"divisible by {3 + k % 3}"),
            (f"{item} > {k}", f"greater than {k}"),
            (f"{item} < {k}", f"less than {k}"),
            (f"{item} >= {k}", f"at least {k}"),
            (f"{item} != {k}", f"different from {k}"),
        )
    )


def _mapped(rng: random.Random, item: str) -> tuple[str, str]:
    """What is made of one item, in code and in English."""
    k = rng.randint(2, 5)
    return rng.choice(
        (
            (item, "{it}"),
            (item, "{it}"),
            (f"{item} * {item}", "the square of {it}"),
            (f"{item} * {k}", f"{k} times {{it}}"),
            (f"{item} + {k}", f"{{it}} plus {k}"),
            (f"{item} - {k}", f"{{it}} minus {k}"),
            (f"{item} % {k + 1}", f"the remainder of {{it}} by {k + 1}"),
            (f"{item} // {k}", f"{{it}} divided by {k} rounded down"),
        )
    )


def _finish(rng: random.Random) -> tuple[str, str, str]:
    """A last change of the result: code, English, and English with its number left open."""
    k = rng.randint(2, 9)
    return rng.choice(
        (
            ("", "", ""),
            ("", "", ""),
            (f"    {{t}} = {{t}} + {k}\n", f" and then adds {k}", " and then adds a fixed number"),
            (f"    {{t}} = {{t}} - {k}\n", f" and then takes {k} away",
             " and then takes a fixed number away"),
            (f"    {{t}} = {{t}} * {k % 4 + 2}\n", f" and then multiplies by {k % 4 + 2}",
             " and then multiplies by a fixed number"),
            (f"    {{t}} = {{t}} % {k + 3}\n", f" and then takes the remainder by {k + 3}", ""),
        )
    )  # fmt: skip


def _scan(rng: random.Random) -> _Draft:
    """A walk over a list: sum, count, largest, or a new list."""
    test, which = _condition(rng, "{x}") if rng.random() < 0.75 else ("", "")
    value, mapped = _mapped(rng, "{x}")
    end, after, vague = _finish(rng)
    head = "def {f}({xs}):\n"
    each = f"each {which} number" if test and which in ("even", "odd") else (
        f"each number that is {which}" if test else "each number"
    )  # fmt: skip
    made = mapped.format(it=each)
    start = "0"
    match rng.choice(("sum", "sum", "count", "largest", "list")):
        case "sum":
            body, told = [f"{{t}} += {value}"], f"adds up {made} in {{xs}}"
        case "count":
            if not test:
                test, which = _condition(rng, "{x}")
                each = f"each number that is {which}"
            body, told = ["{t} += 1"], f"counts {each} in {{xs}}"
        case "largest":
            start = str(rng.choice((0, 1, 3)))
            body = [f"if {value} > {{t}}:", f"    {{t}} = {value}"]
            told = f"finds the largest of {made} in {{xs}}, but at least {start}"
        case _:
            start, end, after, vague = "[]", "", "", ""
            body, told = [f"{{t}}.append({value})"], f"lists {made} in {{xs}}"
    inner = [f"if {test}:", *(f"    {line}" for line in body)] if test else body
    loop = "".join(f"        {line}\n" for line in inner)
    code = f"{head}    {{t}} = {start}\n    for {{x}} in {{xs}}:\n{loop}{end}    return {{t}}\n"
    return _Draft(code, told + after, told + vague if vague else None, _numbers)


def _digits(rng: random.Random) -> _Draft:
    """A walk over the digits of a number."""
    test, which = _condition(rng, "{x}") if rng.random() < 0.5 else ("", "")
    value, mapped = _mapped(rng, "{x}") if rng.random() < 0.7 else ("1", "")
    end, after, vague = _finish(rng)
    each = f"each digit that is {which}" if test else "each digit"
    told = f"adds up {mapped.format(it=each)} of {{n}}" if mapped else f"counts {each} of {{n}}"
    line = f"        if {test}:\n            {{t}} += {value}\n" if test else (
        f"        {{t}} += {value}\n"
    )  # fmt: skip
    code = (
        "def {f}({n}):\n    {t} = 0\n    while {n} > 0:\n        {x} = {n} % 10\n"
        f"{line}        {{n}} = {{n}} // 10\n{end}    return {{t}}\n"
    )
    return _Draft(code, told + after, told + vague if vague else None, _number(10, 9999))


def _steps(rng: random.Random) -> _Draft:
    """A number that shrinks step by step, and how many steps it takes."""
    k, stop = rng.randint(2, 4), rng.randint(1, 6)
    less, low = rng.randint(3, 9), stop
    how, told, high = rng.choice(
        (
            (f"{{n}} = {{n}} // {k}", f"divide {{n}} by {k} rounding down", 300),
            (f"{{n}} = {{n}} - {less}", f"take {less} from {{n}}", 6 * less),
        )
    )
    lines = [how]
    if rng.random() < 0.4:
        lines = ["if {n} % 2 == 0:", "    {n} = {n} // 2", "else:", f"    {{n}} = {{n}} - {less}"]
        told, high = f"halve {{n}} if it is even and else take {less} from it", 60
    counted = rng.random() < 0.6
    lines.append("{t} += 1" if counted else "{t} += {n}")
    goal = "counts the steps" if counted else "adds up all new values of {n}"
    end, after, vague = _finish(rng)
    body = "".join(f"        {line}\n" for line in lines)
    code = (
        f"def {{f}}({{n}}):\n    {{t}} = 0\n    while {{n}} > {stop}:\n{body}{end}"
        "    return {t}\n"
    )
    told = f"{goal} as long as {{n}} is above {stop} and each step is to {told}"
    return _Draft(code, told + after, told + vague if vague else None, _number(low + 5, high))


def _branch(rng: random.Random) -> _Draft:
    """Arithmetic on two numbers with one decision."""
    k, limit, less, mod = (rng.randint(2, 6), rng.randint(10, 40), rng.randint(2, 9), 0)
    first, told = rng.choice(
        (
            (f"{{x}} * {k} + {{n}}", f"multiplies {{x}} by {k} and adds {{n}}"),
            (f"{{x}} + {{n}} * {k}", f"adds {k} times {{n}} to {{x}}"),
            ("{x} * {n}", "multiplies {x} by {n}"),
            (f"{{x}} + {{n}} + {k}", f"adds {{x}}, {{n}} and {k}"),
        )
    )
    mod = rng.randint(5, 12)
    then, what = rng.choice(
        (
            (f"{{t}} = {{t}} - {less}", f"takes {less} from that"),
            (f"{{t}} = {{t}} // {k}", f"divides that by {k} rounding down"),
            (f"{{t}} = {{t}} % {mod}", f"takes its remainder by {mod}"),
        )
    )
    end, after, vague = _finish(rng)
    code = (
        f"def {{f}}({{x}}, {{n}}):\n    {{t}} = {first}\n    if {{t}} > {limit}:\n        {then}\n"
        f"{end}    return {{t}}\n"
    )
    told = f"{told}, {what} if it is above {limit}"
    return _Draft(
        code,
        told + after,
        told + vague if vague else None,
        lambda rng, small: (rng.randint(1, 12), rng.randint(1, 12)),
    )


def _recursion(rng: random.Random) -> _Draft:
    """A function that calls itself with a smaller number."""
    step, base = rng.randint(1, 4), rng.randint(0, 5)
    value, told = rng.choice(
        (
            ("{n} + {f}({n} - %d)", "{n} plus the result for {n} minus %d"),
            (f"{rng.randint(2, 3)} * {{f}}({{n}} - %d) + 1", ""),
            (f"{{f}}({{n}} - %d) + {base + 2}", f"{base + 2} plus the result for {{n}} minus %d"),
            ("{f}({n} - %d) - {n}", "the result for {n} minus %d, less {n}"),
        )
    )
    if not told:
        told = f"{value[0]} times the result for {{n}} minus %d, plus 1"
        step = max(step, 3)
    limit = rng.randint(0, 3)
    code = (
        f"def {{f}}({{n}}):\n    if {{n}} <= {limit}:\n        return {base}\n"
        f"    return {value % step}\n"
    )
    told = f"gives {base} if {{n}} is at most {limit} and else {told % step}"
    high = limit + 5 * step
    return _Draft(
        code,
        told,
        None,
        lambda rng, small: (rng.randint(limit + 1, limit + 3 * step) if small
                            else rng.randint(limit - 2, high),),
    )  # fmt: skip


_SHAPES: Final[tuple[Callable[[random.Random], _Draft], ...]] = (
    _scan, _scan, _scan, _digits, _steps, _branch, _recursion,
)  # fmt: skip


def unseen_functions(n: int, *, seed: int) -> Iterator[Function]:
    """``n`` functions of different kinds that training never sees."""
    rng = random.Random(seed)
    kinds: set[str] = set()
    while len(kinds) < n:
        function = draw_function(rng, unseen=True)
        if function.kind not in kinds:
            kinds.add(function.kind)
            yield function
