"""Published datasets open in datasets 3.x as they do in 5.x, and go together with other data."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from consumer_datasets import N_TYPED
from consumers import ask

pytestmark = pytest.mark.slow

EITHER = pytest.mark.parametrize("major", [3, 5])


@pytest.fixture(scope="module")
def told(demo_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """Major version of ``datasets`` → what it makes of the published folder."""
    return {
        major: ask(
            consumer,
            "consumer_datasets.py",
            demo_run / "published",
            cache=tmp_path_factory.mktemp("hf"),
        )
        for major, consumer in ((3, "datasets3"), (5, None))
    }


@EITHER
def test_every_published_split_opens_with_all_its_rows(
    told: dict[int, dict[str, Any]], major: int, demo_run: Path
) -> None:
    assert told[major]["version"].startswith(f"{major}.")
    published = demo_run / "published"
    n_rows: dict[str, int] = {}
    for path in published.glob("*/*.parquet"):
        name = f"{path.parent.name}/{path.name.partition('-')[0]}"
        n_rows[name] = n_rows.get(name, 0) + pq.read_metadata(path).num_rows
    assert {name: found["rows"] for name, found in told[major]["splits"].items()} == n_rows


@EITHER
def test_streaming_gives_the_same_rows(told: dict[int, dict[str, Any]], major: int) -> None:
    splits = told[major]["splits"]
    assert splits and [name for name, found in splits.items() if not found["streamed"]] == []


@EITHER
def test_rows_that_somebody_typed_go_behind_every_split(
    told: dict[int, dict[str, Any]], major: int
) -> None:
    splits = told[major]["splits"]
    assert {name: found["mixed"] for name, found in splits.items()} == {
        name: min(found["rows"], N_TYPED) for name, found in splits.items()
    }


def test_types_and_rows_are_the_same_in_both(told: dict[int, dict[str, Any]]) -> None:
    for name, found in told[3]["splits"].items():
        assert found["types"] == told[5]["splits"][name]["types"], name
        assert found["digest"] == told[5]["splits"][name]["digest"], name
