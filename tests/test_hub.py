import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_client import (
    OWNER,
    READER,
    REPO,
    STRANGER,
    TOKENS,
    WRONG,
    HubClient,
    environment,
    write_dataset,
)
from hub_server import HubServer, User

from datagen.publish import read_manifest
from datagen.publish.transfer.hub_errors import redacted

pytestmark = pytest.mark.slow

USERS = {
    OWNER: User("ann", orgs=("acme",)),
    READER: User("ann", role="read", orgs=("acme",)),
    STRANGER: User("bob"),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(scope="module")
def server(base: Path) -> Iterator[HubServer]:
    with HubServer(base / "server", USERS) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: HubServer, base: Path) -> Iterator[HubClient]:
    with HubClient(server.url, base) as client:
        yield client


@pytest.fixture
def hub(server: HubServer) -> Iterator[HubServer]:
    """The server, with nothing asked yet and no faults."""
    server.asked.clear()
    server.puts.clear()
    yield server
    server.before_commit.clear()
    server.cut.clear()
    server.hang.clear()
    server.broken.clear()
    server.echo_token, server.lose_answers = False, 0


@pytest.fixture(scope="module")
def data(base: Path) -> Path:
    """Three rows per config: question 0 in test, 1 and 2 in train; ``sft`` has two train files."""
    return write_dataset(base / "data")


@pytest.fixture(scope="module")
def changed(base: Path) -> Path:
    """Other questions, with one train file of ``sft`` and no test split."""
    return write_dataset(base / "changed", n_rows=1, first=7)


@pytest.fixture(scope="module")
def new_card(base: Path) -> Path:
    """The data of ``data`` with another card."""
    return write_dataset(base / "new_card", title="Another title")


_names = iter(range(1000))


@pytest.fixture
def name() -> str:
    """Of a repository that no other test uses: clients remember what they have seen."""
    return f"acme/d{next(_names)}"


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def held(hub: HubServer, name: str) -> dict[str, bytes]:
    """What a repository holds, but for what every new one does."""
    paths = hub.repos[name].commits[-1].files.keys() - {".gitattributes"}
    return {path: hub.read(name, path) for path in paths}


def sft_ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


# Publishing


def test_publishing_makes_one_commit_and_tags_it(
    hub: HubServer, client: HubClient, data: Path, name: str
) -> None:
    done = client.publish(data, name, message="First")
    assert done.error is None
    repo = hub.repos[name]
    assert [commit.title for commit in repo.commits] == ["initial commit", "First"]
    assert held(hub, name) == files(data)
    assert repo.tags == {f"data-{read_manifest(data).digest[:12]}": repo.commits[-1].oid}
    assert done.commit == repo.commits[-1].oid
    assert done.url == f"{hub.url}/datasets/{name}/commit/{done.commit}"
    assert done.load == f"load_dataset({name!r}, 'sft', revision={done.tag!r})"


def test_what_was_published_loads_by_config_and_tag(
    hub: HubServer, client: HubClient, data: Path, name: str
) -> None:
    tag = client.publish(data, name).tag
    rows = client.load(name, "sft", split="train", revision=tag)
    assert sft_ids(rows) == ["q1", "q2"]
    assert sft_ids(client.load(name, "prm", split="test", revision=tag)) == ["q0"]
    assert client.load(str(data), "sft", split="train") == rows


def test_what_was_published_streams(
    hub: HubServer, client: HubClient, data: Path, name: str
) -> None:
    tag = client.publish(data, name).tag
    rows = client.load(name, "sft", split="train", revision=tag, streaming=True)
    assert rows == client.load(str(data), "sft", split="train")


def test_publishing_the_same_data_again_changes_nothing(
    hub: HubServer, client: HubClient, data: Path, name: str
) -> None:
    first = client.publish(data, name)
    n_commits = len(hub.repos[name].commits)
    hub.asked.clear()
    again = client.publish(data, name)
    assert hub.writes() == []
    assert len(hub.repos[name].commits) == n_commits
    assert first.changed and not again.changed
    assert (again.commit, again.tag) == (first.commit, first.tag)


