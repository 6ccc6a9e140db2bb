"""The checks of shards in Dagster: a bad shard stops itself, and not the others."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from curate_tables import seeds

from assets.graph.checks import (
    SHARD_CHECKS,
    STATIONS,
    failed_checks,
    flaws,
    refuse_flawed,
)
from assets.parquet_io import CONTRACT_OF, table_path
from assets.shards import SHARD_TABLES, SHARDS
from assets.workspace import Workspace
from datagen.checks import CHECKS
from datagen.config import Settings
from datagen.errors import CheckError
from datagen.report import WORK
from datagen.report.work import record_work
from datagen.search.budget import Progress
from datagen.shards import MAIN, refused_at, shard_folder
from schemas import Quarantine

DOCS = Path(__file__).parents[1] / "docs" / "checks.md"
GOOD = ["correct", "wrong", "correct", "wrong", "correct"]

OUTCOMES = {
    "good": GOOD,
    "wrong": ["wrong"] * 5,
    "endless": ["truncated"] * 9 + ["correct"],
    MAIN: GOOD,
}
"""Shard → how the rollouts of each of its questions end."""


def put(workspace: Workspace, name: str, frame: pl.DataFrame) -> None:
    path = table_path(workspace.folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(path)


@dg.multi_asset(
    specs=[dg.AssetSpec(name) for name in ("seeds", "code_seeds", "quarantine")],
    partitions_def=SHARDS,
)
def seed_tables(
    context: dg.AssetExecutionContext, workspace: Workspace
) -> Iterator[dg.MaterializeResult[Any]]:
    key = context.partition_key
    put(
        workspace,
        "seeds",
        seeds(*[{"seed_id": f"{key}{n}", "question": f"{key} {n}?"} for n in range(6)]),
    )
    if key == "poisoned":
        put(
            workspace,
            "quarantine",
            Quarantine.from_rows(
                [
                    {
                        "source": "poison.jsonl",
                        "row_idx": idx,
                        "seed_id": None,
                        "field": "question",
                        "reason": "question is missing; write one",
                        "preview": "",
                    }
                    for idx in range(14)
                ]
            ),
        )
    for name in ("seeds", "code_seeds", "quarantine"):
        yield dg.MaterializeResult(asset_key=name)


@dg.asset(partitions_def=SHARDS, deps=["code_seeds"])
def code_thoughts() -> None:
    """Asks an engine, in the real graph."""


@dg.asset(partitions_def=SHARDS, deps=["seeds"])
def rollouts(context: dg.AssetExecutionContext, workspace: Workspace) -> None:
    rows = [
        (f"s{idx}", "math", outcome)
        for idx in range(6)
        for outcome in OUTCOMES[context.partition_key]
    ]
    put(workspace, "rollouts", pl.DataFrame(rows, ["seed_id", "verifier", "outcome"], orient="row"))


@dg.asset(partitions_def=SHARDS, deps=["rollouts"])
def traces(workspace: Workspace) -> None:
    put(workspace, "traces", CONTRACT_OF["traces"].empty())


@dg.asset(partitions_def=SHARDS, deps=["traces", "code_thoughts"])
def accepted(workspace: Workspace) -> None:
    (workspace.folder / "accepted").mkdir(exist_ok=True)
    for name in ("seeds", "rollouts"):
        pl.read_parquet(table_path(workspace.folder, name)).write_parquet(
            workspace.folder / "accepted" / f"{name}.parquet"
        )


GRAPH = [seed_tables, code_thoughts, rollouts, traces, accepted]
NAMES = {"seeds", "code_seeds", "quarantine", "code_thoughts", "rollouts", "traces", "accepted"}


def run(
    out: Path, instance: dg.DagsterInstance, shard: str, **settings: Any
) -> tuple[bool, set[str], str]:
    """Whether it succeeded, what it made, and what stopped it."""
    instance.add_dynamic_partitions("shards", [shard])
    made = dg.materialize(
        [*GRAPH, *SHARD_CHECKS[:2]],
        partition_key=shard,
        instance=instance,
        raise_on_error=False,
        resources={
            "workspace": Workspace(
                out=str(out), settings_json=Settings(**settings).model_dump_json()
            )
        },
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    keys = {
        event.asset_key.to_user_string()
        for event in made.get_asset_materialization_events()
        if event.asset_key
    }
    return made.success, keys, failed_checks(instance, made.run_id)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def test_a_bad_shard_stops_itself_and_the_others_go_on(
    tmp_path: Path, instance: dg.DagsterInstance
):
    ended = {shard: run(tmp_path, instance, shard) for shard in ("wrong", "good")}
    assert ended["wrong"][:2] == (False, NAMES - {"traces", "accepted"})
    assert ended["good"] == (True, NAMES, "")
    refusals = {name: refused_at(shard_folder(tmp_path, name)) for name in ended}
    assert refusals["wrong"] and refusals["wrong"].reasons.keys() == {"outcomes"}
    assert refusals["good"] is None
    assert instance.get_materialized_partitions(dg.AssetKey("accepted")) == {"good"}


@pytest.mark.slow
def test_what_stopped_a_shard_is_said_with_what_to_do(tmp_path: Path, instance: dg.DagsterInstance):
    _, _, said = run(tmp_path, instance, "wrong")
    assert said.startswith("shard 'wrong' was stopped by its checks:\n  outcomes: none of 30 roll")
    assert "golds" in said
    _, _, said = run(tmp_path, instance, "endless")
    assert "  truncated: 90.0 % of the rollouts of 6 questions were cut off" in said
    assert "outcomes" not in said


@pytest.mark.slow
def test_poisoned_seeds_stop_words_and_code_before_any_engine_is_asked(
    tmp_path: Path, instance: dg.DagsterInstance
):
    ok, made, said = run(tmp_path, instance, "poisoned")
    assert not ok
    assert made == {"seeds", "code_seeds", "quarantine"}
    assert said.count("refused: 70.0 % of 20 source rows") == 1


@pytest.mark.slow
def test_a_limit_in_the_settings_lets_a_shard_pass(tmp_path: Path, instance: dg.DagsterInstance):
    assert not run(tmp_path, instance, "endless")[0]
    assert run(tmp_path, instance, "endless", checks={"max_truncated_share": 0.9})[0]


@pytest.mark.slow
def test_a_result_is_kept_with_its_shard_its_figures_and_its_sentence(
    tmp_path: Path, instance: dg.DagsterInstance
):
    run(tmp_path, instance, "endless")
    key = dg.AssetCheckKey(dg.AssetKey("rollouts"), "truncated")
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])
    assert latest[key].event is not None
    found: Any = latest[key].event.dagster_event.event_specific_data
    assert (found.partition, found.passed, found.blocking) == ("endless", False, True)
    assert found.metadata["share"].value == 0.9
    assert "search.max_tokens" in found.description


@pytest.mark.slow
def test_a_shard_with_the_ids_of_an_accepted_one_stops(
    tmp_path: Path, instance: dg.DagsterInstance
):
    assert run(tmp_path, instance, "good")[0]
    there = tmp_path / "shards" / "good"
    (tmp_path / "accepted").mkdir()
    (there / "accepted" / "seeds.parquet").rename(tmp_path / "accepted" / "seeds.parquet")
    assert "6 of 6 seed_ids are those of other" in run(tmp_path, instance, "good")[2]


@pytest.mark.slow
def test_a_shard_that_is_made_again_does_not_repeat_itself(
    tmp_path: Path, instance: dg.DagsterInstance
):
    for shard, folder in (("good", tmp_path / "shards" / "good"), (MAIN, tmp_path)):
        assert run(tmp_path, instance, shard)[0]
        assert (folder / "accepted" / "seeds.parquet").exists()
        assert run(tmp_path, instance, shard)[0]


@pytest.mark.slow
def test_the_budget_of_a_shard_is_that_of_its_folder(tmp_path: Path, instance: dg.DagsterInstance):
    spent = Progress(n_generated=1, n_tokens=500)
    record_work(tmp_path / "shards" / "good" / WORK, "search", spent)
    assert run(tmp_path, instance, MAIN, checks={"max_tokens": 499})[0]
    _, _, said = run(tmp_path, instance, "good", checks={"max_tokens": 499})
    assert "budget: 500 tokens, more than checks.max_tokens = 499" in said


def test_every_station_finds_what_it_says_in_this_order(tmp_path: Path):
    workspace = Workspace(out=str(tmp_path))
    for station in STATIONS:
        assert tuple(found.name for found in station.find(workspace)) == tuple(station.names)


def test_a_shard_whose_tables_are_not_all_there_is_not_accepted(tmp_path: Path):
    workspace = Workspace(out=str(tmp_path))
    assert [found.name for found in flaws(workspace)] == ["contracts"]
    with pytest.raises(CheckError, match="not accepted:\n  contracts: there is no table seeds"):
        refuse_flawed(workspace)
    for name in SHARD_TABLES:
        put(workspace, name, CONTRACT_OF[name].empty())
    refuse_flawed(workspace)


def test_a_warning_keeps_no_shard_from_being_accepted(tmp_path: Path):
    workspace = Workspace(out=str(tmp_path))
    record_work(tmp_path / WORK, "search", Progress(n_generated=1, budget_spent=True))
    found = [found for station in STATIONS for found in station.find(workspace)]
    assert {found.name for found in found if not found.passed} == {"contracts", "cut_short"}
    assert [found.name for found in flaws(workspace)] == ["contracts"]


def test_a_table_without_a_column_that_a_check_reads_is_a_clear_error(tmp_path: Path):
    workspace = Workspace(out=str(tmp_path))
    put(workspace, "rollouts", pl.DataFrame({"seed_id": ["s"]}))
    with pytest.raises(
        CheckError, match=r"another version: .*verifier.*; materialise rollouts again"
    ):
        flaws(workspace)


def test_the_demo_run_has_no_flaw(demo_run: Path):
    refuse_flawed(Workspace(out=str(demo_run)))


def test_only_checks_that_are_errors_block():
    for station, checks in zip(STATIONS, SHARD_CHECKS, strict=True):
        for spec in checks.check_specs:
            assert spec.blocking == (CHECKS[spec.name].severity == "error")  # pyright: ignore
            assert spec.asset_key.to_user_string() in station.assets


def test_the_docs_list_every_check_where_it_is_made():
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|.*\| (\w+) \|$", DOCS.read_text(), re.MULTILINE)
    made = {
        (name, asset, "stops" if CHECKS[name].severity == "error" else "warns")
        for station in STATIONS
        for asset in station.assets
        for name in station.names
    }
    listed = {
        (name, asset, effect)
        for name, assets, effect in rows
        for asset in re.findall(r"`(\w+)`", assets)
    }
    assert listed == made


def test_the_docs_name_only_limits_that_exist():
    named = set(re.findall(r"`checks\.(\w+)`", DOCS.read_text()))
    assert named == set(type(Settings().checks).model_fields)
