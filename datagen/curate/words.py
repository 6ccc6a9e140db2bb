r"""The words of a text: what remains when case, punctuation and layout are taken away.

The surprising fact: not all punctuation goes. An arithmetic sign decides a question just as a
number does, so ``2 + 3`` and ``2 - 3`` stay two questions: a sign is glued to the word behind it
(``2``, ``+3``), which also keeps a formula as few words as it has numbers and names. Only strings
are compared here and nothing depends on how Polars hashes, so that what is derived from the words,
such as a split, is the same in every release.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

_HASH_SEED: Final = 20_250_101
_FACTOR: Final = 0x9E37_79B9_7F4A_7C15
_INVERSE: Final = pow(_FACTOR, -1, 1 << 64)

Places = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

# Scripts that put no space between words: each character is a word.
_SINGLE: Final = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD: Final = rf"[\p{{L}}\p{{M}}--[{_SINGLE}]]+"
_NUMBER: Final = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"

# `-`, `*` and `/` are signs only behind an operand, which \x01 marks, and before one; elsewhere
# they are hyphens, bullets, emphasis and alternatives.
_SIGNS: Final = r"[)\]]*[ \t]*(?:(?:[+=<>^]+|\x01[-*/]+)[ \t]*)+[(\[]*[ \t]*"
_SIGNS_BEFORE_WORD: Final = r"[)\]]*[ \t]*(?:[+=<>^]+[ \t]*[(\[]*|\x01[-*/]+[ \t]*[(\[]+)[ \t]*"
_TOKEN: Final = (
    rf"{_SIGNS}(?:{_NUMBER}|\\{_WORD}|\p{{L}}\b)"
    rf"|{_SIGNS_BEFORE_WORD}{_WORD}|{_NUMBER}|[{_SINGLE}]|{_WORD}"
)
_BEFORE_FOLDING: Final = (
    (r"([⁰¹²³⁴-⁹]+)", "^${1}"),
    (r"([¼-¾⅐-⅞])", " ${1}"),
)
_AFTER_FOLDING: Final = (
    (r"\p{Cf}", ""),  # soft hyphens, zero-width spaces
    (r"(\p{L})['’‘ʼ′]", "${1}"),  # tom's
    (r"\{,\}|,\\!", ","),  # 10{,}000
    (r"\\[dt]frac\b", r"\frac"),
    (r"\\(?:times|cdot|ast)\b|[×·⋅∗]", "*"),
    (r"\\div\b|[÷⁄]", "/"),
    (r"−", "-"),
    (r"%", " percent "),
    (r"\\(?:left|right|text[a-z]*|mathrm|mathbf|displaystyle|q?quad)\b|\\[!,;: ]|[{}$]", " "),
    (r"([\d)\]]|\b\p{L})([ \t]*)([-*/])", "${1}${2}\x01${3}"),
    (r"(^|[\s(=<>+^,|])-(\d|\\|\p{L}\b)", "${1}\x01-${2}"),
)
# Not "one", which mostly stands for no number; "one" for "two" still changes the numbers.
_NUMBER_WORDS: Final[dict[str, str]] = {
    **{"zero": "0", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7"},
    **{"eight": "8", "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "dozen": "12"},
    **{"thirteen": "13", "fourteen": "14", "fifteen": "15", "sixteen": "16", "seventeen": "17"},
    **{"eighteen": "18", "nineteen": "19", "twenty": "20", "thirty": "30", "forty": "40"},
    **{"fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80", "ninety": "90"},
    **{"hundred": "100", "thousand": "1000", "million": "1000000"},
    **{"half": "half", "twice": "twice", "double": "twice", "thrice": "thrice"},
    **{"triple": "thrice", "third": "third", "quarter": "quarter", "fourth": "quarter"},
}


def words(column: pl.Expr) -> pl.Expr:
    r"""The words of each text, ``list[str]``; null stays null.

    Unicode NFKC, without case; of LaTeX the dollar signs, braces and spacing commands go; numbers
    are whole and in one form (``1,000`` and ``1{,}000`` are ``1000``, ``3.50`` is ``3.5``);
    ``Tom's`` is ``toms``, ``well-known`` two words, ``3kg`` a number and a word; a character of
    a script without spaces (Chinese, Japanese, Thai, …) is a word.
    """
    text = column
    for pattern, replacement in _BEFORE_FOLDING:
        text = text.str.replace_all(pattern, replacement)
    text = text.str.normalize("NFKC").str.to_lowercase().str.to_uppercase().str.to_lowercase()
    for pattern, replacement in _AFTER_FOLDING:
        text = text.str.replace_all(pattern, replacement)
    tidy = (
        pl.element()
        .str.replace_all(r"[\s\x01\\,]+", "")
        .str.replace(r"^(\D*)\.", "${1}0.")
        .str.replace(r"\.0+$|(\.\d*[1-9])0+$", "${1}")
    )
    return text.str.extract_all(_TOKEN).list.eval(tidy)


def normal_text(column: pl.Expr) -> pl.Expr:
    """The words of each text with one space between; equal for texts that ask the same words."""
    return words(column).list.join(" ")


def numbers(column: pl.Expr) -> pl.Expr:
    """The numbers of each text in its order, ``list[str]``: what decides a word problem.

    With the sign before them, and with what else stands behind a sign (``=x``). Number words count
    and are written as digits (``three``, ``dozen``; ``twice`` and ``half`` stay as they are).
    """
    return numbers_of(words(column))


def numbers_of(listed: pl.Expr) -> pl.Expr:
    """:func:`numbers` of lists of words that were made before."""
    holds_one = pl.element().str.contains(r"[\d+=<>^*/-]") | pl.element().is_in(list(_NUMBER_WORDS))
    return listed.list.eval(pl.element().filter(holds_one).replace(_NUMBER_WORDS))


class HashedWords:
    """All words of many texts, one after the other, and a hash of any run of them.

    The hash of a run of any length costs two look-ups in running sums of ``hash · factor^place``
    (Karp and Rabin 1987, modulo 2^64). Hashes are for use within one call: another version of
    Polars may hash otherwise.

    Attributes:
        rows: the row of each word.
        starts: where each row with words starts, by row; ``n_words`` says which have any.
        n_words: by row.
    """

    def __init__(self, texts: pl.Series) -> None:
        listed = pl.DataFrame({"text": texts}).select(words=words(pl.col("text")))["words"]
        self.n_words: Places = listed.list.len().fill_null(0).to_numpy().astype(np.int64)
        self.rows: Places = np.repeat(np.arange(len(texts)), self.n_words)
        self.starts: Places = np.cumsum(self.n_words) - self.n_words
        hashes = listed.explode(empty_as_null=False, keep_nulls=False).hash(_HASH_SEED)
        powers = _powers(_FACTOR, len(hashes))
        self._inverse_powers = _powers(_INVERSE, len(hashes) + 1)
        self._sums = np.zeros(len(hashes) + 1, dtype=np.uint64)
        np.cumsum(hashes.to_numpy() * powers, out=self._sums[1:])

    def runs(self, n: int) -> tuple[Places, Hashes]:
        """Where each run of ``n`` words starts that lies within one row, and its hash."""
        n_runs = max(0, len(self.rows) - n + 1)
        starts = np.flatnonzero(self.rows[:n_runs] == self.rows[n - 1 :][:n_runs])
        return starts, self.run(starts, n)

    def run(self, starts: Places, n: Places | int) -> Hashes:
        """The hash of the run of ``n`` words at each of the places."""
        return (self._sums[starts + n] - self._sums[starts]) * self._inverse_powers[starts]


def _powers(factor: int, n: int) -> Hashes:
    powers = np.full(n, factor, dtype=np.uint64)
    powers[:1] = 1
    return np.cumprod(powers, dtype=np.uint64)
