"""Finding the final answer: rules, their order, and where an answer ends."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.traces.markup import THINK_END, THINK_START, render
from datagen.traces.model import Step, Trace
from datagen.verify import extract_answer
from datagen.verify.notation import undress

THOUGHT = f"{THINK_START}<ACT_Compute-Start> 3 * 6 = 18 <ACT_Compute-End>\n{THINK_END}"

FOUND = [
    # the embedded reasoner: the tail after the thought is the answer
    (THOUGHT + "18", "18", "markup"),
    (THOUGHT + "18\n", "18", "markup"),
    (THOUGHT + " 18 ", "18", "markup"),
    (THOUGHT + "18\n18\n", "18", "markup"),
    (THOUGHT + "18. Tom has 18 apples.", "18", "markup"),
    (THOUGHT + "1 8 apples", "1 8 apples", "markup"),
    (THOUGHT + "Tom has 18 apples left.", "Tom has 18 apples left", "markup"),
    (THOUGHT + "So \\boxed{18}, as we saw.", "18", "boxed"),
    (THOUGHT + "The answer is 18.", "18", "stated"),
    # R1-like
    ("<think>The answer is 12?</think>\n\nTom has\n\\[\n\\boxed{18}\n\\]", "18", "boxed"),
    ("So the answer is 12? Wait.\n</think>\n\n**Final Answer**\n\\boxed{18}", "18", "boxed"),
    ("<think>hm, \\boxed{7}?</think>\n\nThe answer is **18**.", "18", "stated"),
    ("<think>…</think>\n\n42", "42", "markup"),
    # boxed
    ("$\\boxed{\\frac{1}{2}}$", "\\frac{1}{2}", "boxed"),
    ("First \\boxed{3}. Then I see that it is \\boxed{4}.", "4", "boxed"),
    ("$\\boxed{2}$ and $\\boxed{-2}$", "2, -2", "boxed"),
    ("\\boxed{\\boxed{5}}", "5", "boxed"),
    ("\\boxed{\\frac12} and so \\boxed{unclosed", "\\frac12", "boxed"),
    ("\\boxed{x \\in \\{1,2\\}}", "x \\in \\{1,2\\}", "boxed"),
    ("\\fbox{7}", "7", "boxed"),
    ("we get \\boxed 7.", "7", "boxed"),
    ("$x=\\boxed{5}$ apples. I hope that helps!", "5", "boxed"),
    ("\\boxed{18.}", "18", "boxed"),
    ("The answer is 17. No: \\boxed{18}", "18", "boxed"),
    # GSM8K-like
    ("48+24 = <<48+24=72>>72 clips.\n#### 72", "72", "hashes"),
    ("so it costs\n#### $1,234.50\n\nI hope this helps.", "$1,234.50", "hashes"),
    ("#### 72 clips.", "72 clips", "hashes"),
    ("#### Answer: 72", "72", "hashes"),
    ("The answer is 71.\n#### 72", "72", "hashes"),
    ("#### Step 1: add\n48+24=72\n#### Final Answer\n72", "72", "stated"),
    # statements, and where they end
    ("The answer is 18.", "18", "stated"),
    ("The answer is 18. She sold 18 apples.", "18", "stated"),
    ("The answer is 18 because 3*6 = 18.", "18", "stated"),
    ("the answer is 18 (since 3*6 = 18).", "18", "stated"),
    ("The answer is 3.5 hours, which is 210 minutes.", "3.5 hours", "stated"),
    ("The answer is 18, and she keeps the rest.", "18", "stated"),
    ("Answer: 12\nExplanation: 3*4", "12", "stated"),
    ("So the answer is: $\\frac{1}{2}$.", "\\frac{1}{2}", "stated"),
    ("The answer is \\(\\frac{3}{4}\\), since \\(3<4\\).", "\\frac{3}{4}", "stated"),
    ("The answer is\n\n$$\\frac{3}{4}$$\n\nas required.", "\\frac{3}{4}", "stated"),
    ("Final Answer: The final answer is $5$. I hope it is correct.", "5", "stated"),
    ("The answer is $18.", "$18", "stated"),
    ("The answer is $18 and she has $5 left.", "$18", "stated"),
    ("The answer is $5$ million dollars.", "5 million dollars", "stated"),
    ("The answer is $x=2$ or $x=-2$.", "$x=2$ or $x=-2$", "stated"),
    ("**Answer:** 5", "5", "stated"),
    ("**Answer: 5**", "5", "stated"),
    ("Answer: **5**", "5", "stated"),
    ("The answer is **18 apples**.", "18 apples", "stated"),
    ("### Answer\n\n**72**", "72", "stated"),
    ("**Final Answer:**\n- 18", "18", "stated"),
    ("answer = x + 1", "x + 1", "stated"),
    ("The correct answer is (B) 15 cm.", "(B) 15 cm", "stated"),
    ("The correct option is B.", "B", "stated"),
    ("Thus, the answer should be 7!", "7", "stated"),
    ("The answer to the question is therefore 42.", "42", "stated"),
    ("The answer is approximately 3.14.", "3.14", "stated"),
    ("The answer is 18. I checked that this answer is correct.", "18", "stated"),
    ("The answer is 9 a.m. on Monday", "9 a.m. on Monday", "stated"),
    ("The answer is 12. So is the answer 13? The answer is 13? No.", "12", "stated"),
    ("(Answer: 5)", "5", "stated"),
    # a text that is itself just an answer
    ("18.", "18", "bare"),
    ("$18", "$18", "bare"),
    ("18 apples", "18 apples", "bare"),
    ("$x = 5$", "x = 5", "bare"),
    ("(B)", "(B)", "bare"),
    ("**even**", "even", "bare"),
]


@pytest.mark.parametrize(("text", "answer", "rule"), FOUND)
def test_the_final_answer_of_a_realistic_completion_is_found(
    text: str, answer: str, rule: str
) -> None:
    found = extract_answer(text)
    assert found is not None
    assert (found.answer, found.rule) == (answer, rule)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n ",
        "**",
        THOUGHT,
        THOUGHT + "\n",
        THOUGHT + "18\n19",
        THOUGHT.removesuffix(THINK_END) + "<ACT_Answer-Start> the answer is 18",
        "<think>The answer is 12, so \\boxed{12}",
        "\\boxed{}",
        "\\boxed{18",
        "I add 48 and 24, and then I have to see what that gives in total.",
        "The answer is not 5.",
        "So the answer is 12? Wait",
    ],
)
def test_a_text_without_a_final_answer_gives_none(text: str) -> None:
    assert extract_answer(text) is None


def test_a_tag_quoted_inside_a_step_does_not_end_the_thought() -> None:
    step = Step(f"the model wrote {THINK_END}99")
    found = extract_answer(render(Trace("q", (step,), answer="7")))
    assert found is not None
    assert found.answer == "7"


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("\\boxed{7}", True),
        ("#### 7", False),
        ("#### 7\n", True),
        ("The answer is 7", False),
        ("The answer is 7.", False),
        ("The answer is 7. ", True),
        ("The answer is 7 because", True),
        ("The answer is $7$", True),
        ("Answer: 7\n", True),
        (THOUGHT + "7", False),
        (THOUGHT + "7\n", True),
    ],
)
def test_an_answer_is_closed_only_if_something_shows_its_end(text: str, closed: bool) -> None:
    found = extract_answer(text)
    assert found is not None
    assert found.answer == "7"
    assert found.closed is closed


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        (" **$18$.** ", "18"),
        ("\\[ \\boxed{x} \\]", "x"),
        ('"yes".', "yes"),
        ("$3$ or $4$", "$3$ or $4$"),
        ("\\boxed{1} + \\boxed{2}", "\\boxed{1} + \\boxed{2}"),
        ("0.333...", "0.333..."),
        ("5!", "5!"),
    ],
)
def test_undress_takes_off_only_what_stands_around_the_whole_answer(text: str, bare: str) -> None:
    assert undress(text) == bare


PIECES = st.sampled_from(
    ["answer is", "Answer:", "\\boxed{", "}", "$", "####", "**", "18", " ", "\n", ".", THINK_END]
)


@given(st.one_of(st.text(), st.lists(PIECES, max_size=30).map("".join)))
def test_extraction_never_raises_and_never_finds_an_empty_answer(text: str) -> None:
    found = extract_answer(text)
    assert found is None or found.answer.strip()


@pytest.mark.parametrize(
    "unit",
    [
        *("answer is ", "answer to ", "Answer:", "answer\n", "\\boxed{", "\\boxed{1}, ", "####"),
        *("#### 1\n", "$", "**", " ", "\n", "(", "“‘", "\\text{", "1,", "=", '"', ". "),
        *("<think>", THINK_END),
    ],
)
@pytest.mark.slow
def test_extraction_of_a_hostile_hundred_thousand_characters_is_quick(unit: str) -> None:
    started = time.perf_counter()
    extract_answer("answer is" + unit * (100_000 // len(unit)) + "x")
    extract_answer(THOUGHT + unit * (100_000 // len(unit)))
    assert time.perf_counter() - started < 2
