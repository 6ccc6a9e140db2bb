"""The journal: nothing is lost, nothing is changed, and a file that is no journal is refused."""

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.engines.protocol import (
    Answer,
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Evaluation,
    EvaluationRequest,
    Request,
    Sampling,
    Score,
    ScoreRequest,
)
from datagen.errors import JournalError
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal, journal_key, store
from datagen.journal.codec import answer_of, encode
from datagen.traces.model import Step, Trace

ROOT = Path(__file__).parent.parent


def state(*texts: str, question: str = "p", answer: str | None = None) -> Trace:
    """Steps of alternating factors."""
    factors = [Factor.PLAN, Factor.COMPUTE]
    steps = (Step(text, factors[idx % 2]) for idx, text in enumerate(texts))
    return Trace(question, tuple(steps), answer)


def completion(text: str = "abc", **over: Any) -> Completion:
    fields: dict[str, Any] = {"finish": "stop", "logprobs": (-0.5, -1e-300), "ends": (2, 3)}
    return Completion(text, **fields | over)


REQUESTS: dict[type[Answer], Callable[[int], Request]] = {
    Completion: lambda n: CompletionRequest("p", Sampling(), n),
    Choice: lambda n: ChoiceRequest("p", (str(n),)),
    Score: lambda n: ScoreRequest("p", str(n)),
    Evaluation: lambda n: EvaluationRequest(state(f"step {n}"), "guide"),
}


def asked(answers: Mapping[int, Answer]) -> list[tuple[Request, Answer]]:
    """Answers by number, with the requests of these numbers."""
    return [(REQUESTS[type(answer)](n), answer) for n, answer in answers.items()]


def key(n: int, kind: type[Answer] = Completion) -> str:
    return journal_key("engine", REQUESTS[kind](n))


def by_key(answers: Mapping[int, Answer]) -> dict[str, Answer]:
    return {key(n, type(answer)): answer for n, answer in answers.items()}


def stored(answer: Answer) -> Answer:
    with Journal(":memory:") as journal:
        journal.append("engine", asked({1: answer}))
        (found,) = journal.look_up([key(1, type(answer))]).values()
        return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def filled(path: Path, n: int) -> Path:
    with Journal(path) as journal:
        for start in range(0, n, 50):
            batch = {i: completion("x" * 40) for i in range(start, start + 50)}
            journal.append("engine", asked(batch))
    return path


# ---- what goes in comes out


@pytest.mark.parametrize(
    "text",
    ["", "\0", "a\0b", "\ud800", "\udfff tail", "\ud83d\ude00", "😀", "\r\n\t\x1a", "x" * 100_000],
    ids=lambda text: ascii(text)[:20],
)
def test_any_text_comes_back_as_it_was(text: str) -> None:
    assert stored(completion(text)) == completion(text)


ANY_TEXT = st.text(st.characters(exclude_categories=[]))  # lone surrogates too
FLOATS = st.floats(allow_nan=False)
TOKENS = st.lists(st.tuples(FLOATS, st.integers(0, 2**32 - 1)), max_size=5)
COMPLETIONS = TOKENS.flatmap(
    lambda tokens: st.builds(
        Completion,
        ANY_TEXT,
        st.sampled_from(["stop", "length", "context"]),
        st.just(tuple(logprob for logprob, _ in tokens)),
        st.just(tuple(end for _, end in tokens)),
    )
)
CHOICES = st.builds(Choice, st.lists(FLOATS, max_size=30).map(tuple))

EVALUATIONS = st.builds(Evaluation, FLOATS, st.none() | st.lists(FLOATS, min_size=1).map(tuple))
SCORES = TOKENS.map(lambda tokens: Score(tuple(p for p, _ in tokens), tuple(e for _, e in tokens)))


@given(COMPLETIONS | CHOICES | SCORES | EVALUATIONS)
@pytest.mark.slow
def test_every_answer_comes_back_bit_for_bit(answer: Answer) -> None:
    assert stored(answer) == answer


