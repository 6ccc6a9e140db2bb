"""The report of a run: what it counts, what it shows, what it remembers, and what it never says."""

import base64
import hashlib
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from report_tables import (
    LABELS,
    NODES,
    NOW,
    decision,
    node,
    published,
    report,
    rollout,
    run_tables,
)

from assets.commands.report import report as command
from assets.parquet_io import table_path
from datagen.errors import ConfigError
from datagen.publish import check_repository, read_manifest
from datagen.report import REPORT, REPORT_TABLES, WORK, figures, read_work, record_work
from datagen.report.history import RUNS, Run, date_of, earlier, read_runs, remember
from datagen.report.labels import MASSES
from datagen.report.markup import remark, tag
from datagen.report.numbers import difference, seconds
from datagen.report.tree import MAX_STATES, search_trees
from datagen.search.budget import Progress
from schemas import ReviewItem, Rollout
from tests.published_rows import TABLES, write
from tests.review_items import item

pytestmark = pytest.mark.slow

HOSTILE = (
    "</script><script>window.hacked = 1</script><img src=x onerror='hacked=1'> $body ${x} <!--"
)


# ---- what is counted


def test_the_funnel_goes_from_seeds_to_published_rows() -> None:
    found = figures(run_tables(), {"prm": {"train": 5, "test": 2}})
    assert [(line.name, line.n) for line in found.words] == [
        ("Seeds", 1),
        ("Prefixes", 1),
        ("Rollouts", 6),
        ("Traces", 3),
        ("Traces kept", 3),
        ("Measured", 3),
        ("Verified", 1),
        ("Published rows", 7),
    ]
    assert [(line.name, line.n) for line in found.code] == [
        ("Programs", 1),
        ("Recorded runs", 1),
        ("Thoughts written", 2),
        ("Thoughts", 2),
        ("Verified thoughts", 1),
    ]
    assert found.outcomes == {"correct": 3, "wrong": 2, "unverifiable": 1, "truncated": 0}
    assert found.solved_share == 0.6
    json.dumps(asdict(found))


def test_a_pass_rate_of_0_or_1_is_no_neighbour_of_others() -> None:
    rates = [0.0, 0.01, 0.3, 0.5, 0.99, 1.0, None]
    questions = pl.DataFrame({"pass_rate": rates, "domain": ["math"] * 7, "split": ["train"] * 7})
    found = figures({"questions": questions}, {}).pass_rates
    assert found.bins == (1, 1, 0, 0, 1, 0, 1, 0, 0, 0, 1, 1)
    assert (found.n, found.n_untried) == (6, 1)


def test_probabilities_of_first_errors_are_told_apart_by_what_judges_say() -> None:
    found = figures(run_tables(), {}).labels
    shown = {
        low: (part.n_agreed, part.n_differing, part.n_unjudged)
        for low, part in zip(MASSES, found.masses, strict=True)
        if sum((part.n_agreed, part.n_differing, part.n_unjudged))
    }
    assert shown == {0.9: (1, 0, 0), 0.99: (0, 1, 1)}
    assert (found.agreed_share, found.n_verified) == (0.5, 1)


def test_beliefs_are_held_to_people_as_they_were_and_by_the_random_sample_alone() -> None:
    # People found the first error of t1 one step later, and t2 is not of the sample.
    decided = [decision("t1", 2, is_random=True), decision("t2", 0, is_random=False)]
    found = figures(run_tables(decisions=decided), {}).labels.by_people
    assert found and found.at_random
    [(n, predicted, true)] = found.bins
    assert n == 4  # the steps of t1
    assert predicted == pytest.approx((0.95 + 0.05 + 0.02 + 0.02) / 4)
    assert true == 0.5
    chosen = figures(run_tables(decisions=decided[1:]), {}).labels.by_people
    assert chosen and not chosen.at_random
    assert figures(run_tables(), {}).labels.by_people is None


def test_thoughts_about_code_are_held_to_runs() -> None:
    found = figures(run_tables(), {}).labels.by_runs
    assert found and found.bins == ((2, 0.75, 0.5),)


def test_a_run_without_any_table_has_a_report_that_says_what_is_missing(tmp_path: Path) -> None:
    html = report(tmp_path, {}).page(None)
    for said in (
        *("There are no rollouts", "Nothing is published yet", "was not recorded"),
        *("No trace was measured", "There is no search tree", "There is no code in this run"),
        *("No person has reviewed this data yet", "This is the first version"),
    ):
        assert said in html


# ---- people


def test_nobody_is_named_and_traps_are_not_told_from_the_random_sample(tmp_path: Path) -> None:
    decided = [decision("t1", 2, is_random=True)]
    queue = [item(0, reason="random"), item(1, reason="trap", trap_first_error=1)]
    tables = run_tables(decisions=decided) | {"review_queue": ReviewItem.from_rows(queue)}
    found = figures(tables, {}).reviews
    assert found.reasons == {"drawn at random": 2}
    html = report(tmp_path, tables).page(None)
    assert "Krippendorff" in html or "everybody said the same" in html
    for name in ("Xaverine", "Yolanthe", "trap"):
        assert name not in html


