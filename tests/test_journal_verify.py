"""Verify, repair and export: damage is found, the good is saved, and nothing is ever deleted."""

import contextlib
import os
import random
import sqlite3
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from assets.cli import cli, main
from datagen.engines.protocol import (
    Answer,
    Chat,
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Evaluation,
    EvaluationRequest,
    Message,
    Request,
    Sampling,
    Score,
    ScoreRequest,
)
from datagen.errors import JournalError
from datagen.journal import Journal, journal_key
from datagen.journal.codec import Entry, checksum
from datagen.journal.compaction import compact
from datagen.journal.examine import Count, verify
from datagen.journal.export import export_completions
from datagen.journal.repair import repair
from datagen.journal.segments import folder_of
from datagen.traces.model import Trace

Answered = list[tuple[Request, Answer]]
PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def batch(start: int, n: int) -> Answered:
    return [
        (
            CompletionRequest(f"prompt {i // 4} " * 20, Sampling(), i),
            Completion(f"answer {i} " * 40, "stop", (-0.5, -0.25), (3, 9 + i)),
        )
        for i in range(start, start + n)
    ]


OTHERS: Answered = [
    (ChoiceRequest("p", ("x", "y")), Choice((0.25, 0.5))),
    (ScoreRequest("p", "text"), Score((-0.5,), (4,))),
    (EvaluationRequest(Trace("q"), "guide"), Evaluation(0.25)),
]


def expected(answered: Answered) -> dict[str, Answer]:
    return {journal_key("engine", request): answer for request, answer in answered}


def filled(path: Path, answered: Answered, engine: str = "engine") -> Path:
    with Journal(path) as journal:
        for start in range(0, len(answered), 50):
            journal.append(engine, answered[start : start + 50])
    return path


def found(path: Path, answered: Answered) -> dict[str, Answer]:
    with Journal(path, read_only=True) as journal:
        return journal.look_up(list(expected(answered)))


def change(path: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(statement)
        db.commit()


def overwrite(path: Path, page: int) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(b"\xff" * PAGE)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file's bytes; not the empty log that SQLite leaves after reading."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.suffix != ".sqlite-shm"]
    return {file.name: data for file in files if (data := file.read_bytes())}


# ---- verify


def test_a_good_journal_is_counted_by_engine_and_kind(path: Path) -> None:
    filled(path, batch(0, 60))
    compact(path)
    filled(path, [*batch(60, 10), *OTHERS])
    filled(path, batch(0, 5), engine="other")
    report = verify(path)
    assert report.ok and report.damage == []
    assert report.counts == (
        Count("engine", "choice", 1, 0),
        Count("engine", "completion", 70, 140),
        Count("engine", "evaluation", 1, 0),
        Count("engine", "score", 1, 0),
        Count("other", "completion", 5, 10),
    )
    assert (report.n_entries, report.n_tokens, report.n_segments) == (78, 150, 1)
    (segment,) = folder_of(str(path)).glob("*.parquet")
    assert report.n_bytes == path.stat().st_size + segment.stat().st_size


def test_verify_changes_nothing(path: Path) -> None:
    compact(filled(path, batch(0, 60)))
    filled(path, batch(60, 10))
    before = snapshot(path.parent)
    verify(path)
    assert snapshot(path.parent) == before


def test_a_journal_can_be_examined_while_a_run_writes_to_it(path: Path) -> None:
    with Journal(path) as journal:
        journal.append("engine", batch(0, 20))
        assert verify(path).n_entries == 20
        journal.append("engine", batch(20, 20))
        assert verify(path).n_entries == 40


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE answers SET text = x'00' WHERE id = 5", "checksum does not match"),
        ("UPDATE answers SET n_tokens = 'many' WHERE id = 5", "checksum does not match"),
        ("UPDATE answers SET engine_id = 9 WHERE id = 5", "checksum does not match"),
        ("UPDATE prompts SET text = text || x'20' WHERE id = 2", "its prompt is damaged"),
    ],
)
def test_a_damaged_entry_is_named(path: Path, statement: str, fault: str) -> None:
    change(filled(path, batch(0, 20)), statement)
    report = verify(path)
    assert not report.ok
    assert any(fault in damage for damage in report.damage)
    (key,) = list(expected(batch(4, 1)))
    assert any(key in damage for damage in report.damage)
    assert report.n_entries + report.n_damaged == 20


