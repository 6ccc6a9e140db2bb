import json
import os
from pathlib import Path
from typing import Any

import pytest
from review_items import item, queue

from datagen.errors import ReviewError
from datagen.review.tools.jsonl.tool import JsonlTool
from datagen.review.tools.protocol import Pushed, ReviewTool


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def filled(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def answer(tool: JsonlTool, path: Path, responses: dict[int, dict[str, Any]]) -> Path:
    """A copy of the queue as somebody fills it in, by place in the queue."""
    header, *rows = rows_of(tool.folder / "queue.jsonl")
    for idx, response in responses.items():
        rows[idx]["response"] = response
    return filled(path, [header, *rows])


GOOD = {"first_wrong_step": 4, "answer_verdict": "wrong"}


@pytest.fixture
def tool(tmp_path: Path) -> JsonlTool:
    made = JsonlTool(tmp_path / "review")
    made.push(queue(*(item(idx) for idx in range(3))))
    return made


def test_the_tool_keeps_the_protocol(tool: JsonlTool) -> None:
    kept: ReviewTool = tool
    assert kept.pull().reviews.is_empty()


def test_a_file_explains_itself_and_hides_why_an_item_is_in_the_queue(tmp_path: Path) -> None:
    tool = JsonlTool(tmp_path)
    tool.push(queue(item(reason="trap", trap_first_error=1)))
    header, row = rows_of(tmp_path / "queue.jsonl")
    assert "first wrong" in header["response"]["first_wrong_step"]
    assert "What a wrong step is" in header["guidelines"]
    assert row["response"] == {}
    assert row["steps"][3]["text"] == "5*3=12"
    assert not {"reason", "value", "rank", "stratum", "trap_first_error"} & row.keys()


def test_pushing_twice_changes_nothing(tool: JsonlTool) -> None:
    before = (tool.folder / "queue.jsonl").read_bytes()
    assert tool.push(queue(*(item(idx) for idx in range(3)))) == Pushed(0, 0, 3, 0)
    assert (tool.folder / "queue.jsonl").read_bytes() == before


def test_a_push_counts_what_is_new_changed_and_moot(tool: JsonlTool) -> None:
    pushed = tool.push(queue(item(0), item(1, judge_text="other"), item(7)))
    assert pushed == Pushed(n_new=1, n_updated=1, n_same=1, n_withdrawn=1)


def test_disputes_go_into_a_file_of_their_own(tmp_path: Path) -> None:
    tool = JsonlTool(tmp_path)
    tool.push(queue(item(0), item(1, reason="dispute", decisions_before=["ann: step 4"])))
    assert len(rows_of(tmp_path / "queue.jsonl")) == 2
    _, dispute = rows_of(tmp_path / "disputes.jsonl")
    assert dispute["before"] == ["ann: step 4"]


def test_a_filled_in_file_becomes_reviews(tool: JsonlTool, tmp_path: Path) -> None:
    given = {
        **GOOD,
        "rating": 2,
        "factors": "4: Deduce",
        "corrected_step": "5*3=15",
        "comment": "clear",
        "submitted_at": "2026-03-01T13:00:00+01:00",
    }
    pulled = tool.take(answer(tool, tmp_path / "ann.jsonl", {1: given}))
    assert pulled.problems == ()
    assert pulled.reviews.equals(tool.pull().reviews)
    [row] = pulled.reviews.to_dicts()
    assert row.pop("review_id")
    assert row == {
        "item_id": "trace-00001",
        "trace_id": "trace-00001",
        "annotator": "ann",
        "submitted_at": "2026-03-01T12:00:00+00:00",
        "first_error": 3,
        "answer_verdict": "wrong",
        "rating": 2,
        "factors": [{"step_idx": 3, "factor": "Deduce"}],
        "corrected_step_idx": 3,
        "corrected_step": "5*3=15",
        "comment": "clear",
        "tool": "jsonl",
    }


def test_a_file_that_is_taken_twice_counts_once(tool: JsonlTool, tmp_path: Path) -> None:
    path = answer(tool, tmp_path / "ann.jsonl", {0: GOOD})
    tool.take(path)
    mark = tool.watermark()
    tool.take(path)
    assert tool.watermark() == mark
    assert tool.pull().reviews.height == 1


def test_two_people_who_say_the_same_to_the_letter_are_two(tool: JsonlTool, tmp_path: Path) -> None:
    path = answer(tool, tmp_path / "ann.jsonl", {0: GOOD})
    (tmp_path / "bob.jsonl").write_bytes(path.read_bytes())
    tool.take(path)
    tool.take(tmp_path / "bob.jsonl")
    assert tool.pull().reviews["annotator"].to_list() == ["ann", "bob"]


def test_a_second_file_by_the_same_person_adds_to_the_first(
    tool: JsonlTool, tmp_path: Path
) -> None:
    tool.take(answer(tool, tmp_path / "ann.jsonl", {0: GOOD, 1: GOOD}))
    mark = tool.watermark()
    later = {"first_wrong_step": "none", "answer_verdict": "wrong"}
    path = answer(tool, tmp_path / "ann.jsonl", {1: later})
    os.utime(path, (2e9, 2e9))
    tool.take(path)
    assert tool.watermark() != mark
    assert dict(tool.pull().reviews.select("item_id", "first_error").iter_rows()) == {
        "trace-00000": 3,
        "trace-00001": -1,
    }


def test_answers_outlive_their_item_in_the_queue(tool: JsonlTool, tmp_path: Path) -> None:
    tool.take(answer(tool, tmp_path / "ann.jsonl", {0: GOOD}))
    tool.push(queue(item(9)))
    assert tool.pull().reviews["item_id"].to_list() == ["trace-00000"]


def test_drafts_and_discarded_rows_are_no_reviews(tool: JsonlTool, tmp_path: Path) -> None:
    responses = {0: {**GOOD, "status": "draft"}, 1: {**GOOD, "status": "discarded"}, 2: GOOD}
    pulled = tool.take(answer(tool, tmp_path / "ann.jsonl", responses))
    assert pulled.reviews["item_id"].to_list() == ["trace-00002"]
    assert pulled.problems == ()


def test_reviews_that_were_taken_back_later_are_named(tool: JsonlTool, tmp_path: Path) -> None:
    tool.take(answer(tool, tmp_path / "ann.jsonl", {0: GOOD, 1: GOOD, 2: GOOD}))
    tool.take(answer(tool, tmp_path / "bob.jsonl", {0: GOOD}))
    submitted = tool.pull()
    assert submitted.retracted == frozenset()
    back = answer(
        tool, tmp_path / "ann.jsonl", {0: {"status": "discarded"}, 1: {**GOOD, "status": "draft"}}
    )
    os.utime(back, (2e9, 2e9))
    tool.take(back)
    pulled = tool.pull()
    by_ann = submitted.reviews.filter(annotator="ann")["review_id"].to_list()
    assert pulled.retracted == set(by_ann[:2])
    assert pulled.reviews.select("item_id", "annotator").rows() == [
        ("trace-00000", "bob"),
        ("trace-00002", "ann"),
    ]


def test_a_review_that_is_newer_than_its_draft_counts(tool: JsonlTool, tmp_path: Path) -> None:
    tool.take(answer(tool, tmp_path / "ann.jsonl", {0: GOOD}))
    draft = {**GOOD, "status": "draft", "submitted_at": "2001-01-01"}
    tool.take(answer(tool, tmp_path / "ann.jsonl", {0: draft}))
    assert tool.pull().retracted == frozenset()
    assert tool.pull().reviews["item_id"].to_list() == ["trace-00000"]


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ({**GOOD, "first_wrong_step": 8}, "first_wrong_step is 8; write 'none', 'unsure' or a st"),
        ({"first_wrong_step": 4}, "answer_verdict is not answered"),
        ({**GOOD, "answer_verdict": "maybe"}, "answer_verdict is 'maybe'; use one of 'right'"),
        ({**GOOD, "frist": 1}, "response has 'frist'; it may have first_wrong_step"),
        ({**GOOD, "factors": "4: Guess"}, "factors is '4: Guess'; write a step from 1 to 7"),
        ({**GOOD, "annotator": ""}, "annotator is ''; write a name"),
        ({**GOOD, "submitted_at": "noon"}, "submitted_at is 'noon'; write ISO 8601"),
        ({**GOOD, "status": "done"}, "status is 'done'; use one of submitted"),
        ([1], "response is [1]; write an object"),
    ],
)
def test_a_bad_row_is_refused_with_its_line_and_the_others_count(
    tool: JsonlTool, tmp_path: Path, response: Any, reason: str
) -> None:
    pulled = tool.take(answer(tool, tmp_path / "ann.jsonl", {0: response, 1: GOOD}))
    assert pulled.reviews["item_id"].to_list() == ["trace-00001"]
    [problem] = pulled.problems
    assert problem.where.endswith("ann.jsonl, line 2")
    assert problem.reason.startswith(reason)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "it is no JSON"),
        (b"\xff\xfe{}", "it is no JSON"),
        (b"[1]", "it is no JSON object"),
        (b"{}", "it has no item_id"),
        (b'{"item_id": 3}', "it has no item_id"),
        (b'{"item_id": "t", "response": {"first_wrong_step": 1, "answer_verdict": "right"}}',
         "it has no steps"),
        (b"[" * 100_000, "it is no JSON"),
    ],
)  # fmt: skip
def test_a_line_that_is_no_row_is_refused(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "ann.jsonl"
    path.write_bytes(b'{"about": ""}\n\n' + line)
    [problem] = JsonlTool(tmp_path / "review").take(path).problems
    assert problem.where.endswith("line 3")
    assert problem.reason.startswith(reason)


def test_a_missing_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ReviewError, match=r"nobody\.jsonl' cannot be taken: No such file"):
        JsonlTool(tmp_path).take(tmp_path / "nobody.jsonl")


