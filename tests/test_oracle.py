"""The oracle: dates and names the first mistake that a trace does not repair itself.

Cases are written as ``factor text -> verdict | factor text -> verdict``. The verdict ``ok`` means
ok and sound, ``ok, unsound`` that a true step stands in a state that cannot be trusted, and
anything else is the kind of mistake.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.factors.taxonomy import Factor
from datagen.reasoner.oracle import StepTruth, first_error, is_correct, judge_trace
from datagen.reasoner.thoughts import Temper, write_trace
from datagen.reasoner.world import Event, Problem, apply_sign, draw_problem
from datagen.traces.model import Step


def make_problem(start: int, *events: Event) -> Problem:
    return Problem("Tom", "apples", start, events, "How many apples does Tom have now?")


# 18 +7 25 -12 13 *3 39
TOM = make_problem(18, Event("add", 7), Event("take_groups", 6, 2), Event("multiply", 3))
# 20 /4 5 +5 10 +5 15
TWINS = make_problem(20, Event("divide", 4), Event("add", 5), Event("add", 5))

TO_25 = "Compute 18+7=25 -> ok"
TO_13 = f"{TO_25} | Compute 2*6=12 -> ok | Compute 25-12=13 -> ok"
TO_39 = f"{TO_13} | Compute 13*3=39 -> ok"

CASES: dict[str, tuple[Problem, str, int]] = {
    "a flawless thought": (
        TOM,
        "RestateGoal find how many apples Tom has at the end -> ok | "
        "ExtractGivens start 18; 7; 2x6; 3 -> ok | Plan add 7, take 2x6, times 3 -> ok | "
        f"{TO_25} | CheckStep 25-7=18, fits -> ok | "
        "Compute 6*2=12 -> ok | Compute 25-12=13 -> ok | CheckStep 13+12=25, fits -> ok | "
        "Compute 3*13=39 -> ok | CheckStep 39/3=13, fits -> ok | "
        "Consolidate so Tom has 39 apples -> ok | Answer 39 -> ok",
        -1,
    ),
    "no step at all": (TOM, "", -1),
    "an unfinished thought": (TOM, TO_25, -1),
    "a running result on the way": (TOM, f"{TO_25} | Consolidate so Tom has 25 apples -> ok", -1),
    "repeating the last event or its product": (
        TOM, f"{TO_13} | Compute 25-12=13 -> ok | Compute 2*6=12 -> ok | Compute 13*3=39 -> ok", -1,
    ),
    "another goal": (TOM, "RestateGoal how many books are left for Ann -> goal", 0),
    "a goal that names the item only": (TOM, "RestateGoal the number of apples -> ok", -1),
    "a goal set right by the first equation": (TOM, f"RestateGoal what now -> goal | {TO_25}", -1),
    "wrong givens": (TOM, "ExtractGivens start 18; 9; 2x6; 3 -> givens", 0),
    "a wrong plan set right": (TOM, f"Plan add 7, take 2x9, times 3 -> plan | {TO_25}", -1),
    "a product alone does not set givens right": (
        make_problem(5, Event("add_groups", 6, 2), Event("take", 3)),
        "ExtractGivens start 5; 2x8; 3 -> givens | Compute 2*6=12 -> ok, unsound | "
        "Compute 5+12=17 -> ok",
        -1,
    ),
    "wrong arithmetic, carried on": (
        TOM,
        "Compute 18+7=26 -> arithmetic | Compute 2*6=12 -> out_of_place | "
        "Compute 26-12=14 -> out_of_place | CheckStep 14+12=26, fits -> missed_error | "
        "Compute 14*3=41 -> arithmetic | Consolidate so Tom has 41 apples -> result | "
        "Answer 41 -> result",
        0,
    ),
    "wrong arithmetic, repaired": (
        TOM,
        "Compute 18+7=26 -> arithmetic | DetectError wait, 18+7 is not 26 -> ok, unsound | "
        "CorrectError 18+7=25 -> ok | Compute 2*6=12 -> ok",
        -1,
    ),
    "a repair of the wrong kind": (
        TOM,
        "Compute 18+7=26 -> arithmetic | DetectError wait -> ok, unsound | "
        "CorrectError 18+7=24 -> arithmetic",
        0,
    ),
    "a second mistake after a repaired one": (
        TOM,
        "Compute 18-7=11 -> operation | DetectError wait, it is +7 -> ok, unsound | "
        "CorrectError 18+7=25 -> ok | Compute 25-6=19 -> group | Compute 19*3=57 -> out_of_place",
        3,
    ),
    "another sign": (TOM, "Compute 18-7=11 -> operation", 0),
    "another sign with the right value by luck": (
        make_problem(2, Event("multiply", 2), Event("add", 5)),
        "Compute 2+2=4 -> operation | Compute 4+5=9 -> out_of_place | Answer 9 -> ok, unsound",
        0,
    ),
    "an equation that fits nothing": (TOM, f"{TO_25} | Compute 9*9=81 -> operation", 1),
    "another number": (TOM, "Compute 18+8=26 -> misread", 0),
    "another number, operands swapped": (TOM, "Compute 8+18=26 -> misread", 0),
    "a subtraction the wrong way round": (TOM, f"{TO_25} | Compute 12-25=-13 -> operation", 1),
    "one lot in place of all": (TOM, f"{TO_25} | Compute 25-6=19 -> group", 1),
    "a wrong product": (TOM, f"{TO_25} | Compute 2*6=13 -> arithmetic", 1),
    "a product of other numbers": (TOM, f"{TO_25} | Compute 2*7=14 -> misread", 1),
    "a product of another lot": (TOM, f"{TO_25} | Compute 7*6=42 -> misread", 1),
    "a product after a mistake is not what the mistake is": (
        TOM, f"{TO_25} | Compute 25-11=14 -> misread | Compute 2*5=10 -> out_of_place", 1,
    ),
    "a product with another sign": (TOM, f"{TO_25} | Compute 2+6=8 -> operation", 1),
    "a skipped event": (TOM, f"{TO_25} | Compute 25*3=75 -> skip | Answer 75 -> result", 1),
    "a skip betrayed by the following product": (
        TOM,
        "Compute 2*6=12 -> skip | Compute 18-12=6 -> skip | "
        "DetectError wait, +7 was left out -> ok, unsound | CorrectError 18+7=25 -> ok",
        -1,
    ),
    "a following product that is also the present one": (
        make_problem(9, Event("add_groups", 4, 2), Event("take_groups", 2, 4)),
        "Compute 4*2=8 -> ok | Compute 9-8=1 -> skip",
        1,
    ),
    "a negative value carried on": (
        TOM, f"{TO_25} | Compute 25-26=-1 -> misread | Compute -1*3=-3 -> out_of_place", 1,
    ),
    "skipping the first of two alike shows later": (
        TWINS, "Compute 20/4=5 -> ok | Compute 5+5=10 -> ok | Answer 10 -> skip", 2,
    ),
    "an answer too early": (TOM, f"{TO_13} | Answer 13 -> skip", 3),
    "an early answer made good": (TOM, f"{TO_13} | Answer 13 -> skip | Compute 13*3=39 -> ok", -1),
    "an answer that skips the work": (TOM, "Answer 39 -> skip", 0),
    "a wrong answer at the end": (TOM, f"{TO_39} | Answer 38 -> result", 4),
    "a wrong running result": (TOM, f"{TO_25} | Consolidate so Tom has 24 apples -> result", 1),
    "a final result too early": (TOM, f"{TO_25} | Consolidate so Tom has 39 apples -> result", 1),
    "an event too many": (TOM, f"{TO_39} | Compute 39+7=46 -> out_of_place", 4),
    "mistakes that cancel out": (
        TOM,
        "Compute 18+7=26 -> arithmetic | Compute 26-13=13 -> out_of_place | "
        "Compute 13*3=39 -> out_of_place | Consolidate so Tom has 39 apples -> ok, unsound | "
        "Answer 39 -> ok, unsound",
        0,
    ),
    "an untrue check": (TOM, f"{TO_25} | CheckStep 25-7=17, fits -> missed_error", 1),
    "a check of nothing": (TOM, "CheckStep 25-7=18, fits -> missed_error", 0),
    "a check that undoes something else": (
        TOM, f"{TO_13} | CheckStep 13+7=20, fits -> missed_error | Compute 13*3=39 -> ok", -1,
    ),
    "a check of what was right before the mistake": (
        TOM, f"{TO_25} | Compute 25-6=19 -> group | CheckStep 25-7=18, fits -> missed_error", 1,
    ),
    "a check that finds the mistake": (
        TOM, "Compute 18+7=26 -> arithmetic | CheckStep 26-7=19, does not fit -> ok, unsound", 0,
    ),
    "a check that finds a mistake where none is": (
        TOM, f"{TO_25} | CheckStep 25-7=18, does not fit -> false_alarm", 1,
    ),
    "a false alarm": (TOM, f"{TO_25} | DetectError wait, 18+7 is not 25 -> false_alarm", 1),
    "a false alarm answered by repeating": (
        TOM, f"{TO_25} | DetectError wait -> false_alarm | CorrectError 18+7=25 -> ok", -1,
    ),
    "a false alarm that spoils the value": (
        TOM,
        f"{TO_25} | DetectError wait -> false_alarm | CorrectError 18+7=24 -> arithmetic | "
        "Compute 24-12=12 -> out_of_place",
        1,
    ),
    "a false alarm that spoils the value, repaired": (
        TOM,
        f"{TO_25} | DetectError wait -> false_alarm | CorrectError 18+7=24 -> arithmetic | "
        "DetectError wait, 18+7 is not 24 -> ok, unsound | CorrectError 18+7=25 -> ok",
        -1,
    ),
    "repeating does not take back what came after": (
        TOM, f"{TO_25} | Compute 25-11=14 -> misread | Compute 18+7=25 -> ok, unsound", 1,
    ),
    "broken text": (
        TOM,
        "Compute 18+7 -> unreadable | CheckStep fits -> unreadable | "
        "Consolidate so Tom -> unreadable | Answer 3 9 -> unreadable | "
        "CheckStep 25-7=18, maybe -> unreadable | "
        "Compute 5/0=5 -> arithmetic",
        0,
    ),
    "a factor foreign to the world": (TOM, f"{TO_25} | CaseSplit two cases -> out_of_place", 1),
}  # fmt: skip


def read_case(case: str) -> tuple[list[Step], list[StepTruth]]:
    steps: list[Step] = []
    truths: list[StepTruth] = []
    for line in filter(None, case.split(" | ")):
        written, _, verdict = line.rpartition(" -> ")
        name, _, text = written.partition(" ")
        steps.append(Step(text, Factor(name)))
        ok = verdict in ("ok", "ok, unsound")
        truths.append(StepTruth(ok, verdict == "ok", None if ok else verdict))
    return steps, truths


def verdicts(problem: Problem, steps: Sequence[Step]) -> list[StepTruth]:
    """The truths without what is due, which is tested by itself."""
    return [replace(truth, due=None) for truth in judge_trace(problem, steps)]


@pytest.mark.parametrize("name", CASES)
def test_the_oracle_judges(name: str):
    problem, case, error_idx = CASES[name]
    steps, truths = read_case(case)
    assert verdicts(problem, steps) == truths
    assert first_error(problem, steps) == error_idx


@pytest.mark.parametrize(
    ("answer", "correct"),
    [("39", True), (" 39\n", True), ("38", False), ("", False), (None, False), ("39 apples", False),
     ("9" * 5000, False), ("³⁹", False)],
)  # fmt: skip
def test_an_answer_is_a_bare_number(answer: str | None, correct: bool):
    assert is_correct(TOM, answer) is correct


def test_flawless_writing_is_ok_at_every_step():
    for seed in range(3000):
        rng = random.Random(seed)
        problem = draw_problem(rng)
        trace = write_trace(problem, rng)
        assert set(verdicts(problem, trace.steps)) == {StepTruth(True, True, None)}
        assert first_error(problem, trace.steps) == -1
        assert is_correct(problem, trace.answer)


def test_mistakes_that_are_all_noticed_leave_no_error():
    temper = Temper(slip=0.5, notice=1.0, misgive=0.3)
    n_mistaken = 0
    for seed in range(3000):
        rng = random.Random(seed)
        problem = draw_problem(rng)
        steps = write_trace(problem, rng, temper=temper).steps
        n_mistaken += not all(truth.ok for truth in judge_trace(problem, steps))
        assert first_error(problem, steps) == -1
    assert n_mistaken > 2500


def surviving_equations(steps: tuple[Step, ...]) -> list[str]:
    """What is left when each complaint strikes out the equation before it."""
    equations: list[str] = []
    for step in steps:
        if step.factor is Factor.DETECT_ERROR:
            equations.pop()
        elif step.factor in (Factor.COMPUTE, Factor.CORRECT_ERROR):
            equations.append(step.text)
    return equations


def test_faulty_writing_has_an_error_unless_it_is_right_and_not_by_luck():
    n_lucky = n_right = 0
    for seed in range(4000):
        rng = random.Random(seed)
        problem = draw_problem(rng)
        trace = write_trace(problem, rng, temper=Temper(slip=0.3))
        error_idx = first_error(problem, trace.steps)
        if not is_correct(problem, trace.answer):
            assert error_idx >= 0
            continue
        survivors = surviving_equations(trace.steps)
        truly = zip(problem.values, problem.events, problem.values[1:], strict=False)
        lucky = any(f"{v}{e.sign}{e.operand}={w}" not in survivors for v, e, w in truly)
        assert (error_idx >= 0) is lucky
        n_right, n_lucky = n_right + 1, n_lucky + lucky
    assert n_right > 1500
    assert 0 < n_lucky < 0.03 * n_right


def draw_distinct(rng: random.Random) -> Problem:
    """A problem in which no number occurs twice, so that no step can be taken for another."""
    while True:
        problem = draw_problem(rng)
        told = [n for e in problem.events for n in {e.amount, e.operand} | ({e.groups} - {1})]
        if len({*told, *problem.values}) == len(told) + len(problem.values):
            return problem


def plant(kind: str, rng: random.Random) -> tuple[Problem, list[Step], int]:
    """A trace with one mistake, carried on consistently: problem, steps, index of the mistake."""
    problem = draw_distinct(rng)
    while kind == "group" and not any(event.grouped for event in problem.events):
        problem = draw_distinct(rng)
    target = rng.choice([i for i, e in enumerate(problem.events) if kind != "group" or e.grouped])
    texts: list[str] = []
    value, error_idx = problem.start, -1
    for event_idx, event in enumerate(problem.events):
        left, sign, right, slip = value, event.sign, event.operand, 0
        mistake = kind if event_idx == target else None
        if mistake == "skip":
            error_idx = len(texts)
            continue
        if event.grouped and mistake not in ("misread", "group"):
            texts.append(f"{event.groups}*{event.amount}={right}")
        match mistake:
            case "arithmetic":
                slip = rng.choice((-10, -1, 1, 10))
            case "operation":
                sign = {"+": "-", "-": "+", "*": "+", "/": "-"}[sign]
            case "misread":
                right += 100  # no number of another event
            case "group":
                right = event.amount
            case _:
                pass
        error_idx = len(texts) if mistake else error_idx
        value = apply_sign(left, sign, right) + slip
        texts.append(f"{left}{sign}{right}={value}")
    steps = [Step(text, Factor.COMPUTE) for text in texts]
    return problem, [*steps, Step(str(value), Factor.ANSWER)], error_idx


@pytest.mark.parametrize("kind", ["arithmetic", "operation", "misread", "group", "skip"])
def test_a_planted_mistake_is_found_where_it_is_and_named(kind: str):
    for seed in range(500):
        problem, steps, error_idx = plant(kind, random.Random(seed))
        truths = judge_trace(problem, steps)
        assert first_error(problem, steps) == error_idx
        assert truths[error_idx].mistake == kind
        assert all(truth.ok and truth.sound for truth in truths[:error_idx])
        assert not any(truth.sound for truth in truths[error_idx:])


# ---- what is due

DUE: dict[str, tuple[str, list[str | None]]] = {
    "steps without a number of their own have nothing due": (
        "RestateGoal find it | ExtractGivens start 1 | Plan add 1 | CheckStep 25-7=18, fits | "
        "DetectError wait | CaseSplit two cases",
        [None] * 6,
    ),
    "each equation in its turn": (
        "Compute 18+7=25 | Compute 25-12=13 | Compute 13*3=39 | Answer 39",
        ["18+7=25", "25-12=13", "13*3=39", "39"],
    ),
    "after a mistake its own equation stays due": (
        "Compute 18+7=26 | Compute 26-12=14 | CorrectError 18+7=25 | Compute 25-12=13",
        ["18+7=25", "18+7=25", "18+7=25", "25-12=13"],
    ),
    "a product is held against the group's product, in its own order": (
        "Compute 18+7=25 | Compute 2*6=13 | Compute 6*2=13 | Compute 9*9=81 | Compute 25-6=19",
        ["18+7=25", "2*6=12", "6*2=12", "2*6=12", "25-12=13"],
    ),
    "what cannot be read as an equation ought to be one": (
        "Compute eighteen and seven", ["18+7=25"],
    ),
    "a running number is the value reached so far": (
        "Consolidate so Tom has 20 apples | Compute 18+7=25 | Consolidate 24",
        ["18", "18+7=25", "25"],
    ),
    "an early answer ought to be the next equation": (
        "Compute 18+7=25 | Answer 25", ["18+7=25", "25-12=13"],
    ),
    "no equation is due after the last event": (
        "Compute 18+7=25 | Compute 25-12=13 | Compute 13*3=39 | Compute 39+1=40 | Answer 40",
        ["18+7=25", "25-12=13", "13*3=39", None, "39"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DUE)
def test_what_is_due(name: str):
    case, due = DUE[name]
    written = (line.partition(" ") for line in case.split(" | "))
    steps = [Step(text, Factor(name)) for name, _, text in written]
    assert [truth.due for truth in judge_trace(TOM, steps)] == due


def test_what_is_due_in_place_of_a_first_error_makes_it_right():
    n_mended = 0
    for seed in range(1500):
        rng = random.Random(seed)
        problem = draw_problem(rng)
        steps = list(write_trace(problem, rng, temper=Temper(slip=0.3)).steps)
        error_idx = first_error(problem, steps)
        due = judge_trace(problem, steps)[error_idx].due if error_idx >= 0 else None
        if due is None:
            continue
        factor = Factor.COMPUTE if "=" in due else steps[error_idx].factor
        mended = [*steps[:error_idx], Step(due, factor)]
        assert judge_trace(problem, mended)[error_idx].ok
        n_mended += 1
    assert n_mended > 500


def test_what_is_due_in_flawless_writing_is_what_stands_there():
    def numbers(text: str) -> list[str]:
        return sorted(re.findall(r"[0-9]+", text))

    n_due = 0
    for seed in range(500):
        rng = random.Random(seed)
        problem = draw_problem(rng)
        steps = write_trace(problem, rng).steps
        for step, truth in zip(steps, judge_trace(problem, steps), strict=True):
            if truth.due is not None:
                assert numbers(step.text) == numbers(truth.due)
                n_due += 1
    assert n_due > 1000


NUMBERS = st.integers(-2, 40)
EQUATIONS = st.builds("{}{}{}={}".format, NUMBERS, st.sampled_from("+-*/"), NUMBERS, NUMBERS)
PLAUSIBLE = EQUATIONS | st.sampled_from(
    ["18+7=25", "2*6=12", "25-12=13", "13*3=39", "18+7=26", "25*3=75", "25-7=18", "39", "13"]
)
TEXTS = PLAUSIBLE | PLAUSIBLE.map("{}, fits".format) | st.text(max_size=20)
STEPS = st.lists(st.builds(Step, TEXTS, st.sampled_from(Factor)), max_size=12)


@given(STEPS)
def test_any_text_is_judged_and_a_step_that_is_not_ok_is_never_sound(steps: list[Step]):
    truths = judge_trace(TOM, steps)
    assert len(truths) == len(steps)
    for truth in truths:
        assert truth.ok is (truth.mistake is None)
        assert truth.ok or not truth.sound


@given(STEPS, st.integers(0, 12))
def test_a_prefix_is_judged_as_in_the_whole(steps: list[Step], n_steps: int):
    assert judge_trace(TOM, steps[:n_steps]) == judge_trace(TOM, steps)[:n_steps]


@given(STEPS, st.sampled_from(["39", "13", "75", ""]))
def test_an_answer_without_error_is_right(steps: list[Step], answer: str):
    ended = [*steps, Step(answer, Factor.ANSWER)]
    assert first_error(TOM, ended) >= 0 or is_correct(TOM, answer)
