import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from argilla_server import review_server  # noqa: F401
from review_items import CODE, CORRECTION, item, queue
from review_people import Person

from datagen.errors import ReviewError
from datagen.review.server import Server
from datagen.review.tools import questions
from datagen.review.tools.argilla.tool import ArgillaTool
from datagen.review.tools.protocol import Pushed

pytestmark = pytest.mark.slow

GOOD = {"first_wrong_step": "4", "answer_verdict": "wrong"}


@pytest.fixture(name="server")
def _server(review_server: Server) -> Iterator[Server]:  # noqa: F811
    """The server, without the datasets of the test before."""
    yield review_server
    owner = Person(review_server, "owner")
    for name in owner.datasets():
        owner.delete_dataset(name)


@pytest.fixture
def tool(server: Server) -> ArgillaTool:
    return ArgillaTool(url=server.url, key=server.credentials.owner.api_key, seniors=["bob"])


def test_three_hundred_traces_two_annotators_and_back(server: Server, tool: ArgillaTool) -> None:
    items = queue(*(item(idx, n_wanted=2) for idx in range(300)))
    assert tool.push(items) == Pushed(n_new=300, n_updated=0, n_same=0, n_withdrawn=0)
    assert tool.push(items) == Pushed(n_new=0, n_updated=0, n_same=300, n_withdrawn=0)
    records = Person(server, "owner").records("review-2")
    assert len(records) == 300
    ann, bob = Person(server, "ann"), Person(server, "bob")
    mark = tool.watermark()
    for n, record in enumerate(records.values()):
        if n < 20:  # agreeing
            ann.answer(record, **GOOD, rating=2)
            bob.answer(record, **GOOD, corrected_step="5*3=15")
        elif n < 30:  # conflicting
            ann.answer(record, **GOOD)
            bob.answer(record, first_wrong_step="none", answer_verdict="unsure")
        elif n < 35:  # a discard stores what was filled in beforehand
            ann.answer(record, "discarded", **GOOD)
        elif n < 40:
            bob.answer(record, "draft", **GOOD)
    assert tool.watermark() != mark
    pulled = tool.pull()
    assert pulled.problems == ()
    assert pulled.reviews.height == 60
    assert pulled.reviews["annotator"].value_counts().sort("annotator").rows() == [
        ("ann", 30),
        ("bob", 30),
    ]
    first = pulled.reviews.row(0, named=True)
    assert (first["item_id"], first["annotator"], first["first_error"]) == ("trace-00000", "ann", 3)
    assert (first["answer_verdict"], first["rating"], first["tool"]) == ("wrong", 2, "argilla")
    assert first["submitted_at"].endswith("+00:00")
    second = pulled.reviews.row(1, named=True)
    assert (second["corrected_step_idx"], second["corrected_step"]) == (3, "5*3=15")
    assert tool.pull().reviews.equals(pulled.reviews)


def test_answers_survive_whatever_is_pushed_next(server: Server, tool: ArgillaTool) -> None:
    tool.push(queue(*(item(idx) for idx in range(6))))
    records = Person(server, "owner").records("review-1")
    ann = Person(server, "ann")
    ann.answer(records["trace-00000"], **GOOD)
    ann.answer(records["trace-00001"], "draft", **GOOD)
    ann.answer(records["trace-00002"], "discarded")
    changed = [item(idx, judge_text="news") for idx in (0, 1, 3)]
    pushed = tool.push(queue(*changed, item(4)))
    # 2 is moot but was discarded by somebody; 5 is moot and unanswered.
    assert pushed == Pushed(n_new=0, n_updated=1, n_same=3, n_withdrawn=1)
    after = Person(server, "owner").records("review-1")
    assert sorted(after) == [f"trace-{idx:05}" for idx in range(5)]
    for item_id in ("trace-00000", "trace-00001", "trace-00002"):
        assert after[item_id]["fields"] == records[item_id]["fields"]
        assert after[item_id]["suggestions"] == records[item_id]["suggestions"]
        assert len(after[item_id]["responses"]) == 1
    assert "news" in after["trace-00003"]["fields"]["trace"]["json"]
    assert tool.push(queue(*changed, item(4))) == Pushed(0, 0, 4, 0)


