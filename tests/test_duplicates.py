import random
from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.curate import duplicates
from datagen.curate.duplicates import exact_duplicates, near_duplicates
from datagen.curate.words import normal_text

NAMES = ["Tom", "Anna", "Bob", "Kim", "Lena", "Max", "Zoe", "Ivan", "Pia", "Omar"]
THINGS = ["apples", "pencils", "shells", "coins", "stamps", "marbles", "books", "cards", "roses"]
SENTENCES = [
    "{a} collects {x} {t} on the beach every morning before school.",
    "Her brother {b} gives away {x} of his {t} to the neighbours.",
    "A box at the market holds {x} {t} and costs a few coins.",
    "During the summer {a} and {b} count their {t} and find {x} more.",
    "The teacher asks {b} to share {x} {t} equally among the class.",
    "After a long walk {a} loses {x} {t} in the snow near the old mill.",
    "Grandmother sends {x} {t} by mail because {b} has a birthday.",
    "At noon the shop sells {x} {t} to a man in a green coat.",
    "{b} paints {x} {t} blue and puts the rest on a wooden shelf.",
    "In winter the price falls, so {a} buys {x} {t} for the party.",
]
ASKS = [
    "How many {t} does {a} have at the end?",
    "What is the total number of {t} that {b} still needs?",
    "Find out how many {t} remain when everybody has gone home.",
]


def question(rng: random.Random, *, numbers: bool = True) -> list[str]:
    """The sentences of a question that nobody else wrote."""
    a, b = rng.sample(NAMES, 2)
    picked = [*rng.sample(SENTENCES, rng.randint(3, 5)), rng.choice(ASKS)]
    return [
        sentence.format(
            a=a, b=b, t=rng.choice(THINGS), x=rng.randint(21, 990) if numbers else "some"
        )
        for sentence in picked
    ]


def _without_number(rng: random.Random, words: list[str]) -> int:
    return rng.choice([at for at, word in enumerate(words) if not word.isdigit()])


def replaced(rng: random.Random, said: list[str]) -> str:
    words = " ".join(said).split()
    words[_without_number(rng, words)] = "indeed"
    return " ".join(words)


def dropped(rng: random.Random, said: list[str]) -> str:
    words = " ".join(said).split()
    del words[_without_number(rng, words)]
    return " ".join(words)


def filled(rng: random.Random, said: list[str]) -> str:
    words = " ".join(said).split()
    at = rng.randrange(len(words))
    return " ".join([*words[:at], "as", "you", "know", *words[at:]])


def swapped(rng: random.Random, said: list[str]) -> str:
    words = " ".join(said).split()
    i, j = rng.sample(range(len(words)), 2)
    words[i], words[j] = words[j], words[i]
    return " ".join(words)


def reordered(rng: random.Random, said: list[str]) -> str:
    return " ".join([*said[1:-1], said[0], said[-1]])


def frame(texts: list[str]) -> pl.DataFrame:
    return pl.DataFrame({"id": [f"q{i}" for i in range(len(texts))], "text": texts})


def rows(found: pl.DataFrame) -> list[tuple[object, ...]]:
    return found.rows()


# Word for word


def test_the_same_words_repeat_the_earliest_row_that_says_them() -> None:
    texts = ["Tom's 3 apples.", "4 pears", "TOMS 3 APPLES", "toms 3 apples?", "3 apples"]
    found = exact_duplicates(frame(texts), text="text", id="id")
    assert rows(found) == [("q2", "q0"), ("q3", "q0")]


def test_only_rows_of_one_group_repeat_each_other() -> None:
    items = frame(["a b", "a b", "a b"]).with_columns(seed=pl.Series([1, 2, 1]))
    assert rows(exact_duplicates(items, text="text", id="id", by=["seed"])) == [("q2", "q0")]
    assert rows(near_duplicates(items, text="text", id="id", by=["seed"])) == [("q2", "q0", 1.0)]


