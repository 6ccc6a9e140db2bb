"""Records of an Argilla dataset: what is there, send more, take back, read what people answered.

The surprising fact: a record is looked at once more right before it is deleted, for somebody may
have opened and answered it since it was listed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from datagen.review.tools.argilla.connection import ArgillaConnection
from datagen.review.tools.argilla.forms import FIELD
from datagen.review.tools.records import Item, digest_of, field_of, suggestions_of

BATCH: Final = 100
"""Records sent or deleted at once: a quarter of a second of our server's time."""

_AGENT: Final = "datagen"


@dataclass(frozen=True, slots=True)
class Held:
    """A record that the server holds.

    Attributes:
        record_id: the server's own id.
        digest: of what it shows.
        is_answered: whether anybody submitted, saved or discarded it.
    """

    record_id: str
    digest: str
    is_answered: bool


@dataclass(frozen=True, slots=True)
class Response:
    """What somebody made of a record.

    Attributes:
        record: the record as the server describes it.
        is_submitted: whether it counts; else it is a draft or was discarded.
        response_id: the server's id of the response.
        user_id: the server's id of who answered.
        annotator: that user's name.
        changed_at: when it became what it is, ISO 8601 in UTC.
        answers: by question.
    """

    record: Mapping[str, Any]
    is_submitted: bool
    response_id: str
    user_id: str
    annotator: str
    changed_at: str
    answers: Mapping[str, Any]


def held_records(connection: ArgillaConnection, dataset_id: str) -> dict[str, Held]:
    """The records of a dataset by their external id."""
    return {
        record["external_id"]: Held(
            record["id"],
            (record.get("metadata") or {}).get("digest", ""),
            bool(record.get("responses")),
        )
        for record in connection.records(dataset_id)
        if record.get("external_id")
    }


def record_of(connection: ArgillaConnection, item: Item, *, suggest: bool) -> Any:
    """An item as a record, in the SDK's terms."""
    sdk = connection.sdk
    return sdk.Record(
        id=item["item_id"],
        fields={FIELD: field_of(item)},
        metadata={
            "kind": item["kind"],
            "n_steps": len(item["steps"]),
            "digest": digest_of(item, suggest=suggest),
        },
        suggestions=[
            sdk.Suggestion(question, value, score=score, agent=_AGENT)
            for question, (value, score) in (suggestions_of(item) if suggest else {}).items()
        ],
    )


def send(connection: ArgillaConnection, dataset: Any, records: Sequence[Any]) -> Iterator[int]:
    """Add records, batch by batch; yields how many each batch had."""
    for start in range(0, len(records), BATCH):
        batch = records[start : start + BATCH]
        for record in batch:
            record.dataset = dataset
        connection.client.api.records.bulk_upsert(
            dataset_id=dataset.id, records=[record.api_model() for record in batch]
        )
        yield len(batch)


def withdraw(connection: ArgillaConnection, dataset_id: str, records: Iterable[Held]) -> set[str]:
    """Delete those that nobody has answered; returns their record ids."""
    gone: set[str] = set()
    unanswered = [record.record_id for record in records if not record.is_answered]
    for start in range(0, len(unanswered), BATCH):
        ids: list[str] = []
        for record_id in unanswered[start : start + BATCH]:
            record = connection.get(f"records/{record_id}")
            if record is not None and not record.get("responses"):
                ids.append(record_id)
        if ids:
            connection.delete(f"datasets/{dataset_id}/records", ids=",".join(ids))
        gone.update(ids)
    return gone


def responses(
    connection: ArgillaConnection, dataset_ids: Iterable[str], workspaces: Iterable[str]
) -> Iterator[Response]:
    """Every response, submitted or not; users are members of the workspaces."""
    names = connection.users(workspaces)
    for dataset_id in dataset_ids:
        for record in connection.records(dataset_id):
            for response in record.get("responses") or ():
                user_id = str(response["user_id"])
                given: dict[str, dict[str, Any]] = response["values"] or {}
                yield Response(
                    record,
                    response["status"] == "submitted",
                    response["id"],
                    user_id,
                    names.get(user_id, user_id),
                    _utc(response["updated_at"]),
                    {question: answer["value"] for question, answer in given.items()},
                )


def _utc(moment: str) -> str:
    """ISO 8601 with its offset; Argilla writes UTC without one."""
    parsed = datetime.fromisoformat(moment)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
