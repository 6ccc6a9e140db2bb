"""What people said, in what is published: on the card, in the manifest, and before it goes out."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import polars as pl
import pytest
from click.testing import CliRunner
from hub_client import write_dataset
from review_tables import review as said
from review_tables import reviews

from assets.commands.publish import publish as command
from datagen.config import load_settings
from datagen.errors import ConfigError, PublishError
from datagen.publish import Check, Review, check_repository, curation, read_manifest
from datagen.publish.manifest import MANIFEST
from datagen.publish.transfer.target import publish
from datagen.review.decide.apply import apply_decisions
from datagen.review.decide.quality import measure_reviews
from schemas import Decision, StepLabel, Tag, TraceLabel
from tests.published_rows import ALL, TABLES, card_of, contents, readme, tag, write

pytestmark = pytest.mark.slow

REVIEW = Review(
    n_reviewed=40,
    n_agreed=30,
    n_disputed=2,
    n_annotators=3,
    n_common=21,
    alpha=0.805,
    reviewed_share=0.125,
    n_random=50,
    label_error=0.12,
    label_error_low=0.0562,
    label_error_high=0.238,
)
NOTHING = Review(0, 0, 0, 0, 0, None, 0.0, 0, None, None, None)


def reviewed(folder: Path, *trace_ids: str) -> Path:
    """The published tables as they are if people decided on these traces."""
    is_theirs = pl.col("id").is_in(list(trace_ids))
    source = pl.when(is_theirs).then(pl.lit("human")).otherwise("label_source")
    prm = TABLES["prm"]
    every = pl.concat(
        ALL["advantages"][:1].with_columns(id=pl.lit(name), label_source=pl.lit("posterior"))
        for name in prm["id"]
    )
    tables = {"prm": prm, "advantages": every.with_columns(label_source=source)}
    return write(folder, tables, review=REVIEW).folder


def check(folder: Path, **options: Any) -> Check:
    return {check.name: check for check in check_repository(folder, **options)}["review"]


# ---- the manifest


def test_the_manifest_keeps_what_people_said(tmp_path: Path) -> None:
    folder = write(tmp_path / "repo", review=REVIEW).folder
    assert read_manifest(folder).review == REVIEW
    assert read_manifest(write(tmp_path / "other").folder).review is None


def test_nobody_has_reviewed_what_is_neither_decided_nor_disputed(tmp_path: Path) -> None:
    folder = write(tmp_path / "repo", review=replace(NOTHING, n_annotators=1)).folder
    assert read_manifest(folder).review is None
    disputed = replace(NOTHING, n_disputed=1)
    assert read_manifest(write(folder, review=disputed).folder).review == disputed


def test_the_digest_is_not_of_the_numbers_of_reviews(tmp_path: Path) -> None:
    before = write(tmp_path / "before").folder
    after = write(tmp_path / "after", review=REVIEW).folder
    assert read_manifest(after).digest == read_manifest(before).digest
    changed = {path for path, data in contents(after).items() if contents(before)[path] != data}
    assert changed == {"README.md", MANIFEST}


def test_what_was_measured_of_the_reviews_is_what_is_published() -> None:
    votes = [said(f"t{i}", who, 1) for i in range(4) for who in ("ann", "bob")]
    votes += [said("open", "ann", 1), said("open", "bob", 2)]
    decided = [decision(f"t{i}", 1, believed=1 if i else 0, is_random=i < 2) for i in range(4)]
    disputed = decision("open", None, believed=1)
    found = measure_reviews(
        reviews(*votes), Decision.from_rows([*decided, disputed]), published=["t0", "t1", "more"]
    )
    review = Review.of(found)
    assert (review.n_reviewed, review.n_agreed, review.n_disputed) == (4, 3, 1)
    assert (review.n_annotators, review.n_common) == (2, 5)
    assert review.reviewed_share == pytest.approx(2 / 3)
    assert (review.n_random, review.label_error) == (2, 0.5)
    assert (review.label_error_low, review.label_error_high) == pytest.approx(
        (0.0945, 0.9055), 1e-3
    )
    assert review.alpha == found.alpha is not None


def decision(
    trace_id: str, first_error: int | None, *, believed: int, is_random: bool = False
) -> dict[str, Any]:
    """Two people on one trace; they agree, or it is disputed."""
    is_open = first_error is None
    return {
        "trace_id": trace_id,
        "seed_id": "s1",
        "first_error": first_error,
        "answer_verdict": None,
        "status": "disputed" if is_open else "decided",
        "decided_by": None if is_open else "majority",
        "n_reviews": 2,
        "n_agreeing": 0 if is_open else 2,
        "annotators": ["ann", "bob"],
        "answers": [1, 2] if is_open else [first_error] * 2,
        "factors": [],
        "corrected_step_idx": None,
        "corrected_step": None,
        "believed_first_error": believed,
        "is_random": is_random,
        "trap_first_error": None,
    }


# ---- the card


def test_card_says_plainly_that_nobody_has_looked_at_the_data() -> None:
    text = card_of(TABLES)
    assert "**No person has reviewed this data.**" in text
    assert "people reviewed, the first error" not in text


def test_card_says_what_people_decided_and_how_far_they_agree() -> None:
    text = card_of(TABLES, review=REVIEW)
    section = text.partition("## Label quality\n")[2].partition("\n## ")[0]
    for statement in (
        "**People have reviewed part of this data**",
        "Reviewers: 3\n",
        "first error people decided: 40; of the step-labelled traces (`prm`): 12.5 %\n",
        "none where it saw one: 10 (25.0 %)\n",
        "Disputes that are still open, in which the pipeline's labels stand: 2\n",
        "alpha is 0.81, from the 21 traces that two people or more reviewed; 1 is full agreement",
        "12.0 % of all traces wrong (95 % interval: 5.6 % to 23.8 %), estimated from 50",
        "share of changed ones says nothing of those that nobody reviewed",
    ):
        assert statement in section
    assert "No person" not in text
    assert "Of the traces that people reviewed, the first error is the one that they named." in text


def test_card_says_what_is_not_known_of_the_reviews() -> None:
    few = replace(
        NOTHING, n_reviewed=1, n_agreed=1, n_annotators=1, reviewed_share=None, n_random=0
    )
    text = card_of(TABLES, review=few)
    assert "first error people decided: 1\n" in text
    assert "not known, since no two reviewed the same trace" in text
    assert "not known, since no trace of the random sample is decided" in text
    alike = card_of(TABLES, review=replace(few, n_common=5))
    assert "all said the same of the 5 traces" in alike


def test_card_tells_disputes_from_decisions() -> None:
    text = card_of(TABLES, review=replace(NOTHING, n_disputed=2, n_annotators=2, n_common=2))
    assert "have not decided on any trace yet" in text
    assert "pipeline's labels stand: 2\n" in text
    assert "part of this data" not in text and "random sample does" not in text


def test_card_names_the_columns_that_say_what_is_peoples_and_no_others() -> None:
    every = card_of(ALL, review=REVIEW)
    assert "In `advantages` the traces that people decided have `human` as `label_source`" in every
    assert "have `human` as `tagger`" in every
    few = card_of(TABLES, review=REVIEW)
    assert "In `prm` their `labels` are what people decided." in few
    for absent in ("`tagger`", "`label_source`", "theirs = "):
        assert absent not in few


def test_card_counts_what_labels_and_factors_rest_on(tmp_path: Path) -> None:
    assert "(`label_source`): 3 posterior, 1 human\n" in readme(reviewed(tmp_path / "repo", "t2"))
    tags = Tag.from_rows([tag(0, "human"), tag(1, "native"), tag(2, "native")])
    assert "2 native, 1 human;" in card_of({"tags": tags})


def test_the_filter_that_the_card_shows_finds_the_rows_that_are_peoples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    folder = reviewed(tmp_path / "repo", "t2", "t4")
    names: dict[str, Any] = {
        name: datasets.load_dataset(
            str(folder), name, split="train", cache_dir=str(tmp_path / "cache")
        )
        for name in ("prm", "advantages")
    }
    snippets = re.findall(r"```python\n(.*?)```", readme(folder), flags=re.DOTALL)
    exec(next(text for text in snippets if "theirs" in text), names)
    assert names["reviewed"]["id"] == ["t2", "t4"]


# ---- what rollouts and judges say, where people spoke


def trace_label(trace_id: str, first_error: int, judged: int) -> dict[str, Any]:
    p = [0.1, 0.1, 0.1]
    p[first_error] = 0.8
    agrees = judged == first_error
    return {
        "trace_id": trace_id,
        "seed_id": "s1",
        "outcome": "wrong",
        "n_steps": 2,
        "n_rollouts": 4,
        "n_tokens": 40,
        "first_error": first_error,
        "first_error_mass": 0.8,
        "no_error_mass": p[-1],
        "p_first_error": p,
        "judge_first_error": judged,
        "judge_share": 1.0,
        "n_votes": 1,
        "agrees": agrees,
        "verified": agrees,
        "review_rank": None if agrees else 0,
        "human_first_error": None,
        "n_reviews": None,
    }


def test_rollouts_and_judges_are_compared_by_what_they_said_before_people_did() -> None:
    rows = [trace_label("a", -1, -1), trace_label("b", 0, 1), trace_label("c", 1, 1)]
    before = TraceLabel.from_rows(rows)
    decisions = Decision.from_rows(
        [decision("a", 1, believed=-1), decision("b", 1, believed=0), decision("c", 1, believed=1)]
    )
    _, after = apply_decisions(StepLabel.empty(), before, decisions)
    found, untouched = (curation(trace_labels=labels).labels for labels in (after, before))
    assert found and untouched
    assert (found.n_agreed, found.n_judged, found.bins) == (2, 3, untouched.bins)
    assert (found.n_verified, found.n_decided) == (3, 3)
    assert (untouched.n_verified, untouched.n_decided) == (2, 0)
    text = card_of(TABLES, curation=curation(trace_labels=after))
    assert "sure enough, or because people decided (3): 100.0 % of all measured" in text
    assert "because people" not in card_of(TABLES, curation=curation(trace_labels=before))


# ---- what must hold before it goes out


def test_reviews_are_checked_only_if_something_is_wanted(tmp_path: Path) -> None:
    folder = write(tmp_path / "repo").folder
    assert "review" not in {check.name for check in check_repository(folder)}
    for setting, value in {"min_reviewed_share": 0.2, "min_alpha": 0.0}.items():
        found = check(folder, **{setting: value})
        assert not found.passed
        assert found.detail.startswith("no person has reviewed this data; ")
        assert found.detail.endswith(f"unset publish.{setting}={value}")


def test_enough_people_who_agree_pass(tmp_path: Path) -> None:
    folder = write(tmp_path / "repo", review=REVIEW).folder
    found = check(folder, min_reviewed_share=0.125, min_alpha=0.805)
    assert found.passed
    assert found.detail == "people decided 0.125 of the step-labelled traces; their alpha is 0.805"


def test_too_small_a_share_and_too_low_an_alpha_are_told_with_what_to_do(tmp_path: Path) -> None:
    folder = write(tmp_path / "repo", review=REVIEW).folder
    share = check(folder, min_reviewed_share=0.2)
    assert not share.passed
    assert "people decided 0.125 of the step-labelled traces, and 0.2 is wanted; " in share.detail
    assert share.detail.endswith("or lower publish.min_reviewed_share")
    alpha = check(folder, min_reviewed_share=0.1, min_alpha=0.9)
    assert not alpha.passed
    assert alpha.detail.startswith("reviewers agree with an alpha of 0.805, and 0.9 is wanted; ")
    assert alpha.detail.endswith("or lower publish.min_alpha")
    both = check(folder, min_reviewed_share=0.2, min_alpha=0.9)
    assert both.detail == f"{share.detail}; {alpha.detail}"


@pytest.mark.parametrize(
    ("n_common", "why"),
    [
        (0, "no two people have reviewed the same trace"),
        (7, "reviewers said the same of all 7 traces that several of them saw"),
    ],
)
def test_an_alpha_that_is_not_defined_is_refused_with_the_reason(
    n_common: int, why: str, tmp_path: Path
) -> None:
    unknown = replace(REVIEW, alpha=None, n_common=n_common)
    folder = write(tmp_path / "repo", review=unknown).folder
    found = check(folder, min_alpha=-1.0)
    assert not found.passed
    assert f"min_alpha=-1.0 is wanted, and there is no alpha: {why}; " in found.detail
    assert check(folder, min_reviewed_share=0.1).passed


def test_a_share_of_no_traces_is_refused(tmp_path: Path) -> None:
    unknown = replace(REVIEW, reviewed_share=None)
    folder = write(tmp_path / "repo", {"rl": TABLES["rl"]}, review=unknown).folder
    found = check(folder, min_reviewed_share=0.1)
    assert not found.passed
    assert "no step-labelled trace is published" in found.detail


@pytest.mark.parametrize(
    ("setting", "low", "high", "message"),
    [
        ("min_reviewed_share", 0.125, 0.2, "people decided 0.125 .*, and 0.2 is wanted"),
        ("min_alpha", 0.8, 0.9, "an alpha of 0.805, and 0.9 is wanted"),
    ],
)
def test_what_people_have_not_confirmed_enough_goes_nowhere(
    setting: str, low: float, high: float, message: str, tmp_path: Path
) -> None:
    data = write_dataset(tmp_path / "data", review=REVIEW)
    settings, target = tmp_path / "datagen.toml", tmp_path / "there"
    too_high: dict[str, Any] = {setting: high}
    arguments = ["--from", str(data), "--to", str(target), "--config", str(settings)]
    settings.write_text(f"[publish]\n{setting} = {high}\n")
    with pytest.raises(PublishError, match=f"not fit to be published: review: .*{message}"):
        publish(data, target, **too_high)
    with pytest.raises(PublishError, match=f"not fit to be published: review: .*{message}"):
        CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert not target.exists()
    settings.write_text(f"[publish]\n{setting} = {low}\n")
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert contents(target) == contents(data)
    assert not publish(data, target).changed


@pytest.mark.parametrize(
    "line",
    ["min_reviewed_share = 1.5", "min_reviewed_share = -0.1", "min_alpha = 70", "min_alpha = -1.5"],
)
def test_a_share_or_alpha_that_cannot_be_is_refused(line: str, tmp_path: Path) -> None:
    settings = tmp_path / "datagen.toml"
    settings.write_text(f"[publish]\n{line}\n")
    with pytest.raises(ConfigError, match=rf"publish\.{line.replace(' = ', '=')}"):
        load_settings(settings)
