"""The search engine ``embedded``: SQL over Argilla's own tables in SQLite.

Argilla commits to its database before it tells its search engine, so there is no index here to
keep: what changes one is empty. Unlike Elasticsearch, which shuffles records that are not sorted
for each annotator, this engine gives them in the order in which they were added.
"""

# pyright: basic, reportMissingImports=false

from uuid import UUID

from argilla_server.database import AsyncSessionLocal
from argilla_server.enums import MetadataPropertyType
from argilla_server.errors.future import UnprocessableEntityError
from argilla_server.search_engine.base import (
    FloatMetadataMetrics,
    IntegerMetadataMetrics,
    MetadataFilterScope,
    SearchEngine,
    SearchResponseItem,
    SearchResponses,
    TermsMetrics,
)
from search_sql import Sql, condition, order_of, text_condition, values_of
from sqlalchemy import event, text


def add_functions(engine) -> None:
    """Give every connection of an engine what searches call."""

    @event.listens_for(engine.sync_engine, "connect")
    def add(connection, _record) -> None:
        # SQLite's own comparison ignores case in ASCII only.
        connection.create_function("fold", 1, str.casefold, deterministic=True)


@SearchEngine.register("embedded")
class EmbeddedSearch(SearchEngine):
    """Searches, counts and sorts; similarity of vectors is refused."""

    @classmethod
    async def new_instance(cls) -> "EmbeddedSearch":
        """One per request; it holds nothing."""
        return cls()

    async def close(self) -> None:
        """Nothing to close."""

    async def ping(self) -> bool:
        """Always there."""
        return True

    async def info(self) -> dict:
        """What the status page shows."""
        return {"name": "embedded"}

    async def _nothing(self, *args, **kwargs) -> None:
        """Argilla's database has it already."""

    create_index = delete_index = _nothing
    configure_metadata_property = _nothing
    index_records = partial_record_update = delete_records = _nothing
    update_record_response = delete_record_response = _nothing
    update_record_suggestion = delete_record_suggestion = _nothing

    async def get_dataset_progress(self, dataset) -> dict:
        """Numbers of records: ``total``, and by status."""
        return await _counts(
            "SELECT status, count(*) FROM records WHERE dataset_id = :dataset GROUP BY status",
            {"dataset": dataset.id.hex},
        )

    async def get_dataset_user_progress(self, dataset, user) -> dict:
        """Numbers of one user's responses: ``total``, and by status."""
        return await _counts(
            "SELECT responses.status, count(*) FROM responses JOIN records"
            " ON records.id = responses.record_id"
            " WHERE records.dataset_id = :dataset AND responses.user_id = :user"
            " GROUP BY responses.status",
            {"dataset": dataset.id.hex, "user": user.id.hex},
        )

    async def search(
        self, dataset, query=None, filter=None, sort=None, offset=0, limit=100, user_id=None
    ) -> SearchResponses:
        """Records that match, sorted, without a score; ``user_id`` makes no difference."""
        sql = Sql()
        where = [f"records.dataset_id = {sql.bind(dataset.id.hex)}"]
        if query is not None:
            where.append(text_condition(sql, dataset, query))
        if filter is not None:
            where.append(condition(sql, filter))
        found = f"FROM records WHERE {' AND '.join(where)}"
        counted = dict(sql.values)
        orders = [order_of(sql, order) for order in sort or ()]
        orders += ["records.inserted_at", "records.rowid"]
        page = f"LIMIT {sql.bind(limit)} OFFSET {sql.bind(offset)}"
        ((total,),) = await _rows(f"SELECT count(*) {found}", counted)
        rows = await _rows(
            f"SELECT records.id {found} ORDER BY {', '.join(orders)} {page}", sql.values
        )
        items = [SearchResponseItem(record_id=UUID(hex=id_)) for (id_,) in rows]
        return SearchResponses(items=items, total=total)

    async def compute_metrics_for(self, metadata_property):
        """Counts of a property's terms, or the range of its numbers."""
        sql = Sql()
        value, source = values_of(sql, MetadataFilterScope(metadata_property.name))
        source = f"FROM records, {source.removeprefix('FROM ')} AND {value} IS NOT NULL"
        source += f" AND records.dataset_id = {sql.bind(metadata_property.dataset_id.hex)}"
        if metadata_property.type == MetadataPropertyType.terms:
            rows = await _rows(
                f"SELECT {value}, count(*) {source} GROUP BY 1 ORDER BY 2 DESC, 1", sql.values
            )
            counts = [TermsMetrics.TermCount(term=str(term), count=n) for term, n in rows]
            return TermsMetrics(total=sum(count.count for count in counts), values=counts)
        ((least, most),) = await _rows(f"SELECT min({value}), max({value}) {source}", sql.values)
        is_integer = metadata_property.type == MetadataPropertyType.integer
        metrics = IntegerMetadataMetrics if is_integer else FloatMetadataMetrics
        return metrics(min=least, max=most)

    async def similarity_search(self, *args, **kwargs) -> SearchResponses:
        """Refused."""
        raise UnprocessableEntityError(
            "this server's embedded search engine has no similarity search; use an Argilla with "
            "Elasticsearch for it"
        )


async def _rows(statement: str, values: dict) -> list:
    async with AsyncSessionLocal() as db:
        return (await db.execute(text(statement), values)).all()


async def _counts(statement: str, values: dict) -> dict:
    counts = dict(await _rows(statement, values))
    return {"total": sum(counts.values()), **counts}
