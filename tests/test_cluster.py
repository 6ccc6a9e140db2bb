"""Stages over a Ray cluster of several nodes, all on this machine, with workers that die."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from datagen.cluster import STAGES, Snapshot, run_stage
from datagen.cluster.shards import Shard, cut, merge
from datagen.cluster.totals import Purse, add_up, engine_progress, spent_only
from datagen.config import Settings, load_settings
from datagen.engines.fake import FakeEngine, toy_engine, toy_prefer, toy_question, toy_write
from datagen.engines.protocol import CompletionRequest, flat_text
from datagen.errors import ConfigError, EngineError, JournalError
from datagen.journal import Journal, journal_key
from datagen.measure import pick_traces
from datagen.search.budget import Progress
from datagen.search.run import RunProgress
from datagen.traces.assemble import assemble_traces
from datagen.traces.prefixes import make_prefixes
from schemas import Seed

N = 12
SEARCH = {"n_simulations": 3, "n_root_rollouts": 4, "max_step_tokens": 12, "max_tokens": 30}
STORE = 80 * 2**20


def seed(walk: int) -> dict[str, Any]:
    """A person's walk by ones."""
    target = 4 + walk % 3
    steps = [f"{at}+1={at + 1}\n" for at in range(target)]
    return {
        "seed_id": f"s{walk}",
        "source": "toy",
        "license": "CC0-1.0",
        "domain": "math",
        "question": toy_question(target, walk),
        "thought": "".join(steps),
        "steps": steps,
        "factors": ["Compute"] * target,
        "answer": str(target),
        "verifier": "numeric",
        "facts": [],
        "meta": "{}",
    }


SEEDS = Seed.from_rows([seed(walk) for walk in range(N)])
PREFIXES = make_prefixes(SEEDS, n_prefixes=1)


def settings(*, search: dict[str, Any] | None = None, **ray: Any) -> Settings:
    return load_settings(
        search=SEARCH | (search or {}),
        labels={"n_critiques": 0, "max_rollouts": 4},
        engine={"price_generated": 1.0},
        ray={"n_workers": 2, "shard_size": 3, "max_restarts": 2} | ray,
    )


def here(stage: Any, tables: Any, chosen: Settings) -> tuple[dict[str, pl.DataFrame], Progress]:
    """A stage in this process."""
    with Journal(":memory:") as journal:
        return STAGES[stage](tables, toy_engine(), journal, chosen, lambda _: None)


def open_toy(
    _: Settings, *, folder: Path, delay_s: float = 0.0, fail_after: int | None = None
) -> FakeEngine:
    """The toy policy; writes down where it was opened and what it was asked."""
    import ray

    log = folder / f"{os.getpid()}.log"
    node = ray.get_runtime_context().get_node_id()
    with (folder / f"{os.getpid()}.opened").open("a") as file:
        file.write(node)

    def write(request: CompletionRequest) -> str:
        with log.open("a") as file:
            file.write(f"{journal_key('fake', request)}\n")
        return toy_write(request)

    return FakeEngine(write, toy_prefer, delay_s=delay_s, fail_after=fail_after)


def open_poisoned(_: Settings, *, folder: Path, word: str, first: tuple[str, ...]) -> FakeEngine:
    """An engine to which ``first`` happens, one after the other, when it reads ``word``."""

    def write(request: CompletionRequest) -> str:
        n_before = len(list(folder.iterdir()))
        if word in flat_text(request.prompt) and n_before < len(first):
            (folder / str(n_before)).touch()
            if first[n_before] == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            raise JournalError("locked")
        return toy_write(request)

    return FakeEngine(write, toy_prefer)


def keys(journals: Path) -> set[str]:
    found: set[str] = set()
    for path in journals.glob("*.sqlite"):
        with Journal(path) as journal:
            found |= set(journal.keys())
    return found


def opened(folder: Path) -> dict[int, str]:
    """Node by process."""
    return {int(path.stem): path.read_text() for path in folder.glob("*.opened")}