def test_rows_without_words_repeat_nothing() -> None:
    items = pl.DataFrame({"id": ["a", "b", "c", "d"], "text": ["?", "!", None, None]})
    assert exact_duplicates(items, text="text", id="id").is_empty()
    assert near_duplicates(items, text="text", id="id").is_empty()


def test_no_rows_have_no_duplicates() -> None:
    none = frame([]).cast(pl.String)
    assert exact_duplicates(none, text="text", id="id").is_empty()
    assert near_duplicates(none, text="text", id="id").columns == ["id", "other", "score"]


# Nearly


@pytest.mark.parametrize("same_numbers", [True, False], ids=["in small groups", "by sketches"])
@pytest.mark.parametrize("change", [replaced, dropped, filled, swapped, reordered])
def test_planted_near_duplicates_are_found(
    change: Callable[[random.Random, list[str]], str], same_numbers: bool
) -> None:
    rng = random.Random(change.__name__)
    said = [question(rng) for _ in range(400)]
    texts = [" ".join(one) for one in said] + [change(rng, one) for one in said]
    found = near_duplicates(frame(texts), text="text", id="id", same_numbers=same_numbers)
    right = found.filter(
        pl.col("id").str.slice(1).cast(int) == pl.col("other").str.slice(1).cast(int) + 400
    )
    assert right.height >= 0.98 * 400
    assert found.height == right.height, "only the planted ones"


def test_questions_written_on_their_own_are_kept() -> None:
    rng = random.Random(0)
    texts = [" ".join(question(rng)) for _ in range(2_000)]
    assert near_duplicates(frame(texts), text="text", id="id").is_empty()
    free = [" ".join(question(rng, numbers=False)) for _ in range(60)]
    assert near_duplicates(frame(free), text="text", id="id").is_empty()


def test_other_numbers_make_another_question() -> None:
    rng = random.Random(3)
    one = " ".join(question(rng))
    number = next(word for word in one.split() if word.isdigit())
    items = frame([one, one.replace(number, "7"), one.replace(number, "seven")])
    assert rows(near_duplicates(items, text="text", id="id").select("id", "other")) == [
        ("q2", "q1")
    ]
    found = near_duplicates(items, text="text", id="id", same_numbers=False)
    assert found["other"].to_list() == ["q0", "q0"]


def test_a_number_said_twice_makes_another_question() -> None:
    asked = "Ten red boats sail out of the big harbour and a man on a hill counts 6 flags{} on them"
    items = frame([asked.format(""), asked.format(" 6")])
    assert near_duplicates(items, text="text", id="id").is_empty()
    assert near_duplicates(items, text="text", id="id", same_numbers=False).height == 1


def test_a_sign_makes_another_question() -> None:
    asked = "Work out the value of this small expression and tell me what it is please: 7 {} 3"
    items = frame([asked.format("+"), asked.format("-"), asked.format("+") + " now"])
    found = near_duplicates(items, text="text", id="id")
    assert rows(found.select("id", "other")) == [("q2", "q0")]


def test_what_resembles_only_a_rejected_text_is_kept() -> None:
    words = [f"w{chr(97 + i)}" for i in range(20)]
    chain = [words, [*words[2:], "xa", "xb"], [*words[4:], "xa", "xb", "xc", "xd"]]
    items = frame([" ".join(one) for one in chain])
    found = near_duplicates(items, text="text", id="id")
    assert rows(found.select("id", "other")) == [("q1", "q0")]


def alike(one: str, other: str, shingle: int = 2) -> float:
    sets = [
        {
            tuple(words[at : at + n])
            for n in range(1, shingle + 1)
            for at in range(len(words) - n + 1)
        }
        for words in (one.split(), other.split())
    ]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


TEXTS = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "dd"]), min_size=1, max_size=7).map(" ".join),
    max_size=14,
)