def test_answers_outlive_the_process_that_wrote_them(path: Path) -> None:
    answers = {
        1: completion(),
        2: Choice((0.25, 0.5)),
        3: Score((-0.5,), (2,)),
        5: Evaluation(0.25),
        6: Evaluation(0.5, (0.75, 0.25)),
    }
    with Journal(path) as journal:
        journal.append("engine", asked(answers))
    with Journal(path) as journal:
        assert journal.look_up([*by_key(answers), key(4)]) == by_key(answers)
        assert len(journal) == 5
        assert set(journal.keys()) == set(by_key(answers))


def first_format(path: Path, entries: list[tuple[Any, ...]]) -> Path:
    """A file as the first version of the journal wrote it."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA application_id=0x64676A31")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(
            "CREATE TABLE answers (key BLOB PRIMARY KEY, kind TEXT NOT NULL, finish TEXT, "
            "text BLOB, n_tokens INTEGER NOT NULL, logprobs BLOB NOT NULL, ends BLOB) WITHOUT ROWID"
        )
        db.executemany("INSERT INTO answers VALUES (?,?,?,?,?,?,?)", entries)
        db.commit()
    return path


HALF = struct.pack("d", -0.5)
OLD: list[tuple[Any, ...]] = [
    (bytes.fromhex(key(1)), "completion", "stop", b"abc", 1, HALF, struct.pack("I", 3)),
    (bytes.fromhex(key(2, Choice)), "choice", None, None, 0, HALF, None),
]


def test_a_file_that_was_made_before_there_were_scores_takes_them(path: Path) -> None:
    with Journal(first_format(path, OLD)) as journal:
        journal.append("engine", asked({3: Score((-0.5,), (3,))}))
        assert journal.look_up([key(1), key(2, Choice), key(3, Score)]) == {
            key(1): Completion("abc", "stop", (-0.5,), (3,)),
            key(2, Choice): Choice((-0.5,)),
            key(3, Score): Score((-0.5,), (3,)),
        }


def test_a_file_of_the_first_format_stays_as_it_was_until_it_is_whole_in_the_second(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_format(path, OLD)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("datagen.journal.format.checksum", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Journal(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT * FROM answers").fetchall() == sorted(OLD)
    with Journal(path) as journal:
        assert set(journal.keys()) == {key(1), key(2, Choice)}
        assert journal.engines() == []


def test_a_file_of_the_first_format_is_not_read_without_being_brought_up_to_date(
    path: Path,
) -> None:
    first_format(path, OLD)
    with pytest.raises(JournalError, match=r"format 1.*run a command that writes"):
        Journal(path, read_only=True)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_of_a_newer_version_is_left_alone(path: Path, read_only: bool) -> None:
    filled(path, 50)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version=3")
    with pytest.raises(JournalError, match=r"format 3.*update datagen"):
        Journal(path, read_only=read_only)


def test_thousands_of_keys_can_be_looked_up_at_once(path: Path) -> None:
    keys = [key(n, Choice) for n in range(2_500)]
    answers = {n: Choice((float(n),)) for n in range(0, 2_500, 2)}
    with Journal(path) as journal:
        journal.append("engine", asked(answers))
        found = journal.look_up([*keys, *keys[:10]])
    assert found == by_key(answers)


def test_an_entry_is_never_replaced(path: Path) -> None:
    with Journal(path) as journal:
        journal.append("engine", asked({1: completion("first")}))
        journal.append("engine", asked({1: completion("second"), 2: completion("new")}))
        assert journal.look_up([key(1)])[key(1)] == completion("first")
        assert journal.look_up([key(2)])[key(2)] == completion("new")


def test_nothing_is_appended_by_an_empty_append(path: Path) -> None:
    with Journal(path) as journal:
        journal.append("engine", [])
        assert len(journal) == 0


def test_an_empty_journal_is_there_all_the_same() -> None:
    assert Journal(":memory:")


def test_a_journal_knows_the_engines_that_wrote_to_it(path: Path) -> None:
    with Journal(path) as journal:
        journal.append("engine", asked({n: completion() for n in range(3)}))
        journal.append("other \ud800", asked({n: completion() for n in range(2)}))
        assert journal.engines() == ["engine", "other \ud800"]


def test_an_answer_of_another_kind_than_its_request_is_refused() -> None:
    with Journal(":memory:") as journal, pytest.raises(ValueError, match="a score was asked for"):
        journal.append("engine", [(ScoreRequest("p", "a"), completion())])


def test_a_prompt_is_stored_once_however_often_it_is_asked(path: Path) -> None:
    prompt = "many words " * 1000
    with Journal(path) as journal:
        for n in range(0, 100, 10):
            requests = [CompletionRequest(prompt, Sampling(), n + i) for i in range(10)]
            journal.append("engine", [(request, completion()) for request in requests])
    assert path.stat().st_size < 10 * len(prompt)


# ---- appending is atomic

CHILD = """
import os, signal, sys
from datagen.engines.protocol import Completion, CompletionRequest, Sampling
from datagen.journal import Journal

