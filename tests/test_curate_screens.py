"""Length and language of questions, and the settings of curation."""

from typing import Any

import polars as pl
import pytest

from datagen.curate import CurateConfig
from datagen.curate.language import language_of, prose
from datagen.curate.screens import foreign_language, wrong_length
from datagen.errors import ConfigError


def items(*texts: str) -> pl.DataFrame:
    ids = [f"s{idx}" for idx in range(len(texts))]
    return pl.DataFrame({"id": ids, "seed_id": ids, "text": texts})


def told(*texts: str) -> list[str | None]:
    return items(*texts).select(language_of(pl.col("text"))).to_series().to_list()


def test_a_text_with_too_few_or_too_many_words_is_rejected() -> None:
    found = wrong_length(
        items("one", "one two", "one, two - three!", "one two three four", "?!"),
        min_words=2,
        max_words=3,
        what="question",
        kind="question",
    )
    assert found.select("id", "reason").rows() == [
        ("s0", "its question has 1 words; kept are 2 to 3"),
        ("s3", "its question has 4 words; kept are 2 to 3"),
        ("s4", "its question has 0 words; kept are 2 to 3"),
    ]


def test_without_a_most_only_short_texts_are_rejected() -> None:
    table = items("one", "word " * 500)
    found = wrong_length(table, min_words=2, max_words=None, what="thought", kind="trace")
    assert found.select("id", "reason", "kind").rows() == [
        ("s0", "its thought has 1 words; kept are at least 2", "trace")
    ]


QUESTIONS = {
    "en": "Max starts with 48 shells and gives 18 shells to a friend. How many are left?",
    "de": "Anna hat 48 Muscheln und gibt einem Freund 18 davon. Wie viele bleiben ihr?",
    "fr": "Les canes de Jeanne pondent 16 œufs par jour. Combien en reste-t-il le soir ?",
    "es": "Los patos de Juana ponen 16 huevos por día. ¿Cuántos huevos quedan?",
    "pt": "As patas de Joana põem 16 ovos por dia. Quantos ovos sobram no fim?",
    "pl": "Pociąg przejeżdża 120 km w dwie godziny. Jaka jest jego prędkość?",
    "ru": "Найдите все действительные решения уравнения $x^2 - 5x + 6 = 0$.",
    "zh": "珍妮的鸭子每天下16颗蛋。她每天早上吃三颗。还剩多少颗?",
    "ja": "方程式 $x^2 - 5x + 6 = 0$ の実数解をすべて求めよ。",
    "ko": "자넷의 오리는 하루에 16개의 알을 낳습니다. 세 개를 먹습니다. 몇 개가 남습니까?",
    "ar": "تضع بطات جانيت 16 بيضة في اليوم. تأكل ثلاثًا منها. كم يتبقى؟",
}


@pytest.mark.parametrize("code", QUESTIONS)
def test_the_language_of_a_question_is_told(code: str) -> None:
    assert told(QUESTIONS[code]) == [code]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (r"Find $\sum_{k} der(k) = das$ for large n.", "Find for large n"),
        (r"Is $x$ or \(die + das\) or $$der\ndas$$ or \[die\] larger?", "Is or or or larger"),
        ("Tom paid $5 for pencils and $6 for books.", "Tom paid for pencils and for books"),
        ("Tom paid $5 (in all) for it, and $6 more.", "Tom paid in all for it and more"),
        ("Print?\n```python\nfor der in das:\n    die += 1\n```\nTell me.", "Print Tell me"),
        ("What is it?\n```\nwhile die: das", "What is it"),
        ("The variable `der und das` is a list.", "The variable is a list"),
        ("Add.\n>>> summe der liste\n    return die summe\ndef die(das): und", "Add"),
        ("Call solve_it and mean(values) of np.array or x2.", "Call and values of or"),
        ("See https://example.org/der/die/das for <b>more</b>.", "See for more"),
        (r"The area \textbf of it — l'été dernier.", "The area of it l'été dernier"),
    ],
)
def test_only_prose_is_left_of_a_question(text: str, words: str) -> None:
    assert items(text).select(prose(pl.col("text"))).item() == words


def test_formulas_do_not_sway_the_language() -> None:
    formula = r"\sum_{k=1}^{n} \frac{\operatorname{der}(k)}{\mathrm{die}} = \text{das}"
    assert told(f"Find the value of the sum ${formula}$ when n is large.") == ["en"]


@pytest.mark.parametrize(
    "text",
    ["", "2 + 2 = ?", r"Compute $\int_0^1 x^2 dx$.", "Solve for x: 2x + 3 = 11.", "求 $x$。"],
)
def test_few_words_are_in_no_language(text: str) -> None:
    assert told(text) == [None]


def test_only_questions_in_other_languages_are_rejected() -> None:
    table = items(QUESTIONS["en"], QUESTIONS["de"], "2 + 2 = ?", QUESTIONS["fr"], QUESTIONS["en"])
    found = foreign_language(table, languages=("en", "fr"))
    assert found.select("id", "rule", "reason").rows() == [
        ("s1", "language", "it is written in de; kept are en, fr")
    ]


def test_without_wanted_languages_none_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("datagen.curate.language._language", broken)
    assert foreign_language(items(QUESTIONS["de"]), languages=()).is_empty()


def test_equal_questions_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def language(text: str) -> str:
        seen.append(text)
        return "en"

    monkeypatch.setattr("datagen.curate.language._language", language)
    assert told(*[QUESTIONS["en"]] * 50) == ["en"] * 50
    assert len(seen) == 1


def test_a_language_that_cannot_be_told_is_an_error_even_without_questions() -> None:
    with pytest.raises(ConfigError, match=r"'xx' cannot be told; known are af, .*en, "):
        foreign_language(items(), languages=("en", "xx"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_words": 9, "max_words": 8}, "min_words=9 and max_words=8"),
        ({"min_words": -1}, "min_words=-1"),
        ({"max_thought_words": 0}, "max_thought_words=0"),
        ({"languages": ("English",)}, "'English' is no ISO 639-1 code"),
        ({"near_duplicates": 0.0}, "near_duplicates=0.0 is a similarity"),
        ({"trace_near_duplicates": 1.5}, "trace_near_duplicates=1.5 is a similarity"),
        ({"test_share": 1.0}, "test_share=1.0 is a share"),
        ({"difficulties": ("trivial",)}, "'trivial' is unknown; use some of unknown, unsolved"),
        ({"difficulties": ()}, "keeps no question"),
    ],
)
def test_a_setting_out_of_range_is_shown(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CurateConfig(**settings)
