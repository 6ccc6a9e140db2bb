"""The whole circle: a run's queue before people, their word in what is published."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from argilla_server import server_environment
from conftest import REPO
from datasets import load_dataset
from review_people import Person

from assets.automation.jobs import DEPENDS_ON_REVIEWS
from assets.automation.new_reviews import new_reviews
from assets.definitions import defs
from assets.graph import ASSETS
from assets.parquet_io import ParquetTables, earlier_table
from assets.shards import know_shards
from assets.workspace import Workspace
from datagen.publish import read_manifest
from datagen.review.server import Server, serve
from datagen.shards import MAIN

pytestmark = pytest.mark.slow
Command = Callable[..., subprocess.CompletedProcess[str]]

# Hardly any search, and every trace is measured: so there are soon many to ask about.
MANY = """
[curation]
test_share = 0.1
[code]
limit = 10
[search]
n_simulations = 1
n_root_rollouts = 10
[labels]
n_right_traces = 50
n_wrong_traces = 50
confidence = 0.99
max_rollouts = 2
[engine]
batch_size = 48
"""
REVIEW = """
[review]
tool = "argilla"
n_items = 150
random_share = 1.0
trap_share = 0.0
seniors = ["eve"]
n_seed_forms = 2
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("argilla")
    people = ("ann", "bob", "eve")
    with serve(home, port=0, annotators=people, venv=server_environment()) as server:
        yield server


