"""The search engine that is embedded in Argilla's server, asked as its page and its SDK ask."""

import threading
import time
from typing import Any

import pytest

from datagen.review.server import Server
from tests.argilla_server import request, respond, review_server

__all__ = ["review_server"]

pytestmark = pytest.mark.slow  # starts the server

TEXTS = ["Tom has 3 apples", "Ann buys 12 ÄPFEL", "Tom and Ann share", "He eats none of them"]


def new_dataset(server: Server, name: str, **options: Any) -> str:
    """A published one for texts, with a rating and labels; returns its id."""
    (workspace,) = request(server, "GET", "me/workspaces", "owner").json()["items"]
    dataset = {"name": name, "workspace_id": workspace["id"], **options}
    dataset = request(server, "POST", "datasets", "owner", json=dataset).json()["id"]
    levels = [{"value": value} for value in range(1, 6)]
    labels = [{"value": value, "text": value} for value in ("right", "wrong")]
    for part, content in [
        ("fields", {"name": "text", "settings": {"type": "text", "use_markdown": False}}),
        ("fields", {"name": "view", "settings": {"type": "custom", "template": "{{record}}"}}),
        ("questions", {"name": "rating", "settings": {"type": "rating", "options": levels}}),
        (
            "questions",
            {"name": "labels", "settings": {"type": "multi_label_selection", "options": labels}},
        ),
        ("metadata-properties", {"name": "kind", "settings": {"type": "terms"}}),
        ("metadata-properties", {"name": "rank", "settings": {"type": "integer"}}),
        ("metadata-properties", {"name": "value", "settings": {"type": "float"}}),
        ("vectors-settings", {"name": "vector", "dimensions": 2}),
    ]:
        body = {"title": content["name"], "required": content["name"] in ("text", "rating")}
        if part in ("metadata-properties", "vectors-settings"):
            del body["required"]
        made = request(server, "POST", f"datasets/{dataset}/{part}", "owner", json=body | content)
        assert made.status_code == 201, made.text
    assert request(server, "PUT", f"datasets/{dataset}/publish", "owner").status_code == 200
    return dataset


def add_records(server: Server, dataset: str, texts: list[str]) -> list[str]:
    """Records with metadata and suggestions; the last has none. Returns their ids."""
    questions = request(server, "GET", f"datasets/{dataset}/questions", "owner").json()["items"]
    question = {item["name"]: item["id"] for item in questions}
    items: list[dict[str, Any]] = []
    for idx, text in enumerate(texts):
        items.append({"fields": {"text": text}, "external_id": f"t{idx}"})
        if idx < len(texts) - 1 or idx == 0:
            items[-1]["fields"]["view"] = {"gold": 100 + idx, "steps": [{"text": f"Step {idx}"}]}
            kinds = ["trace"] if idx else ["trace", "code"]
            items[-1]["metadata"] = {"kind": kinds, "rank": 10 - idx, "value": idx / 2}
            items[-1]["suggestions"] = [
                {"question_id": question["rating"], "value": idx % 5 + 1, "score": idx / 100},
                {"question_id": question["labels"], "value": ["right", "wrong"][: idx + 1]}
                | {"agent": f"judge{idx}", "score": [0.5] * min(idx + 1, 2)},
            ]
            items[-1]["vectors"] = {"vector": [1, idx]}
    url = f"datasets/{dataset}/records/bulk"
    made = request(server, "POST", url, "owner", json={"items": items})
    assert made.status_code == 201, made.text
    return [record["id"] for record in made.json()["items"]]


def search(server: Server, dataset: str, user: str | None = None, **query: Any) -> list[Any]:
    """Records that are found, by the owner or for one user."""
    params = {key: query.pop(key) for key in ("limit", "offset") if key in query}
    path = f"datasets/{dataset}/records/search"
    path = f"me/{path}" if user else path
    reply = request(server, "POST", path, user or "owner", json=query, params=params)
    assert reply.status_code == 200, reply.text
    return [item["record"] for item in reply.json()["items"]]


def ids(server: Server, dataset: str, user: str | None = None, **query: Any) -> list[int]:
    """Numbers of the records that are found."""
    found = search(server, dataset, user, **query)
    return [int(record["external_id"].removeprefix("t")) for record in found]


def text(q: str, field: str | None = None) -> dict[str, Any]:
    return {"query": {"text": {"q": q} | ({"field": field} if field else {})}}


def terms(scope: dict[str, Any], *values: str) -> dict[str, Any]:
    return {"filters": {"and": [{"type": "terms", "scope": scope, "values": values}]}}


def between(scope: dict[str, Any], **bounds: float | str) -> dict[str, Any]:
    return {"filters": {"and": [{"type": "range", "scope": scope, **bounds}]}}


def by(scope: dict[str, Any], order: str = "asc") -> dict[str, Any]:
    return {"sort": [{"scope": scope, "order": order}]}


def metadata(name: str) -> dict[str, Any]:
    return {"entity": "metadata", "metadata_property": name}


