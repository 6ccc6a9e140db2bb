"""A process that publishes to a local Hub and loads from it, and the small datasets that it sends.

``HF_ENDPOINT`` is read when ``huggingface_hub`` is imported, so whoever talks to the server must be
another process; one of them serves a whole file of tests, since the imports take seconds. Run as a
program this file is that process: a request per line in, an answer per line out.
"""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

REPO = Path(__file__).parents[1]

OWNER = "hf_ownerOWNERownerOWNER0123456789"
READER = "hf_readerREADERreaderREADER012345"
STRANGER = "hf_strangerSTRANGERstranger012345"
WRONG = "hf_wrongWRONGwrongWRONGwrong01234"
TOKENS = (OWNER, READER, STRANGER, WRONG)


def write_dataset(folder: Path, *, n_rows: int = 3, first: int = 0, **over: Any) -> Path:
    """A finished folder: ``sft`` with a file of 60 kB per row, and ``prm`` in one small file.

    Question 0 is in split ``test``. ``over`` goes to ``write_repository``.
    """
    import polars as pl

    from datagen.publish import Lineage, SeedSource, write_repository
    from schemas import Sft

    ids = [f"q{i}" for i in range(first, first + n_rows)]
    rng = random.Random(f"{first} {n_rows}")
    sft = Sft.from_rows(
        {
            "messages": [
                {"role": "user", "content": f"What is {i} + 1?"},
                {"role": "assistant", "content": rng.randbytes(60_000).hex()},
            ],
            "id": i,
            "seed_id": i,
            "masked_spans": [],
        }
        for i in ids
    )
    prm = pl.DataFrame(
        {
            "prompt": [f"What is {i} + 1?\n" for i in ids],
            "completions": [["one step", "another"]] * n_rows,
            "labels": [[True, False]] * n_rows,
            "id": ids,
            "seed_id": ids,
            "step_scores": [[0.9, 0.1]] * n_rows,
        },
        schema_overrides={"step_scores": pl.List(pl.Float32)},
    )
    questions = pl.DataFrame(
        {
            "question_id": ids,
            "seed_id": ids,
            "domain": ["math"] * n_rows,
            "split": ["test" if i == "q0" else "train" for i in ids],
            "n_words": [4] * n_rows,
            "language": ["en"] * n_rows,
            "pass_rate": [0.5] * n_rows,
            "n_rollouts": [4] * n_rows,
            "difficulty": ["medium"] * n_rows,
        }
    )
    lineage = Lineage(
        engine="e",
        model="m",
        settings={"k": 1},
        code_version="0.1",
        sources=(SeedSource("s", "apache-2.0", n_rows),),
    )
    tables = {"sft": sft, "prm": prm}
    options: dict[str, Any] = {"lineage": lineage, "max_bytes_per_file": 100_000}
    write_repository(folder, tables, questions=questions, **(options | over))
    return folder


def environment(url: str, home: Path, *, token: str | None) -> dict[str, str]:
    """Of a client of a server: without the login and the settings of whoever runs the tests."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING", "DATAGEN"))}
    kept |= {"HF_ENDPOINT": url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(home)}
    kept |= {"PYTHONPATH": str(REPO), "NO_PROXY": "127.0.0.1"}
    return kept if token is None else kept | {"HF_TOKEN": token}


class HubClient:
    """The process; use it as a context manager."""

    def __init__(self, url: str, home: Path) -> None:
        self.home = home
        self._environment = environment(url, home, token=None)

    def __enter__(self) -> Self:
        self._log = (self.home / "client.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=self.home,
            env=self._environment,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)
        self._log.close()

    def publish(
        self, folder: Path, target: str, *, token: str | None = OWNER, **options: Any
    ) -> SimpleNamespace:
        """The publication's fields with the plan as text; else ``error``, the message of ours."""
        return SimpleNamespace(
            **self._ask("publish", token, str(folder), target, options), target=target
        )

    def load(self, repo_id: str, *args: str, token: str | None = OWNER, **options: Any) -> Any:
        """Rows of ``load_dataset``, or ``{"error": …}``."""
        return self._ask("load", token, repo_id, args, options)

    def call(self, method: str, *args: Any, token: str | None = OWNER, **options: Any) -> Any:
        """What a method of ``HfApi`` returns, as text, or ``{"error": …}``."""
        return self._ask("call", token, method, args, options)

    def _ask(self, *request: Any) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, (self.home / "client.log").read_text()[-3000:]
        return json.loads(line)


def _publish(folder: str, target: str, options: dict[str, Any]) -> dict[str, Any]:
    from datagen.errors import PublishError
    from datagen.publish.transfer.target import publish

    plans: list[str] = []
    try:
        done = publish(Path(folder), target, on_plan=lambda p: plans.append(str(p)), **options)
    except PublishError as error:
        chained = error.__cause__ is not None or error.__context__ is not None
        return {"error": str(error), "chained": chained, "plans": plans}
    fields = ("url", "commit", "tag", "changed", "load")
    return {name: getattr(done, name) for name in fields} | {"plans": plans, "error": None}


def _load(repo_id: str, args: list[str], options: dict[str, Any]) -> Any:
    from datasets import load_dataset

    return list(load_dataset(repo_id, *args, **options))


def _call(method: str, args: list[Any], options: dict[str, Any]) -> str:
    from huggingface_hub import HfApi

    return str(getattr(HfApi(), method)(*args, **options))


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not be taken for an answer
    does = {"publish": _publish, "load": _load, "call": _call}
    for line in sys.stdin:
        what, token, *request = json.loads(line)
        os.environ.pop("HF_TOKEN", None)
        if token is not None:
            os.environ["HF_TOKEN"] = token
        try:
            answer = does[what](*request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