def batch(n):
    answer = Completion(str(n) + "x" * 50, "stop", (-1.0,), (50,))
    return [(CompletionRequest(str(n), Sampling(), i), answer) for i in range(100)]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

journal = Journal(sys.argv[1])
"""


def child(code: str, path: Path, **options: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CHILD + code, str(path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
        **options,
    )


def batches_in(path: Path) -> dict[int, int]:
    """Entries held per batch of ``CHILD``."""
    with Journal(path) as journal:
        answers = journal.look_up(list(journal.keys())).values()
        return Counter(int(answer.text.rstrip("x")) for answer in cast("Any", answers))


@pytest.mark.parametrize("n_operations", [50, 500, 1500])
def test_a_process_that_dies_within_an_append_leaves_nothing_of_it(
    path: Path, n_operations: int
) -> None:
    code = f"""
journal.append('engine', batch(1))
journal._db.set_progress_handler(die, {n_operations})
journal.append('engine', batch(2))
print("survived")
"""
    with child(code, path) as process:
        assert process.communicate()[0] == ""
        assert process.returncode == -signal.SIGKILL
    assert batches_in(path) == {1: 100}
    with Journal(path) as journal:
        journal.append("engine", asked({5: completion()}))
        assert len(journal) == 101


def test_a_process_that_dies_before_it_commits_leaves_nothing(path: Path) -> None:
    code = """
journal._db.set_trace_callback(lambda statement: statement == "COMMIT" and die())
journal.append('engine', batch(1))
"""
    with child(code, path) as process:
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert batches_in(path) == {}


def test_a_process_killed_at_any_moment_has_kept_all_that_it_had_appended(path: Path) -> None:
    code = """
for n in range(10_000):
    journal.append('engine', batch(n))
    print(n, flush=True)
"""
    with child(code, path) as process:
        assert process.stdout is not None
        for _ in range(5):
            process.stdout.readline()
        process.kill()
        rest = process.stdout.read().split()
    held = batches_in(path)
    assert set(held.values()) == {100}
    assert set(held) >= {0, 1, 2, 3, 4, *map(int, rest)}


def test_an_answer_that_cannot_be_written_leaves_the_journal_usable(path: Path) -> None:
    with Journal(path) as journal:
        with pytest.raises(OverflowError):
            journal.append("engine", asked({1: completion(), 2: completion(ends=(-1, 3))}))
        journal.append("engine", asked({3: completion()}))
        assert set(journal.keys()) == {key(3)}


def test_an_append_that_is_interrupted_leaves_nothing_and_the_next_one_works(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = store.insert

    def interrupted(*args: Any) -> None:
        insert(*args)
        raise KeyboardInterrupt

    with Journal(path) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(store, "insert", interrupted)
            with pytest.raises(KeyboardInterrupt):
                journal.append("engine", asked({1: completion()}))
        assert len(journal) == 0
        journal.append("engine", asked({2: completion()}))
    with Journal(path) as journal:
        assert set(journal.keys()) == {key(2)}


# ---- many processes


def test_processes_that_open_a_new_file_at_once_all_get_a_journal_and_lose_nothing(
    path: Path,
) -> None:
    code = """
