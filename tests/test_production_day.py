"""A day in production: the real daemon and webserver, and everything that goes wrong at once.

One story, told once, and many questions about it. It is told by what has happened and not by the
clock: the model falls silent in the middle of each shard's search, so whatever is killed then is
surely at work; and every wait is for an event.
"""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from argilla_server import server_environment
from hub_client import OWNER, environment
from hub_server import HubServer, User
from production import Installation, ToyModel, free_port, told, until

from datagen.journal import Journal
from datagen.publish import read_manifest
from datagen.publish.checks import check_repository
from datagen.review.server import serve
from datagen.review.server.credentials import add_annotators
from datagen.shards import MAIN, accepted_at, refused_at, shard_folder, shard_names

pytestmark = pytest.mark.slow

REPO_ID = "ann/data"

SETTINGS = """
[seeds]
path = "{root}/main.jsonl"
[code]
path = "none"
[engine]
kind = "openai"
model = "toy"
url = "{url}"
concurrency = 4
[search]
n_simulations = 2
n_root_rollouts = 4
[labels]
n_critiques = 0
max_rollouts = 4
[factors]
tagger = "none"
[review]
tool = "argilla"
n_items = 4
n_seed_forms = 1
[publish]
to = "ann/data"
[shards]
seeds = "{root}/watched"
max_rows = 3
settle_s = 0.5
cron = "* * * * *"
interval_s = 8
retry_s = 8
isolate_steps = true
"""
SOONER = {
    "run_monitoring": {"poll_interval_seconds": 3, "free_slots_after_run_end_seconds": 3},
}

PLACES = (
    "A frog sits on the first stone of a pond.",
    "The elevator of an old hotel stands still on the ground floor.",
    "Somebody forgot to wind up the clock at the railway station.",
    "My sister collects postage stamps from islands nobody has heard of.",
    "Behind the bakery there is a staircase that leads to the roof.",
    "Two sailors count the days until their ship arrives in harbour.",
)


def seed(idx: int) -> str:
    target = 4 + idx
    steps = "".join(
        f"<ACT_Compute-Start> {at}+1={at + 1} <ACT_Compute-End>\n" for at in range(target)
    )
    row = {
        "seed_id": f"walk-{idx}",
        "question": f"{PLACES[idx]} Reach {target} from 0 by adding 1 or 2.",
        "thought": f"<Think_Start>\n{steps}",
        "answer": str(target),
        "domain": "math",
        "verifier": "numeric",
        "license": "CC0-1.0",
        "source": "toy",
    }
    return json.dumps(row) + "\n"


WORDS = {"main": ("frog", "elevator"), "A": ("clock", "postage"), "B": ("staircase", "sailors")}
"""Of the shards that end well: a word of each question."""


@dataclass
class Day:
    """What happened."""

    home: Installation
    model: ToyModel
    hub: HubServer
    root: Path
    argilla: Path
    """Home of the server, which starts late."""
    argilla_port: int
    names: dict[str, str]
    """``A`` and ``B``, the parts of a file, ``poison`` and ``main`` → the shards."""
    n_kept: dict[str, int] = field(default_factory=dict[str, int])
    """Answers in the journal when something was killed, by shard."""
    left: dict[int, str] = field(default_factory=dict[int, str])
    """Processes that were left at the end."""

    def folder(self, name: str) -> Path:
        return shard_folder(self.home.out, self.names[name])

    def accepted(self, name: str, table: str) -> pl.DataFrame:
        return pl.read_parquet(self.folder(name) / "accepted" / f"{table}.parquet")

    def journaled(self, name: str) -> int:
        with Journal(self.folder(name) / "journal.sqlite", read_only=True) as journal:
            return len(journal)

    def is_stuck(self, name: str) -> bool:
        """Whether the model is waited for, and all that it has said is in the journal."""
        if not self.model.n_waiting(name):
            return False
        return self.journaled(name) == self.model.n_answered(name)

    def asked_for(self, name: str) -> bool:
        return bool(self.home.runs("make_shard", self.names[name]))

    def last_run(self, name: str) -> dg.DagsterRun:
        return self.home.runs("make_shard", self.names[name])[-1]


SEARCH = "search_tables"


