"""A person reviews in Argilla's own page, in a real browser.

``DATAGEN_REVIEW_SCREENSHOT=docs/review.png`` writes down what that person sees.
"""

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from argilla_server import review_server  # noqa: F401
from chromium import needs_chromium
from review_items import CODE, CORRECTION, item, queue
from review_people import Person

from datagen.review.server import Server
from datagen.review.tools.argilla.tool import ArgillaTool

HOSTILE = (
    "</script><script>parent.hacked = 1</script><img src=x onerror='parent.hacked = 1'> "
    "$' $& #TEMPLATE#"
)

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(name="server")
def _server(review_server: Server) -> Server:  # noqa: F811
    return review_server


@pytest.fixture
def tool(server: Server) -> Iterator[ArgillaTool]:
    yield ArgillaTool(url=server.url, key=server.credentials.owner.api_key)
    owner = Person(server, "owner")
    for name in owner.datasets():
        owner.delete_dataset(name)


def logged_in(browser: Any, server: Server, name: str) -> Any:
    """Argilla's page as an annotator sees it."""
    opened = browser.new_page(viewport={"width": 1440, "height": 960})
    opened.goto(f"{server.url}/sign-in")
    opened.fill("input[type=text]", name)
    opened.fill("input[type=password]", server.credentials.annotators[name].password)
    opened.keyboard.press("Enter")
    opened.wait_for_url(f"{server.url}/")
    return opened


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    """Argilla's page as ``ann`` sees it."""
    opened = logged_in(browser, server, "ann")
    yield opened
    opened.close()


def open_dataset(
    page: Any, server: Server, name: str, user: str = "ann", status: str = "pending"
) -> Any:
    """The first record of a status; returns the frame in which its trace is drawn."""
    dataset_id = Person(server, user).datasets()[name]
    page.goto(f"{server.url}/dataset/{dataset_id}/annotation-mode?status={status}")
    page.locator('[aria-label="List of annotation questions"]').wait_for()
    return page.frame_locator("iframe")


def answers_of(buttons: Any) -> list[str]:
    """What the buttons of the first question stand for."""
    names = [button.get_attribute("for") for button in buttons.all()]
    return [name.removeprefix("first_wrong_step_") for name in names]


def write(page: Any, question: str, text: str) -> None:
    box = page.locator(f'[aria-label="Question: {question}"] [contenteditable]')
    box.click()
    box.press("Control+a")
    box.press("Delete")
    for n, line in enumerate(text.split("\n")):
        if n:
            box.press("Enter")
        page.keyboard.type(line)


def test_an_annotator_reads_a_trace_answers_everything_and_submits(
    page: Any, tool: ArgillaTool, server: Server
) -> None:
    belief = [0.01, 0.02, 0.03, 0.24, 0.6, 0.04, 0.02, 0.04]
    disputed = item(0, p_first_error=belief, judge_first_error=3, judge_text="5*3 is 15, not 12")
    tool.push(queue(disputed, item(1, **CODE), item(2, **CORRECTION)))
    frame = open_dataset(page, server, "review-1")
    rows = frame.locator("#trace ol li")
    rows.nth(6).wait_for()
    assert rows.count() == 7
    fourth = rows.nth(3).inner_text()
    assert fourth.split("\n") == [
        "4",
        "Computekind in doubtthe judge: wrong from here",
        "5*3=12",
        "1/8 right",
        "24% first",
    ]
    shown = frame.locator("#trace").inner_text()
    assert "expected answer  45" in shown
    assert "5*3 is 15, not 12" in shown
    box = page.locator("iframe").bounding_box()
    drawn = frame.locator("#trace").bounding_box()
    assert box and drawn and drawn["height"] <= box["height"]  # nothing is cut off
    assert page.locator("#first_wrong_step_5").is_checked()  # filled in beforehand

    page.locator("label[for=first_wrong_step_4]").click()
    page.locator("label[for=answer_verdict_wrong]").click()
    if not page.locator("#answer_verdict_wrong").is_checked():
        page.locator("label[for=answer_verdict_wrong]").click()
    page.locator("label[for=rating_2]").click()
    write(page, "factors", "4: Deduce\n5: Compute")
    write(page, "corrected_step", "5*3=15")
    write(page, "comment", "all else follows & 12 < 15")
    if path := os.environ.get("DATAGEN_REVIEW_SCREENSHOT"):
        page.locator("label[for=first_wrong_step_1]").scroll_into_view_if_needed()
        page.mouse.move(5, 500)
        page.screenshot(path=path)
    page.locator("button[type=submit]").click()

    deadline = time.monotonic() + 20
    while (pulled := tool.pull()).reviews.is_empty() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert pulled.problems == ()
    [row] = pulled.reviews.to_dicts()
    assert (row["annotator"], row["first_error"], row["answer_verdict"]) == ("ann", 3, "wrong")
    assert (row["rating"], row["comment"]) == (2, "all else follows & 12 < 15")
    assert row["factors"] == [
        {"step_idx": 3, "factor": "Deduce"},
        {"step_idx": 4, "factor": "Compute"},
    ]
    assert (row["corrected_step_idx"], row["corrected_step"]) == (3, "5*3=15")