def test_withdrawn_items_leave_the_files_unless_somebody_answered(
    tool: JsonlTool, tmp_path: Path
) -> None:
    tool.take(answer(tool, tmp_path / "ann.jsonl", {0: GOOD}))
    assert tool.withdraw(["trace-00000", "trace-00001", "nothing"]) == 1
    assert [row["item_id"] for row in rows_of(tool.folder / "queue.jsonl")[1:]] == [
        "trace-00000",
        "trace-00002",
    ]


def test_seeds_are_authored_in_forms(tool: JsonlTool, tmp_path: Path) -> None:
    assert (tool.offer_seeds(2), tool.offer_seeds(2)) == (2, 0)
    header, form, other = rows_of(tool.folder / "seeds.jsonl")
    assert "question" in header["response"]
    form["response"] = {"question": "2+2?", "thought": "2+2=4", "answer": "4"}
    other["response"] = {"question": "half"}
    assert tool.take(filled(tmp_path / "ann.jsonl", [header, form, other])).problems == ()
    pulled = tool.pull_seeds()
    [row] = pulled.rows
    assert (row["question"], row["source"], row["meta"]["author"]) == ("2+2?", "jsonl", "ann")
    [problem] = pulled.problems
    assert problem.reason == "thought, answer is not answered"
    assert tool.pull_seeds() == pulled
    assert tool.offer_seeds(2) == 2  # both forms came back


def test_a_seed_that_was_taken_back_is_named(tool: JsonlTool, tmp_path: Path) -> None:
    tool.offer_seeds(1)
    header, form = rows_of(tool.folder / "seeds.jsonl")
    form["response"] = {"question": "2+2?", "thought": "2+2=4", "answer": "4"}
    tool.take(filled(tmp_path / "ann.jsonl", [header, form]))
    [row] = tool.pull_seeds().rows
    form["response"]["status"] = "discarded"
    back = filled(tmp_path / "ann.jsonl", [header, form])
    os.utime(back, (2e9, 2e9))
    tool.take(back)
    pulled = tool.pull_seeds()
    assert (pulled.rows, pulled.retracted) == ((), {row["seed_id"]})
