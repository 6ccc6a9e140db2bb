"""Publishing to a folder: it is there at all times, and nothing of somebody else's is deleted."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from datagen import files
from datagen.errors import PublishError
from datagen.files import replacing
from datagen.publish import Manifest, check_repository, repository
from tests.published_rows import TABLES, contents, write


def test_a_new_version_replaces_all_of_the_old_one(tmp_path: Path) -> None:
    write(tmp_path / "repo")
    write(tmp_path / "repo", {"prm": TABLES["prm"]})
    assert sorted(contents(tmp_path / "repo")) == [
        "README.md",
        "datagen.json",
        "figures/difficulty.png",
        "prm/train-00000-of-00001.parquet",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["repo"]


def test_a_crash_while_writing_leaves_the_old_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(write(tmp_path / "repo").folder)

    def crash(*_: Any, **__: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(repository, "card", crash)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "repo", {"prm": TABLES["prm"]})
    assert contents(tmp_path / "repo") == before
    assert [path.name for path in tmp_path.iterdir()] == ["repo"]


def test_parents_are_made_and_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "a" / "b"):
        assert write(folder).folder == folder
        assert (folder / "README.md").exists()


def test_a_link_goes_on_pointing_to_the_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "repo")
    write(tmp_path / "repo")
    write(tmp_path / "link", {"prm": TABLES["prm"]})
    assert (tmp_path / "link").is_symlink()
    assert not (tmp_path / "repo" / "sft").exists()


@pytest.mark.parametrize(
    "foreign",
    [
        *("notes.txt", ".git/config", "sft/mine.csv", "prm/old/train-0.parquet", "report.html"),
        *("figures/mine.svg", "sft/mine-00000-of-00001.parquet"),
    ],
)
@pytest.mark.slow
def test_a_folder_with_anything_of_somebody_else_is_refused(foreign: str, tmp_path: Path) -> None:
    write(tmp_path / "repo")
    path = tmp_path / "repo" / foreign
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    with pytest.raises(PublishError, match=f"holds '{foreign.split('/')[0]}'"):
        write(tmp_path / "repo")
    assert path.read_text() == "mine"


@pytest.mark.slow
def test_further_documents_are_listed_and_replaced_and_not_of_the_digest(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain").manifest
    texts = iter(["first", "second"])
    for _ in range(2):
        told: list[str] = []

        def further(manifest: Manifest, told: list[str] = told) -> dict[str, str]:
            told.append(manifest.digest)
            return {"report.html": next(texts)}

        made = write(tmp_path / "repo", further=further)
        assert told == [made.manifest.digest] == [plain.digest]
        assert all(check.passed for check in check_repository(made.folder))
    assert contents(made.folder)["report.html"] == b"second"
    write(tmp_path / "repo")
    assert "report.html" not in contents(made.folder)


def test_a_further_document_that_was_changed_is_found(tmp_path: Path) -> None:
    folder = write(tmp_path / "repo", further=lambda _: {"report.html": "text"}).folder
    (folder / "report.html").write_text("other")
    [failed] = [check for check in check_repository(folder) if not check.passed]
    assert (failed.name, failed.detail.split(";")[0]) == ("files", "changed: report.html")


@pytest.mark.parametrize(
    "name", ["README.md", "datagen.json", "figures", "sft", "a/b.html", "../b.html", ".b", ""]
)
@pytest.mark.slow
def test_a_further_document_needs_a_name_of_its_own(name: str, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="a further document cannot be called"):
        write(tmp_path / "repo", further=lambda _: {name: "text"})
    assert not (tmp_path / "repo").exists()


def test_a_card_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# My project")
    with pytest.raises(PublishError, match=r"holds 'README\.md'"):
        write(tmp_path)


def test_a_dataset_without_our_card_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "repo")
    (tmp_path / "repo" / "README.md").unlink()
    with pytest.raises(PublishError, match=r"holds 'datagen\.json'"):
        write(tmp_path / "repo")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "repo").write_text("")
    with pytest.raises(PublishError, match="is a file"):
        write(tmp_path / "repo")


def fill(folder: Path, text: str) -> None:
    with replacing(folder) as fresh:
        (fresh / "a").write_text(text)
        (fresh / "b").write_text(text)


def test_systems_without_exchange_replace_by_renaming(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_exchange", lambda *_: False)
    for text in ("old", "new"):
        fill(tmp_path / "x", text)
    assert (tmp_path / "x" / "a").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_crash_between_the_two_renames_is_mended_by_the_next_call(tmp_path: Path) -> None:
    fill(tmp_path / "x", "old")
    (tmp_path / "x").rename(tmp_path / ".x.previous")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "x"):
        assert (tmp_path / "x" / "a").read_text() == "old"
        _ = 1 / 0
    assert (tmp_path / "x" / "a").read_text() == "old"


def test_staging_folders_of_killed_processes_are_cleared_once_they_are_old(tmp_path: Path) -> None:
    old, young = tmp_path / ".x.new-1", tmp_path / ".x.new-2"
    for folder in (old, young):
        folder.mkdir()
    os.utime(old, (0, 0))
    fill(tmp_path / "x", "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".x.new-2", "x"]


def test_the_result_is_as_readable_as_any_new_folder(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    fill(tmp_path / "x", "text")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_reader_never_finds_the_folder_missing(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    fill(folder, "0")
    (tmp_path / "y").mkdir()
    if not files._exchange(folder, tmp_path / "y"):
        pytest.skip("this system replaces a folder by two renames")
    fill(folder, "0")
    missing: list[bool] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            missing.append(not folder.exists())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for i in range(100):
        fill(folder, str(i))
    done.set()
    watcher.join()
    assert missing
    assert not any(missing)
