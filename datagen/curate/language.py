r"""In which language a question is written, as far as its words tell.

The surprising fact: most of a mathematical question is written in no language. Formulas, numbers,
code and examples of calls pull the guess towards languages that nobody wrote, so they are taken out
first, and what remains has to hold a few words and a clear favourite; else the answer is ``null``.

The model is py3langid's (naive Bayes over byte n-grams; Lui and Baldwin 2012), which is part of the
package and opens no connection.
"""

from functools import cache
from typing import Any, Final

import polars as pl

from datagen.errors import ConfigError

MIN_WORDS: Final = 5
"""Words below which no language is told; a character of Chinese or Japanese counts as one."""

MIN_PROBABILITY: Final = 0.5
"""Of the likeliest language."""

_MAX_CHARS: Final = 200
"""Of prose that the model is shown; more would not change its mind, only take longer."""

_WORD: Final = r"[\p{Han}\p{Hiragana}\p{Katakana}]|\p{L}[\p{L}\p{M}]+"
_NOT_PROSE: Final = "|".join(
    (
        r"(?s:```.*?(?:```|\z))",  # code, in a fence or between back ticks
        r"`[^`\n]*`",
        r"(?s:\$\$.*?\$\$)",  # formulas
        r"\$[^$\n]*[^$\s]\$",  # but not what is between "$5 and $6"
        r"(?s:\\\[.*?\\\]|\\\(.*?\\\))",
        r"(?m:^[ \t]*(?:>>>|\.\.\.|def |class |import |from \w+ import |return\b|assert |@|#!).*$)",
        r"https?://\S+",
        r"</?[A-Za-z][^>\n]{0,80}>",
        r"\\[A-Za-z]+",  # a command of TeX outside of a formula
        r"\w*[0-9_]\w*|\w+\(",  # names and calls
        r"[A-Za-z]+\.[A-Za-z]+[\w.]*",
    )
)


def language_of(text: pl.Expr) -> pl.Expr:
    """The ISO 639-1 code of each text's language, or ``null``.

    ``null`` where there are fewer than :data:`MIN_WORDS` words beside formulas and code, or where
    no language is likelier than :data:`MIN_PROBABILITY`. Equal texts are looked at once.
    """
    return prose(text).map_batches(_languages, return_dtype=pl.String, is_elementwise=True)


def prose(text: pl.Expr) -> pl.Expr:
    """What of each text is written in words; the rest, and runs of white space, become a space."""
    words_only = text.str.replace_all(_NOT_PROSE, " ").str.replace_all(r"[^\p{L}\p{M}'’]+", " ")
    return words_only.str.strip_chars()


def refuse_unknown_languages(codes: tuple[str, ...]) -> None:
    """Check that questions in each of these languages could be told.

    Raises:
        ConfigError: if one is unknown; names them all.
    """
    known = _known_languages()
    if unknown := [code for code in codes if code not in known]:
        raise ConfigError(
            f"languages: {', '.join(map(repr, unknown))} cannot be told; known are "
            f"{', '.join(known)}"
        )


def _languages(texts: pl.Series) -> pl.Series:
    distinct = texts.unique()
    enough = distinct.filter(distinct.str.count_matches(_WORD) >= MIN_WORDS)
    told = [_language(text) for text in enough.str.slice(0, _MAX_CHARS)]
    return texts.replace_strict(
        enough, pl.Series(told, dtype=pl.String), default=None, return_dtype=pl.String
    )


def _language(text: str) -> str | None:
    code, probability = _model().classify(text)
    return code if probability >= MIN_PROBABILITY and code in _known_languages() else None


@cache
def _known_languages() -> list[str]:
    """Codes of ISO 639-1 alone: its rarer neighbours (``pcm``, ``lij``) only draw errors."""
    return sorted(code for code in _model().labels if len(code) == 2)


@cache
def _model() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    # zxx is the model's own name for text in no language.
    model.set_languages([code for code in model.labels if len(code) == 2 or code == "zxx"])
    return model
