"""Chains of revisions: an attempt, doubt where it seems to go wrong, another attempt from there.

Snell et al. 2024, "Scaling LLM Test-Time Compute Optimally", section 6. They train a model to
revise; here the policy is made to say that something is wrong, by the factor ``DetectError``, and
then goes on by itself. Whether it was wrong plays no part: the verdict of an attempt is recorded
and never steers a chain, so right attempts are doubted too, and a chain can get worse.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from datagen.engines.protocol import (
    Answer,
    Completion,
    Evaluation,
    EvaluationRequest,
    Request,
    Sampling,
)
from datagen.errors import ConfigError
from datagen.factors.taxonomy import ACTIONS, TAXONOMY_VERSION, Factor
from datagen.prompts.dialect import NATIVE, Dialect
from datagen.prompts.reading import Reading
from datagen.search.evidence import Rollout, Verify
from datagen.search.expansion import read_proposal
from datagen.search.tree import BranchingNode, SearchTree
from datagen.search.waves import BudgetSpent
from datagen.traces.model import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviseConfig:
    """Settings of one search.

    Attributes:
        n_chains: first attempts, each of which is revised.
        n_revisions: most revisions of each.
        guide: fingerprint of the value model that says where an attempt is doubted; ``None``: at
            its end.
        doubt: a step after which the guide's value is below this is doubted, in [0, 1].
        max_step_tokens: longest step of doubt.
        rollout: how attempts are sampled. Any temperature but 1 makes them off-policy.
        dialect: how the policy is asked.
    """

    n_chains: int = 1
    n_revisions: int = 2
    guide: str | None = None
    doubt: float = 0.5
    max_step_tokens: int = 64
    rollout: Sampling = field(default_factory=Sampling)
    dialect: Dialect = NATIVE


Chains = dict[int, BranchingNode]
"""The state from which each chain goes on, by its index."""

Attempts = dict[int, list[BranchingNode]]
"""What each chain wrote last: the state where it began, and those after each step of its thought.