def test_changed_data_is_one_commit_that_deletes_what_it_replaces(
    hub: HubServer, client: HubClient, data: Path, changed: Path, name: str
) -> None:
    old = client.publish(data, name)
    hub.commit(name, {"notes/ours.md": b"by a person"})
    done = client.publish(changed, name)
    assert len(hub.repos[name].commits) == 4
    assert held(hub, name) == files(changed) | {"notes/ours.md": b"by a person"}
    assert sft_ids(client.load(name, "sft", split="train", revision=done.tag)) == ["q7"]
    assert sft_ids(client.load(name, "sft", split="test", revision=old.tag)) == ["q0"]
    plan = done.plans[0]
    assert "sft/train: 2 → 1 rows" in plan and "sft/test: 1 → - rows" in plan
    assert "of others kept" in plan


def test_a_new_card_alone_is_a_commit_that_sends_no_data_and_moves_no_tag(
    hub: HubServer, client: HubClient, data: Path, new_card: Path, name: str
) -> None:
    old = client.publish(data, name)
    n_sent = len(hub.puts)
    done = client.publish(new_card, name)
    assert done.changed and done.commit != old.commit
    assert held(hub, name) == files(new_card)
    assert len(hub.puts) == n_sent
    assert hub.repos[name].tags == {old.tag: old.commit}


def test_a_tag_that_was_not_made_any_more_is_made_by_the_next_call(
    hub: HubServer, client: HubClient, data: Path, name: str
) -> None:
    done = client.publish(data, name)
    hub.repos[name].tags.clear()
    assert not client.publish(data, name).changed
    assert hub.repos[name].tags == {done.tag: done.commit}


def test_a_tag_of_ones_own_is_made(
    hub: HubServer, client: HubClient, data: Path, name: str
) -> None:
    done = client.publish(data, name, tag="v1.0")
    assert hub.repos[name].tags == {"v1.0": done.commit}
    assert not client.publish(data, name, tag="v1.0").changed


def test_a_tag_of_ones_own_that_is_taken_refuses_and_sends_nothing(
    hub: HubServer, client: HubClient, data: Path, changed: Path, name: str
) -> None:
    client.publish(data, name, tag="v1.0")
    hub.asked.clear()
    assert "has a tag 'v1.0' already" in client.publish(changed, name, tag="v1.0").error
    assert "is a branch" in client.publish(changed, name, tag="main").error
    assert hub.writes() == []


# Faults


def test_a_commit_that_was_made_in_between_is_kept_and_ours_made_after_it(
    hub: HubServer, client: HubClient, data: Path, changed: Path, name: str
) -> None:
    client.publish(data, name)
    n_sent = len(hub.puts)
    hub.before_commit.append(lambda: hub.commit(name, {"notes.md": b"quick"}))
    done = client.publish(changed, name)
    assert done.error is None
    assert [commit.title for commit in hub.repos[name].commits[2:-1]] == ["by another"]
    assert held(hub, name) == files(changed) | {"notes.md": b"quick"}
    assert max(Counter(hub.puts[n_sent:]).values()) == 1
    assert len(done.plans) == 2  # the second time for what has changed meanwhile


def test_commits_in_between_that_never_end_are_an_error(
    hub: HubServer, client: HubClient, data: Path, name: str
) -> None:
    hub.create(name)
    hub.before_commit += [lambda: hub.commit(name, {".x": os.urandom(4)}) for _ in range(20)]
    assert "others keep committing" in client.publish(data, name).error
    assert len(hub.before_commit) == 16


def test_a_connection_cut_within_an_upload_is_resumed_without_sending_the_rest_again(
    hub: HubServer, client: HubClient, data: Path, name: str
) -> None:
    hub.cut = {1}
    done = client.publish(data, name)
    assert done.error is None and held(hub, name) == files(data)
    times = Counter(hub.puts)
    assert times.pop(hub.puts[1]) == 2
    assert set(times.values()) == {1}


