"""Finds where a thought turns to an example: ``take xs = [1, 2], k = 3``, ``consider f([1, 2])``.

Such values are stipulated, not claimed; they choose the run against which claims are checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from datagen.code.claims import prose
from datagen.code.claims.calls import parse_call
from datagen.code.claims.events import Example
from datagen.code.claims.sides import Side, read_side, relation_at
from datagen.code.claims.tokens import Token

RAISES: Final = frozenset({"raises", "raise", "raised"})
_BARE: Final = frozenset({"input", "example", "list", "string"})


@dataclass(frozen=True, slots=True)
class ExampleReader:
    """Reads turns to an example in the tokens of one step.

    Attributes:
        tokens: of the step, ended by an empty stop.
        names: variables of the function and its helpers.
        functions: names of the function and its helpers.
        parameters: of the function.
    """

    tokens: Sequence[Token]
    names: frozenset[str]
    functions: frozenset[str]
    parameters: frozenset[str]

    def is_subject(self, at: int) -> bool:
        """Whether a variable and an equals sign stand at token ``at``."""
        return self.tokens[at].text in self.names and self.tokens[at + 1].text == "="

    def read(self, at: int) -> tuple[Example, int] | None:
        """The example that the words at ``at`` turn to, of step 0, and the index after it."""
        word = self.tokens[at].low
        if word not in prose.TURNS or (at and self.tokens[at - 1].low in prose.ENDS_UP):
            return None
        heard = {word}
        at += 1
        while self.tokens[at].low in prose.LEADS_IN or self.tokens[at].text in (",", ":"):
            if self.is_subject(at):
                break
            heard.add(self.tokens[at].low)
            at += 1
        side = read_side(self.tokens, at, self.functions)
        if side is None:
            return None
        lasting = word in prose.LASTS
        if side.kind == "call":
            told = relation_at(self.tokens, side.end, "call") is not None
            if told or self.tokens[side.end].low in RAISES:
                return None
            return Example(0, parse_call(side.text), (), lasting), side.end
        if side.kind == "literal" and heard & _BARE:
            return Example(0, None, (("", side.text),), lasting), side.end
        return self._values(at, lasting)

    def _values(self, at: int, lasting: bool) -> tuple[Example, int] | None:
        values: list[tuple[str, str]] = []
        end = at
        while (pair := self._pair(at)) is not None:
            name, value = pair
            if values and name not in self.parameters:
                break
            values.append((name, value.text))
            end = at = value.end
            while self.tokens[at].text in (",", "and"):
                at += 1
        return (Example(0, None, tuple(values), lasting), end) if values else None

    def _pair(self, at: int) -> tuple[str, Side] | None:
        if not self.is_subject(at):
            return None
        value = read_side(self.tokens, at + 2, self.functions)
        return (self.tokens[at].text, value) if value and value.kind == "literal" else None