def asked(folder: Path) -> list[str]:
    return [key for path in sorted(folder.glob("*.log")) for key in path.read_text().split()]


# --- shards and sums, without Ray ----------------------------------------------------------------


def test_a_shard_holds_all_rows_of_its_seeds_and_no_others():
    shards = cut({"prefixes": PREFIXES, "seeds": SEEDS}, size=5)
    assert [shard.n_seeds for shard in shards] == [5, 5, 2]
    for shard in shards:
        ids = set(shard.tables["seeds"]["seed_id"])
        assert len(ids) == shard.n_seeds
        assert_frame_equal(
            shard.tables["prefixes"], PREFIXES.filter(pl.col("seed_id").is_in(list(ids)))
        )
    merged = merge([shard.tables for shard in shards], order={})
    assert_frame_equal(merged["prefixes"], PREFIXES)


def test_seeds_that_are_appended_leave_the_earlier_shards_as_they_were():
    def by_name(n: int) -> dict[str, Shard]:
        return {shard.name: shard for shard in cut({"seeds": SEEDS[:n]}, size=4)}

    before, after = by_name(10), by_name(12)
    assert set(before) == set(after)
    for name in sorted(before)[:2]:
        assert_frame_equal(before[name].tables["seeds"], after[name].tables["seeds"])


def test_no_seeds_are_one_empty_shard():
    (shard,) = cut({"prefixes": PREFIXES.clear()}, size=4)
    made, _ = here("search", shard.tables, settings())
    assert made["rollouts"].height == 0


@pytest.mark.slow
def test_labels_of_shards_come_in_the_order_of_a_run_in_one_process():
    found, _ = here("search", {"prefixes": PREFIXES}, settings())
    traces = assemble_traces(SEEDS, PREFIXES, found["rollouts"])
    measured = pick_traces(traces, found["rollouts"], n_right=1, n_wrong=2)
    critiques, _ = here("critiques", {"measured_traces": measured}, settings())
    tables = {
        "traces": traces,
        "measured_traces": measured,
        "rollouts": found["rollouts"],
        **critiques,
    }
    whole, _ = here("labels", tables, settings())
    parts = [here("labels", shard.tables, settings())[0] for shard in cut(tables, size=3)]
    merged = merge(parts, order={"step_labels": traces["trace_id"]})
    for name, columns in (
        ("step_labels", ["trace_id", "step_idx"]),
        ("trace_labels", ["trace_id"]),
    ):
        assert whole[name].height
        assert_frame_equal(merged[name].select(columns), whole[name].select(columns))
    assert merged["step_labels"].columns == whole["step_labels"].columns


def test_progress_is_summed_down_to_the_scheduler_and_time_is_not():
    one = RunProgress(Progress(n_searches=2, n_tokens=5, cost=0.5, seconds=9.0), 10, 4, 1)
    two = RunProgress(Progress(n_searches=3, n_tokens=7, budget_spent=True), 20, 5, 2)
    assert add_up([one, two], seconds=3.0) == RunProgress(
        Progress(n_searches=5, n_tokens=12, cost=0.5, seconds=3.0, budget_spent=True), 30, 9, 3
    )


def test_what_is_still_to_be_done_is_extrapolated_to_the_shards_that_wait():
    total = add_up([RunProgress(Progress(n_searches=2, n_tokens=5), 10, 4)], seconds=1, begun=0.25)
    assert (total.engine.n_searches, total.n_expected) == (8, 40)
    assert (total.engine.n_tokens, total.n_rollouts) == (5, 4)


def test_an_attempt_that_came_to_nothing_counts_by_its_cost_alone():
    lost = RunProgress(Progress(n_searches=2, n_finished=1, n_tokens=5, cost=0.5), 10, 4, 1)
    assert spent_only(lost) == RunProgress(Progress(n_tokens=5, cost=0.5))


