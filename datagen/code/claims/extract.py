"""Finds what a thought claims about runs of the function, in narrated and in free prose.

The surprising fact is what it does *not* take: it reads ``side relation side`` over tokens, so
``total + x = 20``, ``2 * n = 6``, ``x == 4`` and ``if x = 4`` say nothing of a variable, and what
is only planned, supposed or asked is passed over (:mod:`datagen.code.claims.reading`).
"""

from collections.abc import Collection, Sequence

from datagen.code.claims.contexts import PhraseReader, counts_from_zero
from datagen.code.claims.events import Claim, Event, Said
from datagen.code.claims.examples import ExampleReader
from datagen.code.claims.reading import StepReader
from datagen.code.claims.tokens import Token, tokenise
from datagen.traces.model import Step


def extract_claims(
    steps: Sequence[Step], *, names: Collection[str], functions: Collection[str]
) -> tuple[Claim, ...]:
    """All claims of a thought, in order of the text. Never raises.

    Args:
        steps: of the thought.
        names: variables and parameters of the function and its helpers.
        functions: names of the function and its helpers.
    """
    events = read_thought(steps, names=names, functions=functions, parameters=names)
    return tuple(event.claim for event in events if isinstance(event, Said))


def read_thought(
    steps: Sequence[Step],
    *,
    names: Collection[str],
    functions: Collection[str],
    parameters: Collection[str],
) -> tuple[Event, ...]:
    """Claims, and turns to other examples, in order of the text.

    Args:
        steps: of the thought.
        names: variables and parameters of the function and its helpers.
        functions: names of the function and its helpers.
        parameters: of the function itself; "take xs = [1]" chooses an example by them.
    """
    from_zero = counts_from_zero([step.text for step in steps])
    events: list[Event] = []
    for idx, step in enumerate(steps):
        tokens = (*tokenise(step.text), Token("stop", "", len(step.text), len(step.text)))
        reader = StepReader(
            idx,
            step,
            tokens,
            PhraseReader(tokens, from_zero),
            frozenset(names),
            frozenset(functions),
            ExampleReader(tokens, frozenset(names), frozenset(functions), frozenset(parameters)),
        )
        events.extend(reader.events())
    return tuple(events)
