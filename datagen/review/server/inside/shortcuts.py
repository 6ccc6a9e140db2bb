"""Spares Argilla two things that it does for each record and that come to nothing.

They are four fifths of what a push costs: for each suggestion it compiles the schema of the
question anew, and for each record it reads the dataset again, with all that belongs to it, and
describes it for webhooks, of which there usually are none.
"""

# pyright: basic, reportMissingImports=false


def take_shortcuts() -> None:
    """For all that is pushed from now on; nothing else changes."""
    _compile_schemas_once()
    _describe_records_for_webhooks_only()


def _compile_schemas_once() -> None:
    from argilla_server.models import database

    compiled: dict = {}
    compile_schema = database.TypeAdapter

    def type_adapter(schema):
        # By identity: there are two schemas, which live as long as their modules.
        if id(schema) not in compiled:
            compiled[id(schema)] = compile_schema(schema)
        return compiled[id(schema)]

    database.TypeAdapter = type_adapter


def _describe_records_for_webhooks_only() -> None:
    from argilla_server.bulk.records_bulk import UpsertRecordsBulk
    from argilla_server.contexts.webhooks import list_enabled_webhooks

    notify = UpsertRecordsBulk._notify_upsert_record_events

    async def notify_if_anybody_listens(self, records) -> None:
        if await list_enabled_webhooks(self._db):
            await notify(self, records)

    UpsertRecordsBulk._notify_upsert_record_events = notify_if_anybody_listens