import os
sys.stdin.read()
for n in range(8):
    journal = Journal(sys.argv[1])
    journal.append('engine', batch((os.getpid() << 8) + n))
print(os.getpid())
"""
    # The children have all imported what they need before the file exists.
    code = CHILD.replace("journal = Journal(sys.argv[1])", code)
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for process in children:
        assert process.stdin is not None
        process.stdin.close()
    pids = []
    for process in children:
        with process:
            assert process.stdout is not None
            pids.append(int(process.stdout.read()))
    assert batches_in(path) == {(pid << 8) + n: 100 for pid in pids for n in range(8)}


def test_what_one_connection_appends_another_finds(path: Path) -> None:
    with Journal(path) as one, Journal(path) as other:
        one.append("engine", asked({1: completion()}))
        assert other.look_up([key(1)]) == {key(1): completion()}
        other.append("engine", asked({1: completion("late"), 2: completion()}))
        assert len(one) == 2
        assert one.look_up([key(1)])[key(1)] == completion()


@pytest.mark.slow
def test_a_reader_beside_a_writer_sees_whole_batches_only(path: Path) -> None:
    filled(path, 0)
    code = """
for n in range(60):
    journal.append('engine', batch(n))
"""
    seen: list[int] = []
    keys = [
        [journal_key("engine", CompletionRequest(str(n), Sampling(), i)) for i in range(100)]
        for n in range(60)
    ]
    with child(code, path) as process, Journal(path, read_only=True) as reader:
        while process.poll() is None:
            found = reader.look_up([key for batch in keys for key in batch])
            counts = [sum(key in found for key in batch) for batch in keys]
            assert set(counts) <= {0, 100}
            seen.append(sum(counts))
    assert process.returncode == 0
    assert seen == sorted(seen)
    assert any(0 < n < 6000 for n in seen), "the reader never read while the writer wrote"


def test_a_reader_cannot_write(path: Path) -> None:
    with Journal(filled(path, 50), read_only=True) as journal:
        with pytest.raises(JournalError, match="cannot be opened or written"):
            journal.append("engine", asked({99: completion()}))
        assert len(journal) == 50


def test_a_reader_does_not_make_the_file_that_it_wants_to_read(path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal at"):
        Journal(path, read_only=True)
    assert not path.exists()


def test_a_writer_that_waited_in_vain_says_what_keeps_it(path: Path) -> None:
    with Journal(path) as one, Journal(path) as other:
        one._db.execute("BEGIN IMMEDIATE")
        other._db.execute("PRAGMA busy_timeout=50")
        with pytest.raises(JournalError, match="another process"):
            other.append("engine", asked({1: completion()}))
        one._db.execute("ROLLBACK")
        other.append("engine", asked({1: completion()}))
        assert len(one) == 1


def test_an_exclusive_journal_needs_no_shared_memory_and_lets_nobody_in(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datagen.journal.format._BUSY_S", 0.1)
    with Journal(path, exclusive=True) as journal:
        journal.append("engine", asked({1: completion()}))
        assert sorted(file.name for file in path.parent.iterdir()) == [
            path.name,
            f"{path.name}-wal",
        ]
        for options in ({}, {"read_only": True}):
            with pytest.raises(JournalError, match="another process keeps"):
                Journal(path, **options)
    with Journal(path) as journal:
        assert len(journal) == 1


# ---- storage that fails


def test_a_full_disk_undoes_the_batch_and_says_what_to_do(path: Path) -> None:
    with Journal(filled(path, 50)) as journal:
        (n_pages,) = journal._db.execute("PRAGMA page_count").fetchone()
        journal._db.execute(f"PRAGMA max_page_count={n_pages}")
        with pytest.raises(JournalError, match=r"disk is full.*run the same command again"):
            journal.append("engine", asked({n: completion("y" * 500) for n in range(1000, 1100)}))
        assert len(journal) == 50
        journal._db.execute(f"PRAGMA max_page_count={10 * n_pages}")
        journal.append("engine", asked({1000: completion()}))
    with Journal(path) as journal:
        assert len(journal.look_up([key(n) for n in [*range(50), 1000]])) == 51


def test_a_write_that_the_system_refuses_undoes_the_batch(path: Path) -> None:
    """The limit on file sizes hits within a batch, as a quota or a full disk would."""
    filled(path, 0)
    code = """
