"""The checker: which equations of a step it proves false, and above all which it does not."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.factors.taxonomy import Factor
from datagen.judge import Check, Vote, check_step, checker
from datagen.judge.arithmetic import evaluate
from datagen.reasoner.oracle import first_error, judge_trace
from datagen.reasoner.thoughts import Temper, write_trace
from datagen.reasoner.world import draw_problem
from datagen.traces.model import Step, Trace

COMPUTE, OTHER = Factor.COMPUTE, Factor.OTHER
DETECT, CORRECT, BACKTRACK = Factor.DETECT_ERROR, Factor.CORRECT_ERROR, Factor.BACKTRACK


def judged(*steps: Step | str) -> Vote:
    search = checker(Trace("?", tuple(Step(s) if isinstance(s, str) else s for s in steps)))
    with pytest.raises(StopIteration) as end:
        next(search)
    (vote,) = end.value.value
    assert (vote.judge, vote.vote_idx, vote.n_tokens, vote.request) == ("checker", 0, 0, None)
    return vote


# ---- single steps

TRUE = [
    "3*6=18",
    "so 3*6 = 18 apples",
    "5 − 3 × 1 = 2",
    "12 ÷ 4 = 3",
    "2 x 16 = 32 slices and 2 x 8 = 16 slices.",
    "100 - 50 - 30 - 15 = $5 more.",
    "$12/60 = $0.2",
    "1,234 + 1 = 1,235",
    ".5 * 4 = 2",
    "(2 + 3) * 4 = 20",
    "2(3 + 4) = 14",
    "2^10 = 1024, and 2**3 = 8",
    "5² = 25",
    "sqrt(16) = 4",
    "1/2 + 1/4 = 3/4",
    r"\frac{1}{2} + \frac{1}{4} = \frac{3}{4}",
    r"12\frac{1}{2} \times 2 = 25",
    r"$3 \times 6 = 18$",
    "2½ + ½ = 3",
    "**3 * 6 = 18**",
    "20% of 50 = 10",
    "20 percent of 50 = 10",
    "25/100 = 25%",
    "5/20 * 100 = 25%",
    "10/3 = 3.33",
    "10/3 = 3.333... each",
    "2/3 = 0.666...",
    "3*6 = 18 = 2*9",
    "- 3 + 4 = 7",  # an item of a list
    "-3 + 4 = 1",
    "48/2 = <<48/2=24>>24 clips in May.",
    "$<<0.2*50=10>>10.",
    "(x+1)^2 = x^2+2x+1",
    "2a + 3a = 5a",
    "sqrt(8) = 2*sqrt(2)",
]

FALSE = [
    "3*6=20",
    "so 3*6 = 20 apples",
    "5 − 3 × 1 = 6",
    "12 ÷ 4 = 4",
    "He pays 5 * $3 = $16.",
    "$12/60 = $0.3",
    "1,234 + 1 = 1,236",
    "2^10 = 1000",
    "2**3 + 1 = 24",
    "**3 * 6 = 20**",
    r"\frac{1}{2} + \frac{1}{4} = \frac{2}{6}",
    r"$3 \times 6 = 20$",
    "20% of 50 = 12",
    "25/100 = 26%",
    "10/3 = 3.34",
    "10/3 = 3",
    "7/2 = 3",
    "3*6 = 18 = 2*8",
    "3*6 = 20 = 2*10",
    "x = 3*6 = 20",
    "18 = 3*7",
    "1. 3 + 4 = 8",
    "1) 3 + 4 = 8",
    "* 3 + 4 = 8",
    "- 3 + 4 = 9",
    "Total: 3 + 4 = 8",
    "a 3 * 6 = 20 rectangle",
    "for a total of 5 + 3 = 9 apples",
    "3*6 = 18 and 18 + 2 = 21",
    "If he has 3 bags, then 3*6 = 20.",
    "Let's see: 3*6 = 20",
    "48/2 = <<48/2=25>>25 clips in May.",
    "<<3*6=20>>",
]

UNDECIDED = [
    # nothing to decide
    "",
    "find how many apples Tom has",
    "start 18; 7; 2x6; 3",
    "60 minutes = 1 hour",
    "5! = 120",
    "2 + 2 = five",
    # unknowns: a definition, a hypothesis, an equation to solve
    "x = 3",
    "2x+1 = 7",
    "(x+1)^2 = x^2+1",
    "x + 3 + 4 = 8",
    "3 + 4x = 8",
    "f(2+3) = 9",
    "A = <<12=12>>12",
    # quoted, denied, supposed, asked
    "wait, 5+10 is not 17",
    "5+10=17 is wrong",
    "it says 5+10=17",
    "5+10 isn't 17, so 5+10=17 is out",
    "if 3*6 = 20 he has 20",
    "if he has 3*6 = 20 apples",
    "suppose 3*6 = 20",
    "is 3*6 = 20?",
    "5+10 != 17",
    # something beside it may belong to it
    "half of 3 + 4 = 3.5",
    "twice 3 + 4 = 14",
    "3 less than 5 + 5 = 7",
    "the rest is 17/5 = 3 remainder 2",
    "2 + 4 = 3 squared minus 3",
    "10/4 = 2 1/2",
    "5/2 = 2 and a half",
    "3 * 400 = 1 thousand and 200",
    "200/60 = 3 hours and 20 minutes",
    "30 + 30 = 1 hour",
    "4 * 25 = $1",
    "|3 - 5| + 0 = 2",
    "Step 2 - 3*6 = 18",
    "tax - 5 + 3 = 10",
    "7:30 - 15 = 7:15",
    "7:30 + 5 = 36",
    "1,5 + 1 = 2,5",
    "1,5 + 1 = 7",
    "2 and 1/2 + 1 = 5",
    "| 3 - 5 = 2 |",
    "ab2 + 3 = 6",
    "the age in 2020 = 3*6",
    "3 bags * 6 apples = 20",
    # rounding and ways of writing
    "2/3 = 0.66",
    "3.33 * 3 = 10",
    "3*6 ≈ 20",
    "rounded up, 10/3 = 4 boxes",
    "5 + 3 = 8 + 2 = 10",
    "100 + 20% = 110",
    "1/2 of 50 + 30 = 40",
    "sqrt(8) = 2",
    "6/2(1+2) = 1",
    "5 + -2^2 = 9",
    "1/0 = 5",
    "9^9^9 = 1",
]


@pytest.mark.parametrize("text", TRUE)
def test_a_step_whose_every_equation_holds_is_true(text: str) -> None:
    check = check_step(text)
    assert (check.status, bool(check.claim)) == ("true", True), check


@pytest.mark.parametrize("text", FALSE)
def test_a_step_with_a_wrong_equation_is_false(text: str) -> None:
    assert check_step(text, COMPUTE).status == "false", check_step(text)


@pytest.mark.parametrize("text", UNDECIDED)
def test_what_can_be_read_in_another_way_is_undecided(text: str) -> None:
    assert check_step(text).status == "undecided", check_step(text)


def test_a_check_names_the_claim_and_what_is_wrong_with_it() -> None:
    found = check_step("There are 4 boxes. They hold $4 × 6 = 25$ pens, and 2 * 3 = 6 lids.")
    reason = "4 * 6 = 25 is false: the left side is 24"
    assert found == Check("false", "4 * 6 = 25", reason)
    assert check_step("2 + 3 = 2 * 3").reason == "2 + 3 = 2 * 3 is false: 5 is not 6"


@pytest.mark.parametrize("factor", [DETECT, Factor.HYPOTHESISE, BACKTRACK, Factor.SWITCH_APPROACH])
def test_steps_that_quote_or_suppose_are_never_false(factor: Factor) -> None:
    assert check_step("5+10=17", factor).status == "undecided"
    assert judged(Step("5+10=17", factor)).first_error is None


def test_a_claim_that_is_put_right_in_the_same_step_is_not_held_against_it() -> None:
    assert check_step("5 + 10 = 17. No: 5+10 = 15.").status == "true"
    assert check_step("5 + 10 = 15. No: 5+10 = 17.").status == "false"


# ---- GSM8K's form, with errors put in

HUMAN = [
    (
        "The bus has 4*12=<<4*12=48>>48 seats.\n"
        "Of these 25/100*48 = <<25/100*48=12>>12 are taken.\n"
        "So 48 - 12 = <<48-12=36>>36 seats are free.",
        None,
    ),
    (
        "A pie costs 3 x $2.50 = $<<3*2.5=7.5>>7.50.\nWith the tip she pays $7.50 + $1 = "
        "$<<7.5+1=8.5>>8.50.\nShe gets 10 - 8.50 = $<<10-8.5=1.5>>1.50 back.",
        None,
    ),
    ("He runs 5*3 = <<5*3=15>>15 km.\nThat is 15/4 = <<15/4=3>>3 km per lap.", 1),
    ("There are 3 + 4 = <<3+4=8>>8 cats.\nThey have 8*4 = <<8*4=32>>32 paws.", 0),
    ("There are 60 * 2 = <<60*2=120>>120 legs.\nSo 120 - 30 = <<120-30=80>>90 remain.", None),
    ("There are 60 * 2 = <<60*2=120>>120 legs.\nSo 120 - 30 = <<120-30=80>>80 remain.", 1),
]


@pytest.mark.parametrize(("solution", "first"), HUMAN)
def test_calculator_annotations_are_checked(solution: str, first: int | None) -> None:
    assert judged(*solution.splitlines(keepends=True)).first_error == first


# ---- whole traces


def test_the_first_false_step_is_named_quoted_and_explained() -> None:
    vote = judged("3*6=18", "18+2=21", "21+2=24")
    assert (vote.first_error, vote.quote) == (1, "18+2=21")
    assert vote.reason == "18+2 = 21 is false: the left side is 20"


def test_a_trace_without_a_false_step_is_not_vouched_for() -> None:
    vote = judged("3*6=18", "18+2=20")
    assert (vote.first_error, vote.quote) == (None, "")
    assert "nothing found" in vote.reason
    assert judged().first_error is None


@pytest.mark.parametrize(
    ("later", "first"),
    [
        ([Step("wait, 5+10 is not 17", DETECT), Step("5+10=15", CORRECT)], None),
        ([Step("wait, 5+10 is not 17", DETECT), Step("5 + 10 = 15", BACKTRACK)], None),
        ([Step("wait, it is +9", DETECT), Step("5+9=14", CORRECT)], None),
        ([Step("that is wrong", DETECT), Step("back to the start", BACKTRACK)], None),
        ([Step("that is wrong", DETECT), Step("another way", Factor.SWITCH_APPROACH)], None),
        ([Step("17*2=34"), Step("wait", DETECT), Step("5+10=15", CORRECT)], None),
        ([Step("17*2=34"), Step("5+10 = 15, so")], None),
        ([Step("that is wrong", DETECT), Step("5+10=16", CORRECT)], 0),
        ([Step("that is wrong", DETECT)], 0),
        ([Step("that is wrong", DETECT), Step("17*2=34", COMPUTE)], 0),
        ([Step("17*2=34"), Step("that is wrong", DETECT), Step("6+10=16", CORRECT)], 0),
        ([Step("6+10=16", CORRECT)], 0),
        ([Step("so far, so good"), Step("6+10=16", CORRECT)], 0),
    ],
)
def test_a_false_claim_counts_unless_the_trace_takes_it_back(
    later: Sequence[Step], first: int | None
) -> None:
    assert judged(Step("5+10=17", COMPUTE), *later).first_error == first


def test_an_error_behind_one_that_was_taken_back_is_found() -> None:
    repaired = Step("5+10=17"), Step("wait", DETECT), Step("5+10=15", CORRECT)
    assert judged(*repaired, "15*2=31").first_error == 3


def test_the_oracle_calls_no_step_right_that_the_checker_calls_wrong() -> None:
    rng = random.Random(4)
    n_found = 0
    for _ in range(400):
        problem = draw_problem(rng)
        steps = write_trace(problem, rng, temper=Temper(slip=0.4)).steps
        found, true = judged(*steps).first_error, first_error(problem, steps)
        if found is not None:
            n_found += 1
            assert 0 <= true <= found
            assert not judge_trace(problem, steps)[found].ok
    assert n_found > 30


# ---- robustness

WORDS = r"<< >> 1,000 \frac{1}{2} sqrt ** == ... \times not if and"
PIECES = st.sampled_from(
    [*"0123456789+-*/^()=.,%$ xab×÷−≈½\n<>{}|!?\ud800", *WORDS.split(), " of ", " and "]
)


@given(st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=60))
@settings(max_examples=400, deadline=None)
def test_no_text_raises(text: str) -> None:
    assert judged(text).first_error in (None, 0)


@given(st.text("xyz0123456789+-*/^()= ", max_size=12))
@settings(max_examples=30, deadline=None)
def test_no_text_in_unknowns_raises(text: str) -> None:
    assert check_step(text).status in ("true", "false", "undecided")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5_000,
        "(" * 2_400 + "1" + ")" * 2_400 + "=2",
        "1=2-" * 1_200,
        "2^" * 2_400 + "1=2",
        "(((9^64)^64)^64)^64 = 1",
        "*".join(["9" * 29] * 150) + "=1",
        "if " * 1_600 + "1+1=3",
        "1+1=3 " * 100_000,
    ],
)
def test_hostile_text_is_left_alone_at_once(text: str) -> None:
    assert judged(text).first_error is None


def test_a_step_that_is_too_long_is_not_looked_at() -> None:
    assert judged("3*6=20. " * 600).first_error == 0
    assert judged("3*6=20. " * 700).first_error is None


@pytest.mark.parametrize(
    "text",
    [
        "(" * 90 + "1" + ")" * 90,
        "2^2000 * 2^2000 * 2^2000",
        "2^9999",
        "0^-1",
        "1/(1-1)",
        "1/(0.3333*3 - 1)",
    ],
)
def test_expressions_that_are_too_large_or_undefined_have_no_value(text: str) -> None:
    assert evaluate(text) is None


NUMBERS = st.integers(0, 999) | st.decimals(0, 99, places=2)


@given(NUMBERS, st.sampled_from("+-*/"), NUMBERS, st.sampled_from(["{}{}{}", "{} {} {}"]))
def test_true_results_are_never_called_false_and_wrong_ones_never_true(
    left: object, sign: str, right: object, form: str
) -> None:
    expression = form.format(left, sign, right)
    value = evaluate(expression)
    if value is None:
        return
    for n_decimals in (1, 2, 4):
        shown = f"{float(value.exact):.{n_decimals}f}"
        assert check_step(f"so {expression} = {shown}").status == "true"
    assert check_step(f"so {expression} = {float(value.high) + 1.5:.2f}").status == "false"
