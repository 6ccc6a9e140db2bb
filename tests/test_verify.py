"""Verification: what counts as correct, as wrong, and as neither."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from datagen.errors import ConfigError, DatagenError
from datagen.verify import (
    VERIFIERS,
    MathVerifier,
    Outcome,
    gold_is_parseable,
    numeric,
    verify_completion,
)
from datagen.verify.text import exact
from datagen.verify.worker_pool import WorkerPool

math = VERIFIERS["math"]
REPOSITORY = Path(__file__).parent.parent


def _completion(answer: str) -> str:
    return f"<Think_Start>\n<ACT_Compute-Start> … <ACT_Compute-End>\n<Think_End>\n{answer}"


CORRECT = [
    # the failures of other projects' checkers
    ("1/2", "0.5"),
    ("1/2", "\\frac12"),
    ("18", "18."),
    # numbers in every dress
    ("72", "72 clips"),
    ("72", "**72**"),
    ("72", "$72$"),
    ("$72$", "72"),
    ("18", "$18"),
    ("\\$18", "18 dollars"),
    ("18", "\\$18.00"),
    ("1234.5", "$1,234.50"),
    ("1234567", "1 234 567"),
    ("1000", "1{,}000"),
    ("1000", "1\\,000"),
    ("-2", "−2"),
    ("18", "x = 18"),
    ("x=5", "5"),
    ("18", "3 * 6 = 18"),
    ("18", "3 \\times 6 = 18"),
    ("1000", "f(2) = 1,000"),
    ("4", "x = \\sqrt{16}"),
    ("18", "Tom has 18 apples left"),
    ("18", "18 \\text{ cm}^2"),
    ("5", "5\\ \\mathrm{m/s}"),
    ("90^\\circ", "90 degrees"),
    ("5 hours", "5 hrs"),
    ("2.5", "2 1/2"),
    ("2\\frac{1}{2}", "5/2"),
    ("0.75", "¾"),
    ("1/3", "0.\\overline{3}"),
    ("1/3", "0.333333"),
    ("18", "17.999999999999996"),
    ("300000000", "3 \\times 10^8"),
    ("0.0015", "1.5e-3"),
    ("50", "50\\%"),
    ("50\\%", "0.5"),
    ("12.5", "12.5%"),
    ("2000000", "2 million"),
    ("0.5", "50 cents"),
    ("11_2", "3"),
    ("1011_2", "1011"),
    ("-\\frac{3}{4}", "\\dfrac{-3}{4}"),
    # words
    ("\\text{even}", "even"),
    ("Tuesday", "tuesday"),
    ("\\text{ellipse}", "an ellipse"),
    ("\\text{C}", "(C) 15 cm"),
    ("\\text{(B)}", "B"),
    ("5:30 PM", "5:30 pm"),
    # expressions
    ("(1,2)", "\\left( 1, 2 \\right)"),
    ("\\frac{\\pi}{2}", "pi/2"),
    ("2\\sqrt{3}", "2√3"),
    ("2\\pi", "2π cm"),
    ("18", "3 \\cdot 6"),
    ("2,3", "x = 3 \\text{ or } x = 2"),
    ("\\pm 3", "3, -3"),
    ("x^2+2x+1", "(x+1)**2"),
    ("(-\\infty, 3]", "x \\le 3"),
    ("x \\le 3", "(-\\infty, 3]"),
    (
        "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}",
        "\\begin{bmatrix} 1 & 2 \\\\ 3 & 4 \\end{bmatrix}",
    ),
    ("\\infty", "infinity"),
    ("3", "\\log_2 8"),
]
WRONG = [
    ("1", "11"),
    ("11", "1"),
    ("18", "-18"),
    ("18", "18.5"),
    ("18", "180"),
    ("18", "1,800"),
    ("1/3", "0.33"),
    ("0.5", "0.5%"),
    ("50%", "5000%"),
    ("18", "Tom has 17 apples left"),
    ("7", "(3, 4)"),
    ("18", "18 or 19"),
    ("even", "odd"),
    ("A", "B"),
    ("x=5", "y=5"),
    ("(1,2)", "(2,1)"),
    ("\\pm 3", "3"),
    ("x+1", "x+2"),
    ("\\frac{\\pi}{2}", "\\pi"),
]
UNVERIFIABLE = [
    # math-verify would read these two as 9
    ("9", "1 8 apples"),
    ("9", "1 8"),
    ("18", ""),
    ("18", "?"),
    ("", "18"),
    ("18", "eighteen"),
    ("18", "18 and a half"),
    ("18", "half of 18"),
    ("1.5", "1,5"),
    ("5", "x + 1 = 5"),
    ("5", "2x = 5"),
    ("5 m", "5 cm"),
    ("5:30 PM", "17:30"),
    ("Tuesday", "Tues"),
    ("four", "4"),
    ("none", "no solution"),
    ("5", "negative 5"),
    ("6 apples and 5 pears", "6"),
    ("\\frac{", "5"),
]


@pytest.mark.parametrize(("gold", "answer"), CORRECT)
def test_math_accepts_every_way_to_write_the_gold_answer(gold: str, answer: str) -> None:
    assert math(answer, gold).outcome is Outcome.CORRECT


@pytest.mark.parametrize(("gold", "answer"), WRONG)
def test_math_rejects_another_answer(gold: str, answer: str) -> None:
    assert math(answer, gold).outcome is Outcome.WRONG


@pytest.mark.parametrize(("gold", "answer"), UNVERIFIABLE)
def test_math_does_not_judge_what_it_cannot_read(gold: str, answer: str) -> None:
    assert math(answer, gold).outcome is Outcome.UNVERIFIABLE


COMPLETIONS = [
    (
        "Let me think.\n</think>\n\n**Final Answer**\n\n\\[\\boxed{\\dfrac{1}{2}}\\]",
        "0.5",
        "correct",
    ),
    ("<think>\\boxed{3}</think>\nSo it is \\boxed{4}.", "3", "wrong"),
    ("48+24 = <<48+24=72>>72 clips altogether.\n#### 72", "72", "correct"),
    ("The answer is $1,000. I hope this helps!", "1000", "correct"),
    ("The answer is 18 because 3 * 6 = 18, not 19.", "18", "correct"),
    ("Thus the answer is **$5$ million**.", "5000000", "correct"),
    ("The answer is 11.", "1", "wrong"),
    ("The solutions are $\\boxed{-2}$ and $\\boxed{2}$.", "2, -2", "correct"),
    (_completion("18"), "18", "correct"),
    (_completion("18"), "8", "wrong"),
    (_completion("1 8 apples"), "18", "unverifiable"),
    (_completion(""), "18", "unverifiable"),
    ("I add 48 and 24 and then look at what I have got.", "72", "unverifiable"),
]


@pytest.mark.parametrize(("text", "gold", "outcome"), COMPLETIONS)
def test_a_whole_completion_is_judged_by_its_final_answer(
    text: str, gold: str, outcome: str
) -> None:
    assert verify_completion(text, gold, verifier="math").outcome == outcome


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("I add 48 and", "truncated"),
        (_completion(""), "truncated"),
        ("48 + 24\n#### 7", "truncated"),
        (_completion("7"), "truncated"),
        ("so \\boxed{72}. Let me check", "correct"),
        ("The answer is 72. Let me", "correct"),
    ],
)
def test_an_unfinished_completion_counts_only_with_an_answer_that_is_surely_whole(
    text: str, outcome: str
) -> None:
    assert verify_completion(text, "72", verifier="math", finished=False).outcome == outcome


def test_the_verdict_shows_the_answer_and_a_reason() -> None:
    verdict = verify_completion("The answer is 71.", "72", verifier="math")
    assert (verdict.extracted, verdict.reason) == ("71", "'71' is not '72'")
    assert verdict.is_trial


def test_an_unknown_verifier_is_named_with_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"'maths'.*'math', 'exact', 'choice', 'numeric'"):
        verify_completion("18", "18", verifier="maths")


# --- the other verifiers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        *((text, "correct") for text in ("B", "b", "(B)", "B.", "b)", "B) 15 cm", "option B")),
        *((text, "correct") for text in ("**B**", "The answer is B", "\\text{B}", "B is right")),
        *((text, "wrong") for text in ("A", "(C)", "Option D.", "E: none")),
        *(
            (text, "unverifiable")
            for text in ("15 cm", "A and B", "B or C", "Because", "A dog", "")
        ),
    ],
)
def test_choice_compares_letters(answer: str, outcome: str) -> None:
    assert VERIFIERS["choice"](answer, "(B) 15 cm").outcome == outcome


def test_exact_ignores_white_space_and_case_but_interprets_nothing() -> None:
    assert exact("  New \n york. ", "New York").outcome is Outcome.CORRECT
    assert exact("new york", "New York", ignore_case=False).outcome is Outcome.WRONG
    assert exact("0.5", "1/2").outcome is Outcome.WRONG
    assert exact("x", " ").outcome is Outcome.UNVERIFIABLE


@pytest.mark.parametrize(
    ("answer", "gold", "outcome"),
    [
        ("3.1415926", "3.14159265", "correct"),
        ("3.14", "3.14159265", "wrong"),
        ("1,000,001", "1000000.5", "correct"),
        ("50%", "0.5", "correct"),
        ("9.81 m/s^2", "9.81", "correct"),
        ("v = 9.81", "9.81", "correct"),
        ("0.0000000001", "0", "correct"),
        ("0.1", "0", "wrong"),
        ("many", "3", "unverifiable"),
        ("3", "many", "unverifiable"),
        ("5 kg", "5 g", "unverifiable"),
    ],
)
def test_numeric_compares_within_a_relative_tolerance(answer: str, gold: str, outcome: str) -> None:
    assert numeric(answer, gold).outcome == outcome


def test_the_tolerance_of_numeric_can_be_widened() -> None:
    assert numeric("3.14", "3.14159", rel_tol=0.01).outcome is Outcome.CORRECT


# --- golds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "gold", ["72", "$\\frac{1}{2}$", "(1,2)", "A", "\\text{even}", "x^2+1", "\\{1, 2\\}", "18 cm"]
)
def test_a_gold_that_can_be_judged_against_is_parseable(gold: str) -> None:
    assert gold_is_parseable(gold)


@pytest.mark.parametrize("gold", ["", "\\frac{", "6 apples and 5 pears", "9^{9^{9^9}}", "1 8", "?"])
def test_a_gold_that_can_never_be_matched_is_not_parseable(gold: str) -> None:
    assert not gold_is_parseable(gold)


def test_a_gold_is_parseable_for_one_verifier_and_not_for_another() -> None:
    assert gold_is_parseable("six apples and a pear", verifier="exact")
    assert not gold_is_parseable("15 cm", verifier="choice")


# --- properties ----------------------------------------------------------------------------------

DRESSES = st.sampled_from(
    [
        "{}",
        "{}.",
        "{:,}",
        "${:,}",
        "\\${}",
        "**{}**",
        "${}$",
        "\\({}\\)",
        "{} apples",
        "{:,} cm^2",
        "{}\\text{{ dollars}}",
        "x = {:,}",
        "{}.0",
        "{}/1",
        "\\frac{{{}}}{{1}}",
        "Tom has {:,} apples left",
    ]
)
FRAMES = st.sampled_from(
    [
        "so \\boxed{{{}}}.",
        "#### {}",
        "The answer is {}.",
        "The answer is {}. I hope that it is correct.",
        "**Answer:** {}\n",
        "</think>\n\n{}",
        _completion("{}"),
    ]
)
INTEGERS = st.integers(-(10**12), 10**12)


@given(INTEGERS, DRESSES, FRAMES)
def test_an_integer_in_any_dress_verifies_against_itself(n: int, dress: str, frame: str) -> None:
    text = frame.format(dress.format(n))
    for verifier in ("math", "numeric"):
        verdict = verify_completion(text, str(n), verifier=verifier)
        assert verdict.outcome is Outcome.CORRECT, (text, verdict)


@given(INTEGERS, INTEGERS, DRESSES, FRAMES)
def test_an_integer_in_any_dress_never_verifies_against_another(
    n: int, other: int, dress: str, frame: str
) -> None:
    assume(n != other)
    text = frame.format(dress.format(n))
    assert verify_completion(text, str(other), verifier="math").outcome is Outcome.WRONG


@given(st.fractions(max_denominator=10**6), st.fractions(max_denominator=10**6))
def test_fractions_are_equal_exactly_when_their_values_are(a: object, b: object) -> None:
    assert (math(str(a), str(b)).outcome is Outcome.CORRECT) == (a == b)
    assert math(str(a), str(a)).outcome is Outcome.CORRECT


SNIPPETS = st.lists(
    st.sampled_from(
        ["1", "8", " ", ",", ".", "/", "%", "$", "\\frac", "{", "}", "=", "-", "e", "x"]
    ),
    max_size=12,
).map("".join)


@given(st.one_of(st.text(), SNIPPETS), st.one_of(st.text(), SNIPPETS))
def test_the_verifiers_without_algebra_never_raise(answer: str, gold: str) -> None:
    for name in ("exact", "choice", "numeric"):
        assert VERIFIERS[name](answer, gold).outcome is not Outcome.TRUNCATED


@given(st.text(max_size=30), st.sampled_from(["18", "1/2", "even", "x+1"]))
def test_math_never_raises_on_arbitrary_text(answer: str, gold: str) -> None:
    assert math(answer, gold).outcome is not Outcome.TRUNCATED


# --- time ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def impatient() -> Iterator[MathVerifier]:
    verifier = MathVerifier(limit_s=0.5, n_workers=1)
    yield verifier
    verifier.close()


HOSTILE = [
    "9^{9^{9^9}}",
    "1" * 100_000,
    "(" * 100_000,
    "x+" * 100_000,
    "\\frac{" * 800,
    "((((9^9)^9)^9)^9)^9",
    "(10^{1000})^{1000}!",
    "\\sum_{n=1}^{10^{9}} \\frac{1}{n^n}",
    "\\int_0^1 \\sin(\\sin(\\sin(\\sin(x^x)))) dx",
]


@pytest.mark.parametrize("answer", HOSTILE, ids=lambda answer: answer[:20])
@pytest.mark.slow
def test_a_hostile_answer_costs_at_most_the_time_limit(
    impatient: MathVerifier, answer: str
) -> None:
    # A worker that had to be killed is replaced here, outside the measurement.
    impatient(f"x+{HOSTILE.index(answer)}", "x")
    started = time.perf_counter()
    verdict = impatient(answer, "5")
    assert verdict.outcome is not Outcome.CORRECT
    assert time.perf_counter() - started < 2


@pytest.mark.slow
def test_a_comparison_that_runs_too_long_is_unverifiable_off_the_main_thread_too(
    impatient: MathVerifier,
) -> None:
    verdicts = []
    thread = threading.Thread(
        target=lambda: verdicts.append(impatient("(10^{1000})^{1002}!", "5")), daemon=True
    )
    thread.start()
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert verdicts[0].outcome is Outcome.UNVERIFIABLE
    assert "longer than 0.5 s" in verdicts[0].reason


@pytest.mark.slow
def test_the_verifier_works_on_after_a_worker_was_killed(impatient: MathVerifier) -> None:
    assert impatient("(10^{1000})^{1001}!", "5").outcome is Outcome.UNVERIFIABLE
    assert impatient("b+a", "a+b").outcome is Outcome.CORRECT


def test_many_threads_share_one_verifier() -> None:
    verifier = MathVerifier(n_workers=2)
    verdicts: list[tuple[int, Outcome]] = []

    def work(seed: int) -> None:
        for i in range(seed, seed + 5):
            verdicts.append((i, verifier(f"x+{i % 3}", "1+x").outcome))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    verifier.close()
    assert len(verdicts) == 40
    assert all((outcome is Outcome.CORRECT) == (i % 3 == 1) for i, outcome in verdicts)


def test_a_worker_that_cannot_start_is_a_clear_error(tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text('print(\'{"ready": false, "error": "no algebra here"}\')')
    pool = WorkerPool(script, size=1, limit_s=1)
    with pytest.raises(DatagenError, match=r"broken\.py.*no algebra here"):
        pool.ask({"gold": "1"})


def test_a_worker_that_dies_is_asked_again_once(tmp_path: Path) -> None:
    script = tmp_path / "fragile.py"
    script.write_text(
        "import pathlib, sys\n"
        "print('{\"ready\": true}', flush=True)\n"
        "sys.stdin.readline()\n"
        "mark = pathlib.Path(__file__).with_name('mark')\n"
        'if mark.exists(): print(\'{"state": "equal"}\', flush=True)\n'
        "mark.touch()\n"
    )
    pool = WorkerPool(script, size=1, limit_s=5)
    assert pool.ask({"gold": "1"}) == {"state": "equal"}
    pool.close()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_starts_workers_of_its_own() -> None:
    code = (
        "import os\n"
        "from datagen.verify import VERIFIERS\n"
        "math = VERIFIERS['math']\n"
        "assert math('x+1', '1+x').outcome == 'correct'\n"
        "pid = os.fork()\n"
        "assert math('x+2', '2+x').outcome == 'correct'\n"
        "if pid == 0: os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=REPOSITORY)


@pytest.mark.slow
def test_importing_the_verifiers_does_not_import_computer_algebra() -> None:
    code = "import sys, datagen.verify; assert not {'sympy', 'math_verify'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=REPOSITORY)


def test_plain_numbers_are_verified_without_any_algebra(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_algebra(*_: object) -> str:
        raise AssertionError("a worker was asked")

    for name in ("compare", "parses"):
        monkeypatch.setattr(f"datagen.verify.symbolic.Algebra.{name}", no_algebra)
    pairs = [(_completion(f"{i:,}"), str(i + i % 2)) for i in range(5_000)]
    outcomes = [verify_completion(text, gold, verifier="math").outcome for text, gold in pairs]
    assert outcomes.count(Outcome.CORRECT) == outcomes.count(Outcome.WRONG) == 2_500
    with pytest.raises(AssertionError, match="a worker was asked"):
        verify_completion(_completion("x+1"), "1+x", verifier="math")


# --- real data -----------------------------------------------------------------------------------


@pytest.mark.parametrize("verifier", ["math", "numeric"])
def test_human_solutions_of_gsm8k_verify_against_their_own_answers(verifier: str) -> None:
    folder = os.environ.get("DATAGEN_SHARED_DATA")
    path = Path(folder or REPOSITORY.parent / "shared" / "data") / "gsm8k_train_500.jsonl"
    if not path.exists():
        pytest.skip(f"needs {path}: GSM8K rows, found with DATAGEN_SHARED_DATA")
    golds: list[str] = []
    for line in path.read_text().splitlines():
        solution = json.loads(line)["answer"]
        golds.append(solution.rpartition("#### ")[2])
        assert verify_completion(solution, golds[-1], verifier=verifier).outcome == "correct"
        previous = golds[-2] if len(golds) > 1 else "-1"
        if previous.replace(",", "") != golds[-1].replace(",", ""):
            assert verify_completion(solution, previous, verifier=verifier).outcome == "wrong"
    assert len(golds) == 500