def test_the_shares_of_a_budget_never_exceed_it_and_what_is_left_is_shared_again():
    purse = Purse("search", settings(search={"budget_tokens": 100, "budget_cost": 2.0}), n_seeds=4)
    first = purse.share(1, seconds=0)
    assert (first.search.budget_tokens, first.search.budget_cost) == (25, 0.5)
    assert purse.share(1, seconds=0).search.budget_tokens == 25
    purse.give_back(first, Progress(n_tokens=5, cost=0.1))
    third = purse.share(1, seconds=0)
    assert third.search.budget_tokens == 35
    assert third.search.budget_cost == pytest.approx((2.0 - 0.1 - 0.5) / 2)
    assert purse.share(1, seconds=0).search.budget_tokens == 35


def test_a_shard_that_begins_again_has_what_its_dead_worker_left():
    purse = Purse("search", settings(search={"budget_tokens": 100}), n_seeds=2)
    shared = purse.share(1, seconds=0)
    purse.give_back(shared, RunProgress(Progress(n_tokens=30)), n_seeds=1)
    assert purse.share(1, seconds=0).search.budget_tokens == 35


def test_a_spent_budget_leaves_each_shard_enough_to_replay_its_journal():
    chosen = settings(search={"budget_tokens": 10, "budget_cost": 1.0, "budget_seconds": 5.0})
    purse = Purse("search", chosen, n_seeds=2)
    purse.give_back(purse.share(1, seconds=0), Progress(n_tokens=50, cost=3.0))
    last = purse.share(1, seconds=7.0).search
    assert last.budget_tokens == 1
    assert 0 < last.budget_cost < 1e-3 and 0 < last.budget_seconds < 1e-3


def test_time_is_not_shared_and_labels_have_a_budget_of_their_own():
    chosen = load_settings(
        search={"budget_seconds": 60.0, "budget_tokens": 8}, labels={"budget_tokens": 100}
    )
    assert Purse("search", chosen, n_seeds=4).share(1, seconds=12.0).search.budget_seconds == 48.0
    labels = Purse("labels", chosen, n_seeds=4).share(1, seconds=0)
    assert labels.labels.budget_tokens == 25 and labels.search == chosen.search
    assert Purse("critiques", chosen, n_seeds=4).share(1, seconds=0) == labels


def test_without_ray_installed_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setitem(sys.modules, "ray", None)
    for module in ("ray_run", "pool"):
        monkeypatch.delitem(sys.modules, f"datagen.cluster.{module}", raising=False)
    with pytest.raises(ConfigError, match=r"pip install 'datagen\[ray\]'"):
        run_stage(
            "search",
            {"prefixes": PREFIXES},
            settings(address="local"),
            engine=lambda: pytest.fail("each worker has its own"),
            journal_path=tmp_path / "journal.sqlite",
            on_progress=lambda _: None,
        )


# --- on a cluster --------------------------------------------------------------------------------

Run = Callable[..., tuple[dict[str, pl.DataFrame], Progress]]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one CPU each."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        node = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=node)
        cluster.add_node(num_cpus=1, object_store_memory=STORE)
        cluster.wait_for_nodes()
        yield cluster
        cluster.shutdown()


@pytest.fixture
def run(cluster: Any, tmp_path: Path) -> Iterator[Run]:
    """The search over the cluster; its journals are in the folder ``journals``."""
    from datagen.cluster.pool import close_workers
    from datagen.cluster.ray_run import run_stage_on_ray

    # The same function again is the same engine, which the workers have open.
    opening_of = cache(partial)

    def run(
        opening: Callable[..., Any],
        chosen: Settings | None = None,
        on_progress: Callable[[Snapshot], None] | None = None,
        **options: Any,
    ) -> tuple[dict[str, pl.DataFrame], Progress]:
        chosen = chosen or settings()
        folder = tmp_path / "engines"
        folder.mkdir(exist_ok=True)
        return run_stage_on_ray(
            "search",
            {"prefixes": PREFIXES},
            chosen.model_copy(
                update={"ray": chosen.ray.model_copy(update={"address": cluster.address})}
            ),
            journal_folder=tmp_path / "journals",
            on_progress=on_progress,
            open_engine=opening_of(opening, folder=folder, **options),
        )

    yield run
    close_workers()


