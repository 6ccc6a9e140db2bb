"""Shards: what is seen, how it is cut and kept, what others have taken, and what is accepted."""

import json
import os
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datagen.curate import CurateConfig, curate_seeds
from datagen.errors import SeedError
from datagen.seeds import SeedBatch, read_seeds
from datagen.shards import (
    MAIN,
    Refusal,
    accept,
    accepted_at,
    accepted_tables,
    find_sources,
    put_aside,
    refuse,
    refused_at,
    shard_folder,
    shard_names,
    take_in,
)
from datagen.shards.intake import shard_source
from datagen.shards.taken import taken_by_others
from schemas import CodeSeed, Shard

PARQUET = {"question": ["a?", "b?"], "thought": ["so", "thus"], "answer": ["1", "2"]}


def row(n: int, **changes: Any) -> dict[str, Any]:
    return {
        "question": f"How many apples are in {n} crates of a dozen apples each?",
        "thought": f"Each crate has 12 apples.\n{n} * 12 = {12 * n}.",
        "answer": str(12 * n),
    } | changes


def write(path: Path, *rows: dict[str, Any] | str, age_s: float = 60) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [line if isinstance(line, str) else json.dumps(line) for line in rows]
    path.write_text("".join(f"{line}\n" for line in lines))
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def found(*watched: Path, code: tuple[Path, ...] = (), settle_s: float = 0) -> Any:
    return find_sources([str(p) for p in watched], [str(p) for p in code], settle_s=settle_s)


def test_everything_in_a_watched_folder_is_a_source_but_drafts_and_empty_files(tmp_path: Path):
    folder = tmp_path / "in"
    write(folder / "b.jsonl", row(1))
    write(folder / "a.jsonl", row(2))
    for name in (".hidden.jsonl", "_later.jsonl", "c.jsonl.part", "d.tmp"):
        write(folder / name, row(3))
    write(folder / "empty.jsonl")
    assert [source.name for source in found(folder).sources] == ["a.jsonl", "b.jsonl"]


