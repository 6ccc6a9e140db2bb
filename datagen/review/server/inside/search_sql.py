"""Argilla's queries, filters and orders as SQL over its tables in SQLite.

A record has any number of values under a scope (labels, responses of several people), so a filter
asks whether one of them fits, and an order takes the least or the greatest. What JSON holds is
opened by SQLite's ``json_each`` and ``json_tree``, which yield nothing where there is nothing.
"""

# pyright: basic, reportMissingImports=false

import re
from datetime import UTC, datetime

from argilla_server.errors.future import UnprocessableEntityError
from argilla_server.search_engine.base import (
    AndFilter,
    MetadataFilterScope,
    RangeFilter,
    RecordFilterScope,
    ResponseFilterScope,
    SuggestionFilterScope,
    TextQuery,
)

_DATES = ("inserted_at", "updated_at")
_NUMERIC = "('integer', 'real')"


class Sql:
    """Values of a statement, which are never part of its text."""

    def __init__(self) -> None:
        self.values: dict = {}

    def bind(self, value) -> str:
        """Keep a value; returns what stands for it in the text."""
        name = f"v{len(self.values)}"
        self.values[name] = value
        return f":{name}"


def text_condition(sql: Sql, dataset, query) -> str:
    """Every word, and every phrase in quotes, is somewhere in the fields that are searched."""
    query = TextQuery(q=query) if isinstance(query, str) else query
    names = [query.field] if query.field else [f.name for f in dataset.fields if not f.is_image]
    words = [phrase or word for phrase, word in re.findall(r'"([^"]+)"|([^\s"]+)', query.q)]
    conditions = ["TRUE"]
    for word in words:
        folded = sql.bind(word.casefold())
        fields = [
            f"EXISTS (SELECT 1 FROM json_tree(records.fields, {sql.bind(_path(name))}) AS it"
            f" WHERE it.type IN ('text', 'integer', 'real')"
            f" AND instr(fold(CAST(it.atom AS TEXT)), {folded}))"
            for name in names
        ]
        conditions.append(f"({' OR '.join(fields) or 'FALSE'})")
    return " AND ".join(conditions)


def condition(sql: Sql, filter) -> str:
    """That a filter, or each of several, holds."""
    if isinstance(filter, AndFilter):
        return " AND ".join(["TRUE", *(condition(sql, each) for each in filter.filters)])
    scope = filter.scope
    if isinstance(scope, ResponseFilterScope) and not scope.question:
        return _status_condition(sql, filter)
    value, source = values_of(sql, scope)
    if isinstance(filter, RangeFilter):
        return f"EXISTS (SELECT 1 {source} AND {_between(sql, filter, value)})"
    terms = ", ".join(sql.bind(_term(scope, term)) for term in filter.values)
    return f"EXISTS (SELECT 1 {source} AND CAST({value} AS TEXT) IN ({terms}))"


def _status_condition(sql: Sql, filter) -> str:
    """By the status of responses; records without any, of this user if there is one, pend."""
    if isinstance(filter, RangeFilter):
        raise UnprocessableEntityError("the status of a response has no range")
    value, source = values_of(sql, filter.scope)
    terms = ", ".join(sql.bind(str(term)) for term in filter.values if term != "pending")
    conditions = [f"EXISTS (SELECT 1 {source} AND {value} IN ({terms}))"] if terms else []
    if "pending" in filter.values:
        conditions.append(f"NOT EXISTS (SELECT 1 {source})")
    return f"({' OR '.join(conditions)})"


def _between(sql: Sql, filter, value: str) -> str:
    bounds = [(">=", filter.ge), ("<=", filter.le)]
    given = [(sign, _bound(filter.scope, bound)) for sign, bound in bounds if bound is not None]
    conditions = [f"{value} {sign} {sql.bind(bound)}" for sign, bound in given]
    if not isinstance(filter.scope, RecordFilterScope):
        # To SQLite any text is greater than any number.
        conditions.append(f"typeof({value}) IN {_NUMERIC}")
    return " AND ".join(conditions)


def order_of(sql: Sql, order) -> str:
    """By the least of several values upwards, by the greatest downwards; none comes last."""
    value, source = values_of(sql, order.scope)
    if not isinstance(order.scope, RecordFilterScope):
        is_answer = isinstance(order.scope, ResponseFilterScope) and order.scope.question
        pick = "avg" if is_answer else "min" if order.order == "asc" else "max"
        value = f"(SELECT {pick}({value}) {source})"
    return f"{value} {'ASC' if order.order == 'asc' else 'DESC'} NULLS LAST"


def values_of(sql: Sql, scope) -> tuple:
    """What a record has under a scope: an expression, and the FROM and WHERE that it needs."""
    if isinstance(scope, RecordFilterScope):
        return f"records.{_column(scope.property)}", "WHERE TRUE"
    if isinstance(scope, MetadataFilterScope):
        path = sql.bind(_path(scope.metadata_property))
        return "it.value", f"FROM json_each(records.metadata, {path}) AS it WHERE TRUE"
    if isinstance(scope, SuggestionFilterScope):
        joined = "suggestions JOIN questions ON questions.id = suggestions.question_id"
        of_record = (
            f"suggestions.record_id = records.id AND questions.name = {sql.bind(scope.question)}"
        )
        if scope.property in ("agent", "type"):
            return f"suggestions.{scope.property}", f"FROM {joined} WHERE {of_record}"
        column = "score" if scope.property == "score" else "value"
        each = f"json_each(suggestions.{column}) AS it"
        return "it.value", f"FROM {joined}, {each} WHERE {of_record}"
    of_record = "responses.record_id = records.id"
    if scope.user:
        of_record += f" AND responses.user_id = {sql.bind(scope.user.id.hex)}"
    if not scope.question:
        return "responses.status", f"FROM responses WHERE {of_record}"
    each = f'json_each(responses."values", {sql.bind(_path(scope.question, "value"))}) AS it'
    return "it.value", f"FROM responses, {each} WHERE {of_record}"


def _column(name) -> str:
    columns = {"id", "external_id", "status", *_DATES}
    if str(name) not in columns:
        raise UnprocessableEntityError(f"records cannot be searched by {str(name)!r}")
    return str(name)


def _path(*names: str) -> str:
    """Into a JSON object, past names with signs of their own."""
    if any('"' in name for name in names):
        raise UnprocessableEntityError(f"names may not hold quotes: {names!r}")
    return "$" + "".join(f'."{name}"' for name in names)


def _term(scope, term) -> str:
    """As the database writes it."""
    if isinstance(scope, RecordFilterScope):
        if scope.property == "id":
            return str(term).replace("-", "").lower()
        if scope.property in _DATES:
            return _date(term)
    return str(term)


def _bound(scope, bound):
    if isinstance(scope, RecordFilterScope):
        if scope.property not in _DATES:
            raise UnprocessableEntityError(f"{str(scope.property)!r} of a record has no range")
        return _date(bound)
    try:
        return float(bound)
    except ValueError:
        raise UnprocessableEntityError(f"{bound!r} is no number") from None


def _date(moment) -> str:
    """A moment in ISO 8601, or in milliseconds since 1970, as SQLAlchemy writes it."""
    try:
        try:
            when = datetime.fromtimestamp(float(moment) / 1000, UTC)
        except ValueError:
            when = datetime.fromisoformat(str(moment))
    except (ValueError, OverflowError, OSError):
        raise UnprocessableEntityError(f"{moment!r} is no date in ISO 8601") from None
    if when.tzinfo:
        when = when.astimezone(UTC).replace(tzinfo=None)
    return when.strftime("%Y-%m-%d %H:%M:%S.%f")