def test_a_later_answer_replaces_the_earlier_one(server: Server, tool: ArgillaTool) -> None:
    tool.push(queue(item()))
    [record] = Person(server, "owner").records("review-1").values()
    ann = Person(server, "ann")
    response = ann.answer(record, **GOOD)
    before, mark = tool.pull().reviews, tool.watermark()
    ann.change(response, first_wrong_step="none", answer_verdict="right")
    after = tool.pull().reviews
    assert tool.watermark() != mark
    assert after["review_id"].equals(before["review_id"])
    assert after["first_error"].to_list() == [-1]
    assert after["submitted_at"][0] > before["submitted_at"][0]


def test_reviews_that_were_taken_back_are_named_and_deleted_ones_are_not(
    server: Server, tool: ArgillaTool
) -> None:
    tool.push(queue(*(item(idx, n_wanted=2) for idx in range(5))))
    records = list(Person(server, "owner").records("review-2").values())
    ann, bob = Person(server, "ann"), Person(server, "bob")
    responses = [ann.answer(record, **GOOD) for record in records]
    bob.answer(records[0], **GOOD)
    submitted = tool.pull()
    assert submitted.retracted == frozenset()
    for response, status in zip(responses[:2], ("discarded", "draft"), strict=True):
        mark = tool.watermark()
        ann.change(response, status, **GOOD)
        assert tool.watermark() != mark
    Person(server, "owner").delete(records[2])
    pulled = tool.pull()
    by_ann = submitted.reviews.filter(annotator="ann")["review_id"].to_list()
    assert pulled.retracted == set(by_ann[:2])
    assert pulled.problems == ()
    assert pulled.reviews.select("item_id", "annotator").rows() == [
        ("trace-00000", "bob"),
        ("trace-00003", "ann"),
        ("trace-00004", "ann"),
    ]
    ann.change(responses[0], **GOOD)
    assert tool.pull().retracted == {by_ann[1]}


def test_a_review_stands_though_another_copy_of_its_item_is_discarded(
    server: Server, tool: ArgillaTool
) -> None:
    owner, ann = Person(server, "owner"), Person(server, "ann")
    for n_wanted, status in ((1, "submitted"), (2, "discarded")):
        tool.push(queue(item(0, n_wanted=n_wanted)))
        [record] = owner.records(f"review-{n_wanted}").values()
        ann.answer(record, status, **GOOD)
    pulled = tool.pull()
    assert (pulled.reviews.height, pulled.retracted) == (1, frozenset())


def test_records_are_prefilled_with_what_the_pipeline_believes(
    server: Server, tool: ArgillaTool
) -> None:
    tool.push(queue(item()))
    [record] = Person(server, "owner").records("review-1").values()
    suggested = {s["value"]: (s["score"], s["agent"]) for s in record["suggestions"]}
    assert suggested["4"] == (0.72, "datagen")
    assert suggested["wrong"] == (None, "datagen")


def test_nothing_is_prefilled_if_that_is_not_wanted(server: Server) -> None:
    tool = ArgillaTool(url=server.url, key=server.credentials.owner.api_key, suggest=False)
    tool.push(queue(item()))
    [record] = Person(server, "owner").records("review-1").values()
    assert record["suggestions"] == []
    assert tool.push(queue(item())).n_same == 1


def test_no_record_tells_that_it_is_a_trap(server: Server, tool: ArgillaTool) -> None:
    tool.push(queue(item(reason="trap", trap_first_error=2)))
    [record] = Person(server, "owner").records("review-1").values()
    assert "trap" not in json.dumps([record["fields"], record["metadata"]]).replace("trace", "")


def test_each_kind_of_item_is_accepted(server: Server, tool: ArgillaTool) -> None:
    tool.push(queue(item(0), item(1, **CODE), item(2, **CORRECTION)))
    kinds = [r["metadata"]["kind"] for r in Person(server, "owner").records("review-1").values()]
    assert kinds == ["trace", "code", "correction"]


