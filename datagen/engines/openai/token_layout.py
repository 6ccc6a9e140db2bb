"""Lays tokens along a text that a server has sent apart from them, and cuts both.

Offsets are in characters, and tokens may have none: an end-of-text token that is told but not part
of the text, or the first bytes of a character that a later token completes.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from datagen.engines.protocol import Completion

_SLACK: Final = 8
"""How far behind its expected place a token is looked for, in characters."""

_LEAST_REPEATED: Final = 12
_MOST_REPEATED: Final = 4096
"""Shorter repetitions may be chance; longer ones are looked for no further back."""


def token_ends(text: str, tokens: Sequence[str]) -> list[int]:
    """Offset in ``text`` at which each of its tokens ends, in characters.

    A token that is not found where it should be has no text of its own: it is an end-of-text token,
    or a part of a character that a later token completes.
    """
    if "".join(tokens) == text:
        return list(accumulate(map(len, tokens)))
    ends, position = list[int](), 0
    for token in tokens:
        found = text.find(token, position, position + len(token) + _SLACK)
        position = position if found < 0 else found + len(token)
        ends.append(position)
    return ends


def repeated(given: str, reply: str) -> int:
    """How many characters of ``reply`` only repeat the end of ``given``, or all of it."""
    tail, begin = given.rstrip()[-_MOST_REPEATED:], len(reply) - len(reply.lstrip())
    body = reply[begin : begin + len(tail)]
    least = min(_LEAST_REPEATED, len(given.strip())) or 1
    for length in range(len(body), least - 1, -1):
        if tail.endswith(body[:length]):
            return begin + length
    # A prefill that begins with white space comes back without.
    whole = given.strip()
    return begin + len(whole) if whole and reply.startswith(whole, begin) else 0


def since(completion: Completion, begin: int) -> Completion:
    """What stands from offset ``begin`` on."""
    if not begin:
        return completion
    kept = [idx for idx, end in enumerate(completion.ends) if end > begin]
    return Completion(
        completion.text[begin:],
        completion.finish,
        tuple(completion.logprobs[idx] for idx in kept),
        tuple(completion.ends[idx] - begin for idx in kept),
    )


def behind_stop(completion: Completion, stop: Sequence[str]) -> Completion:
    """End a completion behind the first of the stop strings."""
    text = completion.text
    end = min((text.find(s) + len(s) for s in stop if s in text), default=None)
    if end is None:
        return completion
    begins = (0, *completion.ends)
    n = sum(begin < end for begin in begins[: len(completion.ends)])
    return Completion(
        text[:end],
        "stop",
        completion.logprobs[:n],
        tuple(min(offset, end) for offset in completion.ends[:n]),
    )