# ---- what is shown


def test_lines_of_a_tree_come_parents_first_and_the_most_visited_way_is_marked() -> None:
    [tree] = search_trees(run_tables())
    states = [line for line in tree.lines if line.kind != "rollout"]
    assert [(line.level, line.kind, line.n_visits) for line in states] == [
        (1, "state", 5),
        (2, "state", 3),
        (3, "state", 2),
        (2, "state", 1),
        (2, "proposal", 0),
    ]
    assert [line.is_best for line in states] == [True, True, True, False, False]
    assert [line.share for line in states] == [None, 0.75, 1.0, 0.25, None]
    assert (tree.n_right, tree.n_wrong, tree.n_shown) == (3, 2, 5)


def test_right_and_wrong_rollouts_are_shown_by_turns() -> None:
    [tree] = search_trees(run_tables())
    ends = [line.outcome for line in tree.lines if line.kind == "rollout"]
    assert ends == ["correct", "wrong", "correct", "wrong"]


def test_a_large_tree_is_cut_to_its_most_visited_states() -> None:
    rare = [node(f"rare{n}", "root", 1) for n in range(200)]
    [tree] = search_trees(run_tables(nodes=[*rare, *NODES]))
    assert (tree.n_states, tree.n_shown) == (205, MAX_STATES)
    assert max(line.n_visits for line in tree.lines if line.level == 3) == 2


def test_a_search_that_ends_both_ways_is_shown_before_one_that_does_not() -> None:
    tables = run_tables()
    other = [
        table.with_columns(pl.lit("s2@1").alias("prefix_id"), pl.lit("s2").alias("seed_id"), *more)
        for table, more in (
            (tables["prefixes"], ()),
            (tables["nodes"], [pl.col("node_id", "parent_id") + "-2"]),
            (
                Rollout.from_rows([rollout(n, "correct") for n in range(9)]),
                [pl.col("rollout_id", "node_id") + "-2"],
            ),
        )
    ]
    names = ("prefixes", "nodes", "rollouts")
    both = {name: pl.concat([own, tables[name]]) for name, own in zip(names, other, strict=True)}
    assert [tree.prefix_id for tree in search_trees(both)] == ["s1@1", "s2@1"]
    assert [tree.prefix_id for tree in search_trees(both, max_trees=1)] == ["s1@1"]


def test_a_thought_that_a_run_contradicts_is_shown_first(tmp_path: Path) -> None:
    html = report(tmp_path).page(None)
    assert html.index("✗ not verified") < html.index("✓ verified")
    assert "by the run: How many are left?" in html


def test_text_of_the_data_is_text_wherever_it_stands(tmp_path: Path) -> None:
    plain = report(tmp_path).page(None)
    html = report(tmp_path, run_tables(HOSTILE), model=HOSTILE, remarks=[HOSTILE]).page(None)
    assert "<img" not in html
    assert html.count("<script") == plain.count("<script") == 2
    assert html.count("</script") == 2
    assert html.count("hacked") > 10
    [data] = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html)
    [tree] = json.loads(data)
    assert tree["question"] == HOSTILE


def test_text_that_would_turn_its_line_round_is_made_visible(tmp_path: Path) -> None:
    html = report(tmp_path, run_tables("pay \u202e00.1\x1b[2J")).page(None)
    assert "\u202e" not in html and "\x1b" not in html and "pay �00.1�[2J" in html


