"""What users add without an edit of ours: an engine, a verifier, factors, a dataset.

The examples of docs/extend.md are run as they stand, all four by one run of the command.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest
from published_rows import ALL, readme, write

from assets.commands.materialize import materialize
from assets.graph import ASSETS
from assets.graph.further import with_further
from assets.parquet_io import ParquetTables
from assets.workspace import Workspace
from datagen.cluster.worker import Worker
from datagen.config import EngineSettings, Settings, load_settings
from datagen.engines.fake import toy_engine
from datagen.engines.registry import open_engine, open_tokenizer
from datagen.errors import ConfigError
from datagen.export import Export
from datagen.own_code import load_own_function
from datagen.publish import check_repository
from datagen.publish.configs import CONFIGS, use_exports
from datagen.seeds import read_seeds
from datagen.verify import VERIFIERS, Outcome, gold_is_parseable, use_verifiers, verify_completion
from datagen.verify.own import OwnVerifier
from datagen.verify.verdict import Verdict, wrong
from schemas import ContractError, Seed, Sft

REPO = Path(__file__).parents[1]
DOCUMENT = REPO / "docs" / "extend.md"
EXAMPLES = REPO / "docs" / "examples" / "extend"
VOTES = {"votes": "votes:VOTES"}


def python(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python where the examples are, as a user who has them in a folder of their own."""
    there = {name: text for name, text in os.environ.items() if not name.startswith("DAGSTER")}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=EXAMPLES,
        env={
            **there,
            "HF_HUB_OFFLINE": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": f"{REPO}{os.pathsep}{EXAMPLES}",
            **variables,
        },
        timeout=600,
    )


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a run with all four examples."""
    folder = tmp_path_factory.mktemp("extended") / "out"
    run = ("-m", "assets", "run", "--config", "datagen.toml", "--out", str(folder))
    done = python(*run, DATAGEN_TAXONOMY=str(EXAMPLES / "factors.toml"))
    assert done.returncode == 0, done.stderr[-3000:]
    (folder.parent / "stdout").write_text(done.stdout)
    return folder


def table(out: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(out / "tables" / f"{name}.parquet")


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder for modules of one's own; what they add is gone afterwards."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    use_verifiers({})
    use_exports({})
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").parent in (EXAMPLES, tmp_path):
            del sys.modules[name]


# ---- the examples, on the real path


@pytest.mark.parametrize("name", ["adder.py", "lengths.py", "factors.toml", "votes.py"])
def test_an_example_has_fewer_than_50_lines_and_stands_in_the_document(name: str) -> None:
    text = (EXAMPLES / name).read_text()
    assert len(text.splitlines()) < 50
    assert text in DOCUMENT.read_text()


@pytest.mark.slow
def test_an_engine_of_ones_own_writes_the_rollouts(out: Path) -> None:
    rollouts = table(out, "rollouts")
    assert set(rollouts["engine"]) == {"adder:1:0.2"}
    assert rollouts.filter(pl.col("n_given_steps") == 0)["prefix_id"].n_unique() == 3
    # Whoever brings a model is not told that it is the toy.
    assert "| model | `adder:Adder` |" in readme(out / "published")
    for told in (readme(out / "published"), (out.parent / "stdout").read_text()):
        assert "embedded reasoner" not in told


@pytest.mark.slow
def test_a_verifier_of_ones_own_tells_right_rollouts_from_wrong_ones(out: Path) -> None:
    assert set(table(out, "seeds")["verifier"]) == {"own:length"}
    rollouts = table(out, "rollouts")
    right = {"2 m 35 cm": "235 cm", "2 m 25 cm": "225 cm", "4 m": "400 cm"}
    for answer, gold, outcome in rollouts.select("answer", "gold", "outcome").iter_rows():
        assert outcome == ("correct" if answer == right[gold] else "wrong")
    assert set(rollouts["outcome"]) == {"correct", "wrong"}
    assert set(table(out, "rl")["extra_info"].struct.field("verifier")) == {"own:length"}
    human = table(out, "traces").filter(provenance="human")
    assert human.select("outcome", "verifier").unique().rows() == [("correct", "own:length")]


@pytest.mark.slow
def test_a_factor_of_ones_own_is_tagged_and_tried_by_the_search(out: Path) -> None:
    tags = table(out, "tags").filter(factor="ConvertUnits")
    assert tags.height and set(tags["taxonomy"]) == {"lengths-1"}
    assert "ConvertUnits" in set(table(out, "nodes")["factor"])


@pytest.mark.slow
def test_a_dataset_of_ones_own_is_published_with_the_others(out: Path, own: Path) -> None:
    import datasets

    rows = pl.concat(
        pl.DataFrame(split.to_list())
        for split in datasets.load_dataset(str(out / "published"), "votes").values()
    ).sort("id")
    assert rows.equals(table(out, "votes").select(rows.columns).sort("id"))
    assert rows["id"].to_list() == ["boards", "ropes", "walk"]
    card = readme(out / "published")
    assert "calibration; the answer of most, and how many gave it" in card
    assert "| `share` | `Float64` | Share of rollouts that gave it. |" in card
    assert "dataset votes" in (out.parent / "stdout").read_text()

    use_exports(VOTES)
    checks = {check.name: check for check in check_repository(out / "published")}
    assert [check for check in checks.values() if not check.passed] == []
    use_exports({})
    checks = {check.name: check for check in check_repository(out / "published")}
    assert (
        "no such config: 'votes'; if it is your own, give the settings"
        in checks["contracts"].detail
    )


@pytest.mark.slow
def test_dagster_loads_the_graph_that_the_settings_file_names() -> None:
    code = """