def begin(day: Day) -> None:
    """The schedule and a sensor start what makes the shards; each falls silent in its search."""
    home = day.home
    with told("daemon and webserver start"):
        home.start_webserver()
        daemon = home.start_daemon()
        until("the webserver answers", home.answers)
        home.instance.event_log_storage.set_concurrency_slots("engine", 4)
        for sensor in ("new_seeds", "newly_accepted", "new_reviews"):
            home.switch_on("sensor", sensor)
        watched = day.root / "watched"
        (watched / "good.jsonl").write_text(
            seed(2) + "not even JSON\n" + seed(3) + seed(4) + seed(5)
        )
        (watched / "poison.jsonl").write_text('{"question": ""}\n[1, 2]\n\x00\x01\n')
    with told("seeds are taken in"):
        shards = until("three shards", lambda: (n := shard_names(home.out))[3:] and n)
        good = sorted(name for name in shards if name.startswith("good"))
        (poison,) = (name for name in shards if name.startswith("poison"))
        day.names |= {"A": good[0], "B": good[1], "poison": poison}
        for name in ("A", "B", "poison"):
            until(f"the sensor asks for {name}", lambda name=name: day.asked_for(name))
        # Not before: in one and the same second both could ask for a shard, and it has two runs.
        home.switch_on("schedule", "nightly")
        until("the schedule asks for main", lambda: day.asked_for("main"))
        home.switch_off("nightly")
    with told("every shard is searched"):
        for name in WORDS:
            until(f"{name} waits for the model", lambda name=name: day.is_stuck(name))
        until("the poisoned shard fails", lambda: day.last_run("poison").is_finished)
    with told("the daemon alone is killed, and started again"):
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.wait()
        home.start_daemon()


def kill_a_step(day: Day) -> None:
    with told("a step is killed"):
        run = day.last_run("A")
        pid = day.home.pid_of(run, SEARCH)
        assert pid in day.home.processes()
        os.kill(pid, signal.SIGKILL)
        day.n_kept["A"] = day.journaled("A")
        until("it is tried again", lambda: "STEP_UP_FOR_RETRY" in day.home.kinds(run, SEARCH))
        day.model.speak("A")


def kill_a_run(day: Day) -> None:
    with told("a run is killed"):
        run = day.last_run("B")
        pid = day.home.pid_of(run)
        assert pid in day.home.processes()
        os.kill(pid, signal.SIGKILL)
        day.n_kept["B"] = day.journaled("B")
        n_waiting = day.model.n_waiting("B")
        until("it is begun again", lambda: day.last_run("B").run_id != run.run_id)
        again = day.last_run("B")
        # The step of the killed run is still at work. Both would ask the same from here on.
        until(
            "it asks too, or rather waits",
            lambda: (
                day.model.n_waiting("B") > n_waiting
                or day.home.says(again, "another process works on")
            ),
        )
        day.model.speak("B")
    with told("both shards are made"):
        for name in ("A", "B"):
            until(f"{name} is made", lambda name=name: day.last_run(name).is_finished)


def cut_the_power(day: Day) -> None:
    with told("everything is killed"):
        home, run = day.home, day.last_run("main")
        webserver = home.below(next(p for p, c in home.processes().items() if "webserver" in c))
        for pid in home.processes().keys() - webserver:
            os.kill(pid, signal.SIGKILL)
        day.n_kept["main"] = day.journaled("main")
        home.start_daemon()
        until("the run is begun again", lambda: day.last_run("main").run_id != run.run_id)
        day.model.speak("main")
        until("main is made", lambda: day.last_run("main").is_finished)


def publish(day: Day, stack: ExitStack) -> None:
    home = day.home
    with told("Argilla is missed, and comes back"):
        run = until("it is published", lambda: home.runs("publish_all"))[-1]
        until("the queue is tried again", lambda: "STEP_UP_FOR_RETRY" in home.kinds(run, "offered"))
        stack.enter_context(serve(day.argilla, port=day.argilla_port, venv=server_environment()))
    with told("the Hub is missed, and comes back"):
        until("it is tried again", lambda: "STEP_UP_FOR_RETRY" in home.kinds(run, "uploaded"))
        # It makes the commit, and nobody hears of it.
        day.hub.lose_answers = 1
        day.hub.down = False
    with told("all is published"):
        until("all runs end", lambda: all(run.is_finished for run in home.instance.get_runs()))


def end(day: Day) -> None:
    with told("everything ends"):
        for process in day.home.started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in day.home.started:
            process.wait(120)
        try:
            until("all processes end", lambda: not day.home.processes(), patience_s=120)
        except AssertionError:
            day.left = day.home.processes()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    server_environment()
    root = tmp_path_factory.mktemp("day")
    (root / "watched").mkdir()
    (root / "main.jsonl").write_text(seed(0) + seed(1))
    with ExitStack() as stack:
        hub = stack.enter_context(HubServer(root / "hub", {OWNER: User("ann")}))
        hub.down = True
        model = stack.enter_context(ToyModel())
        for name, words in WORDS.items():
            model.silence(name, words, after=6)
        argilla, port = root / "argilla", free_port()
        argilla.mkdir()
        credentials, _ = add_annotators(argilla, ())
        home = stack.enter_context(
            Installation(
                root,
                settings=SETTINGS.format(root=root, url=model.url),
                instance=SOONER,
                environment=environment(hub.url, root / "hf", token=OWNER)
                | {
                    "ARGILLA_API_URL": f"http://127.0.0.1:{port}",
                    "ARGILLA_API_KEY": credentials.owner.api_key,
                },
            )
        )
        day = Day(home, model, hub, root, argilla, port, {"main": MAIN})
        begin(day)
        kill_a_step(day)
        kill_a_run(day)
        cut_the_power(day)
        publish(day, stack)
        end(day)
        yield day


