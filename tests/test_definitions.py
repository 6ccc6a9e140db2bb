"""The Dagster application: it loads, it validates, and the library stays free of it."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from assets.definitions import defs
from assets.parquet_io import CONTRACT_OF, ParquetTables
from assets.shards import READS_ACCEPTED, SHARD_TABLES
from schemas import ContractError

REPO = Path(__file__).parents[1]
NAMES = """
seeds code_seeds quarantine rejected_questions benchmark_checks questions rejected_by_difficulty
rejected_traces executions code_tasks code_thoughts prefixes rollouts nodes traces
tags measured_traces critiques probes step_labels
trace_labels corrections summaries rubric_rewards sft sft_plain prm prm_verified rl policy_value
advantages preference step_preference kto critique orm processbench raw_rollouts published uploaded
reviews decisions annotators review_queue offered
reviewed_step_labels reviewed_trace_labels reviewed_tags reviewed_corrections
shards accepted
""".split()  # noqa: SIM905


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=REPO, timeout=120
    )


@pytest.mark.slow
def test_importing_the_library_does_not_import_dagster():
    code = """
import pkgutil, sys, importlib, datagen
for module in pkgutil.walk_packages(datagen.__path__, "datagen."):
    # Those inside a sandbox or another environment are never imported here.
    if "sympy_worker" not in module.name and not module.name.endswith("__main__") and (
        "server.inside." not in module.name
    ):
        importlib.import_module(module.name)
print([name for name in sys.modules if name.split(".")[0] in ("dagster", "assets")])
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_every_named_asset_exists_with_its_dependencies():
    graph = defs.resolve_asset_graph()
    keys = {key.to_user_string(): key for key in graph.get_all_asset_keys()}
    assert set(NAMES) == set(keys)

    of_all = {key.to_user_string() for key in graph.get(keys["accepted"]).child_keys}

    def parents(name: str) -> set[str]:
        found = {key.to_user_string() for key in graph.get(keys[name]).parent_keys}
        assert ("accepted" in found) == (name in of_all)
        return found - {"accepted"}

    asked = {"seeds", "code_seeds", "code_tasks", "rollouts"}
    assert parents("questions") == asked
    assert parents("rejected_by_difficulty") == {"questions"}
    assert parents("rejected_traces") == {"traces"}
    fit = {"traces", "rejected_traces"}
    assert parents("measured_traces") == {*fit, "rollouts"}
    assert parents("critiques") == {"measured_traces"}
    for name in ("probes", "step_labels", "trace_labels"):
        measured = {"measured_traces", "traces", "rollouts", "critiques"}
        assert parents(name) == {*measured, "code_thoughts"}
    assert parents("executions") == {"code_seeds"}
    assert parents("code_thoughts") == parents("code_tasks") == {"code_seeds", "executions"}
    about_code = {"code_thoughts", "code_tasks"}
    assert parents("traces") == {"seeds", "prefixes", "rollouts", "nodes", *about_code}
    assert parents("tags") == {"traces"}
    assert parents("summaries") == {"traces", "corrections"}
    assert parents("rubric_rewards") == {"seeds", "rollouts"}
    seen = {"rollouts", "probes", "trace_labels", "critiques"}
    assert parents("corrections") == {"traces", *seen}
    assert (
        parents("sft")
        == parents("sft_plain")
        == {
            *fit,
            *("reviewed_tags", "reviewed_corrections", "summaries", "decisions"),
        }
    )
    assert parents("prm") == {*fit, "measured_traces", "reviewed_step_labels", "code_thoughts"}
    assert parents("processbench") == {*parents("prm"), "reviewed_trace_labels"}
    assert parents("orm") == fit
    labels = {"reviewed_step_labels", "reviewed_trace_labels"}
    assert parents("prm_verified") == {"prm", "code_thoughts", *labels}
    assert parents("preference") == parents("kto") == {*fit, "probes", "decisions", *labels}
    assert parents("advantages") == {*fit, "questions", *labels}
    assert parents("rl") == {"seeds", "questions", "code_tasks"}
    assert parents("critique") == {"measured_traces", "critiques", *labels}
    assert parents("policy_value") == {"nodes", "rollouts", "prefixes"}
    assert parents("step_preference") == {"nodes", "prefixes"}
    assert parents("uploaded") == {"published"}
    assert parents("reviews") == set()
    assert parents("decisions") == parents("annotators") == {"reviews"}
    assert {"reviews", "decisions", "step_labels", "trace_labels"} < parents("review_queue")
    assert parents("offered") == {"review_queue"}
    for name in ("step_labels", "trace_labels", "tags", "corrections"):
        own = {"step_labels", "trace_labels", "tags", "corrections", "decisions"}
        assert parents(f"reviewed_{name}") == own


def _partitioned(graph: AssetGraph) -> set[dg.AssetKey]:
    return {key for key in graph.get_all_asset_keys() if graph.get(key).partitions_def is not None}


def test_what_is_made_shard_by_shard_is_what_the_accepted_tables_are():
    graph = defs.resolve_asset_graph()
    by_shard = {key.to_user_string() for key in _partitioned(graph)}
    assert by_shard == {*SHARD_TABLES, "accepted"}
    assert {key.to_user_string() for key in graph.get(dg.AssetKey("accepted")).parent_keys} == {
        *SHARD_TABLES
    }


def test_assets_of_all_shards_read_accepted_tables_alone():
    graph = defs.resolve_asset_graph()
    by_shard = _partitioned(graph)
    for key in graph.get_all_asset_keys() - by_shard:
        node = graph.get(key)
        if node.parent_keys & by_shard:
            assert READS_ACCEPTED in node.assets_def.op.tags, key
            assert dg.AssetKey("accepted") in node.parent_keys, key


@pytest.mark.slow
def test_dagster_validates_the_code_location(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-m", "assets.definitions"],
        capture_output=True, text=True, cwd=REPO, timeout=120,
        env={**os.environ, "DAGSTER_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_stored_asset_has_a_contract():
    keys = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    assert keys - {"published", "uploaded", "offered", "accepted"} == set(CONTRACT_OF)


@pytest.mark.slow
def test_a_table_that_breaks_its_contract_is_not_stored(tmp_path: Path):
    @dg.asset
    def prm() -> pl.DataFrame:
        return pl.DataFrame({"prompt": ["no labels"]})

    with pytest.raises(ContractError, match="prm"):
        dg.materialize([prm], resources={"io_manager": ParquetTables(out=str(tmp_path))})
    assert not list(tmp_path.rglob("prm.parquet"))


@pytest.mark.slow
def test_assets_are_made_headless_by_dagsters_own_command_line(tmp_path: Path):
    settings = tmp_path / "datagen.toml"
    settings.write_text(
        "[seeds]\nlimit = 2\n[code]\nlimit = 2\n[search]\nn_simulations = 1\nn_root_rollouts = 2\n"
    )
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(tmp_path),
        "DATAGEN_OUT": str(tmp_path / "out"),
        "DATAGEN_CONFIG": str(settings),
    }
    # A new Dagster knows no shard; the first of the two tells it of the one that is always there.
    for options in (["shards"], ["group:seeds", "--partition", "main"]):
        done = subprocess.run(
            [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "assets.definitions",
             "--select", *options],
            capture_output=True, text=True, cwd=REPO, timeout=300, env=environment,
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    tables = {path.stem: path for path in (tmp_path / "out" / "tables").iterdir()}
    assert {"shards", "seeds", "code_seeds", "quarantine", "prefixes"} < set(tables)
    assert pl.read_parquet(tables["seeds"]).height == 2
