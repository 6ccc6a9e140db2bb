"""Step splitting: where cuts fall, and that no character is ever lost."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.errors import ConfigError
from datagen.factors.taxonomy import Factor
from datagen.traces.markup import render_step
from datagen.traces.model import Step
from datagen.traces.protected import protected_spans
from datagen.traces.splitting import SPLITTINGS, split
from datagen.traces.tagged import factor_of, tag_problem, words_of

SENTENCES = [
    ("plain", ["Add 3. ", "Then 4."]),
    ("question and exclamation", ["Is it? ", "Yes! ", "Good."]),
    ("interrobang", ["Really?! ", "Yes."]),
    ("e.g. and i.e.", ["Take a prime, e.g. Seven, i.e. Not six. ", "Then stop."]),
    ("titles", ["Mr. Lee and Dr. Wu met Mrs. Oz. ", "They left."]),
    ("No. before a number", ["See No. 5 and p. 12. ", "Then add."]),
    ("No. as an answer", ["No. ", "That is wrong."]),
    ("Fig. and Eq.", ["By Fig. 3 and Eq. Two it holds. ", "Done."]),
    ("decimals", ["Pi is 3.14. ", "Half is .5 or 0.5. ", "Good."]),
    ("initials", ["By J. K. Rowling and George W. Bush. ", "Next."]),
    ("initial after a small word", ["A proof by J. Smith exists. ", "We use it."]),
    ("a letter that is no initial", ["Start at point A. ", "Multiply by 2."]),
    ("things named by letters", ["Jar B has more than jar A. ", "Jar C has twice as many."]),
    ("a variable at the end", ["So x = A. ", "Multiply."]),
    ("the pronoun I", ["She is older than I. ", "Bob is not."]),
    ("country and army", ["He left the U.S. Army. ", "Then he rested."]),
    ("clock times", ["It ends at 5 p.m. ", "He leaves."]),
    ("company at the end", ["She sold Apple Inc. ", "Then she rested."]),
    ("company inside", ["She sold Apple Inc. Shares at noon."]),
    ("et cetera inside", ["Apples, pears, etc. are fruit. ", "Count them."]),
    ("ellipsis that goes on", ["Well... maybe five. ", "Then six."]),
    ("ellipsis that ends", ["Wait... ", "That is wrong."]),
    ("unicode ellipsis", ["Hmm… let me see. ", "Ok."]),
    ("closing quote", ['He said "Stop." ', "Then he left."]),
    ("question inside a sentence", ['"Why?" he asked. ', "Nobody knew."]),
    ("closing bracket", ["(See above.) ", "Then add."]),
    ("bold", ["**Step done.** ", "Next."]),
    ("list on one line", ["1. Add them. ", "2. Double it."]),
    ("list on lines", ["1. Add them\n", "2. Double it\n", "- and stop"]),
    ("step headings", ["Step 1. Add 3. ", "Step 2. Add 4."]),
    ("a number that ends a sentence", ["The answer is 5. ", "Then stop."]),
    ("a digit opens the next", ["There are 5. ", "3 of them are red."]),
    ("factorial", ["So 5! = 120 and 3! is 6. ", "Ok."]),
    ("an equation opens the next", ["We get x = 5. ", "y = 3 follows."]),
    ("blank line without a stop", ["Heading\n\n", "Text goes on"]),
    ("indent goes with its line", ["One.\n", "  Two."]),
    ("CJK", ["答案是5。", "然后加3。"]),
    ("inline math", ["Let $a. B$ be it. ", "Then $c$."]),
    ("stop inside the math's end", ["We get $x = 5.$ ", "Then stop."]),
    ("parenthesised math", [r"Let \(a. B\) be it. ", "Then."]),
    ("bracketed math", [r"So \[ one. Two. \] ", "Then."]),
    ("display math with a blank line", ["So $$ a. B\n\nC. D $$ holds. ", "Then."]),
    ("environment", ["\\begin{align} a. B \\end{align} holds. ", "Then."]),
    ("nested environments", [r"\begin{a} \begin{a} X. Y \end{a} X. Y \end{a} ends. ", "Then."]),
    ("fence", ["Run ```py\nA. B\n``` now. ", "Then."]),
    ("a shorter fence inside", ["Run ````\nA. B ``` C. D\n```` now. ", "Then."]),
    ("money", ["It costs $5. ", "She has $10 left. ", "Now $3."]),
    ("money at line ends", ["It is (2+3)=$5.\n", "He pays $.50 each. ", "Ok."]),
    ("money, then math", ["It costs $5 and $x. Y$ more. ", "Ok."]),
    ("escaped dollar", [r"It costs \$5. ", r"He has \$6."]),
    ("spaced math", ["Let $ x = 1. Y = 2 $ hold. ", "Ok."]),
    ("unclosed dollar", ["Let $x be. ", "Then go. ", "Ok."]),
    ("unclosed bracket", [r"Let \[ x be. ", r"Then \[ y. Z \] ends. ", "Ok."]),
    ("unclosed environment", [r"Let \begin{a} x be. ", "Then go."]),
    ("stray end", [r"Let \end{a} x be. ", "Then go."]),
    ("unclosed fence", ["Run ``` x. ", "Then go."]),
    ("stray display dollars", ["Bad $$ here. ", "So.\n\n", "Then $$a. B$$ ends. ", "Ok."]),
    ("escaped backslash", [r"Row \\[2pt] ends. ", r"Then \] ends."]),
]


@pytest.mark.slow
@pytest.mark.parametrize("expected", [c[1] for c in SENTENCES], ids=[c[0] for c in SENTENCES])
def test_sentences_end_where_a_reader_ends_them(expected: list[str]):
    assert split("".join(expected), "sentences") == expected


OTHERS = [
    ("lines", ["a\n", "b\n\n", "c"]),
    ("lines", ["a\r\n", "b"]),
    ("lines", ["\n \na\n", "b\n  "]),
    ("lines", ["so \\[\nx\n\\]\n", "then"]),
    ("lines", ["so\n", "```\nx\n\ny\n```\n", "then"]),
    ("blank_lines", ["a\nb\n\n", "c\n \n\n", "  d"]),
    ("blank_lines", ["so $$\n\nx\n\n$$ holds\n\n", "then"]),
    ("blank_lines", ["a. B\nc"]),
    ("markup", ["no tags. At\n\nall"]),
    ("markup", ["<Think_Start>\n<ACT_Plan-Start> a\n\nb <ACT_Plan-End>\n<Think_End>\n"]),
    (
        "markup",
        [
            "Remark. ",
            "<ACT_Plan-Start>a<ACT_Plan-End>  \n\n",
            "<ACT_Compute-Start> <\\ACT_Plan-End> <ACT_Compute-End>",
            "more",
        ],
    ),
    ("auto", ["<ACT_Plan-Start>a\n\nb<ACT_Plan-End>\n", "<ACT_Other-Start>c<ACT_Other-End>"]),
    ("auto", ["a\nb\n\n", "c"]),
    ("auto", ["a. B\n", "c\n"]),
    ("auto", ["One. ", "Then two.\n"]),
    ("auto", ["one"]),
    ("auto", [" \n "]),
    ("auto", []),
]


@pytest.mark.parametrize(("strategy", "expected"), OTHERS)
def test_each_strategy_cuts_after_its_own_unit(strategy: str, expected: list[str]):
    assert split("".join(expected), strategy) == expected  # type: ignore[arg-type]


def test_an_unknown_strategy_is_an_error_that_lists_the_known():
    with pytest.raises(ConfigError, match=r"'words' is unknown; use one of auto, markup"):
        split("a", "words")  # type: ignore[arg-type]


MATH = ["$", "$$", r"\[", r"\]", r"\(", r"\)", r"\begin{a}", r"\end{a}", r"\begin{b}", r"\end{b}"]
PROSE_BITS = [
    ".",
    "?",
    "!",
    "...",
    ")",
    "x",
    "A",
    "5",
    "1.",
    "e.g.",
    "J.",
    "。",
    "#",
    "-",
    "é",
    "\0",
]
SPACE = [" ", "\n", "\n\n", "\r\n", "\t"]
TAGS = ["<ACT_Plan-Start>", "<ACT_Plan-End>", "<Think_Start>", "<Think_End>", "<ACT_", "\\", "\\\\"]
HOSTILE = st.lists(
    st.sampled_from([*MATH, *PROSE_BITS, *SPACE, *TAGS, "```", "````", r"\$"]), max_size=40
).map("".join) | st.text(max_size=60)


@pytest.mark.parametrize("strategy", SPLITTINGS)
@given(text=HOSTILE)
def test_joined_steps_are_the_text_and_none_is_blank(strategy: str, text: str):
    steps = split(text, strategy)  # type: ignore[arg-type]
    assert "".join(steps) == text
    assert all(step.strip() for step in steps) or len(steps) == 1
    assert all(steps)


BODY = st.text("ab. \n?!A5", min_size=1, max_size=20).map(lambda s: f"x{s}y")
WRAPPED = st.sampled_from(
    [("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("\\begin{a}", "\\end{a}"), ("```", "```")]
)
PROSE = st.text("ab. \n?!A5", max_size=20)


@given(parts=st.lists(st.tuples(PROSE, WRAPPED, BODY), max_size=4), end=PROSE)
def test_no_cut_goes_through_closed_latex_or_code(
    parts: list[tuple[str, tuple[str, str], str]], end: str
):
    blocks = [f"{left}{body}{right}" for _, (left, right), body in parts]
    # Two code fences that touch would be one fence of six backticks.
    text = "".join(f"{p[0]} {block} " for p, block in zip(parts, blocks, strict=True)) + end
    for strategy in ("blank_lines", "lines", "sentences"):
        steps = split(text, strategy)
        assert all(any(block in step for step in steps) for block in blocks)


@given(text=HOSTILE)
def test_protected_spans_are_ordered_disjoint_and_inside(text: str):
    ends = [0] + [at for span in protected_spans(text) for at in span] + [len(text)]
    assert ends == sorted(ends)


@given(text=HOSTILE, factor=st.sampled_from(Factor))
def test_a_rendered_step_is_one_piece_that_reads_back(text: str, factor: Factor):
    piece = render_step(Step(text, factor))
    assert split(piece) == [piece]
    assert tag_problem(piece) is None
    assert (words_of(piece), factor_of(piece)) == (text, factor)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<ACT_Plan-Start>a", "the step Plan is not closed; add <ACT_Plan-End>"),
        ("a<ACT_Plan-End>", "<ACT_Plan-End> does not match no open step"),
        ("<ACT_Plan-Start>a<ACT_Other-End>", "<ACT_Other-End> does not match the open step Plan"),
        ("<ACT_Plan-Start>a<ACT_Other-Start>", "<ACT_Other-Start> opens inside Plan"),
        ("<ACT_Pla-Start>a<ACT_Pla-End>", "'<ACT_Pla-Start>' names no known factor; use one of"),
    ],
)
def test_broken_tags_are_told_with_the_fix(text: str, problem: str):
    assert problem in (tag_problem(text) or "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    [
        ".",
        "$",
        "$a ",
        "\\",
        "\\[",
        "\\begin{a}",
        "\n",
        "\n ",
        "A b. ",
        "`",
        "``` ",
        ".)",
        "$$\n\n",
        "<ACT_",
        "<ACT_Plan-Start>",
        "(",
        "1. ",
        "J. ",
        ". (",
    ],
)
def test_time_is_linear_in_the_length(unit: str):
    text = unit * (200_000 // len(unit))
    start = time.perf_counter()
    assert "".join(split(text)) == text
    assert time.perf_counter() - start < 2  # a quadratic scan takes minutes