def equal(made: dict[str, pl.DataFrame], chosen: Settings | None = None) -> None:
    """The tables are those of one process."""
    expected, _ = here("search", {"prefixes": PREFIXES}, chosen or settings())
    assert expected["rollouts"].height > N
    for name, frame in expected.items():
        assert_frame_equal(made[name], frame)


@pytest.mark.slow
def test_a_cluster_gives_the_tables_of_one_process_and_keeps_its_workers(
    run: Run, cluster: Any, tmp_path: Path
):
    seen: list[Snapshot] = []
    made, progress = run(open_toy, on_progress=seen.append, delay_s=0.05)
    equal(made)
    names = [f"seeds-{start:09d}.sqlite" for start in range(0, N, 3)]
    assert sorted(path.name for path in (tmp_path / "journals").glob("*.sqlite")) == names
    # The sum is exact: every completion was asked of one engine, once.
    assert progress.n_generated == len(asked(tmp_path / "engines"))
    assert progress.n_searches == progress.n_finished == PREFIXES.height
    last = seen[-1]
    assert isinstance(last, RunProgress)
    assert last.n_rollouts >= made["rollouts"].height
    tokens = [engine_progress(snapshot).n_tokens for snapshot in seen]
    assert tokens == sorted(tokens) and tokens[-1] == progress.n_tokens

    again, progress = run(open_toy, delay_s=0.05)
    equal(again)
    assert progress.n_generated == 0 and progress.n_replayed > 0
    # One engine for both runs and all shards of a worker, on each of the two nodes.
    engines = opened(tmp_path / "engines")
    assert set(engines.values()) == {node.node_id for node in cluster.list_all_nodes()}
    assert len(engines) == 2


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_its_shard_goes_on_from_its_journal(
    run: Run, tmp_path: Path
):
    engines, journals = tmp_path / "engines", tmp_path / "journals"
    journaled: set[str] = set()
    n_asked: dict[Path, int] = {}

    def kill(_: Snapshot) -> None:
        if n_asked:
            return
        (worker,) = opened(engines)
        os.kill(worker, signal.SIGKILL)
        # The worker had its journal to itself, which ends with it.
        journaled.update(keys(journals))
        n_asked.update({log: len(log.read_text().split()) for log in engines.glob("*.log")})

    # One shard, so that there is news only of one that is under way.
    made, progress = run(open_toy, settings(n_workers=1, shard_size=N), kill, delay_s=0.1)
    assert journaled and len(opened(engines)) == 2
    later = [
        key
        for log in engines.glob("*.log")
        for key in log.read_text().split()[n_asked.get(log, 0) :]
    ]
    assert later and not journaled & set(later)
    assert progress.n_replayed >= len(journaled & set(asked(engines))) > 0
    assert progress.n_finished == PREFIXES.height
    equal(made)


@pytest.mark.slow
def test_a_run_outlives_the_loss_of_a_node(run: Run, cluster: Any, tmp_path: Path):
    extra = cluster.add_node(num_cpus=1, object_store_memory=STORE)
    cluster.wait_for_nodes()
    engines = tmp_path / "engines"
    removed: list[str] = []

    def remove(_: Snapshot) -> None:
        if not removed and extra.node_id in opened(engines).values():
            removed.append(extra.node_id)
            cluster.remove_node(extra, allow_graceful=False)

    # Three workers for three nodes; afterwards there is room for two.
    made, progress = run(open_toy, settings(n_workers=3), remove, delay_s=0.1)
    assert removed
    assert progress.n_finished == PREFIXES.height
    equal(made)


@pytest.mark.slow
def test_a_shard_that_kills_its_workers_is_named_after_the_others_have_ended(
    run: Run, tmp_path: Path
):
    with pytest.raises(EngineError, match=r"shard 'seeds-000000003'.* died 2 times") as caught:
        run(open_poisoned, settings(max_restarts=1), word="Walk 4", first=("die",) * 99)
    assert "seeds-000000006" not in str(caught.value)
    whole = cut({"prefixes": PREFIXES}, size=3)
    for shard in (whole[0], whole[2], whole[3]):
        with Journal(tmp_path / "journals" / f"{shard.name}.sqlite") as journal:
            _, progress = STAGES["search"](
                shard.tables, toy_engine(), journal, settings(), lambda _: None
            )
            assert progress.n_generated == 0