def test_the_schedule_and_a_sensor_start_runs(day: Day) -> None:
    (taken_in,) = day.home.runs("take_in_seeds")
    assert taken_in.tags["dagster/sensor_name"] == "new_seeds"
    assert day.home.runs("make_shard", MAIN)[0].tags["dagster/schedule_name"] == "nightly"


def test_every_good_shard_is_accepted(day: Day) -> None:
    for name in WORDS:
        assert accepted_at(day.folder(name))
        assert day.last_run(name).status is dg.DagsterRunStatus.SUCCESS


def test_a_poisoned_shard_stops_itself_and_says_why(day: Day) -> None:
    assert not accepted_at(day.folder("poison"))
    run = day.last_run("poison")
    assert run.status is dg.DagsterRunStatus.FAILURE
    (failed,) = [e for e in day.home.events(run) if e.event_type_value == "STEP_FAILURE"]
    assert failed.step_key == "seed_tables"
    error = failed.step_failure_data.error
    assert error and error.cause
    assert "none of 3 rows is usable" in error.cause.message
    refusal = refused_at(day.folder("poison"))
    assert refusal and "none of 3 rows is usable" in refusal.reasons["seeds"]
    (run,) = day.home.runs("make_shard", day.names["poison"])  # no night repeats it


def test_a_poisoned_row_of_a_good_shard_is_quarantined(day: Day) -> None:
    (refused,) = day.accepted("A", "quarantine").iter_rows(named=True)
    assert (refused["source"], refused["row_idx"]) == ("good.jsonl", 1)
    assert day.accepted("A", "seeds")["seed_id"].to_list() == ["walk-2", "walk-3"]


def test_a_killed_step_is_begun_again_within_its_run(day: Day) -> None:
    (run,) = day.home.runs("make_shard", day.names["A"])
    kinds = Counter(day.home.kinds(run, SEARCH))
    assert (kinds["STEP_UP_FOR_RETRY"], kinds["STEP_FAILURE"], kinds["STEP_SUCCESS"]) == (1, 0, 1)


@pytest.mark.parametrize("name", ["B", "main"])
def test_a_killed_run_is_begun_again_where_it_was(day: Day, name: str) -> None:
    killed, again = day.home.runs("make_shard", day.names[name])
    assert killed.status is dg.DagsterRunStatus.FAILURE
    assert (again.parent_run_id, again.status) == (killed.run_id, dg.DagsterRunStatus.SUCCESS)
    assert "STEP_SUCCESS" in day.home.kinds(killed, "seed_tables")
    assert not day.home.kinds(again, "seed_tables")


def test_nothing_is_asked_twice_and_no_answer_is_lost(day: Day) -> None:
    assert all(n > 0 for n in day.n_kept.values()) and day.n_kept.keys() == WORDS.keys()
    twice = {asked: n for asked, n in Counter(day.model.served).items() if n > 1}
    assert not twice
    for name in WORDS:
        # What the engine need not ask a server for is in the journal, too.
        assert day.journaled(name) >= day.model.n_answered(name) > day.n_kept[name]


def test_what_is_published_is_whole_and_of_the_good_shards(day: Day) -> None:
    published = day.home.out / "published"
    assert [check for check in check_repository(published) if not check.passed] == []
    on_hub = {
        path: day.hub.read(REPO_ID, path)
        for path in day.hub.repos[REPO_ID].commits[-1].files
        if path != ".gitattributes"
    }
    assert on_hub == {
        path.relative_to(published).as_posix(): path.read_bytes()
        for path in published.rglob("*")
        if path.is_file()
    }
    rollouts = pl.read_parquet(published / "rollouts" / "*.parquet")
    assert set(rollouts["seed_id"]) == {f"walk-{idx}" for idx in range(len(PLACES))}


def test_nothing_is_published_twice(day: Day) -> None:
    _made, published = day.hub.repos[REPO_ID].commits
    manifest = json.loads(day.hub.read(REPO_ID, "datagen.json", published.oid))
    assert manifest["digest"] == read_manifest(day.home.out / "published").digest
    assert len(set(day.hub.puts)) == len(day.hub.puts)


def test_the_hub_and_argilla_are_tried_again_until_they_are_back(day: Day) -> None:
    (run,) = day.home.runs("publish_all")
    assert run.status is dg.DagsterRunStatus.SUCCESS
    for step in ("uploaded", "offered"):
        assert {"STEP_UP_FOR_RETRY", "STEP_SUCCESS"} <= set(day.home.kinds(run, step))
    assert day.hub.n_refused > 0


def test_no_slot_is_left_taken(day: Day) -> None:
    for pool in ("engine", "seeds"):
        info = day.home.instance.event_log_storage.get_concurrency_info(pool)
        assert (info.active_slot_count, info.pending_step_count) == (0, 0), pool


def test_every_process_ends_by_itself(day: Day) -> None:
    assert day.left == {}
