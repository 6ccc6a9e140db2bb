"""Twenty kills at random moments: nothing that was journaled is lost or drawn again.

This file is also the program that is killed: it runs a search over a slow toy engine, and writes
down each request before the engine answers it.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from datagen.engines.fake import FakeEngine, toy_prefer, toy_question, toy_write
from datagen.engines.protocol import CompletionRequest, Request
from datagen.journal import Journal, journal_key
from datagen.search.generate import GenerateConfig
from datagen.search.puct import PuctConfig
from datagen.search.run import search_prefixes
from datagen.traces.prefixes import make_prefixes
from schemas import Seed

N_KILLS = 20
N_SEEDS = 40
ENGINES = {
    "batches": {"batch_size": 32, "concurrency": 1, "delay_s": 0.15},
    "many calls": {"batch_size": 1, "concurrency": 16, "delay_s": 0.12},
}


class Logged(FakeEngine):
    """Writes down what it is asked, through to the operating system, before it answers."""

    log: Path

    async def _call(self, requests: Sequence[Request]) -> None:
        with self.log.open("a") as log:
            for request in requests:
                if isinstance(request, CompletionRequest):
                    log.write(journal_key(self.fingerprint, request) + "\n")
        await super()._call(requests)


def run_search(kind: str, folder: Path) -> None:
    """The run that is killed; leaves its tables once it comes to its end."""
    engine = Logged(toy_write, toy_prefer, **ENGINES[kind])
    engine.log = folder / f"asked-{os.getpid()}"
    seeds = Seed.from_rows(
        [
            {
                "seed_id": f"s{walk}",
                "source": "toy",
                "license": "CC0-1.0",
                "domain": "math",
                "question": toy_question(5 + walk % 4, walk),
                "thought": "0+1=1",
                "steps": ["0+1=1"],
                "factors": ["Compute"],
                "answer": str(5 + walk % 4),
                "verifier": "numeric",
                "facts": [],
                "meta": "{}",
            }
            for walk in range(N_SEEDS)
        ]
    )
    config = GenerateConfig(puct=PuctConfig(n_simulations=5, n_root_rollouts=6))
    with Journal(folder / "journal") as journal:
        found = search_prefixes(make_prefixes(seeds, n_prefixes=0), engine, journal, config=config)
    found.nodes.write_parquet(folder / "nodes")
    found.rollouts.write_parquet(folder / "rollouts")


def start(kind: str, folder: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, __file__, kind, str(folder)])


def asked(folder: Path, pid: int) -> list[str]:
    log = folder / f"asked-{pid}"
    return log.read_text().split() if log.exists() else []


def journaled(folder: Path) -> set[str]:
    if not (folder / "journal").exists():
        return set()
    with Journal(folder / "journal") as journal:
        return set(journal.keys())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ENGINES)
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
    most = ENGINES[kind]["batch_size"] * ENGINES[kind]["concurrency"]
    assert sum(n - 1 for n in n_asked.values()) <= N_KILLS * most


if __name__ == "__main__":
    run_search(sys.argv[1], Path(sys.argv[2]))
