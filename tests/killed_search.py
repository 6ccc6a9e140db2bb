"""The program that is killed: a search over a slow toy engine, which writes down what it asks.

Each request is written down before the engine answers it. It is started forty times, so it imports
nothing that only a test needs.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from datagen.engines.fake import FakeEngine, toy_prefer, toy_question, toy_write
from datagen.engines.protocol import CompletionRequest, Request
from datagen.journal import Journal, journal_key
from datagen.search.generate import GenerateConfig
from datagen.search.puct import PuctConfig
from datagen.search.run import search_prefixes
from datagen.traces.prefixes import make_prefixes
from schemas import Seed

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


if __name__ == "__main__":
    run_search(sys.argv[1], Path(sys.argv[2]))