def test_a_killed_process_leaves_the_repository_as_it_was_and_is_resumed(
    hub: HubServer, client: HubClient, data: Path, changed: Path, name: str, tmp_path: Path
) -> None:
    client.publish(changed, name)
    before = hub.repos[name].commits[-1]
    hub.puts.clear()
    hub.hang = {3}
    publish = (
        "import sys; from pathlib import Path; from datagen.publish.transfer.target import publish;"
        "publish(Path(sys.argv[1]), sys.argv[2])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", publish, str(data), name],
        env=environment(hub.url, tmp_path, token=OWNER),
    )
    until(lambda: len(hub.puts) == 6 and len(hub.repos[name].lfs & set(hub.puts)) == 5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert hub.repos[name].commits[-1] is before
    hung = hub.puts[3]
    assert client.publish(data, name).error is None
    assert held(hub, name) == files(data)
    assert [content for content, n in Counter(hub.puts).items() if n > 1] == [hung]


def until(condition: Any) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


def test_a_server_that_fails_once_is_asked_again(
    hub: HubServer, client: HubClient, data: Path, name: str
) -> None:
    hub.broken = {("POST", "/commit/main"): [503]}
    assert client.publish(data, name).error is None
    assert len(hub.repos[name].commits) == 2
    assert max(Counter(hub.puts).values()) == 1


def test_a_commit_whose_answer_got_lost_is_not_made_twice(
    hub: HubServer, client: HubClient, data: Path, name: str
) -> None:
    hub.lose_answers = 1
    done = client.publish(data, name)
    assert done.error is None and done.changed
    repo = hub.repos[name]
    assert len(repo.commits) == 2
    assert repo.tags == {done.tag: repo.commits[-1].oid}


def test_a_file_that_the_repository_ignores_is_an_error(
    hub: HubServer, client: HubClient, data: Path, name: str
) -> None:
    hub.create(name)
    ignored = "sft/test-00000-of-00001.parquet"
    hub.commit(name, {".gitignore": ignored.encode()})
    error = client.publish(data, name).error
    assert repr(ignored) in error and ".gitignore" in error


# Who may read it


def test_a_private_repository_is_so_before_any_data_is_sent(
    hub: HubServer, client: HubClient, data: Path, name: str
) -> None:
    hub.broken = {("POST", "/objects/batch"): [400]}
    assert client.publish(data, name, private=True).error
    assert hub.repos[name].private and hub.puts == []
    assert not any(path.endswith("/settings") for _, path in hub.writes())  # never was public
    assert client.publish(data, name, private=True).error is None
    for token in (STRANGER, None):
        assert "RepositoryNotFound" in client.call("dataset_info", name, token=token)["error"]
    assert name in client.call("dataset_info", name)


def test_a_public_repository_becomes_private_before_the_commit(
    hub: HubServer, client: HubClient, data: Path, changed: Path, name: str
) -> None:
    client.publish(data, name)
    hub.asked.clear()
    done = client.publish(changed, name, private=True)
    assert "visibility: public → private" in done.plans[0]
    paths = [path for _, path in hub.writes()]
    assert paths[0].endswith("/settings") and hub.repos[name].private


def test_access_is_left_as_it_is_unless_asked(
    hub: HubServer, client: HubClient, data: Path, name: str
) -> None:
    hub.create(name, private=True, gated="manual")
    client.publish(data, name)
    assert (hub.repos[name].private, hub.repos[name].gated) == (True, "manual")
    client.publish(data, name, private=False, gated=False)
    assert (hub.repos[name].private, hub.repos[name].gated) == (False, False)


def test_a_gated_repository_is_read_by_its_owners_only(
    hub: HubServer, client: HubClient, data: Path, name: str
) -> None:
    done = client.publish(data, name, gated="manual")
    assert "gated: no → manual" in done.plans[0]
    assert "gated" in client.load(name, "prm", split="train", token=STRANGER)["error"].lower()
    assert sft_ids(client.load(name, "prm", split="train")) == ["q1", "q2"]
    refused = client.publish(data, name, token=STRANGER).error
    assert "is gated" in refused and f"{hub.url}/datasets/{name}" in refused


# Refusals


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (WRONG, "does not accept the token"),
        (None, "no token for"),
        (READER, "this token may only read"),
        (STRANGER, "may not write to"),
    ],
)
def test_a_token_that_does_not_do_is_an_error_with_the_fix(
    hub: HubServer, client: HubClient, data: Path, name: str, token: str | None, said: str
) -> None:
    hub.echo_token = True
    refused = client.publish(data, name, token=token)
    assert said in refused.error and f"{hub.url}/settings/tokens" in refused.error
    assert name not in hub.repos
    assert not any(secret in refused.error for secret in TOKENS)
    assert not refused.chained  # a traceback would show what the server said


