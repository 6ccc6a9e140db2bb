import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hub_client import OWNER, environment, write_dataset
from hub_server import HubServer, User

from assets.commands.publish import publish as command
from datagen.errors import PublishError
from datagen.publish.transfer.target import Target, parse_target, publish

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("publish")


@pytest.fixture(scope="module")
def data(base: Path) -> Path:
    """Question 0 in test, 1 and 2 in train; ``sft`` has two train files."""
    return write_dataset(base / "data")


@pytest.fixture(scope="module")
def changed(base: Path) -> Path:
    """One other question, in train."""
    return write_dataset(base / "changed", n_rows=1, first=7)


@pytest.fixture
def there(data: Path, tmp_path: Path) -> Path:
    """A folder to which ``data`` was published."""
    publish(data, tmp_path / "there")
    return tmp_path / "there"


@pytest.fixture(scope="module")
def hub(base: Path) -> Iterator[HubServer]:
    with HubServer(base / "server", {OWNER: User("ann")}) as hub:
        yield hub


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def run(*arguments: str | Path) -> str:
    """What the command prints; its errors are raised."""
    done = CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


# Targets


@pytest.mark.parametrize(
    "text", ["./x", "../x", "/x/y", "x/", "a/b/", "file:a/b", ".", "there/already"]
)
def test_a_path_is_a_folder(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there/already").mkdir(parents=True)
    assert parse_target(text) == Target(folder=Path(text.removeprefix("file:")))


def test_the_home_folder_is_found() -> None:
    assert parse_target("~/x") == Target(folder=Path.home() / "x")


@pytest.mark.parametrize("text", ["acme/data", "hub:there/already"])
def test_a_name_with_its_owner_is_on_the_hub(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there/already").mkdir(parents=True)
    assert parse_target(text) == Target(repo_id=text.removeprefix("hub:"))


@pytest.mark.parametrize("text", ["", "data", "a/b/c", "hub:data", "file:", "https://x.org/a/b"])
def test_what_is_neither_is_an_error_with_the_fix(text: str) -> None:
    with pytest.raises(PublishError, match=r"owner/name .*\./"):
        parse_target(text)


# Folders


def test_a_folder_becomes_what_is_published(data: Path, tmp_path: Path) -> None:
    done = publish(data, tmp_path / "new" / "there")
    assert done.changed and done.commit is None and done.tag is None
    assert files(tmp_path / "new" / "there") == files(data)
    assert done.load == f"load_dataset({str(tmp_path / 'new' / 'there')!r}, 'sft')"


def test_a_folder_that_is_equal_is_not_written(data: Path, there: Path) -> None:
    def state() -> list[tuple[int, int]]:
        found = (path.stat() for path in (there, *sorted(there.rglob("*"))))
        return [(path.st_ino, path.st_mtime_ns) for path in found]

    before = state()
    assert not publish(data, there).changed
    assert state() == before


def test_files_of_others_stay_in_a_folder_and_stale_ones_of_ours_go(
    changed: Path, there: Path
) -> None:
    (there / ".git").mkdir()
    (there / ".git" / "config").write_text("mine")
    (there / "notes.md").symlink_to("README.md")
    (there / "empty").mkdir()
    publish(changed, there)
    kept = {".git/config": b"mine", "notes.md": (changed / "README.md").read_bytes()}
    assert files(there) == files(changed) | kept
    assert (there / "notes.md").is_symlink() and (there / "empty").is_dir()
    assert sorted(path.name for path in there.parent.iterdir()) == ["there"]


def test_a_copy_that_fails_leaves_the_folder_as_it_was(
    changed: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(there)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr("datagen.publish.transfer.target.shutil.copyfile", full)
    with pytest.raises(PublishError, match="No space left on device"):
        publish(changed, there)
    assert files(there) == before
    assert sorted(path.name for path in there.parent.iterdir()) == ["there"]


def test_a_folder_of_others_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Mine")
    with pytest.raises(PublishError, match="datagen did not publish"):
        publish(data, tmp_path)
    assert files(tmp_path) == {"README.md": b"# Mine"}


def test_a_file_of_others_where_one_of_ours_belongs_is_refused(
    data: Path, changed: Path, tmp_path: Path
) -> None:
    publish(changed, tmp_path)
    (tmp_path / "sft" / "test-00000-of-00001.parquet").write_text("mine")
    with pytest.raises(PublishError, match="would be replaced"):
        publish(data, tmp_path)


def test_the_published_folder_itself_is_no_target(data: Path) -> None:
    for target in (data, data / "inside", data.parent):
        with pytest.raises(PublishError, match="give another"):
            publish(data, target)


def test_a_manifest_may_delete_nothing_outside_its_folder(data: Path, there: Path) -> None:
    outside = there.parent / "mine.txt"
    outside.write_text("mine")
    manifest = there / "datagen.json"
    manifest.write_text(manifest.read_text().replace("figures/difficulty.png", "../mine.txt"))
    publish(data, there)
    assert outside.read_text() == "mine"


def test_a_manifest_of_another_format_counts_as_none(data: Path, there: Path) -> None:
    manifest = there / "datagen.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 0'))
    done = publish(data, there)
    assert all(split.before is None for split in done.plan.splits)
    assert files(there) == files(data)


def test_a_folder_that_was_edited_is_not_published(data: Path, tmp_path: Path) -> None:
    broken = write_dataset(tmp_path / "broken")
    (broken / "prm" / "train-00000-of-00001.parquet").write_bytes(b"")
    (broken / "stray.txt").write_text("x")
    with pytest.raises(PublishError, match=r"not fit to be published: files: .*changed: prm/train"):
        publish(broken, tmp_path / "there")
    assert not (tmp_path / "there").exists()


# The command


def test_the_command_shows_the_plan_and_the_result(
    data: Path, changed: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    lines = [line.split() for line in run("--from", changed, "--to", there).splitlines()]
    size = (changed / "sft" / "train-00000-of-00001.parquet").stat().st_size
    assert ["sft", "train", "2", "1", "-1", "1", f"{size:,}"] in lines
    assert ["sft", "test", "1", "-1", "0", "0"] in lines
    assert ["delete", "sft/test-00000-of-00001.parquet"] in lines
    assert ["Published:", str(there)] in lines
    again = run("--from", changed, "--to", there)
    assert f"Everything is there already: {there}" in again
    assert ["sft", "train", "1", "1", "same"] in [line.split()[:5] for line in again.splitlines()]
    assert f"Load it: load_dataset('{there}', 'sft')" in again


def test_a_dry_run_changes_no_folder(data: Path, changed: Path, there: Path) -> None:
    before = files(there)
    assert "dry run" in run("--from", changed, "--to", there, "--dry-run")
    assert files(there) == before
    run("--from", changed, "--to", there.parent / "new", "--dry-run")
    assert not (there.parent / "new").exists()


def test_the_output_folder_is_published_where_the_settings_say(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    Path("out/published").symlink_to(data)
    Path("datagen.toml").write_text("[publish]\nto = './there'\nprivate = true\n")
    run("--config", "datagen.toml")
    monkeypatch.setenv("DATAGEN_CONFIG", "datagen.toml")
    assert "Everything is there already" in run()
    assert files(tmp_path / "there") == files(data)


def test_what_must_hold_is_read_from_the_settings(data: Path, tmp_path: Path) -> None:
    settings = tmp_path / "datagen.toml"
    settings.write_text("[publish]\nmin_reviewed_share = 0.5\nrequire_benchmarks = ['gsm8k']\n")
    with pytest.raises(PublishError, match=r"benchmarks: .*gsm8k.* review: "):
        run("--from", data, "--to", tmp_path / "there", "--config", settings)


def test_without_a_target_the_command_says_how_to_give_one(data: Path) -> None:
    with pytest.raises(PublishError, match=r"give --to DIR .* publish\.to"):
        run("--from", data)


@pytest.mark.parametrize("option", ["--private", "--public", "--gated=auto", "--tag=v1"])
def test_options_of_the_hub_are_refused_for_a_folder(
    data: Path, tmp_path: Path, option: str
) -> None:
    with pytest.raises(PublishError, match=f"^{option.replace('ublic', 'rivate').split('=')[0]} "):
        run("--from", data, "--to", f"{tmp_path}/there", option)


def test_the_command_publishes_to_the_hub(data: Path, hub: HubServer, tmp_path: Path) -> None:
    options = ["--private", "--gated", "manual", "--tag", "v1"]
    done = subprocess.run(
        [sys.executable, "-m", "assets", "publish", "--from", data, "--to", "ann/data", *options],
        capture_output=True,
        text=True,
        env=environment(hub.url, tmp_path, token=OWNER),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    repo = hub.repos["ann/data"]
    assert (repo.private, repo.gated, repo.tags) == (True, "manual", {"v1": repo.commits[-1].oid})
    assert f"{hub.url}/datasets/ann/data/commit/{repo.commits[-1].oid}" in done.stdout
    assert "Tag: v1" in done.stdout and "revision='v1'" in done.stdout
    assert "visibility: private" in done.stdout
    assert done.stderr == ""


def test_without_network_folders_are_published_and_the_hub_is_refused_in_one_line(
    data: Path, tmp_path: Path
) -> None:
    script = """
import sys
from pathlib import Path
from datagen.publish.transfer.target import publish
publish(Path(sys.argv[3]), "./there")
from assets.cli import main
main()
"""
    arguments = ["publish", "--from", str(data), "--to", "ann/data"]
    env = environment("http://127.0.0.1:9", tmp_path, token=OWNER) | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        env=env,
        cwd=tmp_path,
    )
    assert files(tmp_path / "there") == files(data)
    assert done.returncode == 1
    assert done.stderr == (
        "error: cannot publish to 'ann/data': HF_HUB_OFFLINE is set; unset it, or give a folder\n"
    )