from assets.definitions import defs
import dagster as dg
graph = defs.resolve_asset_graph()
of = lambda name: sorted(key.to_user_string() for key in graph.get(dg.AssetKey(name)).parent_keys)
print(of("votes"), "votes" in of("published"))
"""
    done = python("-c", code, DATAGEN_CONFIG="datagen.toml")
    assert done.stdout.split("\n")[0] == "['accepted', 'rollouts', 'seeds'] True", done.stderr[
        -2000:
    ]


# ---- verifiers


@pytest.mark.parametrize(
    ("said", "outcome", "reason"),
    [
        (True, "correct", "own:x accepts it"),
        (np.True_, "correct", "own:x accepts it"),
        (False, "wrong", "own:x does not accept it"),
        (None, "unverifiable", "own:x cannot tell"),
        (wrong("7", "too small"), "wrong", "too small"),
        (1.0, "unverifiable", "own:x said '1.0', which is not True, False, None or Verdict"),
        ("yes", "unverifiable", "own:x said \"'yes'\", which is not"),
    ],
)
def test_what_a_function_says_becomes_a_verdict(said: Any, outcome: str, reason: str) -> None:
    verdict = OwnVerifier("own:x", lambda answer, gold: said)("7", "8")
    assert (verdict.outcome, verdict.extracted) == (outcome, "7")
    assert verdict.reason.startswith(reason)


def test_what_a_function_raises_is_unverifiable_with_the_reason(own: Path) -> None:
    use_verifiers({"length": "lengths:same_length"})
    verdict = verify_completion("Answer: 7 ft", "2 m", verifier="own:length")
    assert verdict == Verdict(Outcome.UNVERIFIABLE, "7 ft", "own:length raised KeyError \"'ft'\"")


def test_a_gold_is_usable_if_it_is_its_own_answer_or_the_function_says_so(own: Path) -> None:
    (own / "provers.py").write_text(
        "def proves(proof, theorem):\n    return proof in theorem\n"
        "proves.gold_is_parseable = lambda theorem: theorem.startswith('theorem')\n"
    )
    use_verifiers({"length": "lengths:same_length", "lean": "provers:proves"})
    assert gold_is_parseable("2 m", verifier="own:length")
    assert not gold_is_parseable("two", verifier="own:length")
    assert gold_is_parseable("theorem x", verifier="own:lean")
    assert not gold_is_parseable("x", verifier="own:lean")


def test_own_verifiers_replace_earlier_ones_and_no_built_in_one(own: Path) -> None:
    built_in = set(VERIFIERS)
    use_verifiers({"length": "lengths:same_length"})
    use_verifiers({"math": "lengths:same_length"})
    assert set(VERIFIERS) == built_in | {"own:math"}


def test_a_seed_cannot_name_a_verifier_that_the_settings_do_not(own: Path) -> None:
    _, *good = (EXAMPLES / "seeds.jsonl").read_text().splitlines()
    bad = good[0].replace("own:length", "lengths:same_length").replace("boards", "other")
    path = own / "seeds.jsonl"
    path.write_text("\n".join([*good, bad]))
    use_verifiers({"length": "lengths:same_length"})
    batch = read_seeds(path)
    assert batch.seeds.height == 2
    assert batch.quarantine["reason"].to_list()[0].startswith("verifier is 'lengths:same_length'")
    use_verifiers({})
    with pytest.raises(Exception, match=r"'own:length'; use one of .*name it in seeds\.verifiers"):
        read_seeds(path)
    with pytest.raises(ConfigError, match=r"'own:length'.*seeds\.verifiers.*use_verifiers"):
        verify_completion("7", "7", verifier="own:length")


@pytest.mark.parametrize("name", ["own:", "own:Length", "lengths:same_length", "own:a b"])
def test_a_table_holds_the_form_of_a_verifier_it_does_not_know(name: str, own: Path) -> None:
    use_verifiers({"length": "lengths:same_length"})
    seeds = read_seeds(EXAMPLES / "seeds.jsonl").seeds
    use_verifiers({})
    assert Seed.validate(seeds).equals(seeds)
    with pytest.raises(ContractError, match="verifier"):
        Seed.validate(seeds.with_columns(verifier=pl.lit(name)))


def test_a_worker_knows_the_verifiers_of_its_settings(own: Path) -> None:
    settings = Settings.model_validate({"seeds": {"verifiers": {"length": "lengths:same_length"}}})
    settings = Settings.model_validate_json(settings.model_dump_json())
    seen: list[bool] = []

    def opened(_: Settings) -> Any:
        seen.append("own:length" in VERIFIERS)
        return toy_engine()

    worker = Worker(settings, opened)
    empty = {"prefixes": pl.DataFrame()}
    with pytest.raises(Exception):  # noqa: B017 - there is nothing to search, which comes later
        worker.work("search", empty, settings, own / "journal.sqlite")
    assert seen == [True]


def test_a_step_knows_the_verifiers_of_its_settings(own: Path) -> None:
    settings = Settings.model_validate({"seeds": {"verifiers": {"length": "lengths:same_length"}}})
    seen: list[bool] = []

    @dg.asset(required_resource_keys={"workspace"})
    def judging() -> None:
        seen.append("own:length" in VERIFIERS)

    workspace = Workspace(out=str(own), settings_json=settings.model_dump_json())
    dg.materialize(
        [judging],
        resources={"workspace": workspace, "io_manager": ParquetTables(out=str(own))},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    assert seen == [True]
    traces = next(asset for asset in ASSETS if dg.AssetKey("traces") in asset.keys)
    assert "workspace" in traces.required_resource_keys


# ---- what cannot be used


@pytest.mark.parametrize(
    ("source", "reference", "message"),
    [
        (
            "",
            "nowhere:f",
            r"there is no module 'nowhere'; install its package.*PYTHONPATH",
        ),
        ("", "nowhere.inner:f", r"there is no module 'nowhere'; install"),
        ("", "mylab.inner:f", r"there is no module 'mylab\.inner'; install"),
        ("import nowhere", "mylab:f", r"'mylab' imports 'nowhere', which is not there"),
        ("1 / 0", "mylab:f", r"importing 'mylab' fails with ZeroDivisionError: division by zero"),
        ("def (", "mylab:f", r"importing 'mylab' fails with SyntaxError"),
        ("def g(): ...", "mylab:f", r"the module 'mylab' has no 'f'; it has g"),
        ("f = 7", "mylab:f", r"cannot be called as f\(answer, gold\): 7 is not a callable"),
        ("def f(a): ...", "mylab:f", r"cannot be called as f\(answer, gold\): too many .* give it"),
        ("def f(a, b, c): ...", "mylab:f", r"cannot be called as .* missing a required argument"),
    ],
)
def test_code_that_cannot_be_used_is_an_error_with_setting_value_and_fix(
    own: Path, source: str, reference: str, message: str
) -> None:
    (own / "mylab.py").write_text(source)
    with pytest.raises(ConfigError, match=message) as caught:
        load_own_function("seeds.verifiers.x", reference, "answer", "gold")
    assert str(caught.value).startswith(f"seeds.verifiers.x={reference!r}")


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("engine", {"kind": "abacus"}, r"'abacus'.* transformers, vllm, openai, or .*module:name"),
        ("engine", {"kind": "my lab:open"}, r"name code as \"module:name\""),
        (
            "seeds",
            {"verifiers": {"x": "lengths.same_length"}},
            r"verifiers.x='lengths.same",
        ),
        ("seeds", {"verifiers": {"own:x": "a:b"}}, r"'own:x'.*a to z, 0 to 9 and _"),
        ("export", {"further": {"class": "a:b"}}, r"'class'.*could be one of Python's"),
        ("export", {"further": {"Votes": "a:b"}}, r"'Votes'"),
    ],
)
def test_a_name_of_another_form_is_refused_with_the_settings(
    section: str, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings(None, **{section: values})


@pytest.mark.parametrize(
    "values", [{"seeds": {"verifiers": {"x": "nowhere:f"}}}, {"export": {"further": {"x": "no:f"}}}]
)
def test_a_run_with_code_that_cannot_be_used_does_not_begin(
    values: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="there is no module"):
        materialize(load_settings(None, **values), tmp_path / "out")
    assert not (tmp_path / "out").exists()


ENGINE = """
class Lab:
    fingerprint, batch_size, concurrency, usage = "lab", 1, 1, None
    def __init__(self, settings): self.given = settings
    async def complete(self, requests): ...
    async def choose(self, requests): ...
    async def score(self, requests): ...
    def close(self): ...