def test_somebody_elses_private_repository_is_not_taken_for_a_new_one(
    hub: HubServer, client: HubClient, data: Path
) -> None:
    hub.create("bob/secret", private=True)
    assert "may not write to 'bob/secret'" in client.publish(data, "bob/secret").error
    assert [commit.title for commit in hub.repos["bob/secret"].commits] == ["initial commit"]


@pytest.mark.parametrize("card", [b"# Another dataset", None])
def test_a_repository_of_another_kind_is_refused(
    hub: HubServer, client: HubClient, data: Path, name: str, card: bytes | None
) -> None:
    hub.create(name)
    hub.commit(name, {"data.csv": b"1"} | ({"README.md": card} if card else {}))
    assert "files that datagen did not publish" in client.publish(data, name).error
    assert hub.writes() == []


def test_a_file_of_others_that_would_be_read_as_data_is_refused(
    hub: HubServer, client: HubClient, data: Path, name: str
) -> None:
    client.publish(data, name)
    stray = "sft/train-00007-of-00009.parquet"
    hub.commit(name, {stray: b"by another"})
    hub.asked.clear()
    error = client.publish(data, name).error
    assert repr(stray) in error and "would be read as data of 'sft'" in error
    assert hub.writes() == []


def test_all_failed_checks_are_told_and_nothing_is_asked_of_the_hub(
    hub: HubServer, client: HubClient, data: Path, name: str
) -> None:
    options = {"require_benchmarks": ["gsm8k"], "min_alpha": 0.5, "license": "mit"}
    error = client.publish(data, name, **options).error
    assert "benchmarks:" in error and "review:" in error and "license:" in error
    assert hub.asked == []


def test_a_dry_run_shows_the_plan_and_only_reads(
    hub: HubServer, client: HubClient, data: Path, changed: Path, name: str
) -> None:
    new = client.publish(data, name, dry_run=True, private=True)
    assert new.error is None and not new.changed and new.commit is None
    assert "sft/train: - → 2 rows" in new.plans[0] and "visibility: private" in new.plans[0]
    assert name not in hub.repos
    client.publish(data, name)
    hub.asked.clear()
    there = client.publish(changed, name, dry_run=True, private=True, tag="v1")
    assert "sft/train: 2 → 1 rows" in there.plans[0]
    assert hub.writes() == []


def test_a_dry_run_needs_no_token_where_everybody_may_read(
    hub: HubServer, client: HubClient, data: Path, name: str
) -> None:
    client.publish(data, name)
    shown = client.publish(data, name, dry_run=True, token=None)
    assert shown.error is None and "sft/train: 2 → 2 rows" in shown.plans[0]


def test_no_output_and_no_log_ever_holds_a_token(
    hub: HubServer, data: Path, name: str, tmp_path: Path
) -> None:
    script = """
import logging, os, sys, traceback
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
from pathlib import Path
from huggingface_hub.utils import logging as hf
hf.set_verbosity_debug()
from datagen.publish.transfer.target import publish
print(publish(Path(sys.argv[1]), sys.argv[2], private=True))
os.environ["HF_TOKEN"] = sys.argv[3]
try:
    publish(Path(sys.argv[1]), sys.argv[2])
except Exception:
    traceback.print_exc()
"""
    hub.broken = {("POST", "/commit/main"): [503]}
    done = subprocess.run(
        [sys.executable, "-c", script, str(data), name, WRONG],
        env=environment(hub.url, tmp_path, token=OWNER) | {"HF_DEBUG": "1"},
        capture_output=True,
        text=True,
        cwd=REPO,
    )
    printed = done.stdout + done.stderr
    assert "Publication(" in printed and "does not accept the token" in printed
    assert "/lfs/" in printed  # it was a log worth looking through
    assert [line for line in printed.splitlines() if OWNER in line or WRONG in line] == []


def test_what_looks_like_a_secret_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "not-of-the-usual-form")
    text = "not-of-the-usual-form, hf_abcdefghijkl, Bearer xyz https://u:p@hub.example/x, hf_hub"
    assert redacted(text) == (
        "[hidden], [hidden], Bearer [hidden] https://[hidden]@hub.example/x, hf_hub"
    )
