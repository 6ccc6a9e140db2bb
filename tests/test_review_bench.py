"""The review benchmark, at its smallest."""

from pathlib import Path

import pytest

from datagen.bench.review import QUICK, bench_review
from datagen.config import EngineSettings
from datagen.engines.registry import open_engine
from datagen.journal import Journal


@pytest.mark.slow
def test_the_queue_removes_at_least_twice_the_errors_that_random_reviews_do(
    tmp_path: Path,
) -> None:
    engine = open_engine(EngineSettings(batch_size=512))
    with Journal(tmp_path / "journal.sqlite") as journal:
        report = bench_review(engine, journal, QUICK, note=lambda _: None)
    figures = report.figures
    assert figures["n_traces"] > 100
    assert figures["n_reviewed"] == round(0.1 * figures["n_traces"])
    assert figures["n_changed_elsewhere"] == 0
    assert figures["ratio"] >= 2
    assert figures["error_after_queue"] < figures["error_after_random"] < figures["error_before"]
    assert report.ways["way"].to_list()[:2] == ["at random", "the queue"]