import resource
from datagen.errors import JournalError

resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
n = 0
try:
    while True:
        journal.append('engine', batch(n))
        n += 1
except JournalError as error:
    print(n, error)
"""
    with child(code, path) as process:
        n, message = process.communicate()[0].split(maxsplit=1)
    assert int(n) > 3
    assert str(path) in message and "run the same command again" in message
    assert batches_in(path) == dict.fromkeys(range(int(n)), 100)


def cut_log(path: Path, copy: Path, n_bytes: int) -> Path:
    copy.mkdir()
    shutil.copy(path, copy / "journal")
    log = Path(f"{path}-wal").read_bytes()
    (copy / "journal-wal").write_bytes(log[:n_bytes])
    return copy / "journal"


def test_a_log_that_was_cut_anywhere_shows_whole_batches(path: Path, tmp_path: Path) -> None:
    log = Path(f"{path}-wal")
    with Journal(path) as journal:
        journal.append("engine", asked({n: completion("first" * 20) for n in range(20)}))
        n_before = log.stat().st_size
        journal.append("engine", asked({n: completion("last" * 20) for n in range(20, 60)}))
        n_after = log.stat().st_size
        found: list[int] = []
        for n_bytes in [*range(n_before, n_after, 512), n_after]:
            with Journal(cut_log(path, tmp_path / f"cut-{n_bytes}", n_bytes)) as torn:
                assert len(torn.look_up([key(n) for n in range(20)])) == 20
                found.append(len(torn))
    assert found[-1] == 60
    assert set(found[:-1]) == {20}
    assert len(found) > 20


def test_a_file_that_was_cut_while_the_log_went_into_it_loses_nothing(
    path: Path, tmp_path: Path
) -> None:
    with Journal(path) as journal:
        journal._db.execute("PRAGMA wal_autocheckpoint=0")
        n_before = path.stat().st_size
        for start in range(0, 200, 50):
            batch = {n: completion("x" * 200) for n in range(start, start + 50)}
            journal.append("engine", asked(batch))
        log = Path(f"{path}-wal").read_bytes()
        journal._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        whole = path.read_bytes()
    assert len(whole) > n_before + 20_000
    for n_bytes in range(n_before, len(whole), 2560):
        torn = tmp_path / f"torn-{n_bytes}"
        torn.write_bytes(whole[:n_bytes])
        Path(f"{torn}-wal").write_bytes(log)
        with Journal(torn) as journal:
            assert len(journal.look_up([key(n) for n in range(200)])) == 200


def test_a_folder_that_nobody_may_write_to_can_be_read_from_and_not_written(
    tmp_path: Path,
) -> None:
    # Not pytest's own folder, which other users cannot enter.
    folder = Path(tempfile.mkdtemp())
    path = filled(folder / "journal", 50)
    code = f"""
import os, sys
from datagen.errors import JournalError
from datagen.journal import Journal

if os.getuid() == 0:  # who may write anywhere
    os.setgid(65534)
    os.setuid(65534)
with Journal({str(path)!r}, read_only=True) as journal:
    print(len(journal.look_up({[key(n) for n in range(60)]})))
try:
    Journal({str(path)!r})
except JournalError as error:
    print(error)
