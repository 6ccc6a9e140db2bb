"""Who reads what: a shard its own tables, whoever is of all shards what was accepted of each."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.parquet_io import ParquetTables, last_table, table_path, whole_table
from assets.shards import OR_EMPTY, RETRY, attended, by_shard, know_shards, of_all
from datagen.shards import MAIN, accept, shard_folder
from datagen.shards.places import DESCRIPTION
from schemas import BenchmarkCheck, ContractError, Quarantine, Seed


def refused(row_idx: int) -> pl.DataFrame:
    return Quarantine.from_rows(
        [
            {
                "source": "s",
                "row_idx": row_idx,
                "seed_id": None,
                "field": "answer",
                "reason": "missing",
                "preview": "",
            }
        ]
    )


def store(folder: Path, name: str, frame: pl.DataFrame) -> None:
    path = table_path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(path)


def new_shard(out: Path, name: str) -> Path:
    folder = shard_folder(out, name)
    folder.mkdir(parents=True)
    (folder / DESCRIPTION).write_text("{}")
    return folder


Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def graph(tmp_path: Path) -> tuple[Run, list[Any]]:
    """A shard's table, one that reads it within the shard, and one of all shards."""
    seen: list[Any] = []

    @by_shard()
    def quarantine(context: dg.AssetExecutionContext) -> pl.DataFrame:
        return refused({MAIN: 0, "a": 1, "b": 2}[context.partition_key])

    @by_shard(name="accepted")
    def accepted(context: dg.AssetExecutionContext, quarantine: pl.DataFrame) -> None:
        seen.append(quarantine["row_idx"].to_list())
        accept(shard_folder(tmp_path, context.partition_key), ["quarantine"], {})

    @of_all(ins={"seeds": OR_EMPTY})
    def gathered(quarantine: pl.DataFrame, seeds: pl.DataFrame) -> None:
        seen.append((quarantine["row_idx"].to_list(), seeds.height))

    seeds = dg.AssetSpec("seeds")
    new_shard(tmp_path, "a")
    new_shard(tmp_path, "b")
    instance = dg.DagsterInstance.ephemeral()
    know_shards(instance, tmp_path)

    def run(shard: str | None, *selection: str) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [quarantine, accepted, gathered, seeds],
            selection=list(selection) or ["quarantine", "accepted", "gathered"],
            partition_key=shard,
            instance=instance,
            resources={"io_manager": ParquetTables(out=str(tmp_path))},
        )

    return run, seen


def test_one_run_makes_a_shard_and_then_what_is_of_all(graph: tuple[Run, list[Any]]) -> None:
    run, seen = graph
    assert run(MAIN).success and run("b").success
    assert seen == [[0], ([0], 0), [2], ([0, 2], 0)]


def test_what_is_of_all_needs_no_partition_and_sees_only_what_was_accepted(
    graph: tuple[Run, list[Any]],
) -> None:
    run, seen = graph
    run("a", "quarantine", "accepted")
    run("b", "quarantine")  # made, and not accepted
    assert run(None, "gathered").success
    assert seen[-1] == ([1], 0)


def test_a_table_that_was_never_made_is_named_with_what_to_do(
    graph: tuple[Run, list[Any]],
) -> None:
    run, _ = graph
    with pytest.raises(FileNotFoundError, match="materialise the asset 'quarantine' first"):
        run("a", "accepted")


def test_benchmarks_of_several_shards_are_added_up(tmp_path: Path) -> None:
    row = {"name": "gsm8k", "source": "hub", "digest": "d", "n_rows": 9}
    for folder, n in ((tmp_path, 10), (new_shard(tmp_path, "a"), 5)):
        checks = [row | {"n_checked": n, "n_rejected": 1}]
        store(folder, "benchmark_checks", BenchmarkCheck.from_rows(checks))
        accept(folder, ["benchmark_checks"], {})
    (found,) = whole_table(tmp_path, "benchmark_checks").rows(named=True)
    assert found == row | {"n_checked": 15, "n_rejected": 2}


def test_a_seed_in_two_shards_is_found_out(tmp_path: Path) -> None:
    seed = {
        **{"seed_id": "x", "source": "s", "license": "MIT", "domain": "math", "question": "a?"},
        **{"thought": "b", "steps": ["b"], "factors": ["Other"], "answer": "1"},
        **{"verifier": "exact", "criteria": None, "facts": [], "meta": "{}"},
    }
    for folder in (tmp_path, new_shard(tmp_path, "a")):
        store(folder, "seeds", Seed.from_rows([seed]))
        accept(folder, ["seeds"], {})
    with pytest.raises(ContractError, match="seeds"):
        whole_table(tmp_path, "seeds")


def test_a_reader_of_the_output_folder_sees_a_lone_run_as_it_stands(tmp_path: Path) -> None:
    store(tmp_path, "quarantine", refused(1))
    assert last_table(tmp_path, "quarantine").height == 1  # not accepted yet
    new_shard(tmp_path, "a")
    assert last_table(tmp_path, "quarantine").height == 0


def test_what_needs_the_network_is_tried_again_unless_somebody_waits(tmp_path: Path) -> None:
    tries: list[int] = []
    policy = RETRY._replace(delay=0)

    @dg.asset(retry_policy=policy)
    def fragile() -> None:
        tries.append(1)
        raise OSError("down")

    for waits, n in ((False, 4), (True, 1)):
        tries.clear()
        with attended() if waits else nullcontext():
            done = dg.materialize([fragile], raise_on_error=False)
        assert not done.success and len(tries) == n
