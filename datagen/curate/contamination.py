"""Finds questions of benchmarks among ours.

The surprising fact: the usual rule alone fails in both directions. One shared run of 13 words
condemns every question that ends "where m and n are relatively prime positive integers, find m +
n", and no run of 13 words is in "How many vertical asymptotes does this graph have?". So a run must
be rare to count, and what also counts is how much of the benchmark's question is found.

A question of ours holds a benchmark's question if one of these is so, the first of them is told:

- ``equal``: both are the same words or, from 8 words on, the same letters and digits;
- ``contains``: it holds all words of the benchmark's question in a row, which are 5 at least;
- ``8-grams``: it holds at least half of the runs of 8 words of the benchmark's question, which has
  13 words at least. Runs of 8 and a share of them: Llama 3 (Dubey et al. 2024, section 5.1.4) and
  Tülu 3 (Lambert et al. 2024, section 3.2), which takes a half too;
- ``13-gram``: one run of 13 words is in both: GPT-3 (Brown et al. 2020, appendix C).

For the last two, runs that more than 3 different questions of the benchmarks hold do not count, and
for the last neither do those that more than 10 different questions of ours hold (GPT-3 likewise):
they are how such questions are put, not one question.
"""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import polars as pl

from datagen.curate.benchmarks import Benchmark
from datagen.curate.words import HashedWords, normal_text

Match = Literal["equal", "contains", "8-grams", "13-gram"]
"""In which way a question holds that of a benchmark, strongest first."""

MATCHES: Final[tuple[Match, ...]] = ("equal", "contains", "8-grams", "13-gram")
MIN_SHARE: Final = 0.5
"""Share of the runs of 8 words of a benchmark's question from which it is held."""

MIN_CONTAINED: Final = 5
"""Words of the shortest question that is found within a longer one."""

_SHORT: Final = 8
_LONG: Final = 13
_MAX_ASKED: Final = 3
_MAX_OURS: Final = 10
_ROWS_AT_ONCE: Final = 16_384
_MATCH: Final = pl.Enum(MATCHES)
_PAIR: Final = {"ours": pl.Int64, "asked": pl.Int64}
_NO_HITS: Final = pl.DataFrame(schema=_PAIR | {"run": pl.UInt64, "match": _MATCH})
_NO_SHARES: Final = pl.DataFrame(schema=_PAIR | {"share": pl.Float64})


def find_contaminated(
    questions: pl.DataFrame, benchmarks: Sequence[Benchmark], *, text: str, id: str
) -> pl.DataFrame:
    """Our questions that hold a question of a benchmark; see the module for when they do.

    Args:
        questions: ours.
        benchmarks: all that they are compared with.
        text: the column that is compared, as :func:`~datagen.curate.words.words`.
        id: the column of ids.

    Returns:
        One row per question and benchmark that it is found in: ``id``, ``benchmark`` (its name),
        ``row`` (of the benchmark, from 0), ``match`` (see :data:`Match`) and ``score`` (the share
        of the runs of 8 words that is found; 1 for an equal or contained question). Of several rows
        of a benchmark it is the strongest match. In the order of ``questions``, then of
        ``benchmarks``.
    """
    asked = _Asked(benchmarks)
    hits = [_NO_HITS]
    shares = [_NO_SHARES]
    ours = questions[text]
    for at in range(0, len(ours), _ROWS_AT_ONCE):
        some = ours.slice(at, _ROWS_AT_ONCE)
        part, part_shares = _hits(some, HashedWords(some), asked)
        hits.append(part.with_columns(pl.col("ours") + at))
        shares.append(part_shares.with_columns(pl.col("ours") + at))
    found = _best(_rare_among_ours(pl.concat(hits), ours), pl.concat(shares), asked.rows)
    ids, names = questions[id], pl.Series([each.name for each in benchmarks], dtype=pl.String)
    return pl.DataFrame(
        {
            "id": ids.gather(found["ours"]),
            "benchmark": names.gather(found["benchmark"]),
            "row": found["row"],
            "match": found["match"],
            "score": found["score"],
        }
    )