"""


def test_an_engine_is_opened_with_its_settings(own: Path) -> None:
    (own / "mylab.py").write_text(ENGINE)
    settings = EngineSettings(kind="mylab:Lab", prompts="instruct", options={"url": "here"})
    engine: Any = open_engine(settings)
    assert engine.given.options == {"url": "here"}
    assert engine.fingerprint == f"lab:{settings.dialect.fingerprint}"
    assert open_tokenizer(settings) is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("def close", "def shut", r"type 'Lab' without close; add what .*protocol\.Engine has"),
        ("usage =", "used =", r"without usage"),
        ("async def choose", "def choose", r"'choose' cannot be awaited; write `async def choose`"),
        ("self, settings", "self", r"engine\.kind='mylab:Lab' cannot be called as Lab\(settings\)"),
    ],
)
def test_an_object_that_is_no_engine_is_refused_when_it_is_opened(
    own: Path, old: str, new: str, message: str
) -> None:
    (own / "mylab.py").write_text(ENGINE.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        open_engine(EngineSettings(kind="mylab:Lab"))


DATASET = """
import dataframely as dy
import polars as pl
from datagen.export import Export
from schemas import Contract

class Row(Contract):
    table = "rows"
    seed_id = dy.String()

def make(seeds): return seeds.select("seed_id")
ROWS = Export(make, Row, "nothing")
"""


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("sft", "", "", r"export\.further names 'sft', which is taken; choose another"),
        ("nodes", "", "", r"'nodes', which is taken"),
        ("published", "", "", r"'published', which is taken"),
        ("figures", "", "", r"'figures', which is taken"),
        ("rows", "ROWS = Export", "ROWS = print", r"of type 'NoneType'; name one .*Export"),
        (
            "rows",
            "make(seeds)",
            "make(seed)",
            r"`make` takes 'seed', which is no table; use shards",
        ),
        ("rows", "make(seeds)", "make(*seeds)", r"`make` takes '\*seeds'; name each table"),
        ("rows", "make(seeds)", "make(seeds=1)", r"`make` has a default for 'seeds'"),
        ("rows", 'table = "rows"', "", r"contract 'Row' has no name; give it `table"),
        ("rows", "seed_id = dy", "id = dy", r"no column 'seed_id', by which rows are split; add"),
        ("rows", "dy.String()", "dy.String(); on = dy.Date()", r"a column of type Date; use Stri"),
    ],
)
def test_a_dataset_that_cannot_be_made_or_published_is_refused_before_the_run(
    own: Path, name: str, old: str, new: str, message: str
) -> None:
    (own / "mylab.py").write_text(DATASET.replace(old, new) if old else DATASET)
    with pytest.raises(ConfigError, match=message):
        with_further(ASSETS, {name: "mylab:ROWS"})


def test_what_is_made_must_be_a_frame_that_keeps_the_contract() -> None:
    with pytest.raises(ConfigError, match=r"an object of type 'list'; return a polars.DataFrame"):
        Export(lambda seeds: [seeds], Sft, "").table({"seeds": 1})  # pyright: ignore
    with pytest.raises(ContractError, match="sft"):
        Export(lambda seeds: seeds, Sft, "").table({"seeds": pl.DataFrame({"a": [1]})})


def test_the_graph_has_datasets_of_ones_own_only_while_they_are_named(own: Path) -> None:
    built_in = list(CONFIGS)
    named = {key: asset for asset in with_further(ASSETS, VOTES) for key in asset.keys}
    votes, published = dg.AssetKey("votes"), dg.AssetKey("published")
    tables = {dg.AssetKey(name) for name in ("seeds", "rollouts", "accepted")}
    assert named[votes].asset_deps[votes] == tables
    assert votes in named[published].asset_deps[published]
    assert list(CONFIGS) == [*built_in, "votes"]
    assert with_further(ASSETS, {}) == ASSETS
    assert list(CONFIGS) == built_in


def test_a_built_in_contract_serves_a_dataset_of_ones_own(own: Path) -> None:
    (own / "mylab.py").write_text(
        "from datagen.export import Export\nfrom schemas import Sft\n"
        "CHATS = Export(lambda traces: traces, Sft, 'fine-tuning in our own style')\n"
    )
    use_exports({"chats": "mylab:CHATS"})
    write(own / "repo", {"chats": ALL["sft"]})
    assert (own / "repo" / "chats").is_dir()
    assert "fine-tuning in our own style" in readme(own / "repo")
    assert all(check.passed for check in check_repository(own / "repo"))


def test_a_dataset_that_has_left_the_settings_leaves_the_folder(own: Path) -> None:
    (own / "mylab.py").write_text(
        "from datagen.export import Export\nfrom schemas import Sft\n"
        "CHATS = Export(lambda traces: traces, Sft, 'x')\n"
    )
    use_exports({"chats": "mylab:CHATS"})
    write(own / "repo", {"sft": ALL["sft"], "chats": ALL["sft"]})
    use_exports({})
    write(own / "repo", {"sft": ALL["sft"]})
    assert not (own / "repo" / "chats").exists()