def test_the_form_offers_the_steps_that_the_trace_has(
    page: Any, tool: ArgillaTool, server: Server
) -> None:
    belief = [0.02] * 11 + [0.6, 0.06, 0.06, 0.06]
    tool.push(queue(item(0), item(1, steps=[f"{n}+{n}" for n in range(14)], p_first_error=belief)))
    buttons = page.locator("label[for^=first_wrong_step_]:visible")
    frame = open_dataset(page, server, "review-1")
    frame.locator("#trace ol li").nth(6).wait_for()
    short = [*map(str, range(1, 8)), "none", "unsure"]
    assert answers_of(buttons) == short
    assert page.locator("#first_wrong_step_4").is_checked()
    page.locator("#first_wrong_step_1").focus()
    page.keyboard.press("9")  # its key still works, so what was chosen must be seen
    assert page.locator("#first_wrong_step_9").is_checked()
    assert answers_of(buttons) == [*short[:7], "9", *short[7:]]

    page.locator('[aria-label^="Next"]').click()
    frame.locator("#trace ol li").nth(13).wait_for()
    assert answers_of(buttons) == [*map(str, range(1, 15)), "none", "unsure"]
    assert page.locator("#first_wrong_step_12").is_checked()


def test_code_and_corrections_show_what_matters_for_them(
    page: Any, tool: ArgillaTool, server: Server
) -> None:
    tool.push(queue(item(1, **CODE)))
    frame = open_dataset(page, server, "review-1")
    rows = frame.locator("#trace ol li")
    assert "✗ the run says otherwise" in rows.nth(4).inner_text()
    assert "✓ the run agrees" in rows.nth(3).inner_text()
    tool.push(queue(item(2, **CORRECTION)))
    frame = open_dataset(page, server, "review-1")
    frame.locator("#trace ol li").nth(6).wait_for()
    shown = frame.locator("#trace").inner_text()
    for said in ("goes wrong here", "notices the error", "puts it right"):
        assert said in shown


def test_tex_and_code_stand_out_and_prices_do_not(
    page: Any, tool: ArgillaTool, server: Server
) -> None:
    steps = [
        "$x^2$ is \\(y\\)",
        "it costs $5 and $7, or $5/$7",
        "\\[\na\n\\] or $$b$$",
        "no $ sign $",
    ]
    tool.push(queue(item(0, steps=steps, answer="def f():\n    return 1")))
    frame = open_dataset(page, server, "review-1")
    texts = frame.locator("#trace ol li .text")
    texts.nth(3).wait_for()
    math = [texts.nth(n).locator(".math").all_text_contents() for n in range(4)]
    assert math == [["$x^2$", "\\(y\\)"], [], ["\\[\na\n\\]", "$$b$$"], []]
    assert texts.all_text_contents() == steps
    assert frame.locator("#trace .answer .lines").inner_text() == "def f():\n    return 1"


def test_a_senior_reads_first_what_others_decided(
    browser: Any, tool: ArgillaTool, server: Server
) -> None:
    seniors = ArgillaTool(url=server.url, key=server.credentials.owner.api_key, seniors=["bob"])
    said = ["ann: step 4 is the first wrong one", "cy: no step is wrong"]
    seniors.push(queue(item(0, reason="dispute", decisions_before=said)))
    page = logged_in(browser, server, "bob")
    frame = open_dataset(page, server, "review-disputes", "bob")
    frame.locator("#trace ol li").nth(6).wait_for()
    shown = frame.locator("#trace").inner_text()
    assert shown.index(said[0]) < shown.index(said[1]) < shown.index("RestateGoal")
    page.close()


def test_a_review_is_taken_back(page: Any, tool: ArgillaTool, server: Server) -> None:
    tool.push(queue(item(0)))
    [record] = Person(server, "owner").records("review-1").values()
    Person(server, "ann").answer(record, first_wrong_step="4", answer_verdict="wrong")
    [review] = tool.pull().reviews["review_id"]
    open_dataset(page, server, "review-1", status="submitted")
    page.locator("button", has_text="Discard").click()
    deadline = time.monotonic() + 20
    while not (pulled := tool.pull()).retracted and time.monotonic() < deadline:
        time.sleep(0.2)
    assert (pulled.reviews.height, pulled.retracted) == (0, {review})


def test_hostile_text_is_shown_as_text_and_runs_nowhere(
    page: Any, tool: ArgillaTool, server: Server
) -> None:
    tool.push(
        queue(item(0, question=HOSTILE, steps=[HOSTILE] * 7, judge_text=HOSTILE, answer=HOSTILE))
    )
    frame = open_dataset(page, server, "review-1")
    assert frame.locator("#trace ol li .text").nth(2).text_content() == HOSTILE
    assert frame.locator("#trace .question").text_content() == HOSTILE
    assert frame.locator("#trace img, #trace script").count() == 0
    time.sleep(0.5)
    assert page.evaluate("window.hacked") is None


def test_a_seed_is_authored(page: Any, tool: ArgillaTool, server: Server) -> None:
    thought = "I add  twice.\n    2+2=4 & 1 < 2"
    tool.offer_seeds(1)
    open_dataset(page, server, "seeds")
    assert "One step per line" in page.locator("body").inner_text()
    write(page, "question", "2+2?")
    write(page, "thought", thought)
    write(page, "answer", "4")
    page.locator("button[type=submit]").click()
    deadline = time.monotonic() + 20
    while not (pulled := tool.pull_seeds()).rows and time.monotonic() < deadline:
        time.sleep(0.2)
    [row] = pulled.rows
    assert (row["question"], row["thought"], row["answer"]) == ("2+2?", thought, "4")
    assert row["source"] == "argilla"
