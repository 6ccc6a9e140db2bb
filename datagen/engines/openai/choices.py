"""Probabilities of given choices, from what a server tells of next tokens.

Where a server takes and tells token ids, choices are the leaves of a tree of tokens: one request
per inner node, one token each, gives every branch its probability, exactly. Most sets of choices
share their first tokens, so the tree is small.
"""

import math
from collections.abc import Mapping, Sequence

from datagen.engines.protocol import Score

Tokens = tuple[int, ...]


def branches(choices: Sequence[Tokens]) -> dict[Tokens, list[int]]:
    """The inner nodes of the tree of choices: tokens so far -> ids that may follow, sorted."""
    following: dict[Tokens, set[int]] = {}
    for tokens in choices:
        for depth, token in enumerate(tokens):
            following.setdefault(tokens[:depth], set()).add(token)
    return {node: sorted(ids) for node, ids in following.items()}


def walked(
    choices: Sequence[Tokens], logprobs: Mapping[Tokens, Mapping[int, float]]
) -> tuple[float, ...]:
    """Probability of each choice: the product along its way through the tree.

    Args:
        choices: their tokens.
        logprobs: node -> id of the next token -> log-probability; one that is missing counts as
            impossible.
    """
    return tuple(
        math.exp(sum(logprobs[tokens[:n]].get(token, -math.inf) for n, token in enumerate(tokens)))
        for tokens in choices
    )


def matched(choices: Sequence[str], likely: Mapping[str, float]) -> tuple[float, ...] | None:
    """Probability of each choice by the text of the likeliest first tokens.

    White space around a token does not matter. A token that begins several choices is shared among
    them; a choice that begins with no listed token gets 0.

    Args:
        choices: short texts, told apart by how they begin.
        likely: first token -> log-probability.

    Returns:
        In the order of the choices; ``None`` if no token fits any of them.
    """
    probabilities = [0.0] * len(choices)
    for token, logprob in likely.items():
        label = token.strip()
        fitting = [idx for idx, choice in enumerate(choices) if choice.strip() == label] or [
            idx for idx, choice in enumerate(choices) if label and choice.strip().startswith(label)
        ]
        for idx in fitting:
            probabilities[idx] += math.exp(logprob) / len(fitting)
    return tuple(probabilities) if any(probabilities) else None


def probability(score: Score) -> float:
    """Probability of a scored text; 0 if the server did not score it."""
    total = math.fsum(score.logprobs)
    return math.exp(total) if score.logprobs and not math.isnan(total) else 0.0