def test_a_file_that_has_just_changed_waits(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", row(1))
    seen = found(path, settle_s=30)  # whatever its date says, it was put there just now
    assert (seen.sources, seen.unsettled) == ([], [path])
    later = find_sources([str(path)], [], settle_s=30, now=time.time() + 31)
    assert [source.name for source in later.sources] == ["a.jsonl"]


def test_the_mark_changes_with_what_is_there_and_only_then(tmp_path: Path):
    path = write(tmp_path / "in" / "a.jsonl", row(1))
    first = found(tmp_path / "in").mark
    assert found(tmp_path / "in").mark == first
    write(path, row(2), age_s=50)
    second = found(tmp_path / "in").mark
    write(tmp_path / "in" / "b.jsonl", row(3))
    assert len({first, second, found(tmp_path / "in").mark}) == 3


def test_what_cannot_be_looked_at_is_a_problem_of_its_own(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", row(1))
    seen = found(tmp_path / "nowhere.jsonl", path)
    assert [source.name for source in seen.sources] == ["a.jsonl"]
    (problem,) = seen.problems
    assert "nowhere.jsonl" in problem


def test_a_source_is_cut_into_shards_that_keep_its_lines_as_they_are(tmp_path: Path):
    broken = '{"question": "half a li'
    path = write(tmp_path / "in" / "gsm 8k!.jsonl", row(1), broken, row(2), row(3), row(4))
    taken = take_in(tmp_path / "out", found(path).sources, max_rows=2)
    assert taken.shards.equals(Shard.validate(taken.shards))
    assert taken.shards.select("first_row", "n_rows").rows() == [(0, 2), (2, 2), (4, 1)]
    assert [name.rpartition("-")[0] for name in taken.new] == [f"gsm-8k-{n}" for n in (0, 2, 4)]
    copies = [shard_source(shard_folder(tmp_path / "out", name))[0] for name in taken.new]
    assert b"".join(copy.read_bytes() for copy in copies) == path.read_bytes()
    assert broken in copies[0].read_text()
    assert shard_names(tmp_path / "out") == [MAIN, *taken.new]


def test_a_file_that_grew_gives_only_what_is_new(tmp_path: Path):
    out = tmp_path / "out"
    path = write(tmp_path / "a.jsonl", row(1), row(2), row(3))
    before = take_in(out, found(path).sources, max_rows=2)
    assert take_in(out, found(path).sources, max_rows=2).new == []
    write(path, row(1), row(2), row(3), row(4), row(5))
    grown = take_in(out, found(path).sources, max_rows=2)
    assert before.new[0] not in grown.new
    first_rows = grown.shards.filter(pl.col("shard").is_in(grown.new))["first_row"]
    assert first_rows.sort().to_list() == [2, 4]


def test_the_same_file_put_there_twice_gives_nothing(tmp_path: Path):
    for name in ("a.jsonl", "copy of a.jsonl"):
        write(tmp_path / "in" / name, row(1))
    assert len(take_in(tmp_path / "out", found(tmp_path / "in").sources, max_rows=9).new) == 1


def test_parquet_and_folders_of_modules_are_taken_in_too(tmp_path: Path):
    pl.DataFrame(PARQUET).write_parquet(tmp_path / "p.parquet")
    modules = tmp_path / "code" / "shapes"
    modules.mkdir(parents=True)
    (modules / "area.py").write_text("def area(n):\n    return n * n\n")
    sources = found(tmp_path / "p.parquet", code=(tmp_path / "code",)).sources
    taken = take_in(tmp_path / "out", sources, max_rows=9)
    kinds = dict(taken.shards.select("source", "kind").rows())
    assert kinds == {"p.parquet": "seeds", "shapes": "code"}
    copies = {
        described["source"]: path
        for path, described in (shard_source(shard_folder(tmp_path / "out", n)) for n in taken.new)
    }
    assert read_seeds(copies["p.parquet"]).seeds["answer"].to_list() == PARQUET["answer"]
    assert (copies["shapes"] / "area.py").read_text() == (modules / "area.py").read_text()


def test_a_source_that_cannot_be_read_stops_nobody_elses(tmp_path: Path):
    write(tmp_path / "in" / "a.xyz", row(1))
    write(tmp_path / "in" / "b.jsonl", row(2))
    taken = take_in(tmp_path / "out", found(tmp_path / "in").sources, max_rows=9)
    assert taken.shards["source"].to_list() == ["b.jsonl"]
    (problem,) = taken.problems
    assert "a.xyz" in problem and "format" in problem


def test_a_shard_that_is_put_aside_stays_away_and_is_not_lost(tmp_path: Path):
    out = tmp_path / "out"
    path = write(tmp_path / "a.jsonl", row(1), row(2))
    first, second = sorted(take_in(out, found(path).sources, max_rows=1).new)
    table(shard_folder(out, first), "tags", pl.DataFrame({"n": [1]}))
    accept(shard_folder(out, first), ["tags"], {})
    aside = put_aside(out, first)
    assert (aside / "source.jsonl").exists()
    assert shard_names(out) == [MAIN, second] and accepted_tables(out, "tags") == []
    assert take_in(out, found(path).sources, max_rows=1).new == []
    for name in (first, MAIN):
        with pytest.raises(SeedError, match=second):
            put_aside(out, name)


def test_a_shard_that_was_never_taken_in_is_an_error_that_says_so(tmp_path: Path):
    with pytest.raises(SeedError, match="there is no shard 'ghost'"):
        shard_source(tmp_path / "shards" / "ghost")


def seeds_of(path: Path, **options: Any) -> SeedBatch:
    return read_seeds(path, source="s", **options)


def test_rows_of_another_shard_are_refused_and_say_which(tmp_path: Path):
    first = seeds_of(write(tmp_path / "a.jsonl", row(1), row(2))).seeds
    taken = dict.fromkeys(first["seed_id"], "a-0-1234")
    again = seeds_of(write(tmp_path / "b.jsonl", row(2), row(3)), taken=taken)
    assert again.seeds["answer"].to_list() == ["36"]
    (reason,) = again.quarantine["reason"]
    assert "'a-0-1234'" in reason and "another seed_id" in reason


def test_a_shard_that_holds_nothing_new_is_empty_and_no_error(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", row(1))
    taken = dict.fromkeys(seeds_of(path).seeds["seed_id"], "other")
    again = seeds_of(path, taken=taken)
    assert (again.seeds.height, again.quarantine.height) == (0, 1)
    bad = write(tmp_path / "b.jsonl", row(1), row(2, answer=""))
    with pytest.raises(SeedError, match="none of 2 rows is usable"):
        seeds_of(bad, taken=taken)


def curated(seeds: pl.DataFrame, taken: pl.DataFrame) -> Any:
    empty = CodeSeed.empty()
    return curate_seeds(seeds, empty, config=CurateConfig(), taken=(taken, empty))


def test_a_question_that_repeats_one_of_another_shard_goes_and_that_one_stays(tmp_path: Path):
    there = seeds_of(write(tmp_path / "a.jsonl", row(1), row(2))).seeds
    new = read_seeds(write(tmp_path / "b.jsonl", row(2), row(3)), source="other name").seeds
    made = curated(new, there)
    assert made.seeds["answer"].to_list() == ["36"]
    (repeated,) = made.rejections.rows(named=True)
    assert (repeated["rule"], repeated["other"]) == ("duplicate", there["seed_id"][1])
    assert curated(there, made.seeds).seeds.equals(there)  # made anew, both keep what they have
    assert curated(new.head(1), there).seeds.is_empty()  # and all of it repeated is no error


def test_a_gold_that_contradicts_another_shard_goes(tmp_path: Path):
    there = seeds_of(write(tmp_path / "a.jsonl", row(1))).seeds
    new = read_seeds(write(tmp_path / "b.jsonl", row(1, answer="13"), row(5)), source="t").seeds
    made = curated(new, there)
    assert made.seeds["answer"].to_list() == ["60"]
    assert made.rejections["rule"].to_list() == ["conflicting_golds"]


def table(folder: Path, name: str, frame: pl.DataFrame) -> None:
    path = folder / "tables" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    frame.write_parquet(fresh)
    fresh.replace(path)


def test_what_others_have_is_what_stands_in_their_tables(tmp_path: Path):
    out = tmp_path / "out"
    seeds = seeds_of(write(tmp_path / "a.jsonl", row(1), row(2))).seeds
    (name,) = take_in(out, found(tmp_path / "a.jsonl").sources, max_rows=9).new
    table(out, "seeds", seeds.head(1))
    table(shard_folder(out, name), "seeds", seeds.tail(1))
    assert dict(taken_by_others(out, name).shards) == {seeds["seed_id"][0]: MAIN}
    assert dict(taken_by_others(out, MAIN).shards) == {seeds["seed_id"][1]: name}
    assert taken_by_others(out, MAIN).seeds.equals(seeds.tail(1))


def test_accepted_tables_outlive_a_bad_night(tmp_path: Path):
    out = tmp_path / "out"
    table(out, "tags", pl.DataFrame({"n": [1]}))
    assert accepted_at(out) is None
    accept(out, ["tags"], {"tags": "v1"})
    marked = accepted_at(out)
    assert marked is not None and marked[1] == {"tags": "v1"}
    table(out, "tags", pl.DataFrame({"n": [2]}))  # made anew, and not accepted
    assert [frame["n"].to_list() for frame in accepted_tables(out, "tags")] == [[1]]
    accept(out, ["tags"], {"tags": "v2"})
    assert [frame["n"].to_list() for frame in accepted_tables(out, "tags")] == [[2]]
    assert accepted_at(out) != marked


def test_a_shard_that_lacks_a_table_is_not_accepted_and_keeps_what_was(tmp_path: Path):
    table(tmp_path, "tags", pl.DataFrame({"n": [1]}))
    accept(tmp_path, ["tags"], {})
    with pytest.raises(FileNotFoundError):
        accept(tmp_path, ["tags", "probes"], {})
    assert [frame["n"].to_list() for frame in accepted_tables(tmp_path, "tags")] == [[1]]
    assert accepted_tables(tmp_path, "probes") == []


def test_a_refusal_stands_until_the_next_one_or_until_the_shard_is_accepted(tmp_path: Path):
    (tmp_path / "tables").mkdir()
    pl.DataFrame().write_parquet(tmp_path / "tables" / "seeds.parquet")
    assert refused_at(tmp_path) is None
    refuse(tmp_path, Refusal({"outcomes": "none is right"}, {"tags": "1"}))
    second = Refusal({"license": "‘CC-BY’ isn't allowed"}, {"tags": "2"})
    refuse(tmp_path, second)
    assert refused_at(tmp_path) == second
    accept(tmp_path, ["seeds"], {})
    assert refused_at(tmp_path) is None


def test_a_list_of_shards_says_why_one_was_refused(tmp_path: Path, here: Any):
    write(tmp_path / "in" / "good.jsonl", row(1), row(2))
    (name,) = take_in(tmp_path, found(tmp_path / "in").sources, max_rows=9).new
    refuse(shard_folder(tmp_path, name), Refusal({"outcomes": "none of 98 is [right]"}, {}))
    said = here("shards", "--out", tmp_path).stdout
    assert "no, refused" in said
    assert f"{name}: outcomes: none of 98 is [right]" in said