@pytest.mark.slow
def test_a_journal_that_a_dead_worker_still_locks_is_tried_again(run: Run):
    made, _ = run(open_poisoned, settings(n_workers=1), word="Walk 4", first=("die", "locked"))
    equal(made)


@pytest.mark.slow
def test_a_broken_journal_ends_the_run(run: Run):
    with pytest.raises(JournalError, match=r"shard 'seeds-000000003': locked"):
        run(open_poisoned, settings(n_workers=1), word="Walk 4", first=("locked",))


@pytest.mark.slow
def test_a_broken_engine_is_an_error_that_names_the_shard(run: Run):
    with pytest.raises(EngineError, match=r"^shard 'seeds-\d+': 'fake' was told to fail"):
        run(open_toy, settings(n_workers=1), fail_after=3)


@pytest.mark.slow
def test_a_budget_of_tokens_is_for_all_shards_together(run: Run):
    chosen = settings(search={"budget_tokens": 400}, n_workers=1)
    made, progress = run(open_toy, chosen)
    assert progress.budget_spent
    # Each of four shards may be over by a batch of eight walks. All in all there are 2,561 tokens.
    assert 200 < progress.n_tokens < 900
    assert made["rollouts"].height > 0


def test_a_cluster_that_is_not_there_is_an_error_with_its_address(tmp_path: Path):
    from datagen.cluster.ray_run import run_stage_on_ray

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        began = time.monotonic()
        with pytest.raises(EngineError, match=address):
            run_stage_on_ray(
                "search",
                {"prefixes": PREFIXES},
                settings(address=address),
                journal_folder=tmp_path,
            )
        assert time.monotonic() - began < 15


def test_what_is_no_address_is_refused(tmp_path: Path):
    from datagen.cluster.ray_run import run_stage_on_ray

    with pytest.raises(ConfigError, match=r"ray.address='nonsense'"):
        run_stage_on_ray(
            "search",
            {"prefixes": PREFIXES},
            settings(address="nonsense"),
            journal_folder=tmp_path,
        )


@pytest.mark.slow
def test_an_interrupted_command_goes_on_from_the_journals_of_its_shards(tmp_path: Path):
    config, out = tmp_path / "datagen.toml", tmp_path / "out"
    config.write_text(
        "[search]\nn_simulations = 1\nn_root_rollouts = 4\n[labels]\nmax_rollouts = 2\n"
        '[engine]\nbatch_size = 16\n[ray]\naddress = "local"\nshard_size = 2\n'
        '[code]\npath = "none"\n'
    )
    arguments = ("--out", out, "--config", config, "--limit", "4")
    command = [sys.executable, "-m", "assets", "run", *map(str, arguments)]
    journals = out / "journal"
    first = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    while first.poll() is None and not (journals / "seeds-000000002.sqlite").exists():
        time.sleep(0.1)
    assert first.poll() is None, first.communicate()[0].decode()[-3000:]
    # As the terminal does on Ctrl-C: to every process of the command.
    os.killpg(first.pid, signal.SIGINT)
    first.communicate(timeout=60)
    assert first.returncode != 0
    before = keys(journals)
    assert before

    second = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert second.returncode == 0, second.stderr[-3000:]
    assert "replayed" in second.stdout
    assert before < keys(journals)
    assert not (out / "journal.sqlite").exists()
    rollouts = pl.read_parquet(out / "tables" / "rollouts.parquet")
    assert rollouts["seed_id"].n_unique() == 4
    assert set(rollouts["completion_key"]) <= keys(journals)
    for name in ("sft", "sft_plain", "prm", "rl", "traces"):
        rows = pl.read_parquet(out / "published" / name / "*.parquet")
        assert rows.height > 0, name