The answer that ends it is left out.
"""


def revise(
    root: Trace, config: ReviseConfig, verify: Verify
) -> Generator[Sequence[Request], Sequence[Answer], SearchTree[BranchingNode]]:
    """Attempt ``root``, and revise; returns early, with what it has, on a spent budget.

    An attempt is a rollout, which is on-policy for the state that it begins from, and the steps of
    all attempts are states of the tree; ``n_visits`` counts the attempts that came by. A step of
    doubt stands behind the step that is doubted, or at the end of the thought, before the answer is
    stated. A chain ends early if its last attempt has no step to doubt, or if the step of doubt is
    none.

    Raises:
        ConfigError: if ``DetectError`` is out of use in the taxonomy in force.
    """
    if Factor.DETECT_ERROR not in ACTIONS:
        raise ConfigError(
            f"a revision begins with {Factor.DETECT_ERROR.value!r}, which the taxonomy "
            f"{TAXONOMY_VERSION!r} does not use; put it in use, or set search.algorithm to another"
        )
    tree = SearchTree(BranchingNode(root))
    chains = dict.fromkeys(range(config.n_chains), tree.root)
    try:
        attempts = yield from _attempt(tree, chains, config, verify)
        tree.root.n_visits = len(chains)
        for _ in range(config.n_revisions):
            doubted = yield from _doubted(attempts, config)
            chains = yield from _turn(doubted, config, verify)
            attempts = yield from _attempt(tree, chains, config, verify)
    except BudgetSpent:
        pass
    return tree


def _attempt(
    tree: SearchTree[BranchingNode], chains: Chains, config: ReviseConfig, verify: Verify
) -> Generator[Sequence[Request], Sequence[Answer], Attempts]:
    """Let each chain go on to the end."""
    dialect = config.dialect
    requests = [
        request
        for idx, node in chains.items()
        # Chains can stand in the same state, and must not say the same there.
        for request in dialect.rollout_requests(node.state, 1, sampling=config.rollout, first=idx)
    ]
    answers = yield requests
    attempts: Attempts = {}
    for (idx, node), request, answer in zip(chains.items(), requests, answers, strict=True):
        completion = cast(Completion, answer)
        rollout = Rollout.read("revise", node.state, request, completion, verify, dialect)
        tree.rollouts.append(rollout)
        thought = _grow(node, rollout)
        if thought and thought[-1].factor is Factor.ANSWER:
            thought.pop()
        if thought:
            attempts[idx] = [node, *thought]
    return attempts


def _grow(node: BranchingNode, rollout: Rollout) -> list[BranchingNode]:
    """The states that a rollout passes through, one after each step, as part of the tree."""
    reading = rollout.reading
    costs = zip(reading.steps, reading.n_tokens, reading.min_logprobs, strict=True)
    states: list[BranchingNode] = []
    for n_left, (step, n_tokens, logprob) in zip(
        range(len(reading.steps) - 1, -1, -1), costs, strict=True
    ):
        state, verdict = node.state.extended(step), None
        if rollout.ended and not n_left and step.factor is Factor.ANSWER:
            state, verdict = replace(state, answer=reading.answer), rollout.verdict
        own = Reading((step,), state.answer, "", (n_tokens,), (logprob,), reading.sloppy)
        child = BranchingNode(
            state, node, step.factor, request=rollout.request, reading=own, verdict=verdict
        )
        node = node.children.setdefault(state, child)
        node.n_visits += 1
        states.append(node)
    return states


def _doubted(
    attempts: Attempts, config: ReviseConfig
) -> Generator[Sequence[Request], Sequence[Answer], Chains]:
    """The state behind the step that each chain doubts; chains without doubt are left out."""
    if config.guide is None:
        return {idx: states[-1] for idx, states in attempts.items()}
    asked = [node for states in attempts.values() for node in states]
    answers = yield [EvaluationRequest(node.state, config.guide) for node in asked]
    values = {
        id(node): cast(Evaluation, answer).value
        for node, answer in zip(asked, answers, strict=True)
    }
    doubted: Chains = {}
    for idx, states in attempts.items():
        for node in states:
            node.evaluation = values[id(node)]
        place = place_of_doubt([values[id(node)] for node in states], doubt=config.doubt)
        if place is not None:
            doubted[idx] = states[place]
    return doubted


def place_of_doubt(values: Sequence[float], *, doubt: float) -> int | None:
    """Where an attempt is doubted, given the values of the state it began from and those after.

    Returns:
        Index of the first value behind the one at 0 that is below ``doubt``; else of the value that
        is furthest below the one before it; ``None`` if none is.
    """
    for idx, value in enumerate(values):
        if idx and value < doubt:
            return idx
    drops = {idx: values[idx - 1] - values[idx] for idx in range(1, len(values))}
    worst = max(drops, key=drops.__getitem__, default=0)
    return worst if worst and drops[worst] > 0 else None


def _turn(
    doubted: Chains, config: ReviseConfig, verify: Verify
) -> Generator[Sequence[Request], Sequence[Answer], Chains]:
    """Make each chain say that something is wrong; those that do so are ready to go on."""
    requests = [
        config.dialect.segment_request(
            node.state,
            Factor.DETECT_ERROR,
            temperature=config.rollout.temperature,
            max_tokens=config.max_step_tokens,
            sample_idx=idx,
        )
        for idx, node in doubted.items()
    ]
    answers = yield requests
    chains: Chains = {}
    for (idx, node), request, answer in zip(doubted.items(), requests, answers, strict=True):
        read = read_proposal(
            node,
            Factor.DETECT_ERROR,
            request,
            answer,
            replica_idx=0,
            dialect=config.dialect,
            verify=verify,
        )
        turn = node.children.setdefault(read.state, read)
        turn.chosen = True
        turn.n_visits += 1
        if not turn.terminal:
            chains[idx] = turn
    return chains
