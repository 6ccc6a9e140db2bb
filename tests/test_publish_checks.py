"""The manifest of a published folder, and the checks that read it: what is wrong is found."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from datagen.errors import PublishError
from datagen.publish import (
    Check,
    Lineage,
    SeedSource,
    check_repository,
    curation,
    read_manifest,
)
from datagen.publish.configs import CONFIGS
from datagen.publish.manifest import (
    MANIFEST,
    Manifest,
    content_digest,
    documents,
    parse_manifest,
)
from datagen.publish.parquet import sha256_of
from schemas import BenchmarkCheck, Rejection
from tests.published_rows import BOTH, LINEAGE, TABLES, contents, readme, write

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All configs in one folder, which no test may change."""
    return write(tmp_path_factory.mktemp("hub") / "repo", BOTH).folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(written, tmp_path / "repo")


def checks(folder: Path, **options: Any) -> dict[str, Check]:
    return {check.name: check for check in check_repository(folder, **options)}


def failed(folder: Path, **options: Any) -> dict[str, str]:
    found = checks(folder, **options)
    return {name: check.detail for name, check in found.items() if not check.passed}


def rewrite(folder: Path, path: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change the rows of one file, and the manifest and the card so that they fit."""
    manifest = read_manifest(folder)
    config, split = path.split("/")[0], path.split("/")[1].split("-")[0]
    contract = CONFIGS[config].contract
    rows = change(pl.read_parquet(folder / path))
    # On disk integers are wider than in the contract.
    fits = rows.columns == contract.column_names()
    arrow = contract.to_arrow(rows.cast(contract.polars_schema())) if fits else rows.to_arrow()
    pq.write_table(arrow, folder / path, store_schema=False)
    old = manifest.configs[config]
    files = [
        replace(file, sha256=sha256_of(folder / path), rows=rows.height)
        if file.path == path
        else file
        for file in old.splits[split].files
    ]
    counted = replace(old.splits[split], rows=sum(f.rows for f in files), files=tuple(files))
    configs = {**manifest.configs, config: replace(old, splits={**old.splits, split: counted})}
    save(folder, replace(manifest, configs=configs, digest=content_digest(configs)))


def save(folder: Path, manifest: Manifest) -> None:
    card = folder / "README.md"
    old = json.loads((folder / MANIFEST).read_text())["digest"]
    card.write_text(card.read_text("utf-8").replace(old, manifest.digest), "utf-8")
    paths = [folder / document.path for document in manifest.documents]
    text = replace(manifest, documents=documents(folder, paths)).to_json()
    (folder / MANIFEST).write_text(text, "utf-8")


# ---- the manifest


def test_the_manifest_lists_each_file_of_each_split(written: Path) -> None:
    manifest = read_manifest(written)
    listed = {file.path: file for file in (*manifest.data_files, *manifest.documents)}
    found = contents(written)
    assert listed.keys() == found.keys() - {MANIFEST}
    for path, file in listed.items():
        assert (file.size, file.sha256) == (len(found[path]), sha256_of(written / path))
    for name, config in manifest.configs.items():
        assert config.rows == BOTH[name].height
        for split, files in config.splits.items():
            paths = sorted((written / name).glob(f"{split}-*"))
            assert [written / file.path for file in files.files] == paths
            assert files.rows == sum(pq.read_metadata(path).num_rows for path in paths)


def test_the_manifest_says_where_the_data_is_from_and_what_it_was_compared_with(
    tmp_path: Path,
) -> None:
    checked = BenchmarkCheck.from_rows(
        [
            {
                **{"name": "gsm8k", "source": "s", "digest": "d"},
                **{"n_rows": 3, "n_checked": 2, "n_rejected": 1},
            }
        ]
    )
    rejected = Rejection.from_rows(
        [
            {
                **{"id": "q", "rule": "gold", "kind": "question", "seed_id": "q"},
                **{"reason": "So.", "other": None, "score": None, "preview": ""},
            }
        ]
    )
    done = curation(rejected, benchmark_checks=checked)
    lineage = replace(LINEAGE, taxonomy="2")
    manifest = read_manifest(write(tmp_path / "repo", lineage=lineage, curation=done).folder)
    assert (manifest.code_version, manifest.taxonomy) == ("0.1.0", "2")
    assert manifest.licenses == {"MIT": 3}
    assert manifest.review is None
    assert manifest.benchmarks == done.benchmarks
    assert [(c.kind, c.rule, c.n) for c in manifest.rejections or ()] == [("question", "gold", 1)]
    assert read_manifest(write(tmp_path / "other").folder).rejections is None


def test_the_digest_is_of_the_data_and_of_nothing_else(written: Path, tmp_path: Path) -> None:
    lineage = Lineage("e", "m", {"k": 2}, "9.9", created="today", notes=("Hm.",))
    again = write(tmp_path / "again", BOTH, lineage=lineage, title="Other", license="MIT").folder
    assert readme(again) != readme(written)
    assert read_manifest(again).digest == read_manifest(written).digest
    other = {**BOTH, "sft": BOTH["sft"].with_columns(id=pl.col("id") + "!")}
    assert read_manifest(write(again, other).folder).digest != read_manifest(written).digest


def test_the_digest_changes_with_a_file_a_path_and_a_type(written: Path) -> None:
    configs = read_manifest(written).configs
    digest = content_digest(configs)
    assert content_digest(dict(reversed(configs.items()))) == digest
    one = configs["sft"]
    train = one.splits["train"]
    (file,) = train.files
    changed = [
        replace(one, features="0"),
        *(
            replace(one, splits={**one.splits, "train": replace(train, files=(new,))})
            for new in (replace(file, sha256="0"), replace(file, path="sft/x.parquet"))
        ),
    ]
    digests = {content_digest({**configs, "sft": new}) for new in changed}
    assert len(digests | {digest}) == 4


def test_a_manifest_is_read_as_it_was_written(written: Path) -> None:
    text = (written / MANIFEST).read_text("utf-8")
    assert parse_manifest(text, where="x").to_json() == text


def test_a_folder_without_a_manifest_is_no_published_one(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(PublishError, match="is no published dataset"):
            read_manifest(path)
        with pytest.raises(PublishError, match="is no published dataset"):
            check_repository(path)


def test_a_manifest_of_another_format_is_an_error_that_names_it(folder: Path) -> None:
    found = json.loads((folder / MANIFEST).read_text("utf-8"))
    with pytest.raises(PublishError, match=r"format 2, and this datagen reads format 1"):
        parse_manifest(json.dumps(found | {"format": 2}), where="x")
    with pytest.raises(PublishError, match="format None"):
        parse_manifest("[]", where="x")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[:-20], "is damaged"),
        (lambda text: text.replace('"rows"', '"row"', 1), r"configs\.sft\.splits"),
        (lambda text: text.replace('"sha256": "', '"sha256": "0', 1), "its digest is"),
        (lambda text: text.replace('"sft/train', '"../train', 1), r"called '\.\./train"),
        (lambda text: text.replace('"sft/train', '"/sft/train', 1), "called '/sft/train"),
    ],
)
def test_a_damaged_manifest_is_an_error_that_says_where(
    damage: Callable[[str], str], words: str, folder: Path
) -> None:
    path = folder / MANIFEST
    path.write_text(damage(path.read_text("utf-8")), "utf-8")
    with pytest.raises(PublishError, match=words):
        read_manifest(folder)


# ---- the checks


def test_a_folder_as_it_was_written_passes_all_checks(written: Path) -> None:
    found = checks(written, license=None, require_license=True)
    assert list(found) == [
        *("files", "card", "rows", "contracts", "ids", "splits"),
        *("step_labels", "messages", "benchmarks", "license"),
    ]
    assert all(check.passed and check.detail for check in found.values())


def test_checks_of_what_is_not_there_are_left_out(tmp_path: Path) -> None:
    found = checks(write(tmp_path / "repo", {"rl": TABLES["rl"]}).folder)
    assert "step_labels" not in found
    assert "messages" not in found


def test_a_changed_byte_of_the_data_is_found(folder: Path) -> None:
    path = folder / "tags" / "train-00000-of-00001.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert "changed: tags/train-00000-of-00001.parquet" in failed(folder)["files"]


def test_a_lost_file_is_found(folder: Path) -> None:
    (folder / "kto" / "test-00000-of-00001.parquet").unlink()
    found = failed(folder)
    assert "missing: kto/test-00000-of-00001.parquet" in found["files"]
    assert "kto/test has 0 rows, not 1" in found["rows"]
    assert "cannot be read" in found["contracts"]


@pytest.mark.parametrize("name", ["kto/train-00009-of-00010.parquet", "notes.txt", ".secret"])
def test_a_file_that_does_not_belong_there_is_found(name: str, folder: Path) -> None:
    (folder / name).write_text("x")
    assert failed(folder) == {"files": f"not of it: {name}; publish the dataset again"}


def test_an_edited_card_is_found(folder: Path) -> None:
    (folder / "README.md").write_text(readme(folder) + "\nMine.\n", encoding="utf-8")
    assert failed(folder).keys() == {"card"}
    (folder / "README.md").unlink()
    assert "there is no README.md" in failed(folder)["card"]


def test_a_card_of_other_data_is_found(folder: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", TABLES).folder
    shutil.copy(other / "README.md", folder / "README.md")
    assert failed(folder)["card"].startswith("README.md is of other data")


def test_a_changed_picture_is_found(folder: Path) -> None:
    (folder / "figures" / "factors.png").write_bytes(b"x")
    assert "figures/factors.png" in failed(folder)["files"]


def test_a_broken_contract_is_found_in_the_file_that_breaks_it(folder: Path) -> None:
    path = "prm/train-00000-of-00001.parquet"
    rewrite(folder, path, lambda rows: rows.drop("step_scores"))
    found = failed(folder)
    assert found.keys() == {"contracts"}
    assert path in found["contracts"]
    assert "step_scores" in found["contracts"]


def test_an_id_that_two_files_share_is_found(folder: Path) -> None:
    rewrite(
        folder, "sft/test-00000-of-00001.parquet", lambda rows: rows.with_columns(id=pl.lit("t1"))
    )
    assert failed(folder) == {"ids": "sft has several rows of t1; make the data anew"}


def test_a_question_in_two_splits_is_found_even_between_configs(folder: Path) -> None:
    rewrite(
        folder,
        "kto/test-00000-of-00001.parquet",
        lambda rows: rows.with_columns(seed_id=pl.lit("s1")),
    )
    assert "in both: s1" in failed(folder)["splits"]


def test_two_questions_of_one_seed_in_rl_are_found(folder: Path) -> None:
    rewrite(folder, "rl/train-00000-of-00001.parquet", lambda rows: pl.concat([rows, rows[:1]]))
    assert "rl has several rows of s0" in failed(folder)["ids"]


def test_labels_of_one_kind_are_found(tmp_path: Path) -> None:
    good = TABLES["prm"][:1]
    repo = write(tmp_path / "repo", {"prm": good, "prm_verified": TABLES["prm_verified"]})
    assert failed(repo.folder)["step_labels"].startswith("prm has no wrong step;")


def test_a_conversation_without_a_reply_is_found(tmp_path: Path) -> None:
    asked = TABLES["sft"].with_columns(
        messages=pl.col("messages").list.head(1), masked_spans=pl.col("masked_spans").list.head(0)
    )
    repo = write(tmp_path / "repo", {"sft": asked})
    found = failed(repo.folder)
    assert found.keys() == {"messages"}
    assert "has 2 that do not" in found["messages"]


def test_required_benchmarks_must_have_been_compared(written: Path, tmp_path: Path) -> None:
    detail = failed(written, require_benchmarks=["gsm8k", "math-500"])["benchmarks"]
    assert "not compared with gsm8k, math-500" in detail
    checked = BenchmarkCheck.from_rows(
        [
            {
                **{"name": "gsm8k", "source": "s", "digest": "d"},
                **{"n_rows": 3, "n_checked": 2, "n_rejected": 0},
            }
        ]
    )
    folder = write(tmp_path / "repo", curation=curation(benchmark_checks=checked)).folder
    assert failed(folder, require_benchmarks=["gsm8k"]) == {}
    assert "with math-500;" in failed(folder, require_benchmarks=["math-500"])["benchmarks"]


def under(*licenses: str) -> Lineage:
    sources = tuple(SeedSource(f"s{i}", name, 1) for i, name in enumerate(licenses))
    return replace(LINEAGE, sources=sources)


def test_mixed_licences_are_refused_unless_the_card_states_one(tmp_path: Path) -> None:
    mixed = under("MIT", "CC-BY-4.0")
    folder = write(tmp_path / "repo", lineage=mixed).folder
    assert "mixed licences: CC-BY-4.0, MIT" in failed(folder)["license"]
    # Said only now, it is not what the card says.
    assert "publish the dataset again" in failed(folder, license="CC-BY-4.0")["license"]
    write(folder, lineage=mixed, license="CC-BY-4.0")
    assert failed(folder) == failed(folder, license="CC-BY-4.0") == {}
    assert "not 'MIT'" in failed(folder, license="MIT")["license"]


@pytest.mark.parametrize("licenses", [(), ("",), ("unknown",), ("Unknown", "")])
def test_an_unknown_licence_is_refused_where_one_is_required(
    licenses: tuple[str, ...], tmp_path: Path
) -> None:
    folder = write(tmp_path / "repo", lineage=under(*licenses)).folder
    assert "unknown" in failed(folder, require_license=True)["license"]
    write(folder, lineage=under(*licenses), license="MIT")
    assert failed(folder, require_license=True) == {}


def test_an_unknown_licence_passes_where_none_is_required(tmp_path: Path) -> None:
    assert failed(write(tmp_path / "repo", lineage=under("unknown")).folder) == {}
