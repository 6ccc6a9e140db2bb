"""The journal: nothing is lost, nothing is changed, and a file that is no journal is refused."""

import contextlib
import os
import random
import signal
import sqlite3
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.engines.protocol import (
    Answer,
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Sampling,
    Score,
    ScoreRequest,
)
from datagen.errors import JournalError
from datagen.journal import Journal, journal_key

ROOT = Path(__file__).parent.parent


def completion(text: str = "abc", **over: Any) -> Completion:
    fields: dict[str, Any] = {"finish": "stop", "logprobs": (-0.5, -1e-300), "ends": (2, 3)}
    return Completion(text, **fields | over)


def key(n: int) -> str:
    return f"{n:032x}"


def stored(answer: Answer) -> Answer:
    with Journal(":memory:") as journal:
        journal.append({key(1): answer})
        return journal.look_up([key(1)])[key(1)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def filled(path: Path, n: int) -> Path:
    with Journal(path) as journal:
        for start in range(0, n, 50):
            journal.append({key(i): completion("x" * 40) for i in range(start, start + 50)})
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

SCORES = TOKENS.map(lambda tokens: Score(tuple(p for p, _ in tokens), tuple(e for _, e in tokens)))


@given(COMPLETIONS | CHOICES | SCORES)
def test_every_answer_comes_back_bit_for_bit(answer: Answer) -> None:
    assert stored(answer) == answer


def test_answers_outlive_the_process_that_wrote_them(path: Path) -> None:
    answers = {key(1): completion(), key(2): Choice((0.25, 0.5)), key(3): Score((-0.5,), (2,))}
    with Journal(path) as journal:
        journal.append(answers)
    with Journal(path) as journal:
        assert journal.look_up([key(1), key(2), key(3), key(4)]) == answers
        assert len(journal) == 3
        assert set(journal.keys()) == {key(1), key(2), key(3)}


def test_a_file_that_was_made_before_there_were_scores_takes_them(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA application_id=0x64676A31")
        db.execute(
            "CREATE TABLE answers (key BLOB PRIMARY KEY, kind TEXT NOT NULL, finish TEXT, "
            "text BLOB, n_tokens INTEGER NOT NULL, logprobs BLOB NOT NULL, ends BLOB) WITHOUT ROWID"
        )
        half = struct.pack("d", -0.5)
        old = [
            (bytes.fromhex(key(1)), "completion", "stop", b"abc", 1, half, struct.pack("I", 3)),
            (bytes.fromhex(key(2)), "choice", None, None, 0, half, None),
        ]
        db.executemany("INSERT INTO answers VALUES (?,?,?,?,?,?,?)", old)
        db.commit()
    with Journal(path) as journal:
        journal.append({key(3): Score((-0.5,), (3,))})
        assert journal.look_up([key(1), key(2), key(3)]) == {
            key(1): Completion("abc", "stop", (-0.5,), (3,)),
            key(2): Choice((-0.5,)),
            key(3): Score((-0.5,), (3,)),
        }


def test_thousands_of_keys_can_be_looked_up_at_once(path: Path) -> None:
    keys = [key(n) for n in range(2_500)]
    with Journal(path) as journal:
        journal.append({key(n): Choice((float(n),)) for n in range(0, 2_500, 2)})
        found = journal.look_up([*keys, *keys[:10]])
    assert found == {key(n): Choice((float(n),)) for n in range(0, 2_500, 2)}


def test_an_entry_is_never_replaced(path: Path) -> None:
    with Journal(path) as journal:
        journal.append({key(1): completion("first")})
        journal.append({key(1): completion("second"), key(2): completion("new")})
        assert journal.look_up([key(1)])[key(1)] == completion("first")
        assert journal.look_up([key(2)])[key(2)] == completion("new")


def test_nothing_is_appended_by_an_empty_append(path: Path) -> None:
    with Journal(path) as journal:
        journal.append({})
        assert len(journal) == 0


# ---- appending is atomic

CHILD = """
import os, signal, sys
from datagen.engines.protocol import Choice, Completion
from datagen.journal import Journal

def batch(n):
    return {f"{n:016x}{i:016x}": Completion("x" * 50, "stop", (-1.0,), (50,)) for i in range(100)}

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
        return Counter(int(entry[:16], 16) for entry in list(journal.keys()))


@pytest.mark.parametrize("n_operations", [50, 500, 1500])
def test_a_process_that_dies_within_an_append_leaves_nothing_of_it(
    path: Path, n_operations: int
) -> None:
    code = f"""
journal.append(batch(1))
journal._db.set_progress_handler(die, {n_operations})
journal.append(batch(2))
print("survived")
"""
    with child(code, path) as process:
        assert process.communicate()[0] == ""
        assert process.returncode == -signal.SIGKILL
    assert batches_in(path) == {1: 100}
    with Journal(path) as journal:
        journal.append({key(5): completion()})
        assert len(journal) == 101


def test_a_process_that_dies_before_it_commits_leaves_nothing(path: Path) -> None:
    code = """
journal._db.set_trace_callback(lambda statement: statement == "COMMIT" and die())
journal.append(batch(1))
"""
    with child(code, path) as process:
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert batches_in(path) == {}


def test_a_process_killed_at_any_moment_has_kept_all_that_it_had_appended(path: Path) -> None:
    code = """
for n in range(10_000):
    journal.append(batch(n))
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
            journal.append({key(1): completion(), key(2): completion(ends=(-1, 3))})
        journal.append({key(3): completion()})
        assert set(journal.keys()) == {key(3)}


# ---- many processes


def test_processes_that_open_a_new_file_at_once_all_get_a_journal_and_lose_nothing(
    path: Path,
) -> None:
    code = """
import os
sys.stdin.read()
for n in range(8):
    journal = Journal(sys.argv[1])
    journal.append(batch((os.getpid() << 8) + n))
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
        one.append({key(1): completion()})
        assert other.look_up([key(1)]) == {key(1): completion()}
        other.append({key(1): completion("late"), key(2): completion()})
        assert len(one) == 2
        assert one.look_up([key(1)])[key(1)] == completion()


# ---- files that are no journal


def used(path: Path) -> None:
    """Do with the file all that can be done with a journal."""
    with Journal(path) as journal:
        journal.look_up([key(n) for n in range(600)])
        journal.append({key(10**6): completion()})
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
    with Journal(path) as journal, pytest.raises(JournalError, match="damaged, move it away"):
        journal.look_up([key(1)])


def test_an_entry_of_a_kind_that_nobody_knows_is_an_error_and_no_answer(path: Path) -> None:
    filled(path, 50)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE answers SET kind = 'guess'")
        db.commit()
    with Journal(path) as journal, pytest.raises(JournalError, match="unknown kind 'guess'"):
        journal.look_up([key(1)])


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


def test_a_key_depends_on_everything_that_shapes_the_answer() -> None:
    keys = [journal_key(fingerprint, request) for fingerprint, request in variants()]
    assert len(set(keys)) == len(keys)


def test_a_key_is_32_digits_that_never_change() -> None:
    # Journals outlive versions of this package: a changed key would orphan every entry.
    assert journal_key("engine", REQUEST) == "ab7f95c76f79e902be36bf4155ae1a73"
    assert journal_key("engine", ChoiceRequest("p", ("a",))) == "ba51117931e88b94c1443232eaef819f"
    assert journal_key("engine", ScoreRequest("p", "a")) == "bbe8fba729a9877ef5d5b8249484145a"


def test_requests_of_different_kinds_differ_without_their_kind_too() -> None:
    requests = [REQUEST, ChoiceRequest("p", ()), ScoreRequest("p", "")]
    assert len({request.identity for request in requests}) == 3


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