def command(server: Server, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """``datagen`` in a process of its own, with the server in its environment."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER", "ARGILLA"))}
    environment["ARGILLA_API_URL"] = server.url
    environment["ARGILLA_API_KEY"] = server.credentials.owner.api_key
    return subprocess.run(
        [sys.executable, "-m", "assets", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=REPO,
        env={**environment, "HF_HUB_OFFLINE": "1"},
        timeout=600,
    )


@pytest.fixture
def without_server(here: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """``datagen`` in this process, where nothing names a server."""
    for name in [name for name in os.environ if name.startswith("ARGILLA")]:
        monkeypatch.delenv(name)
    return here


def ran(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


def copied(demo_run: Path, to: Path) -> Path:
    """A run to go on from; its journal has the search, and its tables."""
    out = to / "out"
    shutil.copytree(demo_run, out, ignore=shutil.ignore_patterns("dagster", "review"))
    return out


def rows(out: Path, name: str) -> pl.DataFrame:
    return earlier_table(out, name)


def published_labels(out: Path) -> dict[str, list[bool]]:
    """Labels by trace, as somebody who only pulls the dataset reads them."""
    found: dict[str, list[bool]] = {}
    for split in load_dataset(str(out / "published"), "prm").values():
        found |= dict(zip(split["id"], split["labels"], strict=True))
    return found


def another_step(item: dict[str, Any]) -> int:
    """A first error that the pipeline does not believe in, as people count."""
    return 1 + next(idx for idx in range(len(item["steps"])) if idx != item["first_error"])


def believed(item: dict[str, Any]) -> str:
    return "none" if item["first_error"] < 0 else str(item["first_error"] + 1)


@pytest.fixture(scope="module")
def reviewed(
    demo_run: Path, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """A run whose queue two people have answered in six ways, item after item."""
    base = tmp_path_factory.mktemp("reviewed")
    out, settings = copied(demo_run, base), base / "datagen.toml"
    settings.write_text(MANY + REVIEW)
    told = ran(command(server, "run", "--out", out, "--config", settings, "--limit", "10"))
    queue = rows(out, "review_queue")
    records = Person(server, "owner").records("review-2")
    before = published_labels(out)
    manifest = read_manifest(out / "published")
    items = {row["item_id"]: row for row in queue.sort("rank").iter_rows(named=True)}
    ann, bob = Person(server, "ann"), Person(server, "bob")
    ways: dict[str, list[str]] = {}
    for n, item_id in enumerate(id for id in items if id in records):
        item, record, way = items[item_id], records[item_id], n % 6
        other = {"first_wrong_step": str(another_step(item)), "answer_verdict": "wrong"}
        same = {"first_wrong_step": believed(item), "answer_verdict": "unsure"}
        name = ("change", "agree", "conflict", "discarded", "draft", "alone")[way]
        ways.setdefault(name, []).append(item_id)
        match name:
            case "change":
                ann.answer(record, **other)
                bob.answer(record, **other)
            case "agree":
                ann.answer(record, **same)
                bob.answer(record, **same)
            case "conflict":
                ann.answer(record, **other)
                bob.answer(record, **same)
            case "discarded":
                ann.answer(record, **other)
                bob.answer(record, "discarded", **other)
            case "draft":
                ann.answer(record, **other)
                bob.answer(record, "draft", **other)
            case _:
                ann.answer(record, **other)
    pulled = ran(command(server, "review", "pull", "--out", out, "--config", settings))
    return {
        "out": out,
        "settings": settings,
        "told": told,
        "queue": queue,
        "items": items,
        "records": records,
        "before": before,
        "manifest": manifest,
        "ways": ways,
        "pulled": pulled,
        "after": published_labels(out),
    }


def test_a_run_puts_traces_before_people(reviewed: dict[str, Any]) -> None:
    queue = reviewed["queue"]
    assert queue.height == 150
    short = queue.filter(pl.col("steps").list.len() <= 40)
    assert set(reviewed["records"]) == set(short["item_id"])
    assert "traces await people in Argilla" in reviewed["told"]


def test_published_labels_change_exactly_where_people_decided(reviewed: dict[str, Any]) -> None:
    items, before, after = reviewed["items"], reviewed["before"], reviewed["after"]
    # Where nobody knew a first error, people's word makes a row.
    assert set(before) <= set(after)
    assert after.keys() - before.keys() <= {
        *reviewed["ways"]["change"],
        *reviewed["ways"]["agree"],
    }
    wanted = {
        item_id
        for item_id in reviewed["ways"]["change"]
        if item_id in before and items[item_id]["reason"] != "trap"
    }
    decided = {item_id: another_step(items[item_id]) - 1 for item_id in wanted}
    expected = {
        item_id: [idx < first for idx in range(len(before[item_id]))]
        for item_id, first in decided.items()
    }
    assert {id for id in before if after[id] != before[id]} == {
        id for id, labels in expected.items() if labels != before[id]
    }
    assert {id: after[id] for id in expected} == expected
    assert len(expected) >= 12


def test_the_decisions_are_those_of_two_who_answered(reviewed: dict[str, Any]) -> None:
    decisions = rows(reviewed["out"], "decisions")
    status = dict(decisions.select("trace_id", "status").iter_rows())
    ways = reviewed["ways"]
    assert {id for id in status if status[id] == "decided"} == {*ways["change"], *ways["agree"]}
    assert {id for id in status if status[id] == "disputed"} == set(ways["conflict"])
    reviews = rows(reviewed["out"], "reviews")
    one_of_two = len(ways["discarded"]) + len(ways["draft"]) + len(ways["alone"])
    assert reviews.height == 2 * decisions.height + one_of_two


def test_labels_say_that_they_are_peoples(reviewed: dict[str, Any]) -> None:
    labels = rows(reviewed["out"], "reviewed_step_labels")
    human = set(labels.filter(pl.col("label_source") == "human")["trace_id"])
    decided = rows(reviewed["out"], "decisions").filter(
        pl.col("status") == "decided", pl.col("trap_first_error").is_null()
    )
    assert human == set(decided["trace_id"]) & set(labels["trace_id"])
    verified = set(rows(reviewed["out"], "prm_verified")["id"])
    assert human & set(rows(reviewed["out"], "prm")["id"]) <= verified


def test_the_card_says_what_people_said(reviewed: dict[str, Any]) -> None:
    assert reviewed["manifest"].review is None
    review = read_manifest(reviewed["out"] / "published").review
    decided = rows(reviewed["out"], "decisions").filter(
        pl.col("status") == "decided", pl.col("trap_first_error").is_null()
    )
    prm = set(rows(reviewed["out"], "prm")["id"])
    assert review is not None
    assert review.reviewed_share == pytest.approx(len(set(decided["trace_id"]) & prm) / len(prm))
    assert review.alpha is not None
    assert f"{review.alpha:.2f}" in reviewed["pulled"]
    assert "human" in (reviewed["out"] / "published" / "README.md").read_text()


def test_right_traces_that_people_refute_leave_sft(reviewed: dict[str, Any]) -> None:
    out = reviewed["out"]
    refuted = {id for id in reviewed["ways"]["change"] if reviewed["items"][id]["reason"] != "trap"}
    right = set(rows(out, "traces").filter(pl.col("outcome") == "correct")["trace_id"]) & refuted
    assert right
    assert not right & set(rows(out, "sft")["id"])
    assert not right & set(rows(out, "sft_plain")["id"])


def test_disputes_return_to_the_queue_for_seniors_and_begun_items_stay(
    reviewed: dict[str, Any], server: Server
) -> None:
    queue, ways = rows(reviewed["out"], "review_queue"), reviewed["ways"]
    known = {row["item_id"] for row in reviewed["items"].values() if row["reason"] == "trap"}
    disputed = queue.filter(pl.col("reason") == "dispute")
    assert set(disputed["item_id"]) == set(ways["conflict"]) - known
    assert {*ways["discarded"], *ways["draft"], *ways["alone"]} <= set(queue["item_id"])
    assert not {*ways["change"], *ways["agree"]} & set(queue["item_id"])
    seen = Person(server, "owner").records("review-disputes")
    assert set(seen) == set(disputed["item_id"])
    assert "review-disputes" not in Person(server, "ann").datasets()


def test_pushing_by_hand_once_more_changes_nothing(
    reviewed: dict[str, Any], server: Server, here: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGILLA_API_URL", server.url)
    monkeypatch.setenv("ARGILLA_API_KEY", server.credentials.owner.api_key)
    told = ran(here("review", "push", "--out", reviewed["out"], "--config", reviewed["settings"]))
    assert told.startswith("0 traces are new, 0 shown anew")
    assert "0 withdrawn" in told


def test_what_follows(reviewed: dict[str, Any], server: Server, tmp_path: Path) -> None:
    """A senior settles, somebody retracts, a record is deleted, and the sensor sees it all."""
    out, settings = reviewed["out"], reviewed["settings"]
    items, ways = reviewed["items"], reviewed["ways"]
    owner, bob, eve = (Person(server, name) for name in ("owner", "bob", "eve"))
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        looks = _Looks(instance, server, out, settings)
        assert looks.look().run_requests == []  # all was taken already

        draft = reviewed["records"][ways["alone"][0]]
        bob.answer(draft, "draft", first_wrong_step="none", answer_verdict="right")
        assert looks.look().run_requests == []

        disputed = next(iter(owner.records("review-disputes").values()))
        eve.answer(disputed, first_wrong_step="1", answer_verdict="wrong")
        found = looks.look()
        assert len(found.run_requests) == 1
        assert looks.look().run_requests[0].run_key == found.run_requests[0].run_key

        gone, retracted = ways["change"][0], ways["change"][1]
        owner.delete(reviewed["records"][gone])
        [response] = [
            response
            for response in owner.records("review-2")[retracted]["responses"]
            if response["user_id"] == bob.user_id
        ]
        bob.discard(response)
        before = published_labels(out)
        looks.run()
        assert looks.look().run_requests == []
    after = published_labels(out)
    decisions = {row["trace_id"]: row for row in rows(out, "decisions").iter_rows(named=True)}
    settled = disputed["external_id"]
    assert (decisions[settled]["decided_by"], decisions[settled]["first_error"]) in {
        ("senior", 0),
        ("majority", 0),  # one of the two had said so
    }
    assert gone in decisions
    assert retracted not in decisions
    if retracted in before and items[retracted]["reason"] != "trap":
        assert after[retracted] == reviewed["before"][retracted]
    # A trace whose first error nobody had known has a row now.
    changed = {id for id in after if after[id] != before.get(id)}
    assert changed <= {settled, retracted}


def test_people_write_seeds_that_the_next_run_reads(
    reviewed: dict[str, Any], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = next(iter(Person(server, "owner").records("seeds").values()))
    seed = {"question": "Ann has 3 cups and buys 4. How many?", "thought": "3+4=7", "answer": "7"}
    Person(server, "ann").answer(form, **seed)
    monkeypatch.setenv("ARGILLA_API_URL", server.url)
    monkeypatch.setenv("ARGILLA_API_KEY", server.credentials.owner.api_key)
    out, settings = reviewed["out"], reviewed["settings"]
    monkeypatch.setenv("DATAGEN_CONFIG", str(settings))
    make_seeds(out)
    written = rows(out, "seeds").filter(pl.col("question") == seed["question"])
    assert written.height == 1
    monkeypatch.setenv("ARGILLA_API_URL", "http://127.0.0.1:9")  # it is down the next night
    make_seeds(out)
    assert seed["question"] in rows(out, "seeds")["question"]


def make_seeds(out: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        know_shards(instance, out)
        done = dg.materialize(
            [defs.get_assets_def("seeds")],
            partition_key=MAIN,
            instance=instance,
            resources={
                "workspace": Workspace(out=str(out)),
                "io_manager": ParquetTables(out=str(out)),
            },
        )
    assert done.success


def test_a_server_that_is_down_changes_nothing(
    reviewed: dict[str, Any], without_server: Command
) -> None:
    out, settings = reviewed["out"], reviewed["settings"]
    before = {path.name: path.read_bytes() for path in (out / "tables").iterdir()}
    for action in ("push", "pull"):
        done = without_server("review", action, "--out", out, "--config", settings)
        assert done.returncode == 1
        assert "ARGILLA_API_URL" in done.stderr
        assert "Traceback" not in done.stderr
    assert {path.name: path.read_bytes() for path in (out / "tables").iterdir()} == before


def test_files_go_the_same_way(demo_run: Path, tmp_path: Path, without_server: Command) -> None:
    out = copied(demo_run, tmp_path)
    before = published_labels(out)
    told = ran(without_server("review", "export", "--out", out))
    assert "queue.jsonl" in told
    lines = (out / "review" / "queue.jsonl").read_text().splitlines()
    head, *rest = map(json.loads, lines)
    assert "about" in head
    row = next(row for row in rest if row["item_id"] in before)
    row["response"] = {"first_wrong_step": len(row["steps"]), "answer_verdict": "wrong"}
    for name in ("ann", "bob"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    files = [tmp_path / "ann.jsonl", tmp_path / "bob.jsonl"]
    ran(without_server("review", "import", *files, "--out", out))
    told = ran(without_server("review", "pull", "--out", out))
    assert "decided traces" in told
    after = published_labels(out)
    wanted = [True] * (len(row["steps"]) - 1) + [False]
    assert after[row["item_id"]] == wanted or row["item_id"] in _traps(out)
    assert {id for id in after if after[id] != before[id]} <= {row["item_id"]}
    status = ran(without_server("review", "status", "--out", out))
    assert re.search(r"reviews +2 +by 2 people", status)
    assert re.search(r"decided traces +1 ", status)
    (tmp_path / "eve.jsonl").write_text('{"no": "item"}\n')
    done = without_server("review", "import", tmp_path / "eve.jsonl", "--out", out)
    assert done.returncode == 1
    assert "eve.jsonl, line 1" in done.stderr


def _traps(out: Path) -> set[str]:
    decisions = rows(out, "decisions")
    return set(decisions.filter(pl.col("trap_first_error").is_not_null())["trace_id"])


class _Looks:
    """Ticks of the sensor, as the daemon makes them, and the run that it asks for."""

    def __init__(
        self, instance: dg.DagsterInstance, server: Server, out: Path, settings: Path
    ) -> None:
        self._instance, self._out = instance, out
        self._cursor: str | None = None
        self._environment = {
            "ARGILLA_API_URL": server.url,
            "ARGILLA_API_KEY": server.credentials.owner.api_key,
            "DATAGEN_CONFIG": str(settings),
        }

    def look(self) -> dg.SensorResult:
        """One tick; the cursor moves as Dagster moves it."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self._environment.items():
                patch.setenv(name, value)
            with dg.build_sensor_context(
                instance=self._instance,
                cursor=self._cursor,
                resources={"workspace": Workspace(out=str(self._out))},
            ) as context:
                found = new_reviews(context)
        if isinstance(found, dg.SkipReason):
            return dg.SensorResult(run_requests=[], skip_reason=found)
        assert isinstance(found, dg.SensorResult)
        self._cursor = found.cursor or self._cursor
        return dg.SensorResult(run_requests=found.run_requests or [])

    def run(self) -> None:
        """What the sensor's job runs."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self._environment.items():
                patch.setenv(name, value)
            done = dg.materialize(
                ASSETS,
                selection=DEPENDS_ON_REVIEWS,
                instance=self._instance,
                resources={
                    "workspace": Workspace(out=str(self._out)),
                    "io_manager": ParquetTables(out=str(self._out)),
                },
            )
        assert done.success
