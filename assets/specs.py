"""What Dagster knows of every asset before it is made: its columns, owner, kinds and tags.

The surprising fact: it is one place, and no asset says any of it in its own decorator. Columns are
those of the contract that the table is held to, so the catalogue cannot tell another story.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

import dagster as dg

from assets.parquet_io import CONTRACT_OF
from schemas import Contract

OWNER_VARIABLE: Final = "DATAGEN_OWNER"
"""Whose assets they are: ``team:`` and a name, or an address; several are parted by commas."""

DEFAULT_OWNER: Final = "team:data"

STAGE_OF: Final[Mapping[str, str]] = {
    "code_thoughts": "code_thoughts",
    **dict.fromkeys(("rollouts", "nodes"), "search"),
    "rubric_rewards": "rubric_rewards",
    "tags": "tags",
    "critiques": "critiques",
    **dict.fromkeys(("probes", "step_labels", "trace_labels"), "labels"),
    "corrections": "corrections",
    "summaries": "summaries",
}
"""Assets that ask the engine → the stage that does."""

PUBLISHED: Final = (
    *("sft", "sft_plain", "prm", "prm_verified", "orm", "rl", "policy_value", "advantages"),
    *("preference", "step_preference", "kto", "critique", "processbench", "rubric_rewards"),
    *("traces", "reviewed_corrections", "reviewed_tags", "raw_rollouts", "code_thoughts"),
)
"""Tables that are published as datasets."""

_KINDS: Final[Mapping[str, frozenset[str]]] = {
    "executions": frozenset({"python"}),
    "accepted": frozenset({"parquet"}),
    "reviews": frozenset({"argilla"}),
    "offered": frozenset({"argilla"}),
    "published": frozenset({"huggingface", "parquet"}),
    "uploaded": frozenset({"huggingface"}),
}
"""Kinds beside those that follow from what an asset is."""

_SAID: Final = (
    *("type", "format", "description", "properties", "items", "required"),
    "additionalProperties",
)
"""Keywords of JSON Schema that are shown otherwise than as constraints."""

_WORDS: Final = {
    "minimum": "≥",
    "maximum": "≤",
    "exclusiveMinimum": ">",
    "exclusiveMaximum": "<",
    "minLength": "characters ≥",
    "maxLength": "characters ≤",
    "minItems": "length ≥",
    "maxItems": "length ≤",
    "pattern": "matches",
}
_FLOATS: Final = {"float": "float32", "double": "float64"}


def described_assets(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """The same assets with all of this, in the same order; what they have is kept."""
    owners = owners_of(os.environ.get(OWNER_VARIABLE, ""))
    return [asset.map_asset_specs(lambda spec: _described(spec, owners)) for asset in assets]


def owners_of(text: str) -> list[str]:
    """The owners that a setting names; :data:`DEFAULT_OWNER` if it names none."""
    return [name.strip() for name in text.split(",") if name.strip()] or [DEFAULT_OWNER]


def column_schema(contract: type[Contract]) -> dg.TableSchema:
    """The columns of a contract: names, types, sentences, bounds, and the rules between them."""
    schema = contract.json_schema()
    key = contract.primary_key()
    columns = [
        dg.TableColumn(
            name,
            _type(column),
            description=column.get("description"),
            constraints=dg.TableColumnConstraints(
                nullable=_is_nullable(column), unique=[name] == key, other=_bounds(column)
            ),
        )
        for name, column in schema["properties"].items()
    ]
    together = [f"{' and '.join(key)} must be unique together."] if len(key) > 1 else []
    rules = [*together, *schema["x-rules"].values()]
    return dg.TableSchema(columns=columns, constraints=dg.TableConstraints(other=rules))


def _described(spec: dg.AssetSpec, owners: list[str]) -> dg.AssetSpec:
    name = spec.key.path[-1]
    contract, stage = CONTRACT_OF.get(name), STAGE_OF.get(name)
    kinds = {*spec.kinds, *_KINDS.get(name, ())}
    kinds |= {"polars", "parquet"} if contract else set()
    kinds |= {"llm"} if stage else set()
    tags = {"datagen/stage": stage} if stage else {}
    tags |= {"datagen/published": "true"} if name in PUBLISHED else {}
    described = spec.replace_attributes(
        description=_description(spec.description, contract),
        owners=list(spec.owners) or owners,
        kinds=kinds,
        tags={**spec.tags, **tags},
    )
    if contract is None:
        return described
    return described.merge_attributes(metadata={"dagster/column_schema": column_schema(contract)})


def _description(own: str | None, contract: type[Contract] | None) -> str:
    """What the asset says of itself, and what a row of it is."""
    paragraphs = (
        "\n".join(map(str.strip, (contract.__doc__ or "").splitlines())) if contract else ""
    )
    rows = [part for part in paragraphs.split("\n\n") if "One row = " in part]
    texts = ((own or "").strip(), *rows[:1])
    return "\n\n".join(text.strip().replace("``", "`") for text in texts if text)


def _is_nullable(schema: Mapping[str, Any]) -> bool:
    return isinstance(schema["type"], list)


def _type(schema: Mapping[str, Any]) -> str:
    """The type in a word, as in ``list[int]``; a null is said elsewhere."""
    kind = schema["type"][0] if _is_nullable(schema) else schema["type"]
    match kind:
        case "array":
            return f"list[{_type(schema['items'])}]"
        case "object":
            fields = (f"{name}: {_type(part)}" for name, part in schema["properties"].items())
            return f"struct{{{', '.join(fields)}}}"
        case "number" | "integer":
            name = str(schema.get("format", kind))
            return _FLOATS.get(name, name)
        case _:
            return "bool" if kind == "boolean" else str(kind)


def _bounds(schema: Mapping[str, Any], of: str = "") -> list[str]:
    """What bounds a value, and what is within it."""
    found: list[str] = []
    for keyword, bound in schema.items():
        if keyword == "enum":
            allowed = ", ".join(str(value) for value in bound if value is not None)
            found.append(f"{of}one of: {allowed}")
        elif keyword not in _SAID:
            found.append(f"{of}{_WORDS.get(keyword, keyword)} {bound}")
    if "items" in schema:
        found += _bounds(schema["items"], f"{of}items ")
    for name, part in schema.get("properties", {}).items():
        found += _bounds(part, f"{of}{name} ")
    return found
