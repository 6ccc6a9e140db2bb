"""Twenty kills at random moments: nothing that was journaled is lost or drawn again."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import killed_search
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from datagen.journal import Journal

N_KILLS = 20


def start(kind: str, folder: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, killed_search.__file__, kind, str(folder)])


def asked(folder: Path, pid: int) -> list[str]:
    log = folder / f"asked-{pid}"
    return log.read_text().split() if log.exists() else []


def journaled(folder: Path) -> set[str]:
    if not (folder / "journal").exists():
        return set()
    with Journal(folder / "journal") as journal:
        return set(journal.keys())


@pytest.mark.slow
@pytest.mark.parametrize("kind", killed_search.ENGINES)
def test_twenty_kills_cost_nothing(kind: str, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    assert start(kind, whole).wait() == 0

    rng = random.Random(4)
    kept: set[str] = set()
    n_asked: Counter[str] = Counter()
    for _ in range(N_KILLS):
        child = start(kind, killed)
        # Not before it works: the moments that matter are those of asking and writing.
        while not asked(killed, child.pid):
            assert child.poll() is None, "the run came to its end before it was killed"
            time.sleep(0.005)
        time.sleep(rng.uniform(0.0, 0.35))
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL, "the run came to its end before it was killed"
        again = asked(killed, child.pid)
        assert not kept & set(again), "a journaled completion was asked for again"
        n_asked.update(again)
        now = journaled(killed)
        assert kept <= now, "a journaled completion was lost"
        kept = now
    child = start(kind, killed)
    assert child.wait() == 0
    assert not kept & set(asked(killed, child.pid))

    for table in ("nodes", "rollouts"):
        assert_frame_equal(pl.read_parquet(killed / table), pl.read_parquet(whole / table))
    # What was asked twice is what was under way at a kill, and no more.
    engine = killed_search.ENGINES[kind]
    most = engine["batch_size"] * engine["concurrency"]
    assert sum(n - 1 for n in n_asked.values()) <= N_KILLS * most
