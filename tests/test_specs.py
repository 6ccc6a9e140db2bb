"""What Dagster knows of every asset before it is made: columns, owner, kinds, tags."""

import dagster as dg
import pytest

from assets.definitions import defs
from assets.graph import ASSETS
from assets.parquet_io import CONTRACT_OF
from assets.specs import (
    DEFAULT_OWNER,
    OWNER_VARIABLE,
    PUBLISHED,
    STAGE_OF,
    column_schema,
    described_assets,
)
from datagen.publish.configs import CONFIGS
from datagen.report.work import STAGES
from schemas import CONTRACTS, CodeThought, Question, StepLabel

SPECS = {spec.key.path[-1]: spec for asset in ASSETS for spec in asset.specs}


@pytest.mark.parametrize("name", SPECS)
def test_every_asset_says_what_it_is_whose_and_of_what_kind(name: str) -> None:
    spec = SPECS[name]
    assert spec.description and spec.description.split("\n")[0].strip()
    assert "``" not in spec.description
    assert list(spec.owners) == [DEFAULT_OWNER]
    assert 1 <= len(spec.kinds) <= 3
    assert spec.group_name and spec.group_name != "default"


@pytest.mark.parametrize("name", SPECS)
def test_a_table_has_the_columns_of_its_contract(name: str) -> None:
    found = SPECS[name].metadata.get("dagster/column_schema")
    contract = CONTRACT_OF.get(name)
    if contract is None:
        assert found is None
        assert "polars" not in SPECS[name].kinds
        return
    assert isinstance(found, dg.TableSchemaMetadataValue | dg.TableSchema)
    assert found == column_schema(contract) or found.value == column_schema(contract)
    assert {"polars", "parquet"} <= SPECS[name].kinds
    assert "One row = " in (SPECS[name].description or "")


@pytest.mark.parametrize("table", CONTRACTS)
def test_a_schema_covers_every_column_with_type_and_sentence(table: str) -> None:
    contract = CONTRACTS[table]
    schema = column_schema(contract)
    assert [column.name for column in schema.columns] == contract.column_names()
    for column, own in zip(schema.columns, contract.columns().values(), strict=True):
        assert column.type and "None" not in column.type
        assert column.description == own.description
        assert column.constraints.nullable == own.nullable
    assert set(contract.rules().values()) <= set(schema.constraints.other)


def test_types_keys_and_bounds_are_those_of_the_contract() -> None:
    columns = {column.name: column for column in column_schema(CodeThought).columns}
    assert columns["steps"].type == "list[string]"
    assert columns["claims"].type.startswith("list[struct{step_idx: int32, kind: string,")
    assert columns["thought_id"].constraints.unique
    assert "characters ≥ 1" in columns["thought_id"].constraints.other
    assert any(
        bound.startswith("items verdict one of: ") for bound in columns["claims"].constraints.other
    )
    rate = next(c for c in column_schema(Question).columns if c.name == "pass_rate")
    assert (rate.type, rate.constraints.nullable) == ("float64", True)
    assert rate.constraints.other == ["≥ 0", "≤ 1"]


def test_a_key_of_two_columns_is_said_of_both_and_of_neither_alone() -> None:
    schema = column_schema(StepLabel)
    assert schema.constraints.other[0] == "trace_id and step_idx must be unique together."
    assert not any(column.constraints.unique for column in schema.columns)


def test_assets_that_ask_the_engine_name_a_stage_that_is_on_record() -> None:
    asking = {
        name: spec.tags["datagen/stage"] for name, spec in SPECS.items() if "llm" in spec.kinds
    }
    assert asking == STAGE_OF
    assert set(asking.values()) == set(STAGES)


def test_published_tables_are_tagged_and_have_the_contracts_of_the_datasets() -> None:
    tagged = [name for name, spec in SPECS.items() if "datagen/published" in spec.tags]
    assert sorted(tagged) == sorted(PUBLISHED)
    assert {CONTRACT_OF[name] for name in tagged} == {
        config.contract for config in CONFIGS.values()
    }
    assert len(tagged) == len(CONFIGS)


def test_owners_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    @dg.multi_asset(outs={"a": dg.AssetOut(), "b": dg.AssetOut(owners=["team:own"])})
    def both() -> tuple[int, int]:
        return 1, 2

    monkeypatch.setenv(OWNER_VARIABLE, "team:reasoning, who@example.org")
    (asset,) = described_assets([both])
    owners = {spec.key.path[-1]: list(spec.owners) for spec in asset.specs}
    assert owners == {"a": ["team:reasoning", "who@example.org"], "b": ["team:own"]}


def test_described_assets_are_still_computed() -> None:
    @dg.multi_asset(outs={"a": dg.AssetOut(), "b": dg.AssetOut()})
    def both() -> tuple[int, int]:
        return 1, 2

    @dg.asset
    def c(a: int, b: int) -> int:
        return a + b

    done = dg.materialize(described_assets([both, c]))
    assert done.output_for_node("c") == 3


def test_dagster_shows_what_was_described() -> None:
    graph = defs.resolve_asset_graph()
    node = graph.get(dg.AssetKey("rollouts"))
    assert {"datagen/stage": "search"}.items() <= node.tags.items()
    assert "dagster/column_schema" in node.metadata
