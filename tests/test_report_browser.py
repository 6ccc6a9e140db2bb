"""The report as a reader meets it: in a real browser, on a laptop and a phone, by day and night.

``DATAGEN_REPORT_SCREENSHOTS=docs`` writes pictures of the page to that folder: of the shared
demonstration run, or of the one that ``DATAGEN_TEST_RUN`` names.
"""

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from chromium import needs_chromium
from report_tables import NODES, decision, node, published, report, run_tables
from test_report import HOSTILE, progress

from datagen.report import WORK, record_work
from datagen.report.history import RUNS, Run, remember

LAPTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}

pytestmark = [pytest.mark.slow, needs_chromium]


class Opened:
    """A page, with all that it asked for and complained of."""

    def __init__(self, browser: Any, path: Path, size: dict[str, int], scheme: str) -> None:
        self.page = browser.new_page(viewport=size, color_scheme=scheme)
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(path.as_uri())

    def nodes(self) -> list[str]:
        """The lines of the tree that can be seen."""
        return [
            line.inner_text().split("\n")[0] for line in self.page.locator(".node:visible").all()
        ]

    def focused(self) -> str:
        return self.page.evaluate("document.activeElement.innerText").split("\n")[0]


def every_section(tmp_path: Path, text: str = "How many are left?") -> Path:
    """A page in which every section has something to show."""
    deep = [
        node(f"deep{n}", f"deep{n - 1}" if n else "end", 1, depth=n + 3, step_idx=n + 3)
        for n in range(30)
    ]
    tables = run_tables(text, nodes=[*NODES, *deep], decisions=[decision("t1", 2, is_random=True)])
    record_work(tmp_path / WORK, "search", progress(123_456_789, 20_000, 7_000, cost=1234.5))
    for month in (1, 2):
        figures = {"rollouts": float(month), "solved_share": 0.5, "agreed_share": 0.9}
        remember(tmp_path / RUNS, Run(f"2026-0{month}-01T00:00:00+00:00", f"{month}" * 64, figures))
    path = tmp_path / "report.html"
    path.write_text(report(tmp_path, tables).page(published(tmp_path / "data")), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return every_section(tmp_path_factory.mktemp("report"))


@pytest.fixture
def opened(browser: Any, path: Path) -> Iterator[Opened]:
    made = Opened(browser, path, LAPTOP, "light")
    yield made
    made.page.close()


def test_the_page_asks_for_nothing_and_complains_of_nothing(opened: Opened, path: Path) -> None:
    assert opened.page.locator("main > section").count() == 9
    assert opened.asked == [path.as_uri()]
    assert opened.complaints == []


def test_the_tree_opens_and_closes_by_the_mouse(opened: Opened) -> None:
    before = opened.nodes()
    assert before[0] == "▾"
    first = opened.page.locator(".node").first
    first.locator(".fold").click()
    assert len(opened.nodes()) == 1
    assert first.get_attribute("aria-expanded") == "false"
    first.locator(".fold").click()
    assert opened.nodes() == before
    for name, n in (("Close all", 8), ("Open all", opened.page.locator(".node").count())):
        opened.page.get_by_role("button", name=name).click()
        assert len(opened.nodes()) == n, name


def test_the_tree_can_be_walked_by_the_keyboard(opened: Opened) -> None:
    lines = opened.page.locator(".node:visible")
    n = lines.count()
    lines.first.focus()
    opened.page.keyboard.press("ArrowLeft")
    assert lines.count() == 1
    opened.page.keyboard.press("ArrowRight")
    opened.page.keyboard.press("ArrowRight")
    assert lines.count() == n
    places = [
        opened.page.evaluate(
            "[...document.querySelectorAll('.node')].indexOf(document.activeElement)"
        )
    ]
    for _ in range(3):
        opened.page.keyboard.press("ArrowDown")
        places.append(
            opened.page.evaluate(
                "[...document.querySelectorAll('.node')].indexOf(document.activeElement)"
            )
        )
    assert places == [1, 2, 3, 4]
    opened.page.keyboard.press("End")
    opened.page.keyboard.press("Home")
    assert opened.page.locator('.node[aria-selected="true"]').count() == 1
    assert opened.focused() == lines.first.inner_text().split("\n")[0]
    opened.page.keyboard.press("Enter")
    assert lines.count() == 1
    # One stop for the tabulator, however many lines there are.
    assert opened.page.locator('.node[tabindex="0"]').count() == 1


def test_numbers_and_ends_of_the_tree_are_seen(opened: Opened) -> None:
    opened.page.get_by_role("button", name="Open all").click()
    best = opened.page.locator(".node.best").nth(1)
    assert best.locator(".n").all_inner_texts() == ["3", "0.50", "0.75", "1/2"]
    colours = {
        name: opened.page.locator(f".node.rollout .end.{name}").first.evaluate(
            "element => getComputedStyle(element).color"
        )
        for name in ("good", "bad")
    }
    assert colours["good"] != colours["bad"]
    [said] = opened.page.locator(".node.rollout").first.locator(".hidden").all_text_contents()
    assert said == "rollout right "


def test_hostile_text_is_shown_as_text_and_runs_nowhere(browser: Any, tmp_path: Path) -> None:
    made = Opened(browser, every_section(tmp_path, HOSTILE), LAPTOP, "light")
    assert made.page.locator("#tree-question .question").text_content() == HOSTILE
    assert made.page.locator(".node .said").nth(5).text_content().endswith(HOSTILE)
    assert made.page.locator(".thought pre").first.text_content() == HOSTILE
    assert made.page.locator(".steps .text").first.text_content() == HOSTILE
    assert made.page.locator("img").count() == 0
    made.page.wait_for_timeout(200)
    assert made.page.evaluate("window.hacked") is None
    assert made.complaints == []
    made.page.close()


def test_what_gets_into_the_page_all_the_same_cannot_run(browser: Any, path: Path) -> None:
    made = Opened(browser, path, LAPTOP, "light")
    made.page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"hacked=1\">')"
    )
    made.page.wait_for_timeout(200)
    assert made.page.evaluate("window.hacked") is None
    assert any("Content Security Policy" in complaint for complaint in made.complaints)
    made.page.close()