class _Asked:
    """The benchmarks' questions, each once however many benchmarks hold it, and their runs.

    Attributes:
        rows: ``asked`` (number of the question), ``benchmark`` (its place) and ``row``.
        whole: ``run`` (hash of all words), ``asked``, ``n_words``.
        letters: ``asked``, ``letters``: those of 8 words and more as letters and digits alone.
        anchors: for each question of 8 words and more the run of 8 that fewest others hold:
            ``run``, ``asked``, ``offset`` (where it is), ``n_words``, ``whole`` (hash of all).
        short: ``run``, ``asked``: the rare runs of 8 words of questions of 13 words and more.
        long: ``run``, ``asked``: the rare runs of 13 words.
        n_short: ``asked``, ``n_short``: how many different rare runs of 8 words it has.
    """

    def __init__(self, benchmarks: Sequence[Benchmark]) -> None:
        texts = pl.concat([pl.Series(dtype=pl.String), *(each.questions for each in benchmarks)])
        hashed = HashedWords(texts)
        every = pl.DataFrame(
            {
                "benchmark": np.repeat(
                    np.arange(len(benchmarks)), [len(each.questions) for each in benchmarks]
                ),
                "asked": np.arange(len(texts)),
                "n_words": hashed.n_words,
                "whole": hashed.run(hashed.starts, hashed.n_words),
            }
        )
        every = every.with_columns(row=pl.int_range(pl.len()).over("benchmark"))
        every = every.filter(pl.col("n_words") > 0)
        every = every.with_columns(asked=pl.col("asked").first().over("whole"))
        questions = every.unique("asked", keep="first", maintain_order=True)
        self.rows = every.select("asked", "benchmark", "row")
        self.whole = questions.select("asked", "n_words", run="whole")
        longer = questions.filter(pl.col("n_words") >= _SHORT).select("asked")
        self.letters = longer.with_columns(letters=texts.gather(longer["asked"])).select(
            "asked", _letters()
        )
        eight = _runs(hashed, _SHORT, questions)
        self.anchors = (
            eight.sort("n_asked", maintain_order=True)
            .unique("asked", keep="first", maintain_order=True)
            .select("run", "asked", "offset", "n_words", "whole")
        )
        rare = pl.col("n_asked") <= _MAX_ASKED
        self.short = (
            eight.filter(rare & (pl.col("n_words") >= _LONG)).select("run", "asked").unique()
        )
        self.long = _runs(hashed, _LONG, questions).filter(rare).select("run", "asked").unique()
        self.n_short = self.short.group_by("asked").agg(n_short=pl.len())


def _runs(hashed: HashedWords, n: int, questions: pl.DataFrame) -> pl.DataFrame:
    """Each run of ``n`` words of each question, and how many questions hold it (``n_asked``)."""
    starts, runs = hashed.runs(n)
    of = hashed.rows[starts]
    return (
        pl.DataFrame({"run": runs, "asked": of, "offset": starts - hashed.starts[of]})
        .join(questions.select("asked", "n_words", "whole"), on="asked", maintain_order="left")
        .with_columns(n_asked=pl.col("asked").n_unique().over("run"))
    )


