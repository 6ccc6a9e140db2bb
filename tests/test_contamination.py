import random
import re

import polars as pl
import pytest

from datagen.curate import contamination
from datagen.curate.benchmarks import Benchmark
from datagen.curate.contamination import find_contaminated

SLOTS = [
    ["Tom", "Anna", "Bob", "Kim", "Lena", "Max", "Zoe", "Ivan", "Pia", "Omar"],
    [
        "quickly",
        "slowly",
        "gladly",
        "rarely",
        "often",
        "never",
        "always",
        "secretly",
        "proudly",
        "calmly",
    ],
    ["buys", "sells", "finds", "paints", "counts", "loses", "hides", "packs", "weighs", "sorts"],
    [str(number) for number in range(2, 99)],
    ["red", "blue", "old", "heavy", "small", "shiny", "broken", "wooden", "cheap", "round"],
    [
        "apples",
        "pencils",
        "shells",
        "coins",
        "stamps",
        "marbles",
        "books",
        "cards",
        "roses",
        "lamps",
    ],
    ["near", "behind", "inside", "outside", "under", "beyond", "above", "beside"],
    ["the", "a", "every", "that", "another", "some"],
    [
        "market",
        "school",
        "river",
        "castle",
        "station",
        "garden",
        "harbour",
        "museum",
        "bakery",
        "tower",
    ],
    ["because", "while", "before", "after", "until", "unless", "although", "whenever"],
]
SHIP = "the captain of the old ship counts the barrels below the deck twice before sunset"
FRACTION = "can be written as m/n where m and n are relatively prime positive integers find m + n"


def question(rng: random.Random) -> str:
    """A question in words that nobody else would choose: 30 to 60 of them."""
    words = [rng.choice(slot) for _ in range(rng.randint(3, 6)) for slot in SLOTS]
    return f"{' '.join(words)} what is the answer?"


def benchmark(*questions: str, name: str = "gsm8k") -> Benchmark:
    return Benchmark(name, "here", "0", pl.Series("question", questions, dtype=pl.String))


def found_in(ours: list[str], *benchmarks: Benchmark) -> list[tuple[object, ...]]:
    frame = pl.DataFrame(
        {"id": [f"q{i}" for i in range(len(ours))], "text": ours},
        schema={"id": pl.String, "text": pl.String},
    )
    found = find_contaminated(frame, benchmarks, text="text", id="id")
    assert found.columns == ["id", "benchmark", "row", "match", "score"]
    return found.rows()


def cased(rng: random.Random, text: str) -> str:
    return rng.choice([str.upper, str.title, str.swapcase])(text)


def repunctuated(rng: random.Random, text: str) -> str:
    text = re.sub(r"[.,?!]", lambda _: rng.choice([";", "!", " …", "", " –"]), text)
    return f"“{text.replace(' ', rng.choice(['  ', chr(10), chr(160)]))}”"


def embedded(rng: random.Random, text: str) -> str:
    before = question(rng) if rng.random() < 0.5 else "Think about this for a while."
    return f"{before}\n\nQuestion: {text} Explain each step, and then write the answer alone."


def verbatim(rng: random.Random, text: str) -> str:
    return text


def test_planted_questions_are_found_and_no_other() -> None:
    rng = random.Random(5)
    asked = [question(rng) for _ in range(1_000)]
    ours = [question(rng) for _ in range(5_000)]
    ways = [verbatim, cased, repunctuated, embedded]
    planted = dict(zip(rng.sample(range(5_000), 200), rng.sample(range(1_000), 200), strict=True))
    for at, (row, of) in enumerate(planted.items()):
        ours[row] = ways[at % 4](rng, asked[of])
    found = found_in(ours, benchmark(*asked))
    assert {int(str(id)[1:]): row for id, _, row, _, _ in found} == planted


def test_the_match_says_how_it_was_found() -> None:
    asked = "A train leaves Paris at noon and another leaves Rome, when do the two of them meet?"
    words = asked.split()
    ours = [
        asked.upper(),
        f"Read this. {asked} Answer.",
        " ".join(words[3:]),
        " ".join(["One", "day", *words[:-1], "cross?"]),
        "A car " + " ".join(words[2:8]) + " stops.",
    ]
    found = found_in(ours, benchmark(asked))
    assert [row[3] for row in found] == ["equal", "contains", "8-grams", "8-grams"]
    assert [row[4] for row in found] == pytest.approx([1.0, 1.0, 0.7, 0.9])


def test_one_long_run_of_words_in_common_is_enough() -> None:
    asked = " ".join(f"a{chr(97 + i)}" for i in range(20)) + f" {SHIP} " + "and so on " * 5
    found = found_in([f"Every day {SHIP} and drinks tea", SHIP[:60]], benchmark(asked))
    assert [row[:4] for row in found] == [("q0", "gsm8k", 0, "13-gram")]


