"""The words that decide how a sentence about a run is meant; each set says what its words do."""

from typing import Final

from datagen.code.claims.tokens import words

UNREAL: Final = frozenset(
    words(
        "if when while whenever until unless once where whether suppose supposing assume assuming "
        "say let set should would could might may perhaps maybe possibly probably likely want "
        "wants need needs must otherwise imagine pretend expect expects expected guess guessed "
        "claimed thought hope hoping initialise initialize initialised initialized initialising "
        "initializing hypothetically each every"
    )
)
"""Make the rest of the sentence conditional, intended or general: no claims."""

DISOWNS: Final = frozenset(words("wrong wrongly incorrect incorrectly mistake mistaken mistakenly"))
"""Anywhere in a sentence: it quotes an error."""

FOLLOWS: Final = frozenset(words("then so thus therefore hence in it this that and which we"))
"""Begin a sentence that goes on with what the sentence before it supposed."""

LATER: Final = frozenset(
    words("then next finally eventually later afterwards subsequently previously earlier")
)
"""Leave the iteration that was spoken of."""

NESTED: Final = frozenset(words("recursive inner nested recursion deeper helper subcall"))
"""From here to the sentence's end variables may be those of another call."""

CASES: Final = frozenset(words("edge corner special base general trivial degenerate"))
OTHERS: Final = frozenset(words("another different other any arbitrary second third"))
EXAMPLES: Final = frozenset(words("example input list string number array test call case cases"))
"""``edge case``, ``another input``: the thought has left the example in view."""

TURNS: Final = frozenset(
    words(
        "take taking consider considering try trying trace tracing simulate suppose say let assume "
        "imagine with for on given using use input inputs example run running"
    )
)
"""Begin the choice of an example: ``take xs = [1]``."""

LASTS: Final = frozenset(
    words("take taking consider try trying trace simulate suppose let example")
)
"""Those of them after which later steps are about that example only."""

LEADS_IN: Final = frozenset(
    words(
        "the this a an is input inputs example list string small simple concrete case say instance "
        "call through with for of on like number values arguments where using again at specific "
        "sample test function run"
    )
)
"""May stand between such a word and the values."""

ENDS_UP: Final = frozenset(words("end ends ended finish finishes left up start starts starting"))
"""``ends with x = 4`` and ``starts with x = 4`` choose no example."""

NOT_ITSELF: Final = frozenset(
    words(
        "of plus minus times mod modulo by over per divided from to until between through than not "
        "never old previous prior former initial original earlier next last expected both or"
    )
)
"""Directly before a name: what follows is not said of the variable as it stands now."""

ONE_OF_MANY: Final = frozenset(
    words("first second third no max maximum min minimum largest smallest a an both same new")
)
"""Before ``number is 4``: the word is a noun here, not the variable."""

NOT_THE_CALL: Final = frozenset(
    words("not never doesn't don't should would could might must to can branch case helper call")
)
"""Before ``returns 4``: it is not said of the call in view."""

DENIES: Final = frozenset(words("no not false fails failed which"))