def test_a_record_goes_to_as_many_people_as_are_wanted(server: Server, tool: ArgillaTool) -> None:
    tool.push(queue(item(0, n_wanted=1), item(1, n_wanted=2)))
    owner, ann = Person(server, "owner"), Person(server, "ann")
    for dataset in ("review-1", "review-2"):
        [record] = owner.records(dataset).values()
        ann.answer(record, **GOOD)
    statuses = [next(iter(owner.records(f"review-{n}").values()))["status"] for n in (1, 2)]
    assert statuses == ["completed", "pending"]


def test_only_seniors_see_disputes(server: Server, tool: ArgillaTool) -> None:
    said = ["ann: step 4", "cy: none"]
    tool.push(queue(item(0), item(1, reason="dispute", decisions_before=said)))
    assert "review-disputes" not in Person(server, "ann").datasets()
    assert "review-disputes" in Person(server, "bob").datasets()
    [record] = Person(server, "owner").records("review-disputes").values()
    assert "cy: none" in record["fields"]["trace"]["json"]
    Person(server, "bob").answer(record, **GOOD)
    assert tool.pull().reviews["annotator"].to_list() == ["bob"]


def test_a_senior_whom_nobody_knows_is_named(server: Server) -> None:
    tool = ArgillaTool(url=server.url, key=server.credentials.owner.api_key, seniors=["zoe"])
    with pytest.raises(ReviewError, match="no user 'zoe'"):
        tool.push(queue(item(0, reason="dispute", decisions_before=["ann: none"])))


def test_an_answer_that_the_trace_does_not_have_is_named(server: Server, tool: ArgillaTool) -> None:
    tool.push(queue(item()))
    [record] = Person(server, "owner").records("review-1").values()
    Person(server, "ann").answer(record, first_wrong_step="9", answer_verdict="wrong")
    pulled = tool.pull()
    [problem] = pulled.problems
    assert problem.where == "item trace-00000, ann"
    assert "a step from 1 to 7" in problem.reason
    assert pulled.reviews["first_error"].to_list() == [None]
    assert pulled.reviews["comment"].to_list() == ["first_wrong_step: 9"]


def test_a_record_deleted_in_between_is_pushed_again(server: Server, tool: ArgillaTool) -> None:
    items = queue(*(item(idx) for idx in range(3)))
    tool.push(items)
    owner = Person(server, "owner")
    ann = Person(server, "ann")
    records = owner.records("review-1")
    ann.answer(records["trace-00000"], **GOOD)
    owner.delete(records["trace-00001"])
    assert tool.pull().reviews.height == 1
    assert tool.push(items) == Pushed(n_new=1, n_updated=0, n_same=2, n_withdrawn=0)
    assert tool.withdraw(["trace-00001", "trace-00000", "nothing"]) == 1