def suggestion(question: str, of: str = "value") -> dict[str, Any]:
    return {"entity": "suggestion", "question": question, "property": of}


STATUS = {"entity": "response", "property": "status"}
RATING = {"entity": "response", "question": "rating"}


@pytest.fixture(scope="module")
def texts(review_server: Server) -> str:
    """A dataset of four records, to which ann and bob responded.

    Ann submitted 0 and discarded 1, bob submitted 0 and has a draft of 2; nobody answered 3.
    """
    dataset = new_dataset(review_server, "texts")
    records = add_records(review_server, dataset, TEXTS)
    for user, idx, status, rating in [
        ("ann", 0, "submitted", 2),
        ("ann", 1, "discarded", 3),
        ("bob", 0, "submitted", 5),
        ("bob", 2, "draft", 4),
    ]:
        assert respond(review_server, user, records[idx], status, rating).status_code == 201
    return dataset


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (text("tom"), [0, 2]),
        (text("tom ANN"), [2]),
        (text('"tom has"'), [0]),
        (text('"has tom"'), []),
        (text("äpfel"), [1]),
        (text("100"), [0]),
        (text("step"), [0, 1, 2]),
        (text("step", "text"), []),
        (text("%"), []),
        (text("' OR 1=1 --"), []),
        (text(" "), [0, 1, 2, 3]),
        ({}, [0, 1, 2, 3]),
    ],
)
def test_text_is_searched_by_words_and_phrases_in_any_field(
    review_server: Server, texts: str, query: dict[str, Any], found: list[int]
):
    assert ids(review_server, texts, **query) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (terms(metadata("kind"), "code"), [0]),
        (terms(metadata("kind"), "code", "trace"), [0, 1, 2]),
        (terms(metadata("rank"), "9"), [1]),
        (between(metadata("rank"), ge=9), [0, 1]),
        (between(metadata("value"), ge=0.5, le=0.9), [1]),
        (terms(suggestion("labels"), "wrong"), [1, 2]),
        (terms(suggestion("labels", "agent"), "judge1"), [1]),
        (terms(suggestion("rating"), "2", "3"), [1, 2]),
        (between(suggestion("rating"), le=2), [0, 1]),
        (between(suggestion("rating", "score"), ge=0.015), [2]),
        (between(suggestion("labels", "score"), ge=0.4), [0, 1, 2]),
        (terms(RATING, "5"), [0]),
        (between(RATING, ge=3), [0, 1, 2]),
        (between(suggestion("labels"), ge=0), []),
        (terms({"entity": "record", "property": "external_id"}, "t3"), [3]),
        (terms({"entity": "record", "property": "status"}, "completed"), [0]),
        (between({"entity": "record", "property": "inserted_at"}, ge="2020-01-01T00:00:00Z"), 4),
        (between({"entity": "record", "property": "inserted_at"}, le="2020-01-01T00:00:00"), 0),
        (between({"entity": "record", "property": "updated_at"}, le=1_000), 0),
    ],
)
def test_records_are_filtered_by_what_they_have(
    review_server: Server, texts: str, query: dict[str, Any], found: list[int] | int
):
    got = ids(review_server, texts, **query)
    assert got == found if isinstance(found, list) else len(got) == found


def test_a_record_is_found_by_its_id(review_server: Server, texts: str):
    record = search(review_server, texts, limit=1, offset=2)[0]
    query = terms({"entity": "record", "property": "id"}, record["id"])
    assert ids(review_server, texts, **query) == [2]


@pytest.mark.parametrize(
    ("user", "statuses", "found"),
    [
        ("ann", ["submitted"], [0]),
        ("ann", ["pending"], [2, 3]),
        ("ann", ["pending", "discarded"], [1, 2, 3]),
        ("bob", ["draft"], [2]),
        ("bob", ["pending"], [1, 3]),
        (None, ["submitted"], [0]),
        (None, ["pending"], [3]),
        (None, ["draft", "discarded"], [1, 2]),
    ],
)
def test_responses_are_those_of_who_asks_and_without_one_a_record_is_pending(
    review_server: Server, texts: str, user: str | None, statuses: list[str], found: list[int]
):
    assert ids(review_server, texts, user, **terms(STATUS, *statuses)) == found


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        (by(metadata("rank")), [2, 1, 0, 3]),
        (by(metadata("rank"), "desc"), [0, 1, 2, 3]),
        (by(suggestion("rating", "score"), "desc"), [2, 1, 0, 3]),
        (by(RATING, "desc"), [2, 0, 1, 3]),
        (by({"entity": "record", "property": "external_id"}, "desc"), [3, 2, 1, 0]),
        (by({"entity": "record", "property": "inserted_at"}, "desc"), [3, 2, 1, 0]),
    ],
)
def test_records_are_sorted_and_those_without_a_value_come_last(
    review_server: Server, texts: str, sort: dict[str, Any], found: list[int]
):
    assert ids(review_server, texts, **sort) == found


