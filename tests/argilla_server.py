"""A real Argilla server for tests, with two annotators, ``ann`` and ``bob``.

A file of tests that needs one imports the fixture ``review_server``; it starts once per file.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from datagen.review.server import Server, serve
from datagen.review.server.install import problem
from datagen.review.server.places import VENV_VARIABLE, server_venv

ANNOTATORS = ("ann", "bob")
_BESIDE = Path(__file__).parents[1] / ".venv" / "argilla"


def server_environment() -> Path:
    """Of Argilla's server; skips the test if there is none, and says how to make it."""
    venv = server_venv() if VENV_VARIABLE in os.environ or not _BESIDE.exists() else _BESIDE
    if wrong := problem(venv):
        pytest.skip(
            f"{wrong}; make one with `{VENV_VARIABLE}={_BESIDE} python -m "
            f"datagen.review.server`, or name one in {VENV_VARIABLE}"
        )
    return venv


@pytest.fixture(scope="module")
def review_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """``url``, ``credentials.owner.api_key``, ``credentials.annotators["ann"].api_key``, …"""
    home = tmp_path_factory.mktemp("argilla")
    with serve(home, port=0, annotators=ANNOTATORS, venv=server_environment()) as server:
        yield server


def request(
    server: Server, method: str, path: str, user: str | None = None, **options: Any
) -> httpx2.Response:
    """Ask the API as ``owner``, as an annotator, or as nobody."""
    people = {"owner": server.credentials.owner, **server.credentials.annotators}
    headers = {"X-Argilla-Api-Key": people[user].api_key} if user else {}
    headers |= options.pop("headers", {})
    url = f"{server.url}/api/v1/{path}"
    # Nothing is encrypted, and reading certificates takes longer than most requests.
    options |= {"timeout": 60, "trust_env": False, "verify": False}
    return httpx2.request(method, url, headers=headers, **options)


def log_in(server: Server, username: str, password: str) -> httpx2.Response:
    """As the page does."""
    return request(server, "POST", "token", data={"username": username, "password": password})


def respond(server: Server, user: str, record: str, status: str, rating: int) -> httpx2.Response:
    body = {"status": status, "values": {"rating": {"value": rating}}}
    return request(server, "POST", f"records/{record}/responses", user, json=body)