"""
    folder.chmod(0o555)
    path.chmod(0o444)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=False
        )
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)
    n_found, *message = done.stdout.split(maxsplit=1)
    assert n_found == "50", done.stderr
    assert "give this user write permission" in message[0]


# ---- files that are no journal


def used(path: Path) -> None:
    """Do with the file all that can be done with a journal."""
    with Journal(path) as journal:
        journal.look_up([key(n) for n in range(600)])
        journal.append("engine", asked({10**6: completion()}))
        list(journal.keys())
        len(journal)


def not_a_database(path: Path) -> None:
    path.write_bytes(b"seed_id,question\n" * 200)


def somebody_elses(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE answers (key TEXT)")
    db.commit()
    db.close()


def cut_short(path: Path) -> None:
    filled(path, 600)
    os.truncate(path, path.stat().st_size // 2)


def a_folder(path: Path) -> None:
    path.mkdir()


def overwritten(path: Path) -> None:
    filled(path, 600)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 8192)


@pytest.mark.parametrize(
    "damage", [not_a_database, somebody_elses, cut_short, a_folder, overwritten]
)
def test_a_file_that_is_no_journal_is_refused_by_name(path: Path, damage: Any) -> None:
    damage(path)
    with pytest.raises(JournalError) as caught:
        used(path)
    assert str(path) in str(caught.value)


def test_somebody_elses_database_is_left_as_it_was(path: Path) -> None:
    somebody_elses(path)
    before = path.read_bytes()
    with pytest.raises(JournalError, match="something else; name another file"):
        Journal(path)
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="file/journal"):
        Journal(tmp_path / "file" / "journal")


def test_no_damage_raises_anything_but_a_journal_error(tmp_path: Path) -> None:
    whole = filled(tmp_path / "whole", 200).read_bytes()
    rng = random.Random(0)
    n_refused = 0
    for n in range(120):
        damaged = bytearray(whole)
        at = rng.randrange(len(whole))
        if n % 3 == 0:
            damaged[at : at + 4096] = bytes(4096)
        elif n % 3 == 1:
            del damaged[at:]
        else:
            for _ in range(50):
                damaged[rng.randrange(len(whole))] = rng.randrange(256)
        path = tmp_path / str(n)
        path.write_bytes(damaged)
        try:
            used(path)
        except JournalError:
            n_refused += 1
    assert n_refused > 60


def test_an_entry_of_broken_bytes_is_an_error_and_no_answer(path: Path) -> None:
    filled(path, 50)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE answers SET logprobs = x'0102'")
        db.commit()
    with Journal(path) as journal, pytest.raises(JournalError) as caught:
        journal.look_up([key(1)])
    assert key(1) in str(caught.value)
    assert f"datagen journal verify {path} --repair" in str(caught.value)


def changed(value: Any) -> Any:
    match value:
        case int():
            return value + 1
        case str():
            return value + "x"
        case bytes():
            return value[:-1] + bytes([value[-1] ^ 1])
        case _:
            raise AssertionError(value)


@pytest.mark.parametrize(
    "column",
    ["key", "kind", "request", "finish", "text", "n_tokens", "logprobs", "ends", "checksum"],
)
def test_a_change_of_any_field_of_an_entry_is_noticed(path: Path, column: str) -> None:
    filled(path, 50)
    asking = key(1)
    with contextlib.closing(sqlite3.connect(path)) as db:
        (value,) = db.execute(f"SELECT {column} FROM answers WHERE id = 2").fetchone()
        db.execute(f"UPDATE answers SET {column} = ? WHERE id = 2", [changed(value)])
        db.commit()
        asking = db.execute("SELECT hex(key) FROM answers WHERE id = 2").fetchone()[0].lower()
    with Journal(path) as journal, pytest.raises(JournalError, match=asking):
        journal.look_up([asking])


@pytest.mark.parametrize("table", ["engines", "prompts"])
def test_an_entry_whose_engine_or_prompt_is_another_is_an_error(path: Path, table: str) -> None:
    filled(path, 50)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"UPDATE {table} SET {'fingerprint' if table == 'engines' else 'hash'} = x'00'")
        db.commit()
    with Journal(path) as journal, pytest.raises(JournalError, match=key(1)):
        journal.look_up([key(1)])


def test_an_entry_of_a_kind_that_nobody_knows_is_an_error_and_no_answer(path: Path) -> None:
    filled(path, 50)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE answers SET kind = 'guess'")
        db.commit()
    with Journal(path) as journal, pytest.raises(JournalError, match=f"entry {key(1)}"):
        journal.look_up([key(1)])
    (entry,), _ = encode("engine", asked({1: completion()}))
    with pytest.raises(ValueError, match="unknown kind 'guess'"):
        answer_of(entry._replace(kind="guess"))


# ---- keys

REQUEST = CompletionRequest("p", Sampling(), 0)


def variants() -> Iterator[tuple[str, Any]]:
    yield "engine", REQUEST
    yield "other engine", REQUEST
    yield "engine", CompletionRequest("q", Sampling(), 0)
    yield "engine", CompletionRequest("p", Sampling(), 1)
    yield "engine", CompletionRequest("p", Sampling(temperature=0.5), 0)
    yield "engine", CompletionRequest("p", Sampling(top_p=0.5), 0)
    yield "engine", CompletionRequest("p", Sampling(max_tokens=5), 0)
    yield "engine", CompletionRequest("p", Sampling(stop=("a", "b")), 0)
    yield "engine", CompletionRequest("p", Sampling(stop=("a b",)), 0)
    yield "engine", ChoiceRequest("p", ("a", "b"))
    yield "engine", ChoiceRequest("p", ("b", "a"))
    yield "engine", ChoiceRequest("p", ("ab",))
    yield "engine", ChoiceRequest("q", ("a", "b"))
    yield "engine", ScoreRequest("p", "ab")
    yield "engine", ScoreRequest("p", "b")
    yield "engine", ScoreRequest("pa", "b")
    yield "engine", CompletionRequest("p", Sampling(), 0, "another model")
    yield "engine", EvaluationRequest(state("a", "b"), "guide")
    yield "engine", EvaluationRequest(state("a", "b"), "another guide")
    yield "engine", EvaluationRequest(state("b", "a"), "guide")
    yield "engine", EvaluationRequest(state("ab"), "guide")
    yield "engine", EvaluationRequest(state("a", "b", answer="b"), "guide")
    yield "engine", EvaluationRequest(state("a", "b", question="q"), "guide")
    yield "engine", EvaluationRequest(Trace("p", (Step("a"), Step("b"))), "guide")


def test_a_key_depends_on_everything_that_shapes_the_answer() -> None:
    keys = [journal_key(fingerprint, request) for fingerprint, request in variants()]
    assert len(set(keys)) == len(keys)


def test_a_key_is_32_digits_that_never_change() -> None:
    # Journals outlive versions of this package: a changed key would orphan every entry.
    assert journal_key("engine", REQUEST) == "ab7f95c76f79e902be36bf4155ae1a73"
    assert journal_key("engine", ChoiceRequest("p", ("a",))) == "ba51117931e88b94c1443232eaef819f"
    assert journal_key("engine", ScoreRequest("p", "a")) == "bbe8fba729a9877ef5d5b8249484145a"
    evaluation = EvaluationRequest(state("a", "b"), "guide")
    assert journal_key("engine", evaluation) == "0d551134a24993cfe454f1547c42a1a1"


def test_requests_of_different_kinds_differ_without_their_kind_too() -> None:
    requests = [
        REQUEST,
        ChoiceRequest("p", ()),
        ScoreRequest("p", ""),
        EvaluationRequest(Trace("p"), ""),
    ]
    assert len({request.identity for request in requests}) == 4


LONE = ("\ud83d", "\ud83e", "\ud83d\ude00", "😀", "?", "\ufffd")


def test_a_prompt_with_a_lone_surrogate_has_a_key() -> None:
    requests = [CompletionRequest(text, Sampling(), 0) for text in LONE]
    assert len({journal_key("engine", request) for request in requests}) == len(LONE)


@given(st.tuples(ANY_TEXT, ANY_TEXT), st.tuples(ANY_TEXT, ANY_TEXT))
def test_the_parts_of_a_key_do_not_run_into_each_other(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    keys = {
        journal_key(fingerprint, CompletionRequest(prompt, Sampling(), 0))
        for fingerprint, prompt in (one, other)
    }
    assert len(keys) == len({one, other})
