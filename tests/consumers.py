"""Trainers of other people for the tests to try: ``python tests/consumers.py`` installs them.

They ask for older versions of what is installed here, and for GPU packages that reading a dataset
does not need. So each is in a folder of its own, ``.venv/consumers/NAME``, without what it asks for
except the few packages listed here, and only ever imported by a process of its own.
``DATAGEN_TEST_CONSUMERS`` names another place than ``.venv/consumers``.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.requirements import Requirement

REPO: Final = Path(__file__).parents[1]
_FOLDER: Final = Path(os.environ.get("DATAGEN_TEST_CONSUMERS") or Path(sys.prefix, "consumers"))
_ANY_CPU: Final = "python_version < '3.13'"
_ONE_CPU: Final = f"{_ANY_CPU} and sys_platform == 'linux' and platform_machine == 'x86_64'"

CONSUMERS: Final[dict[str, tuple[str, ...]]] = {
    # The last of 3.x, with the requirements of its own that rule out what 5.x needs.
    "datasets3": (
        "datasets==3.6.0",
        "dill==0.3.8",
        "fsspec==2025.3.0",
        "multiprocess==0.70.16",
    ),
    "verl": (
        f"verl==0.9.1; {_ANY_CPU}",
        "codetiming==1.4.0",
        "omegaconf==2.4.0",
        "orjson==3.13.0",
        "pyvers==0.1.0",
        "tensordict==0.10.0",
    ),
    "openrlhf": (f"openrlhf==0.11.2; {_ONE_CPU}", "pylatexenc==2.10"),
    # The last that trains process reward models, and KTO.
    "openrlhf_prm": (f"openrlhf==0.9.5; {_ONE_CPU}", "pylatexenc==2.10"),
}
"""Name → packages. The first is the consumer; its marker says where there is a build of it."""


def ask(consumer: str | None, script: str, *arguments: object, cache: Path) -> Any:
    """Run a script of this folder beside a consumer and return the JSON on its last line.

    Skips the test if the consumer is not here.

    Args:
        consumer: a key of :data:`CONSUMERS`; ``None`` for none.
        script: name of the file.
        arguments: its command line.
        cache: folder for what Hugging Face libraries keep.
    """
    path = [str(REPO)]
    if consumer is not None:
        if why := _missing(consumer):
            pytest.skip(why)
        path = [str(_FOLDER / consumer), *path]
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path),
            "HF_HOME": str(cache),
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
        },
        timeout=300,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def card_commands(run: Path, package: str) -> list[tuple[str, list[str]]]:
    """Commands on the card of a run that start a module of a package: module and arguments."""
    card = (run / "published" / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", card, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    found: list[tuple[str, list[str]]] = []
    for words in map(shlex.split, lines):
        for idx, word in enumerate(words):
            if word.startswith(f"{package}."):
                found.append((word, words[idx + 1 :]))
    return found


def _missing(consumer: str) -> str | None:
    """Why a consumer is not here, and what to do about it."""
    wanted = Requirement(CONSUMERS[consumer][0])
    if not _has_build(wanted):
        return f"there is no build of {wanted.name}{wanted.specifier} for this Python and machine"
    if _installed(consumer) != CONSUMERS[consumer]:
        return (
            f"{wanted.name}{wanted.specifier} is not installed beside ours; "
            "install it with `python tests/consumers.py` (`make test` does)"
        )
    return None


def _has_build(wanted: Requirement) -> bool:
    return wanted.marker is None or wanted.marker.evaluate()


def _installed(consumer: str) -> tuple[str, ...]:
    """What a consumer's folder was made of; nothing if it is not complete."""
    note = _FOLDER / consumer / "packages.txt"
    return tuple(note.read_text(encoding="utf-8").splitlines()) if note.exists() else ()


def main(pip_arguments: Sequence[str]) -> int:
    """Install what is missing and say so; arguments go to pip. Returns the exit status."""
    for consumer, packages in CONSUMERS.items():
        folder = _FOLDER / consumer
        if _installed(consumer) == packages or not _has_build(Requirement(packages[0])):
            continue
        shutil.rmtree(folder, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(folder)]
        done = subprocess.run([*pip, *pip_arguments, *packages])
        if done.returncode:
            print(f"{consumer} could not be installed: pip failed (above).", file=sys.stderr)
            return done.returncode
        (folder / "packages.txt").write_text("\n".join(packages), encoding="utf-8")
        print(f"{packages[0].partition(';')[0]} is installed beside ours.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