@pytest.mark.slow
@settings(deadline=None)
@given(TEXTS, st.sampled_from([0.3, 0.5, 0.8, 1.0]), st.integers(1, 3))
def test_a_text_is_rejected_if_and_only_if_it_resembles_a_kept_one(
    texts: list[str], threshold: float, shingle: int
) -> None:
    expected: list[tuple[str, str, float]] = []
    kept: list[int] = []
    for row, text in enumerate(texts):
        near = [at for at in kept if alike(texts[at], text, shingle) >= threshold]
        if near:
            expected.append((f"q{row}", f"q{near[0]}", alike(texts[near[0]], text, shingle)))
        else:
            kept.append(row)
    found = near_duplicates(
        frame(texts), text="text", id="id", threshold=threshold, shingle=shingle
    )
    assert rows(found) == expected


def test_sketches_reject_and_score_as_measuring_every_pair_does() -> None:
    rng = random.Random(11)
    texts: list[str] = []
    for _ in range(120):
        said = question(rng, numbers=False)
        texts += [" ".join(said), *(rng.choice([replaced, swapped])(rng, said) for _ in range(3))]
    rng.shuffle(texts)
    items = frame(texts).with_columns(said=normal_text(pl.col("text")))
    said = dict(items.select("id", "said").iter_rows())
    found = near_duplicates(items, text="text", id="id")
    rejected = set(found["id"])
    for id, other, score in found.iter_rows():
        assert other not in rejected
        assert int(other[1:]) < int(id[1:])
        assert score == pytest.approx(alike(said[id], said[other]))
        assert score >= 0.8
    kept = [text for id, text in said.items() if id not in rejected]
    missed = [1 for i, one in enumerate(kept) for other in kept[:i] if alike(one, other) >= 0.8]
    assert len(missed) <= 0.02 * len(rejected)
    assert len(rejected) > 300


def variants(rng: random.Random, n: int) -> list[str]:
    """Texts that drift: each is a change of an earlier one."""
    texts = [" ".join(question(rng, numbers=False))]
    while len(texts) < n:
        texts.append(swapped(rng, [rng.choice(texts)]))
    return texts


@pytest.mark.slow
def test_how_many_texts_are_looked_up_at_once_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = [*variants(random.Random(4), 30), "other words"]
    large = variants(random.Random(5), 300)
    items = [frame(small), frame(large)]
    at_once = [near_duplicates(each, text="text", id="id") for each in items]
    assert all(0 < found.height < 290 for found in at_once)
    monkeypatch.setattr(duplicates, "_ROWS_AT_ONCE", 7)
    monkeypatch.setattr(duplicates, "_ASKED_AT_ONCE", 7)
    monkeypatch.setattr(duplicates, "_PAIRS_AT_ONCE", 7)
    for each, found in zip(items, at_once, strict=True):
        assert near_duplicates(each, text="text", id="id").equals(found)


def test_large_groups_are_not_compared_with_each_other() -> None:
    texts = variants(random.Random(6), 50)
    twice = frame(texts * 2).with_columns(seed=pl.Series([1] * 50 + [2] * 50))
    alone = near_duplicates(frame(texts), text="text", id="id")
    found = near_duplicates(twice, text="text", id="id", by=["seed"])
    assert 0 < alone.height < 49
    assert found.head(alone.height).equals(alone)
    assert found.height == 2 * alone.height
    assert found["other"].str.slice(1).cast(int).tail(alone.height).min() >= 50


@pytest.mark.slow
def test_each_of_a_hundred_thousand_variants_of_one_text_is_compared_with_few_others() -> None:
    rng = random.Random(2)
    said = " ".join(question(rng, numbers=False)).split()
    texts: list[str] = []
    for _ in range(100_000):
        words = said.copy()
        words[rng.randrange(len(words))] = f"w{rng.choice('abcdefgh')}{rng.choice('xyz')}"
        texts.append(" ".join(words))
    found = near_duplicates(frame(texts), text="text", id="id")
    assert found.height == len(texts) - 1
    assert set(found["other"]) == {"q0"}
