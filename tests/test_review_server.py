"""The Argilla server that the command brings up: logins, restarts, and what it refuses."""

import http.server
import json
import os
import queue
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import argilla as rg
import httpx2
import pytest

from datagen.errors import ReviewError
from datagen.review.server import Server, find, serve
from datagen.review.server.credentials import credentials_file, read_credentials
from tests.argilla_server import log_in, request, review_server, server_environment

__all__ = ["review_server"]

pytestmark = pytest.mark.slow  # starts the server

REPO = Path(__file__).parents[1]


def dataset(server: Server) -> rg.Dataset:
    """A small one, by the SDK."""
    client = rg.Argilla(api_url=server.url, api_key=server.credentials.owner.api_key)
    return client.datasets("kept", workspace="datagen") or rg.Dataset(
        "kept",
        workspace="datagen",
        settings=rg.Settings(
            fields=[rg.TextField("text")], questions=[rg.RatingQuestion("rating", [1, 2])]
        ),
        client=client,
    )


def push(server: Server, text: str) -> None:
    """One record."""
    made = dataset(server).create()
    made.records.log([{"text": text, "id": "t0"}])


def test_it_answers_and_is_found_by_its_home(review_server: Server, tmp_path: Path):
    status = request(review_server, "GET", "status").json()
    assert (status["version"], status["search_engine"]) == ("2.8.0", {"name": "embedded"})
    assert find(review_server.home) == (
        review_server.url,
        review_server.credentials.owner.api_key,
    )
    assert find(tmp_path) is None


def test_passwords_and_keys_log_in_and_wrong_ones_do_not(review_server: Server):
    people = {"owner": review_server.credentials.owner, **review_server.credentials.annotators}
    assert len(people) == 3
    for name, user in people.items():
        assert log_in(review_server, name, user.password).status_code == 201
        me = request(review_server, "GET", "me", name).json()
        assert (me["username"], me["role"]) == (name, "owner" if name == "owner" else "annotator")
    assert log_in(review_server, "ann", people["bob"].password).status_code == 401
    wrong = {"X-Argilla-Api-Key": "wrong"}
    assert request(review_server, "GET", "me", headers=wrong).status_code == 401
    assert log_in(review_server, "argilla", "12345678").status_code == 401


def test_annotators_are_members_of_the_workspace(review_server: Server):
    (workspace,) = request(review_server, "GET", "me/workspaces", "ann").json()["items"]
    assert workspace["name"] == "datagen"


def test_nobody_else_on_the_machine_can_read_its_files(review_server: Server):
    names = ("argilla.db", "argilla.db-wal", "credentials.json", "server.log")
    modes = {name: stat.S_IMODE((review_server.home / name).stat().st_mode) for name in names}
    assert modes == dict.fromkeys(names, 0o600)


def test_its_page_may_load_nothing_from_elsewhere(review_server: Server):
    page = httpx2.get(review_server.url, trust_env=False)
    assert page.status_code == 200 and "Argilla" in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'self' ")


def test_webhooks_hear_of_records_that_are_pushed(review_server: Server):
    heard: queue.Queue[dict[str, Any]] = queue.Queue()

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Listener) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{listener.server_port}/"
        wanted = {"url": url, "events": ["record.created"], "description": "test"}
        made = request(review_server, "POST", "webhooks", "owner", json=wanted)
        assert made.status_code == 201, made.text
        push(review_server, "Tom has 3 apples")
        event = heard.get(timeout=30)
        listener.shutdown()
    assert request(review_server, "DELETE", f"webhooks/{made.json()['id']}", "owner").is_success
    assert event["type"] == "record.created"
    assert event["data"]["fields"] == {"text": "Tom has 3 apples"}


