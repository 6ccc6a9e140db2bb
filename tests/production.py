"""A whole installation in a temporary folder: daemon, webserver, a model's server, and its mishaps.

The processes are the real ones, started as ``docs/operate.md`` says. All of them, and all that they
start, have the same ``DAGSTER_HOME`` in their environment, by which they are found again, even
those whose parents were killed.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import dagster as dg
import yaml
from hub_client import REPO
from openai_server import Fault, OpenAIServer

from datagen.engines.fake import toy_prefer, toy_write
from datagen.engines.protocol import ChoiceRequest, CompletionRequest
from datagen.factors.taxonomy import Factor
from datagen.traces.markup import start_tag

T = TypeVar("T")

PATIENCE_S = 600.0
"""For anything to happen; what takes seconds takes minutes on a machine that is busy."""

LOCATION = {"repositoryLocationName": "assets.definitions", "repositoryName": "__repository__"}


def until(what: str, look: Callable[[], T | None], *, patience_s: float = PATIENCE_S) -> T:
    """Look until there is something to see."""
    deadline = time.monotonic() + patience_s
    while not (seen := look()):
        assert time.monotonic() < deadline, f"waited {patience_s:.0f} s in vain: {what}"
        time.sleep(0.1)
    return seen


class ToyModel(OpenAIServer):
    """A server of the toy policy that can fall silent about some questions, and speak again.

    Attributes:
        served: prompt, seed and length of every request that was answered while somebody listened.
    """

    def __init__(self) -> None:
        super().__init__(
            model="toy",
            abilities=frozenset({"completions", "logprobs", "usage"}),
            reply=self._written,
        )
        self.served: list[tuple[str, int, int]] = []
        self._about: dict[str, tuple[str, ...]] = {}
        self._left: dict[str, int] = {}
        self._waiting: dict[str, int] = {}
        self._readers: dict[asyncio.StreamWriter, asyncio.StreamReader] = {}

    def silence(self, name: str, words: tuple[str, ...], *, after: int) -> None:
        """Answer only so many more requests that have one of these words in their prompt."""
        self._about[name], self._left[name], self._waiting[name] = words, after, 0

    def speak(self, name: str) -> None:
        """Answer those again, and those that have waited, too."""
        del self._left[name]

    def n_waiting(self, name: str) -> int:
        """How many requests have come upon the silence."""
        return self._waiting[name]

    def n_answered(self, name: str) -> int:
        """How many requests with those words were answered."""
        return sum(self._is_about(name, prompt) for prompt, _, _ in self.served)

    def _is_about(self, name: str, prompt: str) -> bool:
        return any(word in prompt for word in self._about[name])

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._readers[writer] = reader
        await super()._connection(reader, writer)

    async def _answer(
        self, writer: asyncio.StreamWriter, body: dict[str, Any], fault: Fault | None, *, chat: bool
    ) -> bool:
        reader = self._readers[writer]
        for name in [name for name in self._left if self._is_about(name, body["prompt"])]:
            self._left[name] -= 1
            if self._left[name] < 0:
                self._waiting[name] += 1
                while name in self._left and not reader.at_eof():
                    await asyncio.sleep(0.05)
        if reader.at_eof():
            return False
        if "1 + 1 =" not in body["prompt"]:
            self.served.append((body["prompt"], body.get("seed", -1), body["max_tokens"]))
        return await super()._answer(writer, body, fault, chat=chat)

    def _written(self, body: dict[str, Any]) -> dict[str, Any]:
        asked = SimpleNamespace(prompt=body["prompt"], seed=body.get("seed", 0))
        knows = "Reach " in body["prompt"]
        text = toy_write(cast(CompletionRequest, asked)) if knows else "What?"
        words = text.split(" ")
        tokens = [*(f"{word} " for word in words[:-1]), words[-1]][: body["max_tokens"]]
        tags = tuple(start_tag(factor) for factor in Factor)
        weights = toy_prefer(ChoiceRequest(body["prompt"], tags)) if knows else ()
        likely = {tag: -1 / weight for tag, weight in zip(tags, weights, strict=False) if weight}
        choice = {
            "index": 0,
            "text": "".join(tokens),
            "finish_reason": "stop" if len(tokens) == len(words) else "length",
            "logprobs": {
                "tokens": tokens,
                "token_logprobs": [-0.1] * len(tokens),
                "top_logprobs": [likely, *({} for _ in tokens[1:])],
            },
        }
        usage = {"prompt_tokens": 9, "completion_tokens": len(tokens)}
        return {"model": "toy", "choices": [choice], "usage": usage}


class Installation:
    """Folders, settings and processes; use it as a context manager.

    Args:
        root: an empty folder.
        settings: text of ``datagen.toml``.
        instance: what to change in our ``dagster.yaml``: sections -> keys -> values.
        environment: of its processes, besides what says where the installation is.
    """

    def __init__(
        self,
        root: Path,
        *,
        settings: str,
        instance: dict[str, dict[str, Any]],
        environment: dict[str, str],
    ) -> None:
        self.home, self.out = root / "dagster", root / "out"
        self.home.mkdir()
        ours: dict[str, Any] = yaml.safe_load((REPO / "assets" / "dagster.yaml").read_text())
        for section, changes in instance.items():
            ours.setdefault(section, {}).update(changes)
        (self.home / "dagster.yaml").write_text(yaml.safe_dump(ours))
        (root / "datagen.toml").write_text(settings)
        self.port = free_port()
        self._log = (root / "log").open("ab")
        self.started: list[subprocess.Popen[bytes]] = []
        kept = {name: value for name, value in environment.items() if "DAGSTER" not in name}
        self._environment = kept | {
            "DAGSTER_HOME": str(self.home),
            "DATAGEN_OUT": str(self.out),
            "DATAGEN_CONFIG": str(root / "datagen.toml"),
            "OMP_NUM_THREADS": "1",
        }

    def __enter__(self) -> "Installation":
        self._stack = contextlib.ExitStack()
        self.instance = self._stack.enter_context(dg.DagsterInstance.from_config(str(self.home)))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self.started:
            process.wait()
        self._log.close()

    # ---- processes

    def start_daemon(self) -> "subprocess.Popen[bytes]":
        return self._start("dagster-daemon", "run")

    def start_webserver(self) -> "subprocess.Popen[bytes]":
        return self._start("dagster-webserver", "-h", "127.0.0.1", "-p", str(self.port))

    def _start(self, command: str, *arguments: str) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [Path(sys.executable).with_name(command), *arguments, "-m", "assets.definitions"],
            cwd=REPO,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def processes(self) -> dict[int, str]:
        """Command lines of all processes of the installation, by id; zombies are none."""
        marker = f"DAGSTER_HOME={self.home}\0".encode()
        found: dict[int, str] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if marker in (entry / "environ").read_bytes():
                        command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                        found[int(entry.name)] = command.decode()
        return found

    def below(self, pid: int) -> set[int]:
        """A process and all that it started, however indirectly."""
        parents: dict[int, int] = {}
        for other in self.processes():
            with contextlib.suppress(OSError):
                stat = Path(f"/proc/{other}/stat").read_text()
                parents[other] = int(stat.rpartition(")")[2].split()[1])
        family = {pid}
        while more := {child for child, parent in parents.items() if parent in family} - family:
            family |= more
        return family

    # ---- the webserver

    def ask(self, query: str, **variables: Any) -> Any:
        """What GraphQL answers; its errors are ours."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=PATIENCE_S) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer
        return answer["data"]

    def answers(self) -> bool:
        try:
            return bool(self.ask("{ version }"))
        except OSError:
            return False

    def switch_on(self, kind: str, name: str) -> None:
        """Switch a ``sensor`` or a ``schedule`` on."""
        query = (
            f"mutation On($of: {kind.capitalize()}Selector!) {{ start{kind.capitalize()}"
            f"({kind}Selector: $of) {{ __typename ... on PythonError {{ message }} }} }}"
        )
        done = self.ask(query, of={**LOCATION, f"{kind}Name": name})
        assert "Error" not in str(done), done

    def switch_off(self, schedule: str) -> None:
        """Switch a schedule off."""
        found = self.ask(
            "query State($of: ScheduleSelector!) { scheduleOrError(scheduleSelector: $of)"
            "{ ... on Schedule { scheduleState { id } } } }",
            of={**LOCATION, "scheduleName": schedule},
        )
        state = found["scheduleOrError"]["scheduleState"]["id"]
        self.ask(
            "mutation Off($id: String!) { stopRunningSchedule(id: $id) { __typename } }", id=state
        )

    # ---- what the history says

    def runs(self, job: str, shard: str | None = None) -> list[dg.DagsterRun]:
        """Runs of a job, the oldest first."""
        tags = {} if shard is None else {"dagster/partition": shard}
        found = self.instance.get_runs(dg.RunsFilter(job_name=job, tags=tags))
        return list(reversed(list(found)))

    def events(self, run: dg.DagsterRun, step: str | None = None) -> list[dg.DagsterEvent]:
        """Events of a run, or of a step of it."""
        entries = self.instance.all_logs(run.run_id)
        events = [entry.dagster_event for entry in entries if entry.dagster_event]
        return [event for event in events if step is None or event.step_key == step]

    def says(self, run: dg.DagsterRun, text: str) -> bool:
        """Whether the log of a run has these words."""
        return any(text in entry.message for entry in self.instance.all_logs(run.run_id))

    def kinds(self, run: dg.DagsterRun, step: str | None = None) -> list[str]:
        """Kinds of those events."""
        return [event.event_type_value for event in self.events(run, step)]

    def pid_of(self, run: dg.DagsterRun, step: str | None = None) -> int | None:
        """Process of a run's worker, or of its step as it was started last."""
        says = "Started process for run" if step is None else f'Executing step "{step}"'
        for event in reversed(self.events(run, step)):
            if (event.message or "").startswith(says):
                metadata: Any = getattr(event.event_specific_data, "metadata", {})
                return int(str(metadata["pid"].value))
        return None


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Write down how long a part of the day took: what ``pytest -s`` shows."""
    begun = time.monotonic()
    yield
    print(f"{time.monotonic() - begun:6.1f} s  {what}", flush=True)