def test_the_page_loads_nothing_and_allows_itself_nothing_else(tmp_path: Path) -> None:
    html = report(tmp_path).page(None)
    links = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert links and all(link[0] == "#" or link == "data:," for link in links)
    assert "url(" not in html and "@import" not in html
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    assert "default-src 'none'" in policy
    for name, element in (("style", "style"), ("script", "script")):
        [text] = re.findall(rf"<{element}>(.*?)</{element}>", html, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy


def test_the_page_stays_small_whatever_the_run_holds(tmp_path: Path) -> None:
    tables = run_tables(
        "<" * 100_000, nodes=[*NODES, *(node(f"n{n}", "root", 1) for n in range(999))]
    )
    ways = [
        pl.concat(
            table.with_columns(
                (pl.col(name) + f"-{n}").alias(name)
                for name in ("seed_id", "prefix_id", "node_id", "parent_id", "rollout_id")
                if name in table.columns
            )
            for n in range(9)
        )
        for table in (tables["prefixes"], tables["nodes"], tables["rollouts"])
    ]
    many = tables | dict(zip(("prefixes", "nodes", "rollouts"), ways, strict=True))
    html = report(tmp_path, many).page(None)
    assert len(html.encode()) < 1_500_000
    assert "6 of 9 searches" in html
    assert "Of their 6,024 states 360 are shown." in html


def test_plain_strings_are_escaped_and_markup_is_not() -> None:
    assert tag("p", "a < b", tag("b", "&"), title='"x"') == (
        '<p title="&quot;x&quot;">a &lt; b<b>&amp;</b></p>'
    )
    assert remark("**Note <b>** and `x*y`") == (
        "<p><strong>Note &lt;b&gt;</strong> and <code>x*y</code></p>"
    )


# ---- cost


def progress(n_tokens: int, n_generated: int, n_replayed: int = 0, cost: float = 0.0) -> Progress:
    return Progress(
        n_tokens=n_tokens,
        n_generated=n_generated,
        n_replayed=n_replayed,
        cost=cost,
        seconds=2.0,
        n_prompt_tokens=10,
    )


def test_a_stage_that_only_replays_leaves_what_it_cost(tmp_path: Path) -> None:
    record_work(tmp_path, "search", progress(500, 20, 5))
    before = (tmp_path / "search.json").read_bytes()
    record_work(tmp_path, "search", progress(0, 0, 25))
    assert (tmp_path / "search.json").read_bytes() == before
    record_work(tmp_path, "search", progress(0, 0, 7))  # other data, all of it known
    assert read_work(tmp_path)["search"].n_replayed == 7
    record_work(tmp_path, "search", progress(9, 1, 25))
    assert read_work(tmp_path)["search"].n_tokens == 9


def test_shards_add_up_and_stages_keep_their_order(tmp_path: Path) -> None:
    folders = tmp_path / "a", tmp_path / "ü 2"
    record_work(folders[0], "labels", progress(7, 1))
    for folder, n in zip(folders, (10, 20), strict=True):
        record_work(folder, "search", progress(n, 1, cost=0.5))
    found = read_work(*folders)
    assert list(found) == ["search", "labels"]
    assert (found["search"].n_tokens, found["search"].cost, found["search"].seconds) == (30, 1.0, 4)


def test_a_damaged_record_is_none_and_an_unknown_stage_is_refused(tmp_path: Path) -> None:
    record_work(tmp_path, "search", progress(7, 1))
    (tmp_path / "search.json").write_text('{"n_tokens": 7')
    assert read_work(tmp_path) == {}
    assert read_work(tmp_path / "nowhere") == {}
    with pytest.raises(ValueError, match="no such stage: 'sarch'; use code_thoughts, search"):
        record_work(tmp_path, "sarch", progress(7, 1))


def test_the_cost_of_a_stage_is_shown_and_a_missing_one_is_said_to_be(tmp_path: Path) -> None:
    record_work(tmp_path / WORK, "search", progress(123_456, 20, cost=12.5))
    html = report(tmp_path).page(None)
    assert "123,456" in html and "12.50" in html and "not recorded" in html
    assert "Nothing has a price" not in html


# ---- earlier runs


def test_equal_tables_give_an_equal_page(tmp_path: Path) -> None:
    manifest = published(tmp_path / "data")
    pages = {report(tmp_path, run_tables(), now=NOW).page(manifest) for _ in range(2)}
    assert len(pages) == 1


def test_data_that_is_published_again_keeps_its_date_and_its_page(tmp_path: Path) -> None:
    manifest = published(tmp_path / "data")
    first = report(tmp_path)
    before = first.page(manifest)
    first.remember(manifest)
    line = (tmp_path / RUNS).read_bytes()
    again = report(tmp_path, now=NOW.replace(year=2027))
    assert again.page(manifest) == before
    again.remember(manifest)
    assert (tmp_path / RUNS).read_bytes() == line
    assert "1 March 2026, 04:30 UTC" in before


def test_a_run_is_compared_with_the_last_one_of_other_data(tmp_path: Path) -> None:
    old = published(tmp_path / "old", tables={"prm": TABLES["prm"]})
    report(tmp_path, run_tables(labels=LABELS[:1])).remember(old)
    new = published(tmp_path / "new")
    this = report(tmp_path, now=NOW.replace(month=4))
    for _ in range(2):
        html = this.page(new)
        this.remember(new)
        assert "since the last run" in html
        assert old.digest[:12] in html and "1 March 2026" in html and "1 April 2026" in html
        row = html.split("Traces measured</th>")[1].split("</tr>")[0]
        assert re.findall(r">([^<>]+)</(?:td|span)>", row) == ["1", "3", "× 3.0"]
    assert len(read_runs(tmp_path / RUNS)) == 2


def test_a_version_that_comes_back_is_a_new_line(tmp_path: Path) -> None:
    path = tmp_path / RUNS
    for month, digest in enumerate(("a", "b", "b", "a"), start=1):
        runs = read_runs(path)
        date = date_of(runs, digest, now=NOW.replace(month=month))
        remember(path, Run(date, digest, {"seeds": month}))
    runs = read_runs(path)
    assert [(run.digest, run.date[5:7], run.figures["seeds"]) for run in runs] == [
        ("a", "01", 1),
        ("b", "02", 3),
        ("a", "04", 4),
    ]
    assert [run.digest for run in earlier(runs, "a")] == ["a", "b"]
    assert [run.digest for run in earlier(runs, "c")] == ["a", "b", "a"]


def test_lines_that_cannot_be_read_are_passed_over_and_kept(tmp_path: Path) -> None:
    path = tmp_path / RUNS
    path.write_text('torn {\n{"date": 3}\n[]\n{"date": "x", "digest": "d", "figures": {}}\n')
    assert read_runs(path) == ()
    run = Run("2026-03-01T04:30:00+00:00", "d", {"seeds": 1.0})
    remember(path, run)
    assert read_runs(path) == (run,)
    assert path.read_text().startswith("torn {\n")


def test_three_runs_are_drawn_as_small_lines(tmp_path: Path) -> None:
    manifest = published(tmp_path / "data")
    remember(tmp_path / RUNS, Run("2026-01-01T00:00:00+00:00", "a", {"rollouts": 3}))
    assert 'class="spark"' not in report(tmp_path).page(manifest)
    remember(tmp_path / RUNS, Run("2026-01-02T00:00:00+00:00", "b", {"rollouts": 9}))
    html = report(tmp_path).page(manifest)
    assert html.count('class="spark"') == 1 and "the last 3 runs" in html


@pytest.mark.parametrize(
    ("before", "now", "unit", "told"),
    [
        (0.5, 0.463, "share", "−3.7 pts"),
        (0.5, 0.5001, "share", "same"),
        (100, 150, "count", "+50 %"),
        (100, 40, "count", "−60 %"),
        (10, 65, "count", "× 6.5"),
        (0, 3, "count", "new"),
        (None, 3, "count", "–"),
    ],
)
def test_changes_are_told_in_few_words(before: Any, now: Any, unit: Any, told: str) -> None:
    assert difference(before, now, unit) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        *((0, "0 s"), (0.2, "under 1 s"), (59.4, "59 s"), (59.6, "1 min 00 s")),
        *((599.9, "10 min 00 s"), (3599.8, "1 h 00 min"), (5400, "1 h 30 min")),
    ],
)
def test_lengths_of_time_are_rounded_to_what_they_say(value: float, told: str) -> None:
    assert seconds(value) == told


