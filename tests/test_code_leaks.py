import pytest

from datagen.code.leaks import find_leak
from datagen.traces.model import Step

CODE = """
def f(xs):
    total = 0
    count = 0
    for x in xs:
        if x % 2 == 0:
            total = total + x * x
            count += 1
    return total
"""


def leak(text: str) -> str | None:
    return find_leak([Step("we add the squares"), Step(text)], code=CODE)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("the code adds them up", "the code"),
        ("as the given function shows", "the given function"),
        ("The provided implementation sorts first", "The provided implementation"),
        ("this function does two things", "this function does"),
        ("on line 3 we see a sum", "on line 3"),
        ("as implemented, it skips odd numbers", "as implemented"),
        ("in the implementation there is a set", "in the implementation"),
        ("the author uses a set", "the author uses"),
        ("the execution log shows 4", "execution log"),
        ("according to the trace, x = 4", "according to the trace"),
        ("the snippet is short", "the snippet"),
        ("looking at the code again", "the code"),
        ("def f(xs): ...", "def f("),
        ("import math\nthen go", "import math"),
        ("from collections import Counter", "from collections import Counter"),
        ("```python\nx = 1\n```", "```python"),
        ("so total = total + x * x, then count += 1", "total = total + x * x"),
        ("for x in xs:\n  if x % 2 == 0:\n    total = total + x * x", "if x % 2 == 0"),
    ],
)
def test_words_that_betray_finished_code_are_quoted(text: str, words: str) -> None:
    reason = leak(text)
    assert reason is not None and words in reason and reason.startswith("step 1")


@pytest.mark.parametrize(
    "text",
    [
        "translate the text into Morse code",
        "the error code is 404, the code point of 'a' is 97",
        "the function should return the sum",
        "write a function that adds the squares",
        "we define default values, and undefined ones fail",
        "now we write the code for it",
        "the trace of the matrix is 5",
        "at first total = 0, count = 0",
        "set total to 0; for each x in xs: if x % 2 == 0: add x * x to total; give back total",
        "we import the data from the file and import nothing else",
        "count the words on line 3 of the file",
        "the solution must not use extra space",
        "group the books by the author",
        "total = 0",
        "with count = 0, for x in xs we look at each",
        "for x in xs: if x % 2 == 0: it counts",
        "authors of the given books",
    ],
)
def test_words_about_the_problem_are_no_leak(text: str) -> None:
    assert leak(text) is None


def test_code_that_does_not_parse_is_compared_line_by_line() -> None:
    assert find_leak([Step("go(a, b); stop(a, b)")], code="go(a, b)\nstop(a, b)\n???") is not None