@pytest.mark.parametrize("size", [PHONE, {"width": 320, "height": 640}, LAPTOP], ids=str)
@pytest.mark.parametrize("text", ["How many are left?", "x" * 400], ids=["words", "one word"])
def test_nothing_has_to_be_scrolled_sideways(
    size: dict[str, int], text: str, browser: Any, tmp_path: Path
) -> None:
    made = Opened(browser, every_section(tmp_path, text), size, "light")
    made.page.get_by_role("button", name="Open all").click()
    made.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    wide = made.page.evaluate(
        """() => [...document.querySelectorAll("body *")]
          .filter((e) => !e.closest(".hidden, .skip, pre, .numbers")
            && e.getBoundingClientRect().right > innerWidth + 0.5)
          .map((e) => e.tagName + "." + e.getAttribute("class"))"""
    )
    assert wide == []
    assert made.page.evaluate("document.documentElement.scrollWidth") == size["width"]
    made.page.close()


BACKGROUND = "getComputedStyle(document.body).backgroundColor"


def test_colours_follow_the_system_until_the_switch_is_used(browser: Any, path: Path) -> None:
    made = Opened(browser, path, LAPTOP, "dark")
    dark = made.page.evaluate(BACKGROUND)
    made.page.emulate_media(color_scheme="light")
    light = made.page.evaluate(BACKGROUND)
    assert light != dark
    made.page.get_by_role("button", name="Dark").click()
    assert made.page.evaluate(BACKGROUND) == dark
    made.page.reload()
    assert made.page.evaluate(BACKGROUND) == dark
    made.page.get_by_role("button", name="Auto").click()
    assert made.page.evaluate(BACKGROUND) == light
    assert made.page.locator('.theme [aria-pressed="true"]').all_inner_texts() == ["Auto"]
    made.page.close()


CONTRASTS = """() => {
  const light = (colour) => {
    const parts = colour.match(/[0-9.]+/g).slice(0, 3).map((n) => n / 255)
      .map((n) => n <= 0.03928 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const faint = new Map();
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || element.closest(".hidden, .proposal, script, style, .skip")) continue;
    const style = getComputedStyle(element);
    const text = light(element.closest("svg") ? style.fill : style.color);
    const ground = light(behind(element));
    const ratio = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
    if (ratio < 4.5) faint.set(element.tagName + "." + element.getAttribute("class"), ratio);
  }
  return [...faint];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(scheme: str, browser: Any, path: Path) -> None:
    made = Opened(browser, path, LAPTOP, scheme)
    made.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert made.page.evaluate(CONTRASTS) == []
    made.page.close()


def test_charts_tables_and_headings_are_named(opened: Opened) -> None:
    page = opened.page
    assert page.locator('svg[role="img"]').count() >= 5
    assert page.locator('svg[role="img"]:not([aria-label])').count() == 0
    assert page.locator("svg:not([role]):not([aria-hidden])").count() == 0
    assert page.locator("table:not(:has(caption))").count() == 0
    levels = page.eval_on_selector_all("h1, h2, h3", "all => all.map((h) => +h.tagName[1])")
    assert levels[0] == 1 and all(after <= before + 1 for before, after in pairwise(levels))
    for link in page.locator(".top nav a").all():
        assert page.locator(link.get_attribute("href")).count() == 1


def test_without_scripts_all_but_the_trees_can_be_read(browser: Any, path: Path) -> None:
    context = browser.new_context(java_script_enabled=False, viewport=LAPTOP)
    page = context.new_page()
    page.goto(path.as_uri())
    assert "Since the last run" in page.locator("main").inner_text()
    assert "scripts are off here" in page.locator("#trees").inner_text()
    context.close()


def test_the_report_of_a_real_run_is_pictured(browser: Any, demo_run: Path, tmp_path: Path) -> None:
    from datagen.publish import read_manifest
    from datagen.report import REPORT_TABLES

    tables = {
        name: pl.read_parquet(demo_run / "tables" / f"{name}.parquet") for name in REPORT_TABLES
    }
    made = report(demo_run, tables, model="the embedded reasoner")
    path = tmp_path / "report.html"
    path.write_text(made.page(read_manifest(demo_run / "published")), encoding="utf-8")
    folder = os.environ.get("DATAGEN_REPORT_SCREENSHOTS")
    tall = LAPTOP | {"height": 1290}
    for name, size, scheme in (("report", tall, "light"), ("report-dark", LAPTOP, "dark")):
        opened = Opened(browser, path, size, scheme)
        assert opened.complaints == []
        assert opened.page.locator(".node").count() > 5
        if folder:
            if scheme == "dark":
                opened.page.evaluate(
                    "document.querySelector('#trees-title').scrollIntoView({behavior: 'instant'})"
                )
                opened.page.wait_for_timeout(300)  # until the navigation has noticed
            opened.page.screenshot(path=Path(folder) / f"{name}.png")
        opened.page.close()