def test_records_deleted_while_they_are_read_hide_no_others(
    server: Server, tool: ArgillaTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datagen.review.tools.argilla.connection._PAGE", 5)
    tool.push(queue(*(item(idx) for idx in range(20))))
    owner, ann = Person(server, "owner"), Person(server, "ann")
    records = owner.records("review-1")
    for record in records.values():
        ann.answer(record, **GOOD)
    connection = tool._connection
    get, calls = connection.get, []

    def deleting(path: str, **params: object) -> object:
        answered = get(path, **params)
        if "/records" in path and not calls:  # after the first page, one of its records goes
            calls.append(path)
            owner.delete(records["trace-00001"])
        return answered

    monkeypatch.setattr(connection, "get", deleting)
    assert set(tool.pull().reviews["item_id"]) == set(records) - {"trace-00001"}


def test_an_answer_given_while_a_push_runs_is_kept(
    server: Server, tool: ArgillaTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool.push(queue(item(0), item(1), item(2)))
    records = Person(server, "owner").records("review-1")
    list_records = tool._connection.records

    def answered_meanwhile(dataset_id: str) -> object:
        listed = list_records(dataset_id)
        for item_id in ("trace-00000", "trace-00001"):
            Person(server, "ann").answer(records[item_id], **GOOD)
        return listed

    monkeypatch.setattr(tool._connection, "records", answered_meanwhile)
    # 0 shows something new, 1 and 2 are moot.
    assert tool.push(queue(item(0, judge_text="news"))) == Pushed(0, 0, 1, 1)
    monkeypatch.undo()
    assert tool.pull().reviews["item_id"].to_list() == ["trace-00000", "trace-00001"]


def test_two_pushes_at_once_double_nothing(server: Server, tool: ArgillaTool) -> None:
    items = queue(*(item(idx) for idx in range(150)))
    tool.push(queue(item(0)))
    errors: list[Exception] = []

    def push() -> None:
        try:
            ArgillaTool(url=server.url, key=server.credentials.owner.api_key).push(items)
        except ReviewError as error:  # may collide; then it says so, and a push mends it
            errors.append(error)

    threads = [threading.Thread(target=push) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tool.push(items)
    assert len(errors) < 2
    assert len(Person(server, "owner").records("review-1")) == 150


def test_a_server_that_dies_in_the_middle_loses_nothing(server: Server) -> None:
    items = queue(*(item(idx) for idx in range(250)))
    key = server.credentials.owner.api_key
    broken = ArgillaTool(url=server.url, key=key)
    client = broken._connection.client

    def cut(done: int, _all: int) -> None:
        if done >= 100:  # nothing listens there
            client.http_client.base_url = f"http://127.0.0.1:{_free_port()}"

    broken._progress = cut
    with pytest.raises(ReviewError, match=r"while pushing the queue.*run it again"):
        broken.push(items)
    pushed = ArgillaTool(url=server.url, key=key).push(items)
    assert pushed == Pushed(n_new=150, n_updated=0, n_same=100, n_withdrawn=0)
    assert len(Person(server, "owner").records("review-1")) == 250


def test_a_server_that_is_down_is_named_with_the_fix() -> None:
    url = f"http://127.0.0.1:{_free_port()}"
    with pytest.raises(ReviewError, match=rf"no Argilla server answers at {url}.*review serve"):
        ArgillaTool(url=url, key="secret-key")


def test_a_wrong_key_is_refused_and_never_shown(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ReviewError, match="does not accept the key") as caught:
        ArgillaTool(url=server.url, key="secret-key")
    assert "secret-key" not in str(caught.value) + caplog.text


def test_an_annotators_key_is_refused(server: Server) -> None:
    key = server.credentials.annotators["ann"].api_key
    with pytest.raises(ReviewError, match="'ann', an annotator; only an owner or an admin"):
        ArgillaTool(url=server.url, key=key)


def test_a_page_that_is_no_argilla_is_named() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def reply() -> None:
        peer, _ = listener.accept()
        peer.recv(65536)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        peer.close()

    threading.Thread(target=reply, daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(ReviewError, match="does not answer as Argilla does"):
        ArgillaTool(url=url, key="k")
    listener.close()


def test_what_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARGILLA_API_URL", raising=False)
    monkeypatch.delenv("ARGILLA_API_KEY", raising=False)
    with pytest.raises(ReviewError, match="ARGILLA_API_URL is not set"):
        ArgillaTool()
    with pytest.raises(ReviewError, match="ARGILLA_API_KEY is not set"):
        ArgillaTool(url="http://127.0.0.1:1")


def test_url_and_key_are_taken_from_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGILLA_API_URL", f"{server.url}/")
    monkeypatch.setenv("ARGILLA_API_KEY", server.credentials.owner.api_key)
    assert ArgillaTool().pull().reviews.is_empty()


def test_a_missing_sdk_is_named_with_the_fix() -> None:
    code = (
        "import sys; sys.modules['argilla'] = None\n"
        "from datagen.review.tools.argilla.tool import ArgillaTool\n"
        "ArgillaTool(url='http://127.0.0.1:1', key='k')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'datagen[review]'" in ran.stderr.splitlines()[-1]


def test_the_sdk_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys, datagen.review.tools.argilla.tool, datagen.review.tools.jsonl.tool\n"
        "assert not {'argilla', 'httpx'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_another_dataset_of_our_name_is_left_alone(server: Server, tool: ArgillaTool) -> None:
    tool.push(queue(item()))
    other = ArgillaTool(url=server.url, key=server.credentials.owner.api_key, max_steps=60)
    with pytest.raises(ReviewError, match="does not ask 'first_wrong_step' as we do"):
        other.push(queue(item(0), item(1)))


def test_answers_in_another_order_are_no_other_question(
    server: Server, tool: ArgillaTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = [*map(str, range(10, 41)), "none", "unsure", *map(str, range(1, 10))]
    with monkeypatch.context() as older:
        older.setattr("datagen.review.tools.questions.step_choices", lambda _: order)
        tool.push(queue(item()))
    assert tool.push(queue(item(), item(1))).n_new == 1


def test_guidelines_template_and_questions_are_brought_up_to_date(
    server: Server, tool: ArgillaTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool.push(queue(item()))
    monkeypatch.setitem(questions.TITLES, "comment", "What else?")
    monkeypatch.setattr("datagen.review.tools.argilla.forms.guidelines", lambda: "# New\n")
    monkeypatch.setattr("datagen.review.tools.argilla.forms.template", lambda: "<p>new</p>")
    tool.push(queue(item(), item(1)))
    owner = Person(server, "owner")
    path = f"/datasets/{owner.datasets()['review-1']}"
    assert owner._json("GET", path)["guidelines"] == "# New\n"
    [field] = owner._json("GET", f"{path}/fields")["items"]
    assert field["settings"]["template"] == "<p>new</p>"
    titles = [asked["title"] for asked in owner._json("GET", f"{path}/questions")["items"]]
    assert titles == list(questions.TITLES.values())


def test_traces_that_are_too_long_to_ask_about_are_counted(
    server: Server, tool: ArgillaTool
) -> None:
    pushed = tool.push(queue(item(0), item(1, steps=["so"] * 41)))
    assert pushed == Pushed(n_new=1, n_updated=0, n_same=0, n_withdrawn=0, n_too_long=1)


def test_people_author_seeds(server: Server, tool: ArgillaTool) -> None:
    assert (tool.offer_seeds(2), tool.offer_seeds(2)) == (2, 0)
    forms = list(Person(server, "owner").records("seeds").values())
    seed = {"question": "2+2?", "thought": "I add.\n2+2=4", "answer": "4"}
    mark = tool.watermark()
    ann = Person(server, "ann")
    response = ann.answer(forms[0], **seed)
    draft = Person(server, "bob").answer(forms[1], "draft", **seed)
    assert tool.watermark() != mark
    pulled = tool.pull_seeds()
    [row] = pulled.rows
    assert {name: row[name] for name in seed} == seed
    assert (row["source"], row["meta"]["author"]) == ("argilla", "ann")
    assert pulled.retracted == {f"argilla-{draft['id']}"}
    assert tool.pull_seeds() == pulled
    assert tool.offer_seeds(2) == 2  # one is written, one begun
    assert tool.pull().reviews.is_empty()
    ann.change(response, "discarded", **seed)
    assert tool.pull_seeds().rows == ()
    assert row["seed_id"] in tool.pull_seeds().retracted


def test_ten_thousand_records_within_reason(server: Server, tool: ArgillaTool) -> None:
    items = queue(*(item(idx) for idx in range(10_000)))
    started = time.monotonic()
    assert tool.push(items).n_new == 10_000
    pushed = time.monotonic()
    assert tool.push(items) == Pushed(0, 0, 10_000, 0)
    again = time.monotonic()
    [first, *_] = Person(server, "owner").records("review-1").values()
    Person(server, "ann").answer(first, **GOOD)
    asked = time.monotonic()
    assert tool.pull().reviews.height == 1
    pulled = time.monotonic()
    print(
        f"push {10_000 / (pushed - started):.0f}/s, again {10_000 / (again - pushed):.0f}/s, "
        f"pull {10_000 / (pulled - asked):.0f}/s"
    )
    assert pushed - started < 250  # a tenth of that where the machine does nothing else
    assert pulled - asked < 40


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
