"""What happens by itself: what is stale, who asks for which run, and that nobody asks twice."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.automation.asking import STATE, ask_for
from assets.automation.new_seeds import new_seeds
from assets.automation.newly_accepted import newly_accepted
from assets.automation.nightly import nightly
from assets.automation.stale import stale_assets
from assets.graph import SHARD_ASSETS
from assets.refusals import note_refusal, noting_unusable
from assets.shards import SHARD_TABLES, know_shards
from assets.versions import MADE_BY, SOURCES, shard_versions, version_of
from assets.workspace import Workspace
from datagen.config import Settings
from datagen.errors import SeedError
from datagen.shards import MAIN, accept, find_sources, refused_at, shard_folder, take_in
from schemas import Seed

SEED = {"question": "How much is 2 + 3?", "thought": "It is 5.", "answer": "5"}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def settings(**sections: dict[str, Any]) -> Settings:
    return Settings.model_validate(sections)


def workspace(out: Path, *, shard: str = MAIN, **sections: dict[str, Any]) -> Workspace:
    made = Workspace(out=str(out), settings_json=settings(**sections).model_dump_json())
    made._shard = shard
    return made


def arrive(folder: Path, *questions: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "seeds.jsonl"
    path.write_text("".join(json.dumps(SEED | {"question": q}) + "\n" for q in questions))
    return path


def accepted_shard(out: Path, shard: str, versions: Any) -> None:
    folder = shard_folder(out, shard)
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    for name in SHARD_TABLES:
        Seed.empty().write_parquet(folder / "tables" / f"{name}.parquet")
    accept(folder, SHARD_TABLES, versions)


def names(keys: list[dg.AssetKey]) -> set[str]:
    return {key.to_user_string() for key in keys}


def test_a_shard_that_was_never_accepted_is_stale_as_a_whole():
    stale = stale_assets(shard_versions(Path("out"), MAIN, settings()), None)
    assert names(stale) == {*SHARD_TABLES, "accepted"}


def test_what_is_as_it_would_be_made_is_not_stale():
    versions = shard_versions(Path("out"), MAIN, settings())
    assert stale_assets(versions, dict(versions)) == []


def test_only_what_is_made_in_another_way_is_stale_and_what_depends_on_it():
    now = shard_versions(Path("out"), MAIN, settings())
    assert names(stale_assets(now, {**now, "tags": "older"})) == {"tags", "accepted"}
    assert names(stale_assets(now, {**now, "corrections": "older"})) == {
        *("corrections", "summaries", "accepted")
    }
    # One op makes all three tables.
    assert {"probes", "step_labels", "trace_labels"} < names(
        stale_assets(now, {**now, "label_tables": "older"})
    )
    assert names(stale_assets(now, {**now, SOURCES: "older"})) == {*SHARD_TABLES, "accepted"}


def test_assets_are_listed_after_what_they_are_made_of():
    seen: set[dg.AssetKey] = set()
    ours = {key for asset in SHARD_ASSETS for key in asset.keys}
    for asset in SHARD_ASSETS:
        assert set(asset.dependency_keys) & ours <= seen, asset.op.name
        seen |= asset.keys


def test_every_asset_of_a_shard_has_a_version_that_dagster_knows():
    assert {asset.op.name for asset in SHARD_ASSETS} == {*MADE_BY, "accepted"}
    for asset in SHARD_ASSETS:
        known = {spec.code_version for spec in asset.specs}
        assert len(known) == 1 and (None in known) == (asset.op.name == "accepted")


@pytest.mark.parametrize(
    ("changed", "ops"),
    [
        ({"prefixes": {"n_prefixes": 3}}, {"prefixes"}),
        ({"code": {"n_predictions": 5}}, {"code_tasks", "code_thoughts"}),
        ({"publish": {"license": "MIT"}}, set[str]()),
        ({"engine": {"batch_size": 3}}, set[str]()),
        (
            {"engine": {"prompts": "instruct"}},
            {op for op, (packages, _) in MADE_BY.items() if "prompts" in packages},
        ),
    ],
    ids=["a setting", "of two ops", "of none", "of the engine", "prompts"],
)
def test_a_setting_or_prompt_changes_the_versions_of_what_goes_by_it(
    changed: dict[str, Any], ops: set[str]
):
    before, after = settings(), settings(**changed)
    assert {op for op in MADE_BY if version_of(op, before) != version_of(op, after)} == ops


def test_code_that_changes_is_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import assets.versions

    monkeypatch.setattr(assets.versions.datagen, "__file__", str(tmp_path / "__init__.py"))
    assets.versions._digest.cache_clear()
    try:
        (tmp_path / "traces").mkdir()
        (tmp_path / "traces" / "prefixes.py").write_text("n = 1\n")
        before = version_of("prefixes", settings())
        (tmp_path / "traces" / "prefixes.py").write_text("n = 2\n")
        assets.versions._digest.cache_clear()
        assert version_of("prefixes", settings()) != before
    finally:
        assets.versions._digest.cache_clear()


def test_a_source_that_changed_after_it_was_read_is_read_again(tmp_path: Path):
    path = arrive(tmp_path, "a?")
    named = settings(seeds={"path": str(path)}, code={"path": "none"})
    now = shard_versions(tmp_path, MAIN, named)
    assert shard_versions(tmp_path, MAIN, named, before=time.time() + 9) == now
    late = shard_versions(tmp_path, MAIN, named, before=path.stat().st_mtime - 9)
    assert late[SOURCES] != now[SOURCES]


def run(instance: dg.DagsterInstance, state: str, status: dg.DagsterRunStatus, ago_s: float = 0):
    made = instance.create_run_for_job(_nothing, tags={STATE: state})
    instance.report_engine_event("made", made)
    ended = datetime.now(UTC) - timedelta(seconds=ago_s)
    instance.handle_new_event(_event(made, status, ended))


@dg.op
def nothing() -> None: ...


@dg.job(name="job")
def _nothing() -> None:
    nothing()


def _event(run: dg.DagsterRun, status: dg.DagsterRunStatus, at: datetime) -> dg.EventLogEntry:
    kind = {
        dg.DagsterRunStatus.FAILURE: dg.DagsterEventType.RUN_FAILURE,
        dg.DagsterRunStatus.SUCCESS: dg.DagsterEventType.RUN_SUCCESS,
        dg.DagsterRunStatus.STARTED: dg.DagsterEventType.RUN_START,
    }[status]
    event = dg.DagsterEvent(event_type_value=kind.value, job_name="job", message="")
    return dg.EventLogEntry(
        error_info=None,
        level=20,
        user_message="",
        run_id=run.run_id,
        timestamp=at.timestamp(),
        job_name="job",
        dagster_event=event,
    )


def test_a_state_is_asked_for_once(instance: dg.DagsterInstance):
    first = ask_for(instance, "job", "s1")
    assert isinstance(first, dg.RunRequest) and first.tags[STATE] == "s1"
    for status in (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.SUCCESS):
        run(instance, status.value, status)
        assert isinstance(ask_for(instance, "job", status.value), dg.SkipReason)
    assert isinstance(ask_for(instance, "job", "s1"), dg.RunRequest)


def test_after_a_failure_it_is_asked_for_again_but_not_at_once(instance: dg.DagsterInstance):
    run(instance, "s", dg.DagsterRunStatus.FAILURE)
    waits = ask_for(instance, "job", "s", again_after=timedelta(hours=1))
    assert isinstance(waits, dg.SkipReason) and "tried again" in (waits.skip_message or "")
    again = ask_for(instance, "job", "s", again_after=timedelta(0))
    assert isinstance(again, dg.RunRequest)
    assert again.run_key == "job-s-1"  # another key, or Dagster would never start it


def requests(found: Any) -> list[dg.RunRequest]:
    if isinstance(found, dg.SkipReason):
        return []
    return [found] if isinstance(found, dg.RunRequest) else list(found)


def sensor(function: Any, instance: dg.DagsterInstance, place: Workspace) -> list[dg.RunRequest]:
    with dg.build_sensor_context(instance=instance, resources={"workspace": place}) as context:
        return requests(function(context))


def test_seeds_that_arrive_are_taken_in_and_their_shards_made(
    instance: dg.DagsterInstance, tmp_path: Path
):
    watched = arrive(tmp_path / "in", "a?", "b?").parent
    place = workspace(tmp_path / "out", shards={"seeds": str(watched), "settle_s": 0})
    (asked,) = sensor(new_seeds, instance, place)
    assert (asked.job_name, asked.partition_key) == ("take_in_seeds", None)
    sources = find_sources([str(watched)], [], settle_s=0).sources
    taken = take_in(tmp_path / "out", sources, max_rows=1)
    by_shard = {
        r.partition_key: r.job_name for r in sensor(new_seeds, instance, place) if r.partition_key
    }
    assert by_shard == dict.fromkeys(taken.new, "make_shard")
    assert set(instance.get_dynamic_partitions("shards")) == {MAIN, *taken.new}


def test_a_file_that_is_being_written_is_not_asked_for(
    instance: dg.DagsterInstance, tmp_path: Path
):
    watched = arrive(tmp_path / "in", "a?").parent
    place = workspace(tmp_path / "out", shards={"seeds": str(watched), "settle_s": 60})
    assert sensor(new_seeds, instance, place) == []


def test_datasets_are_published_once_all_shards_are_made(
    instance: dg.DagsterInstance, tmp_path: Path
):
    place = workspace(tmp_path)
    assert sensor(newly_accepted, instance, place) == []
    accepted_shard(tmp_path, MAIN, {})
    (first,) = sensor(newly_accepted, instance, place)
    assert first.job_name == "publish_all"
    accepted_shard(tmp_path, MAIN, {})
    (second,) = sensor(newly_accepted, instance, place)
    assert second.run_key != first.run_key


def night(instance: dg.DagsterInstance, place: Workspace) -> list[dg.RunRequest]:
    at = datetime(2026, 1, 2, 2, tzinfo=UTC)
    with dg.build_schedule_context(
        instance=instance, resources={"workspace": place}, scheduled_execution_time=at
    ) as context:
        return requests(nightly(context))


def test_a_night_makes_each_stale_shard_and_leaves_the_others(tmp_path: Path):
    out = tmp_path / "out"
    place = workspace(out)
    arrive(tmp_path / "in", "a?", "b?", "c?")
    sources = find_sources([str(tmp_path / "in")], [], settle_s=0).sources
    fresh, older, never = take_in(out, sources, max_rows=1).new
    now = shard_versions(out, fresh, place.settings)
    accepted_shard(out, fresh, now)
    accepted_shard(out, older, {**now, "tags": "older"})
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        runs = night(instance, place)
    everything = {*SHARD_TABLES, "accepted"}
    asked = {run.partition_key: names(list(run.asset_selection or [])) for run in runs}
    assert asked == {MAIN: everything, older: {"tags", "accepted"}, never: everything}
    assert len({run.run_key for run in runs}) == 3


def test_what_would_be_refused_again_is_asked_for_by_nobody(tmp_path: Path):
    out = tmp_path / "out"
    arrive(tmp_path / "in", "a?")
    sources = find_sources([str(tmp_path / "in")], [], settle_s=0).sources
    (name,) = take_in(out, sources, max_rows=1).new
    accepted_shard(out, MAIN, shard_versions(out, MAIN, settings()))
    note_refusal(workspace(out, shard=name), {"outcomes": "none is right"})
    before = workspace(out)
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        assert sensor(new_seeds, instance, before) == [] == night(instance, before)
        for change in ({"checks": {"min_pass_rate": 0}}, {"search": {"n_simulations": 3}}):
            after = workspace(out, **change)
            (asked,) = sensor(new_seeds, instance, after)
            assert asked.partition_key == name
            assert name in {run.partition_key for run in night(instance, after)}


def test_rows_that_cannot_be_used_are_a_refusal_and_a_failure_of_other_things_is_none(
    tmp_path: Path,
):
    place = workspace(tmp_path)
    with pytest.raises(OSError, match="down"), noting_unusable(place):
        raise OSError("down")
    assert refused_at(tmp_path) is None
    with pytest.raises(SeedError), noting_unusable(place):
        raise SeedError("none of 3 rows is usable")
    refusal = refused_at(tmp_path)
    assert refusal and refusal.reasons == {"seeds": "none of 3 rows is usable"}


def test_a_shard_that_is_gone_is_forgotten(instance: dg.DagsterInstance, tmp_path: Path):
    arrive(tmp_path / "in", "a?")
    sources = find_sources([str(tmp_path / "in")], [], settle_s=0).sources
    (name,) = take_in(tmp_path / "out", sources, max_rows=1).new
    know_shards(instance, tmp_path / "out")
    folder = shard_folder(tmp_path / "out", name)
    folder.rename(folder.with_name(f".{name}"))
    assert know_shards(instance, tmp_path / "out") == [MAIN]
    assert instance.get_dynamic_partitions("shards") == [MAIN]