def test_pages_of_a_search_hold_everything_once(review_server: Server, texts: str):
    order = by(metadata("kind"), "desc")
    pages = [ids(review_server, texts, "ann", offset=n, limit=2, **order) for n in (0, 2, 4)]
    assert [len(page) for page in pages] == [2, 2, 0]
    assert sorted(pages[0] + pages[1]) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "query",
    [
        {"query": {"vector": {"name": "vector", "value": [1, 2]}}},
        between({"entity": "record", "property": "status"}, ge="a"),
        between({"entity": "record", "property": "inserted_at"}, ge="soon"),
        between(metadata("rank"), ge="few"),
        between(STATUS, ge="draft"),
    ],
)
def test_what_cannot_be_searched_is_refused_and_says_why(
    review_server: Server, texts: str, query: dict[str, Any]
):
    url = f"datasets/{texts}/records/search"
    reply = request(review_server, "POST", url, "owner", json=query)
    assert reply.status_code == 422
    assert any(word in reply.text for word in ("Elasticsearch", "range", "ISO 8601", "number"))


def test_progress_and_metrics_are_counted(review_server: Server, texts: str):
    url = f"datasets/{texts}/progress"
    progress = request(review_server, "GET", url, "owner").json()
    assert (progress["total"], progress["completed"], progress["pending"]) == (4, 1, 3)
    mine = request(review_server, "GET", f"me/datasets/{texts}/metrics", "ann").json()
    assert mine["responses"] == {
        "total": 4,
        "submitted": 1,
        "discarded": 1,
        "draft": 0,
        "pending": 2,
    }
    url = f"me/datasets/{texts}/metadata-properties"
    properties = request(review_server, "GET", url, "owner").json()["items"]
    metrics = {
        item["name"]: request(
            review_server, "GET", f"metadata-properties/{item['id']}/metrics", "owner"
        ).json()
        for item in properties
    }
    assert metrics["kind"]["values"] == [
        {"term": "trace", "count": 3},
        {"term": "code", "count": 1},
    ]
    assert (metrics["rank"]["min"], metrics["rank"]["max"]) == (8, 10)
    assert (metrics["value"]["min"], metrics["value"]["max"]) == (0, 1)


def test_the_sdk_searches_filters_and_sorts(review_server: Server, texts: str):
    rg = pytest.importorskip("argilla")
    client = rg.Argilla(api_url=review_server.url, api_key=review_server.credentials.owner.api_key)
    dataset = client.datasets("texts", workspace="datagen")
    assert [r.id for r in dataset.records(query="tom")] == ["t0", "t2"]
    status = rg.Filter(("response.status", "==", "submitted"))
    assert [r.id for r in dataset.records(query=rg.Query(filter=status))] == ["t0"]
    rank = rg.Filter([("metadata.rank", ">=", 9), ("metadata.kind", "in", ["trace"])])
    assert [r.id for r in dataset.records(query=rg.Query(filter=rank))] == ["t0", "t1"]
    everything = dataset.records(with_responses=True, with_suggestions=True)
    assert [len(list(record.responses)) for record in everything] == [2, 1, 1, 0]


def test_when_fewer_responses_suffice_a_job_completes_the_records(review_server: Server):
    dataset = new_dataset(
        review_server, "jobs", distribution={"strategy": "overlap", "min_submitted": 2}
    )
    (record,) = add_records(review_server, dataset, TEXTS[:1])
    assert respond(review_server, "ann", record, "submitted", 1).status_code == 201
    (before,) = search(review_server, dataset)
    assert before["status"] == "pending"
    body = {"distribution": {"strategy": "overlap", "min_submitted": 1}}
    reply = request(review_server, "PATCH", f"datasets/{dataset}", "owner", json=body)
    assert reply.status_code == 200, reply.text
    deadline = time.monotonic() + 30
    while search(review_server, dataset)[0]["status"] != "completed":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_annotators_submit_while_records_are_added(review_server: Server):
    dataset = new_dataset(review_server, "crowd")
    records = add_records(review_server, dataset, [f"text {n}" for n in range(60)])
    failed: list[str] = []

    def submit(user: str) -> None:
        for record in records:
            reply = respond(review_server, user, record, "submitted", 3)
            if reply.status_code != 201:
                failed.append(reply.text)

    def push() -> None:
        url = f"datasets/{dataset}/records/bulk"
        for n in range(6):
            items = [{"fields": {"text": "more"}, "external_id": f"m{n}-{i}"} for i in range(100)]
            reply = request(review_server, "POST", url, "owner", json={"items": items})
            if reply.status_code != 201:
                failed.append(reply.text)

    work = [threading.Thread(target=submit, args=(user,)) for user in ("ann", "bob")]
    work.append(threading.Thread(target=push))
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert not failed
    progress = request(review_server, "GET", f"datasets/{dataset}/progress", "owner").json()
    assert (progress["total"], progress["completed"]) == (660, 60)
