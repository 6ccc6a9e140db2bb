"""A real browser for tests of pages: the fixture ``browser`` is everywhere, by ``conftest``."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is missing; apt install chromium"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    flags = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(
            executable_path=CHROMIUM,
            args=["--headless", "--disable-background-networking", *flags],
        )
        yield launched
        launched.close()