# ---- where it is written


def test_the_report_is_a_document_of_the_published_folder(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain")
    own = report(tmp_path)
    made = write(tmp_path / "data", further=own.documents)
    manifest = read_manifest(made.folder)
    assert manifest.digest == plain.manifest.digest
    assert REPORT in {document.path for document in manifest.documents}
    assert (made.folder / REPORT).read_text("utf-8") == own.page(manifest)
    assert all(check.passed for check in check_repository(made.folder))


def test_the_command_writes_the_page_of_a_run_that_is_not_finished(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    tables = run_tables()
    for name in ("seeds", "prefixes", "nodes", "rollouts"):
        tables[name].write_parquet(table_path(tmp_path, name))
    done = CliRunner().invoke(command, ["--out", str(tmp_path)], catch_exceptions=False)
    assert done.output == f"Report: {tmp_path / REPORT}\n"
    html = (tmp_path / REPORT).read_text("utf-8")
    assert "This is a demonstration." in html and "Nothing is published yet" in html
    write(tmp_path / "published")
    CliRunner().invoke(command, ["--out", str(tmp_path)], catch_exceptions=False)
    html = (tmp_path / REPORT).read_text("utf-8")
    assert read_manifest(tmp_path / "published").digest in html
    assert not (tmp_path / RUNS).exists()


def test_the_command_says_what_to_do_where_there_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="datagen run --out"):
        CliRunner().invoke(command, ["--out", str(tmp_path)], catch_exceptions=False)


@pytest.mark.slow
def test_the_report_of_a_real_run_counts_what_its_tables_hold(demo_run: Path) -> None:
    tables = {
        name: pl.read_parquet(table_path(demo_run, name))
        for name in REPORT_TABLES
        if table_path(demo_run, name).exists()
    }
    assert tables.keys() == REPORT_TABLES.keys()
    manifest = read_manifest(demo_run / "published")
    html = report(demo_run, tables).page(manifest)
    found = figures(tables, {"all": {"train": manifest.rows}})
    assert (found.n_of("Seeds"), found.n_published) == (10, manifest.rows)
    assert f"{manifest.rows:,}" in html
    assert "world-" not in html.split('id="tree-data"')[0]
    assert len(html.encode()) < 500_000