def test_how_questions_are_put_does_not_count() -> None:
    asked = [f"The area of shape {name} {FRACTION}" for name in ("alpha", "beta", "gamma", "delta")]
    ours = [f"The length of side {name} {FRACTION}" for name in ("one", "two")]
    assert found_in(ours, benchmark(*asked)) == []
    assert [row[0] for row in found_in([*ours, asked[2]], benchmark(*asked))] == ["q2"]


def test_what_many_of_our_questions_say_does_not_count() -> None:
    asked = (
        f"Two circles of radius 7 touch a line and each other within a square whose area {FRACTION}"
    )
    ours = [
        f"The sum of all numbers on card {chr(97 + i)}{chr(97 + i)} {FRACTION}" for i in range(11)
    ]
    assert found_in(ours, benchmark(asked)) == []
    assert [row[3] for row in found_in(ours[:10], benchmark(asked))] == ["13-gram"] * 10


def test_a_short_question_is_found_if_all_its_words_are_there() -> None:
    asked = benchmark("How many vertical asymptotes does it have?")
    ours = [
        "Draw y = 2/x. How many VERTICAL asymptotes does it have",
        "How many vertical asymptotes does she have?",
        "How many horizontal asymptotes does it have?",
    ]
    assert found_in(ours, asked) == [("q0", "gsm8k", 0, "contains", 1.0)]


@pytest.mark.parametrize("asked", ["What is 2+3?", "Solve.", "Compute $\\sin 60^\\circ$."])
def test_a_very_short_question_is_found_only_alone(asked: str) -> None:
    ours = [asked.lower(), f"{asked} And why?", f"{asked[:-1]} + 4?", "What is 2 - 3?"]
    assert [row[0] for row in found_in(ours, benchmark(asked))] == ["q0"]


def test_every_variant_of_a_template_is_found_within_a_longer_text() -> None:
    asked = [
        f"Tom has {n} red apples and gives two of them to each of his three friends at school, "
        "how many of the apples does he keep for himself in the end?"
        for n in range(30, 40)
    ]
    ours = [f"Here it is: {text} Good luck." for text in asked]
    found = found_in(ours, benchmark(*asked))
    assert [row[1:4] for row in found] == [("gsm8k", i, "contains") for i in range(10)]


def test_a_question_is_told_once_for_each_benchmark_that_holds_it() -> None:
    asked = "A farmer has 17 sheep and all but nine of them run away, how many are left?"
    found = found_in(
        [asked],
        benchmark("Something else that nobody of us has asked", name="a"),
        benchmark("", asked, asked.upper(), name="b"),
        benchmark(asked, name="c"),
    )
    assert [row[1:4] for row in found] == [("b", 1, "equal"), ("c", 0, "equal")]


def test_runs_of_words_end_where_a_question_ends() -> None:
    asked = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    words = asked.split()
    assert found_in([" ".join(words[:7]), " ".join(words[7:])], benchmark(asked)) == []
    halves = benchmark(" ".join(words[:7]), " ".join(words[7:]))
    assert [row[2] for row in found_in([asked], halves)] == [0]


def test_a_beginning_that_is_another_rows_end_is_not_contained() -> None:
    start = "read the long text about the old bridge first and then say"
    asked = [f"{start} how many cars can cross it in one hour at night", f"{start} who built it"]
    words = asked[0].split()
    for cut in range(1, len(words) - 8):
        ours = [" ".join(words[:cut]), " ".join(words[cut:])]
        assert "contains" not in [row[3] for row in found_in(ours, benchmark(*asked))]


def test_a_question_without_any_punctuation_is_found() -> None:
    asked = "Add 3.50 + 1.25 - 0.75 * 2 and 1/2 (or 0.5), then take 10% of $4.20!"
    bare = re.sub(r"[^\w\s]", "", asked)
    assert found_in([bare], benchmark(asked)) == [("q0", "gsm8k", 0, "equal", 1.0)]


def test_how_many_questions_are_compared_at_once_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = random.Random(9)
    asked = [question(rng) for _ in range(20)]
    ours = [rng.choice([question(rng), embedded(rng, one), one[9:]]) for one in asked]
    at_once = found_in(ours, benchmark(*asked))
    assert at_once
    monkeypatch.setattr(contamination, "_ROWS_AT_ONCE", 3)
    assert found_in(ours, benchmark(*asked)) == at_once


def test_nothing_is_found_without_benchmarks_or_questions() -> None:
    assert found_in(["What is that?", ""]) == []
    assert found_in([], benchmark("What is that?")) == []