def test_an_answer_to_another_request_is_found_by_its_key(path: Path) -> None:
    """Every checksum is right, but the key is not that of the request."""
    filled(path, batch(0, 20))
    with contextlib.closing(sqlite3.connect(path)) as db:
        row = db.execute(
            "SELECT key, fingerprint, hash, kind, request, finish, answers.text, n_tokens, "
            "logprobs, ends FROM answers JOIN engines e ON e.id = engine_id "
            "JOIN prompts p ON p.id = prompt_id WHERE answers.id = 5"
        ).fetchone()
        entry = Entry(*row)._replace(request=b'[{"temperature":0.0},1]')
        update = "UPDATE answers SET request = ?, checksum = ? WHERE id = 5"
        db.execute(update, [entry.request, checksum(entry)])
        db.commit()
    report = verify(path)
    assert report.damage == [f"entry {entry.key.hex()}: its key is not that of its request"]


def test_many_damages_are_counted_and_some_are_shown(path: Path) -> None:
    change(filled(path, batch(0, 100)), "UPDATE answers SET checksum = 0")
    report = verify(path)
    assert report.n_damaged == 100
    assert len(report.damage) == 20


@pytest.mark.parametrize("harm", ["flip", "cut", "delete"])
def test_a_damaged_segment_is_found(path: Path, harm: str) -> None:
    done = compact(filled(path, batch(0, 60)))
    assert done.path is not None
    data = bytearray(done.path.read_bytes())
    match harm:
        case "flip":
            data[len(data) // 3] ^= 1
            done.path.write_bytes(data)
        case "cut":
            done.path.write_bytes(data[:-100])
        case _:
            done.path.unlink()
    report = verify(path)
    assert not report.ok
    assert done.path.name in report.damage[0]


def test_what_is_no_journal_is_an_error_and_no_report(path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal"):
        verify(path)
    path.write_text("seed_id,question\n" * 500)
    for command in (verify, repair):
        with pytest.raises(JournalError, match="is no journal"):
            command(path)
    path.unlink()
    change(path, "CREATE TABLE t (a)")
    before = path.read_bytes()
    for command in (verify, repair):
        with pytest.raises(JournalError, match=r"name another file|is no journal"):
            command(path)
    assert path.read_bytes() == before


# ---- repair


@pytest.mark.slow
def test_wherever_a_page_is_lost_what_is_saved_is_right_and_most_is_saved(tmp_path: Path) -> None:
    answered = batch(0, 300)
    whole = filled(tmp_path / "whole", answered).read_bytes()
    n_pages = len(whole) // PAGE
    shares: list[float] = []
    for page in range(2, n_pages + 1):
        path = tmp_path / str(page) / "journal"
        path.parent.mkdir()
        path.write_bytes(whole)
        overwrite(path, page)
        damaged = path.read_bytes()
        assert not verify(path).ok
        done = repair(path)
        assert verify(path).ok
        saved = found(path, answered)
        assert saved.items() <= expected(answered).items()
        assert done.n_kept == len(saved)
        assert done.moved_to.read_bytes() == damaged
        shares.append(len(saved) / 300)
    assert n_pages > 40
    # Only the page above all others takes everything with it.
    assert sum(share > 0.8 for share in shares) >= len(shares) - 3
    assert sum(shares) / len(shares) > 0.9


def test_a_file_that_was_cut_short_gives_what_is_left_of_it(path: Path) -> None:
    answered = batch(0, 300)
    size = filled(path, answered).stat().st_size
    os.truncate(path, size * 2 // 3)
    assert not verify(path).ok
    repair(path)
    assert verify(path).ok
    saved = found(path, answered)
    assert saved.items() <= expected(answered).items()
    assert len(saved) > 150


@pytest.mark.slow
def test_no_damage_makes_verify_or_repair_fail_or_save_a_wrong_answer(tmp_path: Path) -> None:
    answered = batch(0, 200)
    whole = filled(tmp_path / "whole", answered).read_bytes()
    rng = random.Random(0)
    n_saved = n_refused = 0
    for n in range(40):
        data = bytearray(whole)
        for _ in range(30):
            data[rng.randrange(100, len(whole))] = rng.randrange(256)
        path = tmp_path / str(n)
        path.write_bytes(data)
        try:
            verify(path)
            repair(path)
            assert verify(path).ok
            saved = found(path, answered)
        except JournalError:
            n_refused += 1
            continue
        assert saved.items() <= expected(answered).items()
        n_saved += len(saved)
    assert n_refused == 0
    assert n_saved > 0.7 * 40 * 200


def test_the_damaged_files_are_kept_under_names_of_their_own(path: Path) -> None:
    for n in (1, 2):
        filled(path, batch(0, 60))
        change(path, f"UPDATE answers SET text = x'00' WHERE id = {n}")
        done = repair(path)
        assert done.moved_to == Path(f"{path}.damaged-{n}")
        assert not verify(done.moved_to).ok
        assert done.n_lost == 1
    assert len(found(path, batch(0, 60))) == 59


def test_an_answer_whose_prompt_is_lost_is_saved_without_it(path: Path) -> None:
    change(filled(path, batch(0, 20)), "UPDATE prompts SET text = x'00' WHERE id = 2")
    done = repair(path)
    assert (done.n_kept, done.n_stripped, done.n_lost) == (20, 4, 0)
    assert found(path, batch(0, 20)) == expected(batch(0, 20))
    assert export_completions(path, path.with_suffix(".parquet")) == 16


def test_segments_are_kept_and_a_damaged_one_gives_its_good_entries(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datagen.journal.columns._GROUP_ROWS", 10)
    for start in (0, 60):
        compact(filled(path, batch(start, 60)))
    filled(path, batch(120, 20))
    intact, broken = sorted(folder_of(str(path)).glob("*.parquet"))
    data = bytearray(broken.read_bytes())
    data[len(data) // 3] ^= 1
    broken.write_bytes(data)
    assert not verify(path).ok
    done = repair(path)
    assert verify(path).ok
    assert 120 <= done.n_kept < 140
    saved = found(path, batch(0, 140))
    assert len(saved) == done.n_kept
    assert saved.items() <= expected(batch(0, 140)).items()
    assert saved.items() >= expected([*batch(0, 60), *batch(120, 20)]).items()
    assert intact.exists() and not broken.exists()
    assert broken.with_name(f"{broken.name}.damaged-1").read_bytes() == data


def test_segments_survive_a_journal_that_no_longer_lists_them(path: Path) -> None:
    compact(filled(path, batch(0, 60)))
    filled(path, batch(60, 60))
    with contextlib.closing(sqlite3.connect(path)) as db:
        (page,) = db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'segments'"
        ).fetchone()
    overwrite(path, page)
    assert not verify(path).ok
    assert repair(path).n_kept == 120
    assert found(path, batch(0, 120)) == expected(batch(0, 120))


def test_a_segment_that_was_never_recorded_doubles_nothing(path: Path) -> None:
    """A compaction died after it had written the segment; its rows are still in SQLite."""
    done = compact(filled(path, batch(0, 60)))
    assert done.path is not None
    orphan = done.path.read_bytes()
    done.path.unlink()
    path.unlink()
    filled(path, batch(0, 70))
    done.path.write_bytes(orphan)
    assert repair(path).n_kept == 70
    with Journal(path) as journal:
        assert len(journal) == len(set(journal.keys())) == 70
    assert found(path, batch(0, 70)) == expected(batch(0, 70))


def test_a_missing_segment_does_not_stop_a_repair(path: Path) -> None:
    done = compact(filled(path, batch(0, 60)))
    filled(path, batch(60, 10))
    assert done.path is not None
    done.path.unlink()
    assert repair(path).n_kept == 10
    assert verify(path).ok
    assert found(path, batch(0, 70)) == expected(batch(60, 10))


def test_a_damaged_file_of_the_first_format_is_saved_from_both_ends(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA application_id=0x64676A31")
        db.execute(
            "CREATE TABLE answers (key BLOB PRIMARY KEY, kind TEXT NOT NULL, finish TEXT, "
            "text BLOB, n_tokens INTEGER NOT NULL, logprobs BLOB NOT NULL, ends BLOB) WITHOUT ROWID"
        )
        rows: list[tuple[Any, ...]] = [
            (n.to_bytes(16, "big"), "completion", "stop", b"x" * 200, 1, bytes(8), bytes(4))
            for n in range(400)
        ]
        db.executemany("INSERT INTO answers VALUES (?,?,?,?,?,?,?)", rows)
        db.commit()
    overwrite(path, path.stat().st_size // PAGE // 2)
    with pytest.raises(JournalError, match="--repair"):
        Journal(path)
    report = verify(path)
    assert not report.ok and report.version == 1
    done = repair(path)
    assert 350 < done.n_kept < 400
    assert verify(path).counts == (Count(None, "completion", done.n_kept, done.n_kept),)


def test_a_journal_that_somebody_has_open_is_not_repaired(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datagen.journal.format._ALONE_S", 0.1)
    filled(path, batch(0, 20))
    with Journal(path, read_only=True), pytest.raises(JournalError, match="another process"):
        repair(path)
    assert list(path.parent.glob("*.damaged-*")) == []


# ---- export


def test_an_export_holds_every_completion_with_its_request(path: Path, tmp_path: Path) -> None:
    chat = Chat((Message("system", "be brief"), Message("user", "hello")), "Hi")
    answer = Completion("lone \ud800", "length", (-1.0, -2.0), (5, 6))
    special: Answered = [
        (CompletionRequest(chat, Sampling(0.5, 0.9, 7, ("\n",)), 2), answer),
        (CompletionRequest("p", Sampling(), 0, "a replica"), answer),
    ]
    compact(filled(path, batch(0, 30)))
    filled(path, [*batch(30, 10), *OTHERS, *special])
    out = tmp_path / "new" / "out.parquet"
    assert export_completions(path, out) == 42
    table = pl.read_parquet(out)
    assert table["key"].to_list() == list(expected([*batch(0, 40), *special]))
    plain, talk, proposed = table[[7, 40, 41]].to_dicts()
    assert proposed["fingerprint"] == "a replica" and proposed["sample_idx"] == 0
    assert plain["prompt"] == "prompt 1 " * 20 and plain["messages"] is None
    assert plain["text"] == "answer 7 " * 40 and plain["fingerprint"] == "engine"
    assert plain["logprobs"] == [-0.5, -0.25] and plain["ends"] == [3, 16]
    assert talk["prompt"] is None and talk["prefill"] == "Hi"
    assert talk["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hello"},
    ]
    names = ("temperature", "top_p", "max_tokens", "stop", "sample_idx", "finish", "n_tokens")
    assert [talk[name] for name in names] == [0.5, 0.9, 7, ["\n"], 2, "length", 2]
    assert talk["text"] == "lone \ufffd"


def test_a_damaged_entry_stops_an_export_and_leaves_no_file(path: Path, tmp_path: Path) -> None:
    change(filled(path, batch(0, 20)), "UPDATE answers SET text = x'00' WHERE id = 5")
    before = snapshot(tmp_path)
    with pytest.raises(JournalError, match="--repair"):
        export_completions(path, tmp_path / "out.parquet")
    assert snapshot(tmp_path) == before


def test_an_export_writes_row_group_by_row_group(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setattr("datagen.journal.columns._GROUP_BYTES", 5_000)
    export_completions(filled(path, batch(0, 60)), tmp_path / "out.parquet")
    assert pq.read_metadata(tmp_path / "out.parquet").num_row_groups > 4


# ---- the commands


def run(*arguments: object) -> Any:
    return CliRunner().invoke(cli, ["journal", *map(str, arguments)])


def test_the_command_verifies_a_run_folder(path: Path) -> None:
    filled(path, [*batch(0, 20), *OTHERS])
    done = run("verify", path.parent)
    assert done.exit_code == 0
    assert "completion" in done.output and "23" in done.output and "no damage" in done.output


def test_the_command_fails_on_damage_and_repairs_it_when_told(path: Path) -> None:
    change(filled(path, batch(0, 20)), "UPDATE answers SET text = x'00' WHERE id = 5")
    done = run("verify", path)
    assert done.exit_code == 1
    assert "checksum does not match" in done.output and "--repair" in done.output
    done = run("verify", path, "--repair")
    assert done.exit_code == 0, done.output
    assert "19 entries" in done.output and f"{path}.damaged-1" in done.output.replace("\n", "")
    assert run("verify", path).exit_code == 0


def test_a_good_journal_is_left_alone_by_repair(path: Path) -> None:
    filled(path, batch(0, 20))
    before = snapshot(path.parent)
    assert run("verify", path, "--repair").exit_code == 0
    assert snapshot(path.parent) == before


def test_the_command_compacts_and_then_has_nothing_to_do(path: Path) -> None:
    filled(path, batch(0, 20))
    assert "Moved 20 entries" in run("compact", path.parent).output
    assert "Nothing to move" in run("compact", path.parent).output
    assert found(path, batch(0, 20)) == expected(batch(0, 20))


def test_the_command_exports(path: Path, tmp_path: Path) -> None:
    filled(path, batch(0, 20))
    done = run("export", path.parent, tmp_path / "out.parquet")
    assert "Wrote 20 completions" in done.output
    assert pl.read_parquet(tmp_path / "out.parquet").height == 20


@pytest.mark.parametrize("command", ["verify", "compact", "export"])
def test_a_path_without_a_journal_is_one_line(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    out = [str(tmp_path / "out.parquet")] if command == "export" else []
    monkeypatch.setattr("sys.argv", ["datagen", "journal", command, str(tmp_path), *out])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: there is no journal at")
    assert list(tmp_path.iterdir()) == []