def test_a_suggestion_is_checked_against_its_own_question(review_server: Server):
    labels = rg.LabelQuestion("label", ["right", "wrong"])
    rating = rg.RatingQuestion("rating", [1, 2])
    client = rg.Argilla(api_url=review_server.url, api_key=review_server.credentials.owner.api_key)
    settings = rg.Settings(fields=[rg.TextField("text")], questions=[labels, rating])
    made = rg.Dataset("checked", workspace="datagen", settings=settings, client=client).create()
    made.records.log([{"text": "fits", "label": "right", "rating": 2}])
    for wrong in ({"label": "maybe"}, {"rating": 7}):
        with pytest.raises(Exception, match="does not have valid suggestions"):
            made.records.log([{"text": "does not fit", **wrong}])


def test_a_second_server_on_one_home_is_refused(review_server: Server):
    before = credentials_file(review_server.home).read_text()
    with (
        pytest.raises(ReviewError, match=f"already runs on .* at {review_server.url} "),
        serve(review_server.home, port=0, annotators=["eve"], venv=server_environment()),
    ):
        pass
    assert credentials_file(review_server.home).read_text() == before
    assert request(review_server, "GET", "status").status_code == 200


def test_a_port_that_is_taken_is_named(review_server: Server, tmp_path: Path):
    port = int(review_server.url.rpartition(":")[2])
    with (
        pytest.raises(ReviewError, match=rf"port {port} of 127.0.0.1 is taken; .*--port"),
        serve(tmp_path, port=port, venv=server_environment()),
    ):
        pass


def test_a_restart_keeps_logins_sessions_and_records_and_connects_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    environment = server_environment()
    # Every library that would talk to the outside goes through the proxy.
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.setblocking(False)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        # Meant for another server.
        monkeypatch.setenv("ARGILLA_DATABASE_URL", "sqlite:///elsewhere.db")
        begin = time.monotonic()
        with serve(tmp_path / "a %?#", port=0, annotators=["ann"], venv=environment) as first:
            cold_s = time.monotonic() - begin
            push(first, "Tom has 3 apples")
            token = log_in(first, "ann", first.credentials.annotators["ann"].password).json()
        assert first.process.returncode is not None
        assert not (first.home / "tmp").exists()
        with pytest.raises(httpx2.ConnectError):
            request(first, "GET", "status")
        assert find(first.home) is None
        with serve(first.home, port=0, annotators=["bob"], venv=environment) as second:
            assert [user.username for user in second.added] == ["bob"]
            assert second.credentials.users[:2] == first.credentials.users
            bearer = {"Authorization": f"Bearer {token['access_token']}"}
            assert request(second, "GET", "me", headers=bearer).json()["username"] == "ann"
            assert request(second, "GET", "me", "bob").status_code == 200
            (record,) = dataset(second).records
            assert (record.id, record.fields["text"]) == ("t0", "Tom has 3 apples")
        with pytest.raises(BlockingIOError):
            proxy.accept()
    with capsys.disabled():
        print(f"\nreview serve: cold start {cold_s:.1f} s")
    assert cold_s < 120


def test_the_command_shows_logins_once_and_leaves_nothing_running(tmp_path: Path):
    def start() -> tuple[subprocess.Popen[str], str]:
        code = "from assets.commands.review import review; review()"
        process = subprocess.Popen(
            [sys.executable, "-c", code, "serve", "--port=0", "--user=ann", f"--home={tmp_path}"],
            cwd=REPO,
            env={**os.environ, "DATAGEN_ARGILLA_VENV": str(server_environment())},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        return process, "".join(lines)

    def gone(pid: int) -> bool:
        for _ in range(200):
            if not Path(f"/proc/{pid}").exists():
                return True
            time.sleep(0.1)
        return False

    process, said = start()
    credentials = read_credentials(tmp_path)
    assert credentials is not None
    for user in credentials.users:
        assert user.password in said and user.api_key in said
    server = json.loads((tmp_path / "server.lock").read_text())
    assert server["url"] in said
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert not Path(f"/proc/{server['pid']}").exists()

    process, said = start()
    assert credentials.owner.api_key not in said and "credentials.json" in said
    server = json.loads((tmp_path / "server.lock").read_text())
    assert Path(f"/proc/{server['pid']}").exists()
    process.kill()
    process.wait()
    assert gone(server["pid"])
