"""Checks of a shard: what they count, where their limits lie, and what a small sample may do."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from curate_tables import benchmark, code_seeds, seeds

from datagen.checks import (
    CHECKS,
    LABEL_LINKS,
    TRACE_LINKS,
    Finding,
    Incoming,
    agreement,
    budget,
    calibration,
    columns_of,
    contamination,
    contracts,
    cut_short,
    duplicates,
    licensing,
    outcome_balance,
    provenance,
    question_keys,
    refused,
    repeats,
    truncated,
    unverifiable,
)
from datagen.checks.shares import Share
from datagen.config import load_settings
from datagen.curate import CurateConfig, curate_seeds
from datagen.errors import ConfigError
from datagen.report.work import Work
from datagen.seeds import read_seeds
from schemas import BenchmarkCheck, CodeSeed, Contract, Quarantine, Rejection, Seed

NOWHERE = question_keys(Seed.empty().lazy(), CodeSeed.empty().lazy())
BALANCE = {"min_pass_rate": 0.01, "max_pass_rate": 0.98}


def incoming(**tables: pl.DataFrame) -> Incoming:
    empty: dict[str, type[Contract]] = {
        "seeds": Seed,
        "code_seeds": CodeSeed,
        "quarantine": Quarantine,
        "rejected": Rejection,
        "benchmark_checks": BenchmarkCheck,
    }
    return Incoming(**{name: contract.empty() for name, contract in empty.items()} | tables)


def curated(table: pl.DataFrame, *benchmarks: Any, **config: Any) -> Incoming:
    found = curate_seeds(
        table, CodeSeed.empty(), config=CurateConfig(**config), benchmarks=benchmarks
    )
    return incoming(
        seeds=found.seeds, rejected=found.rejections, benchmark_checks=found.benchmark_checks
    )


def rollouts(*of_seeds: Sequence[str], verifier: str = "math") -> pl.DataFrame:
    """Of each seed rollouts with these outcomes."""
    rows = [
        (f"s{idx}", verifier, outcome)
        for idx, outcomes in enumerate(of_seeds)
        for outcome in outcomes
    ]
    return pl.DataFrame(rows, ["seed_id", "verifier", "outcome"], orient="row")


def labels(
    n_questions: int, *, agreed: float, mass: float = 0.95, outcome: str = "wrong"
) -> pl.DataFrame:
    """Ten judged traces of each question, so many of which the judges agree with."""
    rows = [
        (f"s{idx}", mass, place < round(10 * agreed), outcome)
        for idx in range(n_questions)
        for place in range(10)
    ]
    return pl.DataFrame(rows, ["seed_id", "first_error_mass", "agrees", "outcome"], orient="row")


def work(n_tokens: int = 100, *, cost: float = 0.0, seconds: float = 1.0, spent: bool = False):
    return Work(n_tokens, 10, 0, 5, 0, cost, seconds, spent)


def failed(finding: Finding, *words: str) -> None:
    """It failed, and says so with these words."""
    assert not finding.passed
    assert all(word in finding.detail for word in words), finding.detail


# Shares


@pytest.mark.parametrize(("n", "fails"), [(1, False), (2, False), (3, True), (10, True)])
def test_two_questions_are_too_few_to_fail_a_limit_of_one_half(n: int, fails: bool):
    assert (Share.of(n, n).low > 0.5) == fails


def test_a_share_at_its_limit_never_fails_however_large_the_sample():
    assert Share.of(250_000, 1_000_000).low < 0.25 < Share.of(260_000, 1_000_000).low


def test_a_limit_of_0_allows_none_and_a_limit_of_1_allows_all():
    assert Share.of(0, 7).low == 0.0
    assert Share.of(1, 1000).low > 0.0
    assert Share.of(7, 7).high == 1.0
    assert Share.of(7, 7).low < 1.0


def test_rollouts_of_one_question_count_as_one_toss():
    one = rollouts(["truncated"] * 500, ["correct"] * 500)
    many = rollouts(*[["truncated"], ["correct"]] * 500)
    shares = [Share.by_question(table, pl.col("outcome") == "truncated") for table in (one, many)]
    assert [share.value for share in shares] == [0.5, 0.5]
    assert [share.n for share in shares] == [2, 1000]
    assert shares[0].low < 0.2 < 0.47 < shares[1].low


# Questions


def test_a_file_of_which_most_rows_are_broken_is_refused_with_a_reason(tmp_path: Path):
    path = tmp_path / "poisoned.jsonl"
    good = '{"question": "How many?", "thought": "3 * 6 = 18", "answer": "18"}\n'
    path.write_text(good + '{"question": 7}\n' * 4)
    batch = read_seeds(path)
    finding = refused(incoming(seeds=batch.seeds, quarantine=batch.quarantine), max_share=0.25)
    failed(finding, "80.0 % of 5 source rows", "such as: ", "checks.max_refused_share", "mend")
    assert finding.stops


def test_one_broken_row_of_two_may_be_chance():
    row = {"source": "f", "row_idx": 0, "seed_id": None, "field": "", "reason": "r", "preview": ""}
    table = Quarantine.from_rows([row])
    assert refused(incoming(seeds=seeds({}), quarantine=table), max_share=0.25).passed
    assert not refused(incoming(seeds=seeds({}), quarantine=table), max_share=0.0).passed


def test_a_row_refused_for_two_reasons_counts_once():
    row = {"source": "f", "row_idx": 0, "seed_id": None, "field": "", "reason": "r", "preview": ""}
    table = Quarantine.from_rows([row, row | {"field": "answer"}])
    finding = refused(incoming(seeds=seeds({}, {}, {}), quarantine=table), max_share=0.25)
    assert finding.figures["share"] == 0.25


def test_golds_that_no_verifier_reads_count_as_refused_and_foreign_questions_do_not():
    unread = [{"verifier": "numeric", "answer": "a dog"}] * 8
    assert not refused(curated(seeds({}, {}, *unread)), max_share=0.25).passed
    found = curated(
        seeds({}, {}, *[{"question": f"word {n}" * 40} for n in range(8)]), max_words=20
    )
    assert found.rejected.height == 8
    assert refused(found, max_share=0.25).passed


def test_questions_of_a_benchmark_fail_a_source_that_is_mostly_made_of_them():
    asked = [f"How many apples are there in the {n}th bag of the old farmer?" for n in range(8)]
    table = seeds({}, *[{"question": question} for question in asked])
    assert contamination(curated(table, benchmark("gsm8k", "Which is it?")), max_share=0.2).passed
    finding = contamination(curated(table, benchmark("gsm8k", *asked)), max_share=0.2)
    failed(finding, "88.9 % of 9 questions are in a benchmark", "checks.max_contaminated_share")


def test_a_required_benchmark_that_was_not_compared_fails_whatever_the_share():
    required = ["gsm8k", "math500"]
    found = curated(seeds({}, {}), benchmark("gsm8k", "Which is it?"))
    failed(
        contamination(found, max_share=1.0, required=required),
        "not compared with math500;",
        "curation.benchmarks",
    )
    assert contamination(found, max_share=1.0, required=["gsm8k"]).passed


def test_a_comparison_with_fewer_questions_than_there_are_does_not_count():
    found = curated(seeds({}), benchmark("gsm8k", "Which is it?"))
    more = incoming(seeds=seeds({}, {}), benchmark_checks=found.benchmark_checks)
    failed(contamination(more, max_share=1.0, required=["gsm8k"]), "not compared with gsm8k")


def test_a_source_that_repeats_itself_fails_and_a_few_repeats_do_not():
    few, many = (seeds(*[{"question": "The same?"}] * n, {}, {}, {}) for n in (2, 30))
    assert duplicates(curated(few), NOWHERE, max_share=0.5).passed
    finding = duplicates(curated(many), NOWHERE, max_share=0.5)
    failed(finding, "87.9 % of 33 questions are there already", "checks.max_duplicate_share")


def test_a_shard_that_repeats_an_accepted_one_under_other_ids_fails():
    rows = [{"question": f"How many are {n}?"} for n in range(8)]
    elsewhere = question_keys(seeds(*rows).lazy(), code_seeds({}).lazy())
    again = seeds(*[row | {"seed_id": f"n{n}"} for n, row in enumerate(rows)])
    finding = duplicates(incoming(seeds=again), elsewhere, max_share=0.5)
    failed(finding, "8 of them in other shards")
    other_thoughts = again.with_columns(thought=pl.lit("Another way to think."))
    assert duplicates(incoming(seeds=other_thoughts), elsewhere, max_share=0.5).passed


def test_one_id_of_another_accepted_shard_is_enough_to_fail():
    elsewhere = question_keys(
        seeds({"seed_id": "x", "question": "Q?"}).lazy(), CodeSeed.empty().lazy()
    )
    own = incoming(seeds=seeds({}, {}, {}, {"seed_id": "x"}))
    finding = duplicates(own, elsewhere, max_share=1.0)
    failed(finding, "1 of 4 seed_ids", ": x;")
    assert finding.figures["shared_ids"] == 1


def test_licences_are_compared_however_they_are_written():
    own = incoming(seeds=seeds({"license": "CC BY 4.0"}, {"license": "MIT"}))
    assert licensing(own).passed
    assert licensing(own, allowed=["cc-by-4.0", "mit"]).passed
    failed(licensing(own, allowed=["MIT"]), "CC BY 4.0: 1 seeds", "allowed are MIT")


def test_an_unknown_licence_fails_only_where_it_must_be_known():
    own = incoming(seeds=seeds({"license": ""}, {}), code_seeds=code_seeds({"license": "unknown"}))
    assert licensing(own).passed
    failed(licensing(own, require_known=True), "unknown: 1 seeds", "seeds.license")
    assert "MIT" not in licensing(own, require_known=True).detail


# Outcomes


def test_a_shard_without_a_right_rollout_fails_once_it_has_twenty():
    wrong = [["wrong"] * 5] * 4
    found = outcome_balance(rollouts(*wrong), **BALANCE)
    failed(found, "none of 20 rollouts is right", "checks.min_pass_rate = 0")
    assert outcome_balance(rollouts(*wrong), min_pass_rate=0, max_pass_rate=0.98).passed
    assert outcome_balance(rollouts(*wrong[1:]), **BALANCE).passed
    assert outcome_balance(rollouts(["correct"], *wrong), **BALANCE).passed


@pytest.mark.parametrize("outcome", ["truncated", "unverifiable"])
def test_rollouts_without_a_verdict_are_not_right_either(outcome: str):
    assert not outcome_balance(rollouts(*[[outcome] * 10] * 2), **BALANCE).passed


def test_a_few_easy_questions_may_all_be_solved_and_many_may_not():
    assert outcome_balance(rollouts(*[["correct"] * 20] * 100), **BALANCE).passed
    found = outcome_balance(rollouts(*[["correct"] * 20] * 200), **BALANCE)
    failed(found, "100.0 % of the rollouts of 200 questions", "checks.max_pass_rate", "harder")


def test_a_pass_rate_below_its_limit_fails_beyond_chance():
    hard = [["correct", *["wrong"] * 9]]
    assert outcome_balance(rollouts(*hard * 2), min_pass_rate=0.3, max_pass_rate=1).passed
    found = outcome_balance(rollouts(*hard * 40), min_pass_rate=0.3, max_pass_rate=1)
    failed(found, "10.0 %", "at least 30.0 % is needed (checks.min_pass_rate)")


def test_answers_that_only_a_rubric_judges_are_neither_unverifiable_nor_without_a_right_one():
    judged = rollouts(*[["unverifiable"] * 10] * 10, verifier="rubric")
    assert outcome_balance(judged, **BALANCE).passed
    assert unverifiable(judged, max_share=0.0).passed


@pytest.mark.parametrize(
    ("check", "outcome"), [(unverifiable, "unverifiable"), (truncated, "truncated")]
)
def test_a_shard_of_such_outcomes_fails_and_a_small_part_of_them_does_not(check: Any, outcome: str):
    some = rollouts(*[["correct"] * 9 + [outcome]] * 10)
    assert check(some, max_share=0.5).passed
    failed(check(rollouts(*[[outcome] * 3] * 5), max_share=0.5), f"checks.max_{outcome}_share")
    assert check(rollouts([outcome] * 50, [outcome] * 50), max_share=0.5).passed


def test_rollouts_of_rubrics_that_are_cut_off_count():
    assert not truncated(rollouts(*[["truncated"]] * 9, verifier="rubric"), max_share=0.5).passed


def test_a_policy_that_says_the_same_again_and_again_is_a_warning():
    traces = pl.DataFrame(
        {
            "trace_id": [f"t{n}" for n in range(1000)],
            "seed_id": [f"s{n // 20}" for n in range(1000)],
            "provenance": ["human" if n % 20 == 19 else "model" for n in range(1000)],
        }
    )
    gone = [f"t{n}" for n in range(1000) if n % 20]
    rules = pl.DataFrame({"id": gone, "rule": ["near_duplicate"] * len(gone)})
    assert repeats(traces, rules.head(400), max_share=0.85).passed
    finding = repeats(traces, rules, max_share=0.85)
    failed(finding, "94.7 % of the traces by a model", "search.temperature")
    assert not finding.stops
    assert repeats(traces, rules.with_columns(rule=pl.lit("length")), max_share=0.85).passed


# Labels


def test_agreement_fails_below_its_limit_and_not_by_the_few_traces_of_a_small_shard():
    assert agreement(labels(12, agreed=0.8), min_share=0.25).passed
    failed(
        agreement(labels(12, agreed=0.0), min_share=0.25), "0.0 % of the first errors of 120 wrong"
    )
    assert agreement(labels(5, agreed=0.0), min_share=0.25).passed


def test_a_judge_that_never_finds_an_error_is_found_out_by_the_wrong_traces():
    table = pl.concat([labels(30, agreed=1.0, outcome="correct"), labels(30, agreed=0.0)])
    failed(agreement(table, min_share=0.25), "300 wrong traces")
    flipped = pl.concat([labels(30, agreed=0.0, outcome="correct"), labels(30, agreed=1.0)])
    failed(agreement(flipped, min_share=0.25), "300 right traces")


def test_without_a_verdict_there_is_no_agreement_to_ask_for():
    unjudged = labels(30, agreed=0.0).with_columns(agrees=pl.lit(None, pl.Boolean))
    assert agreement(unjudged, min_share=1.0).passed
    assert calibration(unjudged, labels(60, agreed=0.8), max_drift=0.0).passed


def test_equally_sure_labels_that_are_agreed_with_far_less_than_before_have_drifted():
    accepted = labels(200, agreed=0.9)
    finding = calibration(labels(60, agreed=0.5), accepted, max_drift=0.1)
    failed(finding, "judges agree with 50.0 %", "did with 90.0 %", "checks.max_drift")
    assert finding.figures["drift"] == pytest.approx(-0.4)
    assert not finding.stops
    assert calibration(labels(60, agreed=0.8), accepted, max_drift=0.1).passed


def test_agreement_that_rises_far_is_a_drift_too():
    assert not calibration(labels(60, agreed=1.0), labels(200, agreed=0.5), max_drift=0.1).passed


def test_less_sure_labels_are_compared_with_less_sure_ones():
    accepted = pl.concat([labels(100, agreed=0.9), labels(100, agreed=0.5, mass=0.6)])
    finding = calibration(labels(60, agreed=0.5, mass=0.6), accepted, max_drift=0.0)
    assert finding.passed
    assert finding.figures["expected"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("n", "n_accepted"), [(19, 200), (60, 49), (0, 0)])
def test_too_few_questions_are_no_ground_to_speak_of_drift(n: int, n_accepted: int):
    finding = calibration(labels(n, agreed=0.0), labels(n_accepted, agreed=1.0), max_drift=0.0)
    assert finding.passed
    assert "not compared" in finding.detail


# Provenance and contracts


def linked() -> dict[str, pl.DataFrame]:
    """One right row in each table of the way from traces to seeds."""
    ids = {"seed_id": "s", "prefix_id": "p", "node_id": "n", "rollout_id": "r", "task_id": "c/t"}
    tables = {
        table: pl.DataFrame([{column: ids[column] for column in columns}])
        for table, columns in columns_of(TRACE_LINKS).items()
    }
    for table in ("code_seeds", "executions", "code_tasks", "code_thoughts"):
        tables[table] = tables[table].with_columns(seed_id=pl.lit("c"))
    return tables


def test_rows_that_lead_back_to_their_seeds_pass():
    assert provenance(linked(), TRACE_LINKS).passed


@pytest.mark.parametrize("link", TRACE_LINKS)
def test_an_id_that_leads_nowhere_fails_by_name(link: tuple[str, str]):
    table, column = link
    tables = linked()
    lost = tables[table].with_columns(pl.lit("lost").alias(column))
    tables[table] = pl.concat([tables[table], lost])
    failed(provenance(tables, TRACE_LINKS), f"1 of {table}.{column} are not in", "'lost'")


def test_a_null_leads_nowhere_and_need_not():
    tables = linked()
    nothing = [pl.lit(None, pl.String).alias(name) for name in ("rollout_id", "node_id")]
    tables["traces"] = tables["traces"].with_columns(nothing)
    assert provenance(tables, TRACE_LINKS).passed


def test_a_walk_to_a_foretold_result_has_its_task_as_its_seed():
    tables = linked()
    tables["traces"] = tables["traces"].with_columns(seed_id=pl.lit("c/t"))
    assert provenance(tables, TRACE_LINKS).passed


def test_tables_without_a_row_have_nothing_to_lose():
    tables = {
        name: pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
        for name, columns in columns_of(LABEL_LINKS).items()
    }
    assert provenance(tables, LABEL_LINKS).passed


def write(folder: Path, name: str, frame: pl.DataFrame) -> Path:
    path = folder / f"{name}.parquet"
    frame.write_parquet(path)
    return path


def test_a_table_of_an_older_version_breaks_its_contract(tmp_path: Path):
    paths = {"seeds": write(tmp_path, "seeds", seeds({}, {}))}
    of = {"seeds": Seed, "code_seeds": CodeSeed}
    assert contracts(paths, of).passed
    paths["code_seeds"] = write(tmp_path, "code_seeds", code_seeds({}).drop("prelude"))
    failed(contracts(paths, of), "code_seeds: ", "'prelude'", "materialise")


def test_a_row_that_breaks_a_rule_or_a_file_that_is_none_fails(tmp_path: Path):
    broken = seeds({}).with_columns(answer=pl.lit(""))
    failed(
        contracts({"seeds": write(tmp_path, "seeds", broken)}, {"seeds": Seed}), "answer|min_length"
    )
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    failed(contracts({"seeds": tmp_path / "torn.parquet"}, {"seeds": Seed}), "seeds: ")
    failed(contracts({"seeds": tmp_path / "none"}, {"seeds": Seed}), "there is no table seeds")


def test_seeds_and_code_seeds_must_not_share_an_id(tmp_path: Path):
    paths = {
        "seeds": write(tmp_path, "seeds", seeds({"seed_id": "x"})),
        "code_seeds": write(tmp_path, "code_seeds", code_seeds({"seed_id": "x"})),
    }
    of = {"seeds": Seed, "code_seeds": CodeSeed}
    failed(contracts(paths, of), "seeds and code_seeds share 1 of seed_id, as 'x'")


# Budget


def test_a_shard_at_its_limits_passes_and_beyond_one_of_them_fails():
    spent = {"search": work(900, cost=2.0, seconds=60), "labels": work(100, cost=1.0, seconds=30)}
    assert budget(spent, max_tokens=1000, max_cost=3.0, max_seconds=90).passed
    failed(
        budget(spent, max_tokens=999),
        "1,000 tokens, more than checks.max_tokens = 999,",
        "in stage search",
    )
    failed(budget(spent, max_cost=2.5), "a cost of 3.00, more than checks.max_cost = 2.5,")
    failed(
        budget(spent, max_seconds=89),
        "1 min 30 s of the engine, more than checks.max_seconds = 89,",
    )


def test_without_limits_or_without_work_no_budget_fails():
    assert budget({"search": work(10**12)}).passed
    assert budget({}, max_tokens=1).passed


def test_a_budget_that_ended_a_stage_is_a_warning():
    spent = {"search": work(spent=True), "labels": work()}
    finding = cut_short(spent)
    failed(finding, "Search (search);")
    assert not finding.stops
    assert cut_short({"labels": work()}).passed


# All


def test_a_shard_without_a_row_passes_every_share():
    none = rollouts()
    none = none.cast(pl.String)
    traces = pl.DataFrame(schema=dict.fromkeys(("trace_id", "seed_id", "provenance"), pl.String))
    rules = pl.DataFrame(schema=dict.fromkeys(("id", "rule"), pl.String))
    findings = [
        refused(incoming(), max_share=0.0),
        contamination(incoming(), max_share=0.0, required=["gsm8k"]),
        duplicates(incoming(), NOWHERE, max_share=0.0),
        licensing(incoming(), allowed=["MIT"], require_known=True),
        outcome_balance(none, min_pass_rate=1.0, max_pass_rate=1.0),
        unverifiable(none, max_share=0.0),
        truncated(none, max_share=0.0),
        repeats(traces, rules, max_share=0.0),
        agreement(labels(0, agreed=1.0).cast({"agrees": pl.Boolean}), min_share=1.0),
    ]
    assert [finding.name for finding in findings if not finding.passed] == []
    assert all(finding.detail for finding in findings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_refused_share = 1.5", r"checks\.max_refused_share=1\.5"),
        ("min_pass_rate = 0.9\nmax_pass_rate = 0.5", "min_pass_rate=0.9 is above"),
        ("max_cost = 5.0", r"checks\.max_cost=5\.0 needs engine\.price_prompt"),
    ],
)
def test_limits_that_make_no_sense_are_refused(tmp_path: Path, text: str, message: str):
    path = tmp_path / "datagen.toml"
    path.write_text(f"[checks]\n{text}\n")
    with pytest.raises(ConfigError, match=message):
        load_settings(path)


def test_every_check_asks_something():
    assert all(kind.asks.endswith("?") for kind in CHECKS.values())
