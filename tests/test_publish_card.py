"""The card: what it says is true of the tables, and what it shows works."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from transformers import AutoTokenizer

from datagen.engines.registry import WEIGHTS
from datagen.publish import Lineage, SeedSource, curation, longest_tokens, seed_sources
from datagen.publish.card import MARK
from datagen.publish.licenses import hub_license
from datagen.publish.lineage import code_version
from datagen.verify import verify_completion
from schemas import BenchmarkCheck, CodeThought, Rejection, Seed, Trace, TraceLabel
from tests.published_rows import (
    ALL,
    BOTH,
    CODE_THOUGHTS,
    LINEAGE,
    SEARCHED,
    TABLES,
    UNTRIED,
    Row,
    card_of,
    code_rl,
    code_thought,
    contents,
    readme,
    trace,
    write,
    yaml_of,
)

# ---- lineage and licences


def test_seeds_are_counted_by_source_and_licence() -> None:
    row: Row = {
        "license": "MIT",
        "domain": "math",
        "question": "Q?",
        "thought": "x",
        "steps": ["x"],
        "factors": ["Compute"],
        "answer": "1",
        "verifier": "math",
        "facts": [],
        "meta": "{}",
    }
    sources = ["b", "a", "b"]
    seeds = Seed.from_rows({**row, "seed_id": str(i), "source": s} for i, s in enumerate(sources))
    assert seed_sources(seeds) == (SeedSource("a", "MIT", 1), SeedSource("b", "MIT", 2))


@pytest.mark.parametrize(
    ("licenses", "expected"),
    [
        (["MIT"], ("mit", None)),
        (["CC-BY-SA-4.0"], ("cc-by-sa-4.0", None)),
        ([], ("unknown", None)),
        (["unknown"], ("unknown", None)),
        ([""], ("unknown", None)),
        (["MIT", "CC-BY-4.0"], ("other", "cc-by-4.0-and-mit")),
        (["MIT", ""], ("other", "mit-and-unknown")),
        (["My Company's terms"], ("other", "my-company-s-terms")),
    ],
)
def test_licence_is_one_that_the_hub_knows(licenses: list[str], expected: Any) -> None:
    assert hub_license(licenses) == expected


def test_several_licences_are_all_named_on_the_card(tmp_path: Path) -> None:
    sources = (SeedSource("a", "MIT", 3), SeedSource("b", "CC-BY-4.0", 1))
    lineage = Lineage("e", "m", {}, "1", sources)
    folder = write(tmp_path / "repo", {"rl": TABLES["rl"]}, lineage=lineage).folder
    data = yaml_of(folder)
    assert (data["license"], data["license_name"]) == ("other", "cc-by-4.0-and-mit")
    assert "CC-BY-4.0 (1), MIT (3)" in readme(folder)


def test_card_says_what_the_tables_hold() -> None:
    text = card_of(TABLES)
    for statement in (
        "that step and all behind it are wrong",
        "5 generated and 1 human traces",
        "Steps per trace: median 1.5, at most 4",
        "33.3 % of the 3 that could be decided",
        "Wrong traces: 40.0 % of the generated ones",
        "| wrong | 2 | 40.0 % |",
        "| unverifiable | 1 | 20.0 % |",
        "| Compute | 6 | 50.0 % |",
        "8 in 4 traces, 50.0 % of them wrong",
        "hold a wrong step: 75.0 %",
        "go on after their first wrong step: 1;",
        "Mean pass rate from the bare question: 25.0 % (10 rollouts of 2 questions; "
        "1 never solved, 0 always)",
    ):
        assert statement in text


def test_card_leads_with_the_notes_and_says_where_the_data_came_from() -> None:
    text = card_of(TABLES)
    assert text.index("**toy** model") < text.index("## Configs")
    for statement in ("`fake:0123`", "| setting `c_puct` | `1.5` |", "| gsm.jsonl | MIT | 2 |"):
        assert statement in text
    assert "created" not in text


def test_card_warns_of_silent_truncation_with_the_longest_rows() -> None:
    text = card_of(TABLES, lineage=LINEAGE, longest_tokens={"sft": 1234})
    assert "`max_length=1024`" in text
    # "Q?" and "<Think_Start>…"; the prompt and three times "step n" with a separator.
    assert "| `sft` | 1 | 0 | 16 | 1,234 |" in text
    assert "| `prm` | 1 | 0 | 31 | n/a |" in text
    assert "data.max_length=1234" in text
    assert "| `prm` | 1 | 0 | 31 | process" in card_of(TABLES)


def test_card_shows_how_to_load_each_config_under_the_repository_name() -> None:
    text = card_of(TABLES, lineage=LINEAGE, repo_id="acme/thoughts", title="Thoughts")
    assert "# Thoughts\n" in text
    for name in TABLES:
        assert f'load_dataset("acme/thoughts", "{name}", split="train")' in text
    assert "streaming=True" in text


def test_card_says_nothing_of_configs_that_are_not_there() -> None:
    text = card_of({"rl": TABLES["rl"]}, lineage=Lineage("e", "m", {}, "1"))
    for word in ("step_scores", "thought factor", "SFTTrainer", "`traces`", "`prm`", "DPO("):
        assert word not in text


def test_names_from_outside_cannot_break_the_card(tmp_path: Path) -> None:
    hostile = "a|b\n---\n# <script>`x`"
    sources = (SeedSource(hostile, hostile, 1),)
    lineage = Lineage(hostile, hostile, {hostile: hostile}, hostile, sources, hostile)
    folder = write(tmp_path / "repo", lineage=lineage, title=hostile).folder
    assert yaml_of(folder)["pretty_name"] == hostile
    lines = readme(folder).partition(MARK)[2].splitlines()
    cells = [line.replace("\\|", "").count("|") for line in lines]
    for line, before, here in zip(lines[1:], cells, cells[1:], strict=False):
        assert not (line.startswith("| ") and before) or here == before, line
    assert not any(line.lstrip().startswith("# <") for line in lines)


# ---- the card about what searches and labels give besides


def test_card_counts_what_searches_and_labels_gave() -> None:
    text = card_of(SEARCHED)
    for statement in (
        "(`preference`): 3; 66.7 % of the wrong replies end at the step that spoilt them",
        "(`step_preference`), by kind: 2 factor, 1 replica",
        "(`kto`): 25.0 % of 4",
        "(`policy_value`): 3; visits of each: median 3, at most 9",
        "(`critique`): 3, of which 66.7 % find an error",
        "(`corrections`): 2 splice, 1 attempts; by wrong attempts in them: 2 with 1, 1 with 3",
        "who named the factor: 2 native, 1 classifier; 33.3 % are too unsure to be used unseen",
    ):
        assert statement in text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("corrections", "there `step_roles` says what each step is there for"),
        ("preference", "share stand in both"),
        ("preference", 'Mask it, or make the data with `export.wrong_ends_at = "answer"`'),
        ("kto", 'Mask it, or make the data with `export.wrong_ends_at = "answer"`'),
        ("step_preference", "without a chat template"),
        ("advantages", "a null is not a zero"),
        ("policy_value", "split what you hold out by `seed_id`"),
        ("orm", "the label is of the final answer"),
        ("processbench", "and people's only where they reviewed it"),
        ("critique", "the verdict is checked and the analysis is not"),
        ("rubric_rewards", "Never mix these with verified rewards"),
    ],
)
def test_card_tells_trainers_of_each_config_and_of_no_other(name: str, words: str) -> None:
    assert words in card_of({name: SEARCHED[name]})
    assert words not in card_of(TABLES)


@pytest.mark.parametrize("name", ["sft", "sft_plain"])
def test_card_tells_those_who_fine_tune_to_mask_what_is_taken_back(name: str) -> None:
    words = "mask the loss on these characters of the reply"
    assert words in card_of({name: TABLES[name]})
    assert words not in card_of({"prm": TABLES["prm"]})


def test_card_names_the_version_of_the_taxonomy_where_there_is_one() -> None:
    line = "| taxonomy of thought factors | `mylab-1` |"
    assert line in card_of(TABLES, lineage=replace(LINEAGE, taxonomy="mylab-1"))
    assert "taxonomy" not in card_of(TABLES)


# ---- the card about code


def test_card_says_how_thoughts_about_code_fared() -> None:
    text = card_of({"code_thoughts": CODE_THOUGHTS})
    for statement in (
        "Thoughts that lead to programs, written back from the programs",
        "| model | 1 | 100.0 % | 2 |",
        "| grounded | 1 | 0.0 % | 1 |",
        "| narrator | 1 | 100.0 % | 1 |",
        "| holds | 4 | 80.0 % | 5 | 62.5 % |",
        "| contradicted | 0 | 0.0 % | 2 | 25.0 % |",
        "| uncheckable | 1 | 20.0 % | 1 | 12.5 % |",
        "Rows with a contradicted claim: 50.0 %",
        "Verified rows: 50.0 %",
        # (1/4 + 3/4 + 4/4) / 3: the thought without round trips is not counted as a failure.
        "pass the tests: 66.7 % on average; from the question alone: 25.0 %;",
        "which is the difference: +0.42 (3 rows)",
    ):
        assert statement in text
    assert "verify_completion" not in text


def test_card_says_nothing_of_round_trips_that_were_not_made() -> None:
    untried = CodeThought.from_rows([code_thought("k1", "narrator", 0, "holds", **UNTRIED)])
    text = card_of({"code_thoughts": untried})
    assert "| narrator | 1 | 100.0 % | 1 |" in text
    assert "on average" not in text


def test_card_counts_thoughts_without_any_claim() -> None:
    silent = CodeThought.from_rows([code_thought("k1", "narrator", 0)])
    assert "| holds | 0 | n/a | 0 | n/a |" in card_of({"code_thoughts": silent})


def test_the_reward_that_the_card_shows_judges_words_and_runs_code() -> None:
    every = pl.concat([TABLES["rl"], code_rl(3)])
    snippet = next(text for text in blocks(card_of({"rl": every}), "python") if "GRPO" in text)
    definition = snippet[snippet.index("def verified") : snippet.index("\nGRPOTrainer")]
    names: dict[str, Any] = {"verify_completion": verify_completion}
    exec(definition, names)
    row = code_rl(3).row(1, named=True)
    asked = {name: [row[name]] * 3 for name in ("reward_model", "extra_info")}
    replies = [[{"content": answer}] for answer in ("[1]", "[2]", "no idea")]
    assert names["verified"](replies, **asked, prompts=[]) == [1, 0, 0]


def test_card_shows_no_reward_by_running_code_where_no_question_is_about_code() -> None:
    text = card_of({"rl": TABLES["rl"], "code_thoughts": CODE_THOUGHTS})
    assert "## Code\n" in text
    assert "ability" not in text.partition("## Code\n")[2].partition("\n## ")[0]


def test_traces_about_code_do_not_enter_the_pass_rate_of_generated_ones() -> None:
    about_code = trace("k2", "correct", "SimulateExecution") | {"rollout_id": None}
    walk = trace("w1", "correct", "Answer", by="code") | {"rollout_id": None}
    added = Trace.from_rows([about_code, walk])
    text = card_of({"traces": pl.concat([TABLES["traces"], added])})
    assert "5 generated and 1 human traces, and 2 about code" in text
    assert "33.3 % of the 3 that could be decided" in text


# ---- the card about trainers


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_every_snippet_is_python_and_names_only_configs_that_are_there() -> None:
    every = card_of({**ALL, "rl": pl.concat([ALL["rl"], code_rl(3)])})
    for snippet in blocks(every, "python"):
        compile(snippet, "card", "exec")
    for trainer in ("SFTTrainer", "DPOTrainer", "KTOTrainer", "GRPOTrainer", "main_ppo", "@rl"):
        assert trainer in every
    alone = card_of({"kto": ALL["kto"]})
    assert "KTOConfig, KTOTrainer\n" in alone
    for absent in ("SFT(", "GRPOTrainer", "### verl", "### OpenRLHF", "### Transformers"):
        assert absent not in alone


def test_trainers_that_read_files_are_given_the_files_of_both_splits(tmp_path: Path) -> None:
    text = readme(write(tmp_path / "repo", BOTH, max_bytes_per_file=2000).folder)
    for split, option in (("train", "train_files"), ("test", "val_files")):
        files = re.findall(rf"data\.{option}='\[(rl/.*?)\]'", text)[0].split(",")
        assert len(files) == len(list((tmp_path / "repo" / "rl").glob(f"{split}-*")))
        assert all((tmp_path / "repo" / file).exists() for file in files)


def test_the_encoding_of_step_labels_that_the_card_shows_puts_one_label_on_each_step() -> None:
    snippet = next(text for text in blocks(card_of(TABLES), "python") if "def ids_of" in text)
    definition = snippet[snippet.index("def ids_of") : snippet.index("rows = ")]
    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS)
    names: dict[str, Any] = {"tokenizer": tokenizer}
    exec(definition, names)
    row = TABLES["prm"].row(2, named=True)
    encoded = names["encode"](row)
    ends = [i for i, label in enumerate(encoded["labels"]) if label != -100]
    assert [encoded["labels"][i] for i in ends] == [0, 1, 0]
    assert len(encoded["input_ids"]) == len(encoded["labels"]) == ends[-1] + 1
    for n, end in enumerate(ends):
        assert tokenizer.decode(encoded["input_ids"][: end + 1]).rstrip().endswith(f"{n}")


def test_the_reward_that_the_card_shows_for_verl_judges_an_answer() -> None:
    snippet = next(text for text in blocks(card_of(TABLES), "python") if "compute_score" in text)
    names: dict[str, Any] = {}
    exec(snippet, names)
    info = {"verifier": "numeric"}
    rewards = [names["compute_score"]("x", text, "18", info) for text in ("18", "19")]
    assert rewards == [1.0, 0.0]


def test_tokens_are_those_of_the_longest_row_of_each_config() -> None:
    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS)
    found = longest_tokens({**BOTH, "kto": ALL["kto"].clear()}, tokenizer)
    assert list(found) == [name for name in BOTH if name != "kto"]
    assert all(n > 0 for n in found.values())
    # Both replies share the prompt, and the rejected one is the longer.
    pair = ALL["step_preference"].row(0, named=True)
    longest = max(pair["chosen"], pair["rejected"], key=len)
    assert found["step_preference"] >= len(tokenizer(pair["prompt"] + longest)["input_ids"])
    long = ALL["tags"].with_columns(text=pl.lit("1 + 1 = 2 . " * 500))
    assert longest_tokens({"tags": long}, tokenizer)["tags"] >= 2500


# ---- the card about how far the data can be trusted


def label(trace_id: str, mass: float, first_error: int, judged: int | None) -> Row:
    agrees = None if judged is None else judged == first_error
    rest = (1 - mass) / 2
    p = [mass if i == first_error else rest for i in (0, 1, -1)]
    return {
        "trace_id": trace_id,
        "seed_id": "s1",
        "outcome": "wrong",
        "n_steps": 2,
        "n_rollouts": 4,
        "n_tokens": 40,
        "first_error": first_error,
        "first_error_mass": mass,
        "no_error_mass": p[-1],
        "p_first_error": p,
        "judge_first_error": judged,
        "judge_share": None if judged is None else 1.0,
        "n_votes": 0 if judged is None else 1,
        "agrees": agrees,
        "verified": bool(agrees) and mass >= 0.5,
        "review_rank": None if agrees and mass >= 0.5 else 0,
    }


def test_card_says_how_often_judges_agree_and_how_sure_the_rollouts_were() -> None:
    unsure = [label(f"a{i}", 0.4, 0, 0 if i < 4 else 1) for i in range(20)]
    sure = [label(f"b{i}", 0.9, 1, 1 if i < 18 else 0) for i in range(20)]
    unjudged = [label(f"c{i}", 0.7, 0, None) for i in range(10)]
    labels = TraceLabel.from_rows([*sure, *unjudged, *unsure])
    text = card_of(TABLES, curation=curation(trace_labels=labels))
    for statement in (
        "rollouts have measured: 50",
        "came to a verdict: 80.0 %",
        "or both none: 55.0 %",
        "36.0 % of all measured",
        "| 20 | 0.40 | 0.20 |",
        "| 20 | 0.90 | 0.90 |",
        "Mean gap of the two: 0.10.",
    ):
        assert statement in text


def test_card_shows_no_calibration_where_no_judge_came_to_a_verdict() -> None:
    labels = TraceLabel.from_rows([label("a", 0.4, 0, None)])
    text = card_of(TABLES, curation=curation(trace_labels=labels))
    assert "came to a verdict: 0.0 %" in text
    assert "Mean gap" not in text
    assert "No trace of this run was measured" in card_of(TABLES)


def test_card_says_plainly_that_the_data_was_compared_with_nothing() -> None:
    text = card_of(TABLES, curation=curation())
    assert "**The questions were compared with no benchmark.**" in text
    assert "`curation.benchmarks`" in text


def test_card_lists_the_benchmarks_that_the_questions_were_compared_with() -> None:
    checks = BenchmarkCheck.from_rows(
        [
            {
                "name": name,
                "source": f"hub/{name}@1",
                "digest": "0",
                "n_rows": n_rows,
                "n_checked": 1000,
                "n_rejected": n_rejected,
            }
            for name, n_rows, n_rejected in (("math-500", 500, 0), ("gsm8k", 1319, 7))
        ]
    )
    text = card_of(TABLES, curation=curation(benchmark_checks=checks))
    first, second = "| gsm8k | hub/gsm8k@1 | 1,319 | 1,000 | 7 |", "| math-500 | hub/math-500@1 |"
    assert text.index(first) < text.index(second)
    assert "no benchmark" not in text


def rejection(name: str, rule: str, kind: str) -> Row:
    row = {"id": name, "rule": rule, "kind": kind, "seed_id": "s1", "reason": "So.", "preview": ""}
    return row | {"other": None, "score": None}


def test_card_counts_what_was_left_out_by_rule_and_kind() -> None:
    questions = Rejection.from_rows(
        [
            rejection("s2", "gold", "question"),
            rejection("s2", "length", "question"),
            rejection("s3", "length", "question"),
        ]
    )
    traces = Rejection.from_rows([rejection("t9", "near_duplicate", "trace")])
    text = card_of(TABLES, curation=curation(questions, traces))
    for statement in (
        "2 questions and 1 traces",
        "| questions | `gold` | a gold answer that no verifier can read | 1 |",
        "| questions | `length` | too short or too long | 2 |",
        "| traces | `near_duplicate` | almost the same as another | 1 |",
    ):
        assert statement in text


def test_card_tells_data_that_lost_nothing_from_data_that_was_not_curated() -> None:
    assert "No question and no trace was left out" in card_of(TABLES, curation=curation())
    assert "was not curated" in card_of(TABLES)


def test_card_says_how_hard_the_questions_are_in_each_split(tmp_path: Path) -> None:
    text = readme(write(tmp_path / "repo", BOTH).folder)
    assert "| medium: 0.3 to 0.7 | 1 | 0 |" in text
    assert re.search(r"\| not measured \| \d+ \| 1 \|", text)


# ---- pictures


def test_the_card_shows_the_pictures_that_are_beside_it(tmp_path: Path) -> None:
    folder = write(tmp_path / "repo", BOTH).folder
    shown = re.findall(r"!\[.+?\]\((.+?)\)", readme(folder))
    assert shown == ["figures/factors.png", "figures/difficulty.png"]
    for path in shown:
        assert (folder / path).read_bytes().startswith(b"\x89PNG")


def test_there_is_no_picture_of_what_the_data_does_not_have(tmp_path: Path) -> None:
    folder = write(tmp_path / "repo", {"code_thoughts": CODE_THOUGHTS}).folder
    assert not (folder / "figures").exists()
    assert "figures/" not in readme(folder)


def test_a_factor_with_a_dollar_sign_is_drawn(tmp_path: Path) -> None:
    rows = Trace.from_rows([trace("t1", "correct", "Buy$1$", "Sell$")])
    folder = write(tmp_path / "repo", {"traces": rows}).folder
    assert "figures/factors.png" in contents(folder)


# ---- lineage


def test_card_says_how_the_model_was_asked_and_what_the_digest_is() -> None:
    text = card_of(TABLES, lineage=replace(LINEAGE, prompts="instruct-1-0a1b2c3d"))
    assert "| prompts | `instruct-1-0a1b2c3d` |" in text
    assert "| SHA-256 of the data | `0123` |" in text
    assert "prompts" not in card_of(TABLES).partition("## Lineage")[2]


def test_code_version_names_the_package_and_in_a_checkout_the_commit() -> None:
    is_checkout = (Path(__file__).parents[1] / ".git").exists()
    commit = r" \([0-9a-f]{7,}(-dirty)?\)" if is_checkout else ""
    assert re.fullmatch(rf"datagen [0-9.]+{commit}", code_version())


def test_the_licence_of_the_whole_stands_on_the_card_beside_those_of_the_seeds(
    tmp_path: Path,
) -> None:
    sources = (SeedSource("a", "MIT", 3), SeedSource("b", "CC-BY-4.0", 1))
    lineage = Lineage("e", "m", {}, "1", sources)
    repo = write(tmp_path / "repo", lineage=lineage, license="CC-BY-4.0")
    assert yaml_of(repo.folder)["license"] == "cc-by-4.0"
    assert "The whole is published under: CC-BY-4.0." in readme(repo.folder)
    assert "CC-BY-4.0 (1), MIT (3)" in readme(repo.folder)
    assert repo.manifest.license == "CC-BY-4.0"
