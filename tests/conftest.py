"""One small run of the whole pipeline, shared by every test that only reads one."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from chromium import browser  # noqa: F401 - a fixture
from filelock import FileLock

REPO = Path(__file__).parents[1]
SETTINGS = """
[curation]
test_share = 0.1
[code]
limit = 10
[search]
n_simulations = 6
n_root_rollouts = 4
[labels]
confidence = 0.99
max_rollouts = 4
[engine]
batch_size = 48
"""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: else one core works on the last of them, and the others wait.

    Slow is what needs the demo run, too: whoever is the first to ask for it makes it.
    """
    for item in items:
        if "demo_run" in getattr(item, "fixturenames", ()):
            item.add_marker("slow")
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def datagen(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, away from any Dagster home and from the Hub."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("DAGSTER")
    }
    return subprocess.run(
        [sys.executable, "-m", "assets", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd or REPO,
        env={**environment, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(REPO)},
        timeout=600,
    )


@pytest.fixture
def here(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """As :func:`datagen`, but in this process, which has imported already what takes seconds.

    For commands that neither ask a model nor call the Hub.
    """
    for name in [name for name in os.environ if name.startswith("DAGSTER")]:
        monkeypatch.delenv(name)

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        from assets.cli import main

        monkeypatch.setattr("sys.argv", ["datagen", *map(str, arguments)])
        capfd.readouterr()
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = stop.code
        assert isinstance(status, int)
        return subprocess.CompletedProcess(sys.argv, status, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of a small run."""
    path = tmp_path_factory.mktemp("settings") / "datagen.toml"
    path.write_text(SETTINGS)
    return path


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory, settings: Path) -> Path:
    """The output folder of a run over ten bundled seeds; what it printed is beside it, ``stdout``.

    Workers of one test session share it. ``DATAGEN_TEST_RUN`` names one that was made before, for
    whoever runs one test again and again.
    """
    if given := os.environ.get("DATAGEN_TEST_RUN"):
        return Path(given)
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    out = shared / "demo_run" / "out"
    with FileLock(shared / "demo_run.lock"):
        if not (out.parent / "stdout").exists():
            out.parent.mkdir(exist_ok=True)
            done = datagen("run", "--out", out, "--config", settings, "--limit", "10")
            assert done.returncode == 0, done.stderr[-3000:]
            (out.parent / "stdout").write_text(done.stdout)
    return out
