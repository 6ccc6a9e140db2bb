"""Compaction: answers move into Parquet, and no moment, reader or crash finds one missing."""

import os
import sqlite3
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import datagen.journal.compaction as compaction
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
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal, journal_key
from datagen.journal.codec import (
    Stored,
    answer_of,
    checksum,
    encode,
    fault_of,
    is_intact,
    request_of,
)
from datagen.journal.compaction import compact
from datagen.journal.segments import Rows, Segment, folder_of
from datagen.traces.model import Step, Trace

Answered = list[tuple[Request, Answer]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def batch(start: int, n: int = 20) -> Answered:
    return [
        (
            CompletionRequest(f"prompt {i // 4}", Sampling(stop=("\n",)), i),
            Completion(f"answer {i} " * 10, "stop", (-0.5 * i, -0.25), (3, 9 + i)),
        )
        for i in range(start, start + n)
    ]


def key(request: Request, engine: str = "engine") -> str:
    return journal_key(engine, request)


def expected(answered: Answered) -> dict[str, Answer]:
    return {key(request): answer for request, answer in answered}


def filled(path: Path, answered: Answered) -> Path:
    with Journal(path) as journal:
        journal.append("engine", answered)
    return path


def segments(path: Path) -> list[str]:
    return sorted(file.name for file in folder_of(str(path)).glob("*.parquet"))


KINDS: Answered = [
    (CompletionRequest("p", Sampling(0.5, 0.9, 7, ("a", "b")), 3), batch(0)[0][1]),
    (CompletionRequest("p", Sampling(0), 3), Completion("", "length", (), ())),
    (
        CompletionRequest(Chat((Message("user", "hello"),), "Hi"), Sampling(), 0),
        Completion("!", "context", (-1.0,), (1,)),
    ),
    (ChoiceRequest("p", ("x", "y")), Choice((0.25, 0.5))),
    (ScoreRequest("p", "text"), Score((-0.5,), (4,))),
    (CompletionRequest("p", Sampling(), 3, "replica"), Completion("", "length", (), ())),
    (EvaluationRequest(Trace("q"), "guide"), Evaluation(0.25)),
    (EvaluationRequest(Trace("q", (Step("s", Factor.PLAN),), "a"), "guide"), Evaluation(0, (1.0,))),
]
BROKEN: Answered = [
    (CompletionRequest("p \ud800", Sampling(), 0), Completion("fine", "stop", (), ())),
    (CompletionRequest("p \ud83d\ude00", Sampling(), 0), Completion("pair", "stop", (), ())),
    (CompletionRequest("p 😀", Sampling(), 0), Completion("emoji", "stop", (), ())),
    (CompletionRequest("p", Sampling(), 0), Completion("\udfff and \ud83d\ude00", "stop", (), ())),
    (CompletionRequest("p", Sampling(stop=("\ud800",)), 0), Completion("", "stop", (), ())),
    (CompletionRequest("p", Sampling(), 9), Completion("\0 \ufffd", "stop", (), ())),
    (ChoiceRequest("p", ("\ud800", "\udbff")), Choice((1.0, 0.0))),
    (ScoreRequest("p", "\ud800"), Score((), ())),
    (EvaluationRequest(Trace("\ud800", (Step("\udfff"),)), "guide"), Evaluation(1.0)),
]


# ---- what is moved is what was there


@pytest.mark.parametrize("answered", [batch(0, 100), KINDS, BROKEN])
def test_every_answer_is_found_after_it_was_moved(path: Path, answered: Answered) -> None:
    done = compact(filled(path, answered))
    assert done.n_moved == len(answered)
    with Journal(path) as journal:
        assert journal._db.execute("SELECT count(*) FROM answers").fetchone() == (0,)
        assert journal.look_up(list(expected(answered))) == expected(answered)
        assert set(journal.keys()) == set(expected(answered))
        assert len(journal) == len(answered)
        assert journal.engines() == ["engine"]


def test_numbers_come_back_bit_for_bit(path: Path) -> None:
    odd = b"\x01\0\0\0\0\0\xf8\x7f"  # a NaN that is not the usual one
    numbers = (-0.0, 0.0, float("inf"), -1e-310, float("nan"), *struct.unpack("<d", odd))
    request = CompletionRequest("p", Sampling(), 0)
    compact(filled(path, [(request, Completion("a", "stop", numbers, tuple([2**32 - 1] * 6)))]))
    with Journal(path) as journal:
        (found,) = journal.look_up([key(request)]).values()
    assert isinstance(found, Completion)
    assert struct.pack("<6d", *found.logprobs) == struct.pack("<6d", *numbers)
    assert found.ends == (2**32 - 1,) * 6


def test_a_segment_is_a_table_that_anybody_can_read_in_the_order_of_insertion(path: Path) -> None:
    filled(path, batch(40))
    filled(path, batch(0))
    filled(path, KINDS)
    done = compact(path)
    assert done.path is not None
    table = pl.read_parquet(done.path)
    answered = [*batch(40), *batch(0), *KINDS]
    assert table["key"].to_list() == [key(request) for request, _ in answered]
    assert table["text"].to_list()[:20] == [f"answer {i} " * 10 for i in range(40, 60)]
    first, settled, _, chat, choice, score = table[[0, 40, 41, 42, 43, 44]].to_dicts()
    assert first["prompt"] == '"prompt 10"'
    assert first["logprobs"] == [-20.0, -0.25] and first["ends"] == [3, 49]
    assert first["fingerprint"] == "engine" and first["n_tokens"] == 2
    names = ("temperature", "top_p", "max_tokens", "stop", "sample_idx", "finish")
    assert [settled[name] for name in names] == [0.5, 0.9, 7, ["a", "b"], 3, "stop"]
    assert '"hello"' in chat["prompt"]
    assert choice["choices"] == ["x", "y"] and choice["ends"] is None
    assert score["scored_text"] == "text" and score["text"] is None
    assert set(table["exact"].to_list()) == {None}


def test_a_file_is_named_by_its_number_and_its_contents(path: Path) -> None:
    import hashlib

    for start in (0, 20):
        filled(path, batch(start))
        compact(path)
    names = segments(path)
    assert [name[:7] for name in names] == ["000001-", "000002-"]
    for name in names:
        data = (folder_of(str(path)) / name).read_bytes()
        assert name[7:] == f"{hashlib.sha256(data).hexdigest()[:12]}.parquet"


def test_the_room_is_given_back(path: Path) -> None:
    filled(path, batch(0, 2000))
    before = path.stat().st_size
    done = compact(path)
    assert path.stat().st_size < before / 5
    assert done.n_freed == before - path.stat().st_size
    assert done.n_bytes < before / 2


def test_a_link_to_a_journal_finds_what_was_moved(path: Path, tmp_path: Path) -> None:
    compact(filled(path, batch(0)))
    link = tmp_path / "elsewhere" / "link"
    link.parent.mkdir()
    link.symlink_to(path)
    for options in ({}, {"read_only": True}):
        with Journal(link, **options) as journal:
            assert journal.look_up(list(expected(batch(0)))) == expected(batch(0))


def test_a_journal_without_answers_gets_no_segment(path: Path) -> None:
    with Journal(path):
        pass
    assert compact(path) == compaction.Compaction(0)
    assert segments(path) == []


def test_a_journal_that_is_not_there_is_not_made(path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal at"):
        compact(path)
    assert list(path.parent.iterdir()) == []


def test_entries_of_the_first_format_are_moved_too(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA application_id=0x64676A31")
        db.execute(
            "CREATE TABLE answers (key BLOB PRIMARY KEY, kind TEXT NOT NULL, finish TEXT, "
            "text BLOB, n_tokens INTEGER NOT NULL, logprobs BLOB NOT NULL, ends BLOB) WITHOUT ROWID"
        )
        row = (bytes(16), "completion", "stop", b"abc", 1, bytes(8), b"\3\0\0\0")
        db.execute("INSERT INTO answers VALUES (?,?,?,?,?,?,?)", row)
    db.close()
    compact(path)
    with Journal(path) as journal:
        assert journal.look_up(["0" * 32]) == {"0" * 32: Completion("abc", "stop", (0.0,), (3,))}
        assert journal.engines() == []


# ---- with others at work


def test_a_reader_that_was_open_before_misses_nothing(path: Path) -> None:
    filled(path, batch(0))
    with Journal(path, read_only=True) as reader:
        for n in range(1, 4):
            compact(path)
            assert len(reader.look_up(list(expected(batch(0, 20 * n))))) == 20 * n
            filled(path, batch(20 * n))
            assert len(reader) == 20 * (n + 1)


def test_a_reader_misses_nothing_while_the_answers_are_being_moved(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path, batch(0))
    list_segments = Journal._current_segments

    def listed_and_then_moved(self: Journal) -> Any:
        found = list_segments(self)
        compact(path, vacuum=False)
        return found

    with Journal(path, read_only=True) as reader:
        monkeypatch.setattr(Journal, "_current_segments", listed_and_then_moved)
        assert reader.look_up(list(expected(batch(0)))) == expected(batch(0))


def test_an_entry_that_was_moved_is_not_added_again(path: Path) -> None:
    compact(filled(path, batch(0)))
    with Journal(path) as journal:
        others = [(request, Completion("late", "stop", (), ())) for request, _ in batch(10)]
        journal.append("engine", others)
        assert len(journal) == 30
        found = journal.look_up(list(expected(others)))
    assert sorted(answer == Completion("late", "stop", (), ()) for answer in found.values()) == [
        *[False] * 10,
        *[True] * 10,
    ]


def test_what_is_appended_during_a_compaction_stays(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path, batch(0))
    check = compaction._check

    def check_late(*args: Any) -> None:
        check(*args)
        filled(path, batch(18))  # two of them have a prompt that is being moved

    monkeypatch.setattr(compaction, "_check", check_late)
    assert compact(path).n_moved == 20
    monkeypatch.undo()
    for n in (38, 38):
        with Journal(path) as journal:
            assert journal.look_up(list(expected(batch(0, 38)))) == expected(batch(0, 38))
            assert len(journal) == n
        compact(path)


def test_two_compactions_at_once_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path, batch(0))
    monkeypatch.setattr(compaction, "_check", lambda *_: compact(path))
    with pytest.raises(JournalError, match="by another process"):
        compact(path)
    monkeypatch.undo()
    assert compact(path).n_moved == 20


def test_a_second_compaction_that_no_lock_kept_out_deletes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On storage where locks do not work: row numbers are used again after the first one."""
    filled(path, batch(0))
    monkeypatch.setattr(compaction.fcntl, "flock", lambda *_: None)
    monkeypatch.setattr(compaction, "_remove_orphans", lambda *_: None)
    sync_folder = compaction.sync_folder

    def meanwhile(folder: Path) -> None:
        monkeypatch.setattr(compaction, "sync_folder", sync_folder)
        compact(path)
        filled(path, batch(20, 10))

    monkeypatch.setattr(compaction, "sync_folder", meanwhile)
    with pytest.raises(JournalError, match="at the same time"):
        compact(path)
    with Journal(path) as journal:
        assert journal.look_up(list(expected(batch(0, 30)))) == expected(batch(0, 30))


# ---- crashes


def steps(path: Path, *, die_at: int | None = None) -> int:
    """Compact, counting calls made by the module; die as by ``kill -9`` at one of them."""
    n = 0

    def count(frame: Any, event: str, _: Any) -> None:
        nonlocal n
        if frame.f_code.co_filename == compaction.__file__ and event in ("c_call", "c_return"):
            n += 1
            if n == die_at:
                os._exit(9)

    sys.setprofile(count)
    try:
        compact(path)
    finally:
        sys.setprofile(None)
    return n


def points(n: int) -> Iterator[int]:
    """All late moments, when things become final, and some of the early ones."""
    yield from range(1, n - 60, max(1, n // 12))
    yield from range(n - 60, n + 1, 2)


@pytest.mark.slow
def test_a_compaction_that_is_killed_at_any_moment_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datagen.journal.columns._GROUP_ROWS", 16)

    def prepared(name: str) -> Path:
        path = tmp_path / name / "journal"
        compact(filled(path, batch(0)))
        return filled(path, batch(20, 40))

    everything = expected(batch(0, 60))
    outcomes: set[int] = set()
    for die_at in points(steps(prepared("whole"))):
        path = prepared(f"killed-at-{die_at}")
        if (child := os.fork()) == 0:
            steps(path, die_at=die_at)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 9 << 8
        with Journal(path) as journal:
            outcomes.add(journal._db.execute("SELECT count(*) FROM segments").fetchone()[0])
            assert journal.look_up(list(everything)) == everything
            assert len(journal) == 60
            journal.append("engine", batch(60, 1))
        compact(path)
        with Journal(path) as journal:
            listed = [row[0] for row in journal._db.execute("SELECT name FROM segments")]
            assert journal.look_up(list(everything)) == everything
        assert sorted(listed) == segments(path)
        assert list(folder_of(str(path)).glob(".*.tmp")) == []
    assert outcomes == {1, 2}, "no kill came before, or none after the segment was recorded"


def test_a_file_that_no_compaction_recorded_is_ignored_and_later_removed(path: Path) -> None:
    compact(filled(path, batch(0)))
    folder = folder_of(str(path))
    orphan = folder / "000002-0123456789ab.parquet"
    orphan.write_bytes((folder / segments(path)[0]).read_bytes())
    (folder / "notes.txt").write_text("mine")
    with Journal(path) as journal:
        assert len(journal) == len(list(journal.keys())) == 20
    filled(path, batch(20))
    compact(path)
    assert not orphan.exists()
    assert (folder / "notes.txt").read_text() == "mine"
    assert len(segments(path)) == 2


def test_nothing_is_deleted_for_a_segment_that_reads_back_otherwise(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path, batch(0))
    table_of = compaction.table_of

    def garbled(rows: list[Stored]) -> Any:
        entry = rows[3].entry._replace(text=b"something else")
        return table_of([*rows[:3], rows[3]._replace(entry=entry), *rows[4:]])

    monkeypatch.setattr(compaction, "table_of", garbled)
    with pytest.raises(JournalError, match=f"entry {key(batch(3)[0][0])} of a new segment"):
        compact(path)
    with Journal(path) as journal:
        assert journal.look_up(list(expected(batch(0)))) == expected(batch(0))


def test_a_damaged_entry_stops_a_compaction_and_stays_for_the_repair(path: Path) -> None:
    filled(path, batch(0))
    with sqlite3.connect(path) as db:
        db.execute("UPDATE answers SET text = x'00' WHERE id = 5")
    db.close()
    with pytest.raises(JournalError, match="--repair"):
        compact(path)
    with Journal(path) as journal:
        assert len(journal) == 20
    assert segments(path) == []


# ---- damage


def test_a_missing_segment_is_named(path: Path) -> None:
    done = compact(filled(path, batch(0)))
    assert done.path is not None
    done.path.unlink()
    with Journal(path) as journal, pytest.raises(JournalError, match=done.path.name):
        journal.look_up(list(expected(batch(0))))


def test_no_damage_to_a_segment_gives_a_wrong_answer(path: Path) -> None:
    everything = expected(batch(0, 60))
    done = compact(filled(path, batch(0, 60)))
    assert done.path is not None
    whole = done.path.read_bytes()
    n_refused = 0
    for at in range(4, len(whole), max(1, len(whole) // 150)):
        data = bytearray(whole)
        data[at] ^= 0x55
        done.path.write_bytes(data)
        try:
            with Journal(path) as journal:
                found = journal.look_up(list(everything))
        except JournalError as error:
            assert "datagen journal verify" in str(error)
            n_refused += 1
        else:
            assert found.items() <= everything.items()
    assert n_refused > 50


def test_a_row_whose_checksum_does_not_match_is_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compact(filled(path, batch(0)))
    stored = Rows.stored

    def garbled(self: Rows, row: int) -> Stored:
        found = stored(self, row)
        return found._replace(entry=found.entry._replace(finish="length"))

    monkeypatch.setattr(Rows, "stored", garbled)
    with Journal(path) as journal, pytest.raises(JournalError, match="not what was written"):
        journal.look_up(list(expected(batch(0))))


# ---- speed


def test_a_replay_in_the_order_of_insertion_decodes_each_row_group_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datagen.journal.columns._GROUP_ROWS", 10)
    monkeypatch.setattr("datagen.journal.segments._LOADED_GROUPS", 2)
    compact(filled(path, batch(0, 200)))
    read: list[int] = []
    read_group = Segment.read_group

    def counted(self: Segment, group: int, **options: Any) -> Rows:
        read.append(group)
        return read_group(self, group, **options)

    monkeypatch.setattr(Segment, "read_group", counted)
    keys = list(expected(batch(0, 200)))
    with Journal(path) as journal:
        for start in range(0, 200, 8):
            assert len(journal.look_up(keys[start : start + 8])) == 8
    assert read == list(range(20))


# ---- the codec

TEXTS = st.text(st.characters(exclude_categories=[]), max_size=20)
PROMPTS = TEXTS | st.builds(
    Chat,
    st.lists(st.builds(Message, st.sampled_from(["system", "user"]), TEXTS), max_size=3).map(tuple),
    TEXTS,
)
NUMBERS = st.floats(0.001, 2.0)
INTEGERS = st.integers(0, 2**63 - 1)
SAMPLINGS = st.builds(Sampling, NUMBERS, NUMBERS, INTEGERS, st.lists(TEXTS, max_size=3).map(tuple))
FLOATS = st.lists(st.floats(allow_nan=False), max_size=4).map(tuple)
ENDS = st.lists(st.integers(0, 2**32 - 1), max_size=4).map(tuple)
STATES = st.builds(
    Trace,
    TEXTS,
    st.lists(st.builds(Step, TEXTS, st.sampled_from(Factor)), max_size=3).map(tuple),
    st.none() | TEXTS,
)
ANSWERED = (
    st.tuples(
        st.builds(CompletionRequest, PROMPTS, SAMPLINGS, INTEGERS, TEXTS),
        st.builds(Completion, TEXTS, st.sampled_from(["stop", "length"]), FLOATS, ENDS),
    )
    | st.tuples(
        st.builds(ChoiceRequest, PROMPTS, st.lists(TEXTS, max_size=3).map(tuple)),
        st.builds(Choice, FLOATS),
    )
    | st.tuples(st.builds(ScoreRequest, PROMPTS, TEXTS), st.builds(Score, FLOATS, ENDS))
    | st.tuples(
        st.builds(EvaluationRequest, STATES, TEXTS),
        st.builds(Evaluation, st.floats(0, 1), st.none() | FLOATS.filter(bool)),
    )
)


@settings(max_examples=50, deadline=None)
@given(TEXTS, ANSWERED)
def test_an_entry_gives_back_answer_request_and_key(
    fingerprint: str, answered: tuple[Request, Answer]
) -> None:
    request, answer = answered
    (entry,), prompts = encode(fingerprint, [answered])
    assert entry.prompt_hash is not None and entry.request is not None
    prompt = prompts[entry.prompt_hash]
    assert answer_of(entry) == answer
    found = request_of(entry.kind, prompt, entry.request)
    assert found.identity == request.identity
    assert entry.key.hex() == journal_key(fingerprint, request) == journal_key(fingerprint, found)
    assert fault_of(Stored(entry, prompt, checksum(entry))) is None


@settings(max_examples=50, deadline=None)
@given(st.lists(ANSWERED, max_size=4))
def test_a_segment_gives_back_every_entry_bit_for_bit(answered: Answered) -> None:
    entries, prompts = encode("engine \ud800", answered)
    rows = [Stored(entry, prompts[entry.prompt_hash or b""], checksum(entry)) for entry in entries]
    if rows:
        decoded = Rows(compaction.table_of(rows))
        assert [decoded.stored(row) for row in range(len(rows))] == rows


@settings(max_examples=50, deadline=None)
@given(ANSWERED, st.sampled_from(["finish", "text", "request", "ends", "fingerprint"]), st.data())
def test_bytes_that_move_from_one_field_to_another_change_the_checksum(
    answered: tuple[Request, Answer], field: str, data: st.DataObject
) -> None:
    (entry,), _ = encode("engine", [answered])
    other = data.draw(st.none() | st.binary(max_size=4).map(lambda b: b.hex()))
    value = other if field == "finish" or other is None else other.encode()
    changed = entry._replace(**{field: value})
    assert is_intact(changed, checksum(entry)) == (changed == entry)


# ---- any order of events

OPERATIONS = st.lists(
    st.tuples(st.just("append"), st.integers(0, 30), st.integers(1, 8))
    | st.tuples(st.sampled_from(["compact", "reopen"]), st.just(0), st.just(0)),
    max_size=12,
)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(operations=OPERATIONS)
def test_any_interleaving_of_append_compact_and_reopen_keeps_every_answer(
    tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[str, int, int]]
) -> None:
    path = tmp_path_factory.mktemp("any") / "journal"
    held: dict[str, Answer] = {}
    journal, reader = Journal(path), Journal(path, read_only=True)
    for n, (operation, start, count) in enumerate(operations):
        if operation == "append":
            answered = [
                (request, Completion(f"of operation {n}", "stop", (-1.0,), (1,)))
                for request, _ in batch(start, count)
            ]
            journal.append("engine", answered)
            held = expected(answered) | held
        elif operation == "compact":
            compact(path, vacuum=n % 2 == 0)
        else:
            journal.close()
            journal = Journal(path)
        for either in (journal, reader):
            assert either.look_up(list(expected(batch(0, 40)))) == held
            assert len(either) == len(held)
    assert set(journal.keys()) == set(held)
    journal.close()
    reader.close()
