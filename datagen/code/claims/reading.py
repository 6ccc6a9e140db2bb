"""Walks over one step and hands out what it says about runs.

It leans to silence: a sentence that is conditional, intended, asked, or about another example
makes no claim, because a claim that was misread would call a sound thought wrong.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from datagen.code.claims import prose
from datagen.code.claims.contexts import ANY_TIME, PhraseReader, When, read_count
from datagen.code.claims.events import Claim, ClaimKind, Event, Lost, Said
from datagen.code.claims.examples import RAISES, ExampleReader
from datagen.code.claims.sides import Side, read_side, relation_at, says_nothing_after, truth_at
from datagen.code.claims.tokens import Token
from datagen.factors.taxonomy import Factor
from datagen.traces.model import Step

_INTENDS: Final = frozenset(
    {
        Factor.RESTATE_GOAL,
        Factor.EXTRACT_GIVENS,
        Factor.FORMALISE,
        Factor.RECALL_FACT,
        Factor.RECALL_METHOD,
        Factor.DECOMPOSE,
        Factor.SET_SUBGOAL,
        Factor.PLAN,
        Factor.CASE_SPLIT,
        Factor.HYPOTHESISE,
        Factor.BACKWARD_CHAIN,
        Factor.BACKTRACK,
        Factor.SWITCH_APPROACH,
    }
)
"""Factors whose steps do not say what is: a value in them is an intention or a guess."""

_CONCLUDES: Final = frozenset({Factor.SIMULATE_EXECUTION, Factor.CHECK_RESULT, Factor.ANSWER})
_RUNS: Final = frozenset({"runs", "iterates", "executes", "repeats", "makes", "does", "takes"})
_COUNTED: Final = frozenset({"times", "iterations", "passes", "rounds", "iteration", "time"})


@dataclass(slots=True)
class StepReader:
    """Reads one step; what a sentence sets is reset at its end.

    Attributes:
        idx: of the step.
        step: the step.
        tokens: its tokens, ended by an empty stop.
        phrases: reader of phrases of time over these tokens.
        names: variables of the function and its helpers.
        functions: names of the function and its helpers.
        examples: reader of turns to an example over these tokens.
    """

    idx: int
    step: Step
    tokens: Sequence[Token]
    phrases: PhraseReader
    names: frozenset[str]
    functions: frozenset[str]
    examples: ExampleReader
    _when: When = ANY_TIME
    _unreal: bool = False
    _firm: bool = False
    _in_phrase: bool = False
    _nested: bool = False
    _fresh: int = 0
    _found: list[Event] = field(default_factory=list[Event])

    def events(self) -> Iterator[Event]:
        """What the step says, in order."""
        if self.step.factor is Factor.DETECT_ERROR:
            return
        self._begin_sentence(0)
        at = 0
        while at < len(self.tokens) - 1:
            at = self._advance(at)
            yield from self._found
            self._found.clear()

    @property
    def _states(self) -> bool:
        return self.step.factor not in _INTENDS and not self._nested

    def _begin_sentence(self, at: int) -> None:
        end = next((i for i in range(at, len(self.tokens)) if self.tokens[i].kind == "stop"), at)
        disowned = any(token.low in prose.DISOWNS for token in self.tokens[at:end])
        asked = end < len(self.tokens) and self.tokens[end].text == "?"
        # 'If the list is empty, total = 0. Then it returns 0.'
        follows = self._unreal and end > at and self.tokens[at].low in prose.FOLLOWS
        self._unreal = disowned or asked or follows
        # What the next sentence says may already be of a later moment.
        self._when = ANY_TIME
        self._in_phrase = self._in_phrase and at > 0 and self.tokens[at - 1].text == ";"
        self._firm = self._nested = False

    def _advance(self, at: int) -> int:
        """Read what begins at token ``at``, and say where to go on."""
        token = self.tokens[at]
        if token.kind == "stop":
            self._begin_sentence(at + 1)
            return at + 1
        phrase = self.phrases.read(at, elliptic=self._in_phrase)
        if phrase is not None:
            self._when, self._in_phrase = phrase.when, True
            self._nested = self._nested or phrase.inner
            self._fresh = phrase.end + (self.tokens[phrase.end].text in ("-", "—", "–"))
            return self._fresh
        if token.low in prose.TURNS and (end := self._example(at)) is not None:
            return end
        if token.low and not self.examples.is_subject(at):
            self._hear(at, token.low)
        for read in (self._iterations, self._result, self._statement):
            if (end := read(at)) is not None:
                return end
        return at + 1

    def _hear(self, at: int, word: str) -> None:
        """What a word does to the claims after it."""
        after, before = self.tokens[at + 1], self.tokens[at - 1].low if at else ""
        harmless = (word in ("let", "say") and after.text not in self.names) or (
            word == "while" and after.low == "loop"
        )
        starts = word in ("start", "starts", "starting") and after.low == "with"
        self._unreal = self._unreal or starts or (word in prose.UNREAL and not harmless)
        self._nested = self._nested or word in prose.NESTED
        self._firm = self._firm or word == "now"
        if word in prose.LATER:
            self._when = ANY_TIME
        general = word in ("for", "with", "on", "given") and after.low in ("a", "an", "all", "any")
        if general or (
            word in prose.EXAMPLES and (before in prose.CASES or before in prose.OTHERS)
        ):
            self._unreal = True
            self._found.append(Lost(self.idx))

    def _example(self, at: int) -> int | None:
        if self.step.factor in _INTENDS:
            return None
        found = self.examples.read(at)
        if found is None:
            return None
        event, end = found
        tries = self.step.factor is Factor.TRY_EXAMPLE
        event = replace(event, step_idx=self.idx, lasting=event.lasting or tries)
        self._found.append(event)
        return end

    def _iterations(self, at: int) -> int | None:
        """``the loop runs 3 times``, ``there are 3 iterations``."""
        before, word = self.tokens[at - 1].low if at else "", self.tokens[at].low
        if not (word in _RUNS and before == "loop") and (before, word) != ("there", "are"):
            return None
        at += 1
        while self.tokens[at].low in ("for", "exactly", "a", "total", "of", "just", "only"):
            at += 1
        count, once = read_count(self.tokens[at]), self.tokens[at].low in ("once", "twice")
        if count is None or not (once or self.tokens[at + 1].low in _COUNTED):
            return None
        end = at + (1 if once else 2)
        if self._states and says_nothing_after(self.tokens, end):
            span = self.tokens[at].start, self.tokens[at].end
            when = When(loop=self.phrases.loop)
            self._claim("iterations", "", str(count), span, end, begin=at - 1, when=when)
        return end

    def _result(self, at: int) -> int | None:
        """``it returns 20``, ``the answer is 20``: of the call in view."""
        word = self.tokens[at].low
        if self.step.factor not in _CONCLUDES or word in self.names or self._nested:
            return None
        before = self.tokens[at - 1] if at else None
        if before and (before.text in self.functions or before.low in prose.NOT_THE_CALL):
            return None
        if word in RAISES:
            return self._raise("", at)
        if word in ("returns", "return"):
            return self._chain(Side("result", "", at, at + 1), "=", at + 1)
        if word in ("answer", "output", "result") and (
            self.step.factor is not Factor.SIMULATE_EXECUTION
        ):
            relation = relation_at(self.tokens, at + 1, "name")
            if relation is not None:
                return self._chain(Side("result", "", at, at + 1), relation.sign, relation.end)
        return None

    def _raise(self, subject: str, at: int) -> int | None:
        begin, at = at, at + 1
        if self.tokens[at].low in ("a", "an", "the"):
            at += 1
        name = self.tokens[at]
        if not name.text.endswith(("Error", "Exception", "StopIteration", "Exit")):
            return None
        if not self._unreal and (subject or self._states):
            self._claim("raises", subject, name.text, (name.start, name.end), at + 1, begin=begin)
        return at + 1

    def _statement(self, at: int) -> int | None:
        """``side relation side``; returns where to go on after it, or after its first side."""
        if at != self._fresh and self.tokens[at - 1].kind == "op":
            return None
        side = read_side(self.tokens, at, self.functions)
        if side is None:
            return None
        if side.kind == "call" and self.tokens[side.end].low in RAISES:
            return self._raise(side.text, side.end) or side.end
        labelled = self._in_phrase and side.kind == "name" and side.base in self.names
        relation = relation_at(self.tokens, side.end, side.kind, labelled=labelled)
        if relation is None:
            return side.end
        before = self.tokens[at - 1].low if at else ""
        if relation.verb and side.kind == "name" and before in prose.ONE_OF_MANY:
            return relation.end
        return self._chain(side, relation.sign, relation.end)

    def _chain(self, first: Side, sign: str, at: int) -> int:
        """``first sign side (= side)*``, and the claims that it makes."""
        sides, signs = [first], [sign]
        while (side := read_side(self.tokens, at, self.functions)) is not None:
            sides.append(side)
            at = side.end
            relation = relation_at(self.tokens, at, "open")
            if relation is None:
                break
            signs.append(relation.sign)
            at = relation.end
        if 1 < len(sides) == len(signs) + 1 and not self._unreal:
            if any(sign != "=" for sign in signs) and (first.kind != "call" or signs != ["=="]):
                self._comparison(sides, at)
            elif sides[-1].value is not None and says_nothing_after(self.tokens, at):
                self._equation(sides, at)
        return at

    def _equation(self, sides: Sequence[Side], end: int) -> None:
        first, last = sides[0], sides[-1]
        value = last.value or ""
        for side in sides[:-1]:
            if side.kind == "closed" and last.kind == "literal":
                self._claim("arithmetic", side.text, value, last.span, end, begin=side.begin)
        before = self.tokens[first.begin - 1].low if first.begin else ""
        if first.kind == "call" and before not in prose.NOT_ITSELF:
            self._claim("returns", first.text, value, last.span, end, begin=first.begin)
        elif first.kind == "result" and self._states:
            self._claim("returns", "", value, last.span, end, begin=first.begin)
        elif first.base in self.names and self._states and before not in prose.NOT_ITSELF:
            # A phrase that follows without a comma says when: 'total = 4 after iteration 2'.
            phrase = self.phrases.read(end, elliptic=self._in_phrase)
            when = self._when if phrase is None else phrase.when
            paired = first.begin > 1 and self.tokens[first.begin - 1].text == ","
            paired = paired and self.tokens[first.begin - 2].text in self.names  # a, b = 1, 2
            if not paired and (last.kind == "literal" or last.spaced):
                begin = first.begin
                self._claim("value", first.text, value, last.span, end, begin=begin, when=when)

    def _comparison(self, sides: Sequence[Side], end: int) -> None:
        """``3 < 5 holds``; a bare ``7 % 2 == 1`` may be a test that fails: only if alone."""
        if any(side.kind not in ("closed", "literal") for side in sides):
            return
        begin = sides[0].begin
        source = " ".join(token.text for token in self.tokens[begin:end])
        if (truth := truth_at(self.tokens, end)) is not None:
            span = self.tokens[end].start, self.tokens[truth[1] - 1].end
            self._claim("arithmetic", source, truth[0], span, truth[1], begin=begin)
            return
        reason = self.tokens[begin - 1].low if begin else ""
        alone = begin == 0 and self.tokens[end].kind == "stop"
        after = self.tokens[min(end + 1, len(self.tokens) - 1)].low
        if reason in ("since", "because", "as") or (alone and after not in prose.DENIES):
            span = self.tokens[end].start, self.tokens[end].start
            self._claim("arithmetic", source, "True", span, end, begin=begin)

    def _claim(
        self,
        kind: ClaimKind,
        subject: str,
        value: str,
        span: tuple[int, int],
        end: int,
        *,
        begin: int,
        when: When = ANY_TIME,
    ) -> None:
        text = self.step.text[self.tokens[begin].start : self.tokens[end - 1].end]
        claim = Claim(self.idx, kind, text, subject, value, when, span)
        self._found.append(Said(claim, self._firm or when != ANY_TIME))