def _hits(ours: pl.Series, hashed: HashedWords, asked: _Asked) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Which of some of our questions hold which questions, in every way; and the shares found."""
    starts, runs = hashed.runs(_SHORT)
    eight = pl.DataFrame({"ours": hashed.rows[starts], "start": starts, "run": runs})
    shares = (
        eight.select("ours", "run")
        .join(asked.short, on="run")
        .unique()
        .group_by("ours", "asked")
        .agg(n=pl.len())
        .join(asked.n_short, on="asked")
        .select("ours", "asked", share=pl.col("n") / pl.col("n_short"))
    )
    starts, runs = hashed.runs(_LONG)
    thirteen = (
        pl.DataFrame({"ours": hashed.rows[starts], "run": runs}).join(asked.long, on="run").unique()
    )
    hits = [
        _hit(_equal(ours, hashed, asked), "equal"),
        _hit(_contained(hashed, asked, eight), "contains"),
        _hit(shares.filter(pl.col("share") >= MIN_SHARE), "8-grams"),
        _hit(thirteen, "13-gram"),
    ]
    return pl.concat(hits), shares


def _hit(found: pl.DataFrame, match: Match) -> pl.DataFrame:
    run = pl.col("run") if "run" in found.columns else pl.lit(None, pl.UInt64)
    return found.select("ours", "asked", run=run, match=pl.lit(match, _MATCH))


def _equal(ours: pl.Series, hashed: HashedWords, asked: _Asked) -> pl.DataFrame:
    whole = hashed.run(hashed.starts, hashed.n_words)
    row = np.arange(len(whole))
    words = pl.DataFrame({"ours": row, "n_words": hashed.n_words, "run": whole})
    # Without 3.5 for 35, a sign or a hyphen: longer questions cannot be mistaken for each other.
    letters = pl.DataFrame({"ours": row, "letters": ours}).select("ours", _letters())
    found = [
        words.join(asked.whole, on=["run", "n_words"]).select("ours", "asked"),
        letters.join(asked.letters, on="letters").select("ours", "asked"),
    ]
    return pl.concat(found).unique()


def _letters() -> pl.Expr:
    return pl.col("letters").str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", "")


def _contained(hashed: HashedWords, asked: _Asked, eight: pl.DataFrame) -> pl.DataFrame:
    """Whole questions within ours: short ones by all their words, longer ones by their anchors."""
    found = [_NO_HITS.select("ours", "asked")]
    for n in range(MIN_CONTAINED, _SHORT):
        starts, runs = hashed.runs(n)
        ours = pl.DataFrame({"ours": hashed.rows[starts], "run": runs})
        wanted = asked.whole.filter(pl.col("n_words") == n)
        found.append(ours.join(wanted, on="run").select("ours", "asked"))
    near = eight.join(asked.anchors, on="run")
    ours, length = near["ours"].to_numpy(), near["n_words"].to_numpy()
    start = near["start"].to_numpy() - near["offset"].to_numpy()
    first = hashed.starts[ours]
    inside = (start >= first) & (start + length <= first + hashed.n_words[ours])
    near = near.filter(pl.Series(inside))
    held = hashed.run(start[inside], length[inside]) == near["whole"].to_numpy()
    found.append(near.filter(pl.Series(held)).select("ours", "asked"))
    return pl.concat(found).unique()


def _rare_among_ours(hits: pl.DataFrame, ours: pl.Series) -> pl.DataFrame:
    """The hits without those by a run of words that many different questions of ours hold."""
    said = pl.DataFrame({"said": ours.gather(hits["ours"])}).select(normal_text(pl.col("said")))
    n_ours = pl.col("said").n_unique().over("run")
    return (
        hits.with_columns(said.to_series())
        .filter((pl.col("match") != "13-gram") | (n_ours <= _MAX_OURS))
        .drop("said")
    )


def _best(hits: pl.DataFrame, shares: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """The strongest hit of each of our questions in each benchmark."""
    keys = ["ours", "benchmark"]
    score = (
        pl.when(pl.col("match").is_in(["equal", "contains"])).then(1.0).otherwise(pl.col("share"))
    )
    return (
        hits.select("ours", "asked", "match")
        .unique()
        .join(shares, on=["ours", "asked"], how="left")
        .with_columns(score=score.fill_null(0.0))
        .join(rows, on="asked")
        .sort(*keys, "match", -pl.col("score"), "row")
        .unique(keys, keep="first", maintain_order=True)
    )
