"""PUCT: AlphaZero's tree search over thought factors (Silver et al. 2017, Methods, "Search").

An action is a thought factor, not a piece of text: the tree has one child per factor. What the
child says is settled at expansion, when several replicas propose a segment and the best is taken;
the others stay as siblings that are never visited, and are the negatives. Two statistics of a node
must not be confused: ``n_visits`` and ``value`` steer the search, while on-policy evidence is
counted from the rollouts (:mod:`datagen.search.evidence`).
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import cast

from datagen.engines.protocol import (
    Answer,
    Choice,
    Completion,
    CompletionRequest,
    Request,
    Sampling,
)
from datagen.factors.taxonomy import Factor
from datagen.prompts.dialect import NATIVE, Dialect
from datagen.search.evidence import Rollout, Verify
from datagen.search.tree import SearchTree, TreeNode
from datagen.search.waves import BudgetSpent
from datagen.traces.model import Step, Trace
from datagen.verify import Outcome, Verdict


@dataclass(frozen=True, slots=True)
class PuctConfig:
    """Settings of one search.

    Attributes:
        n_simulations: expansions or revisits after the root was evaluated.
        n_root_rollouts: on-policy rollouts from the root; they give its solve rate.
        n_rollouts: on-policy rollouts from each proposed segment.
        replica_temperatures: one replica per entry proposes a segment.
        c_puct: weight of the prior against the value.
        min_prior: factors that the policy finds less likely are not legal.
        max_step_tokens: longest segment.
        rollout: how rollouts are sampled. Any temperature but 1 makes them off-policy.
        dialect: how the policy is asked.
    """

    n_simulations: int = 8
    n_root_rollouts: int = 8
    n_rollouts: int = 1
    replica_temperatures: tuple[float, ...] = (0.8, 1.2)
    c_puct: float = 1.5
    min_prior: float = 0.02
    max_step_tokens: int = 64
    rollout: Sampling = field(default_factory=Sampling)
    dialect: Dialect = NATIVE


@dataclass(slots=True, eq=False, repr=False)
class Node(TreeNode):
    """A state in the tree.

    Attributes:
        priors: legal factors and their probabilities; empty until asked for.
        children: by factor.
        rejected: proposals that lost, over all factors.
        value_sum: sum of the values that its ``n_visits`` simulations backed up, its own evaluation
            included.
    """

    priors: Mapping[Factor, float] = field(default_factory=dict[Factor, float])
    children: "dict[Factor, Node]" = field(default_factory=lambda: dict[Factor, Node]())
    rejected: "list[Node]" = field(default_factory=lambda: list[Node]())
    value_sum: float = 0.0

    @property
    def value(self) -> float:
        """Mean of the backed-up values: Q of the action that leads here. 0 before any visit."""
        return self.value_sum / self.n_visits if self.n_visits else 0.0

    @property
    def estimate(self) -> float | None:
        """The mean value; ``None`` before any visit."""
        return self.value if self.n_visits else None

    @property
    def below(self) -> "Sequence[Node]":
        """The children, then the rejected proposals."""
        return [*self.children.values(), *self.rejected]


def puct(
    root: Trace, config: PuctConfig, verify: Verify
) -> Generator[Sequence[Request], Sequence[Answer], SearchTree[Node]]:
    """Search the completions of ``root``; returns early, with what it has, on a spent budget."""
    tree = SearchTree(Node(root))
    try:
        yield from _evaluate_root(tree, config, verify)
        for _ in range(config.n_simulations):
            node, factor = select(tree.root, c_puct=config.c_puct)
            if factor is not None:
                parent_value = node.value
                node = yield from _expand(tree, node, factor, config, verify)
                value = _own_value(node, tree, default=parent_value)
            else:
                value = _own_value(node, tree, default=node.value)
            backup(node, value)
    except BudgetSpent:
        pass
    return tree


def select(root: Node, *, c_puct: float) -> tuple[Node, Factor | None]:
    """Walk down by a* = argmax Q(s,a) + c·P(a|s)·√N(s)/(1 + N(s,a)).

    Unvisited actions start with Q = V(s), the parent's value. Ties go to the higher prior, then to
    the order of the taxonomy.

    Returns:
        A node and the legal factor to expand there; or a terminal node and ``None``.
    """
    node = root
    while not node.terminal:
        scored = {
            factor: puct_score(node, factor, c_puct=c_puct)
            for factor in Factor
            if factor in node.priors
        }
        best = max(scored, key=lambda factor: (scored[factor], node.priors[factor]))
        if best not in node.children:
            return node, best
        node = node.children[best]
    return node, None


def puct_score(node: Node, factor: Factor, *, c_puct: float) -> float:
    """Q(s,a) + U(s,a) of one legal action."""
    child = node.children.get(factor)
    q, n = (child.value, child.n_visits) if child else (node.value, 0)
    return q + c_puct * node.priors[factor] * sqrt(node.n_visits) / (1 + n)


def backup(node: Node, value: float) -> None:
    """Count one visit with ``value`` at ``node`` and all its ancestors."""
    at: Node | None = node
    while at is not None:
        at.n_visits += 1
        at.value_sum += value
        at = at.parent


def _evaluate_root(
    tree: SearchTree[Node], config: PuctConfig, verify: Verify
) -> Generator[Sequence[Request], Sequence[Answer], None]:
    root = tree.root
    dialect = config.dialect
    requests = dialect.rollout_requests(root.state, config.n_root_rollouts, sampling=config.rollout)
    *completions, prior = yield [*requests, dialect.prior_request(root.state)]
    root.priors = dialect.read_prior(cast(Choice, prior), min_prior=config.min_prior)
    _record(tree, [(root, request) for request in requests], completions, config, verify)
    backup(root, _own_value(root, tree, default=0.0))


def _expand(
    tree: SearchTree[Node], parent: Node, factor: Factor, config: PuctConfig, verify: Verify
) -> Generator[Sequence[Request], Sequence[Answer], Node]:
    """Let the replicas write the step, try each by rollouts, and keep the best as the child."""
    proposals = yield from _propose(parent, factor, config, verify)
    open_ends = [node for node in proposals if not node.terminal]
    dialect, sampling = config.dialect, config.rollout
    requests = [
        (node, request)
        for node in open_ends
        for request in dialect.rollout_requests(node.state, config.n_rollouts, sampling=sampling)
    ]
    if open_ends:
        priors = [dialect.prior_request(node.state) for node in open_ends]
        answers = yield [*(request for _, request in requests), *priors]
        _record(tree, requests, answers[: len(requests)], config, verify)
        for node, prior in zip(open_ends, answers[len(requests) :], strict=True):
            node.priors = dialect.read_prior(cast(Choice, prior), min_prior=config.min_prior)
    # An open end is worth more than a dead one, even if its few rollouts all went wrong.
    best = max(
        proposals,
        key=lambda node: (
            _own_value(node, tree, default=0.0),
            not node.terminal,
            -node.replica_idx,
        ),
    )
    for node in proposals:
        node.chosen = node is best
    parent.children[factor] = best
    parent.rejected += [node for node in proposals if node is not best]
    return best


def _propose(
    parent: Node, factor: Factor, config: PuctConfig, verify: Verify
) -> Generator[Sequence[Request], Sequence[Answer], list[Node]]:
    """One node per distinct segment that the replicas write; never empty."""
    requests = [
        config.dialect.segment_request(
            parent.state,
            factor,
            temperature=temperature,
            max_tokens=config.max_step_tokens,
            sample_idx=replica_idx,
        )
        for replica_idx, temperature in enumerate(config.replica_temperatures)
    ]
    answers = yield requests
    proposals: dict[Trace, Node] = {}
    for replica_idx, (request, answer) in enumerate(zip(requests, answers, strict=True)):
        completion = cast(Completion, answer)
        reading = config.dialect.read_segment(completion, parent.state, factor)
        verdict: Verdict | None = None
        if reading.steps:
            state = parent.state.extended(*reading.steps)
            if factor is Factor.ANSWER:
                state = Trace(state.question, state.steps, reading.answer)
                verdict = verify(completion)
        else:
            # The replica lost the thread within the step: a dead end, which the search must learn
            # to avoid as it would a wrong answer, though it is no evidence about any step.
            state = parent.state.extended(Step(reading.rest, factor))
            outcome = Outcome.UNVERIFIABLE if completion.finish == "stop" else Outcome.TRUNCATED
            verdict = Verdict(outcome, None, "the segment is not a whole step")
        proposals.setdefault(
            state,
            Node(
                state, parent, factor, parent.priors[factor], replica_idx, request, reading, verdict
            ),
        )
    return list(proposals.values())


def _record(
    tree: SearchTree[Node],
    requests: Sequence[tuple[Node, CompletionRequest]],
    answers: Sequence[Answer],
    config: PuctConfig,
    verify: Verify,
) -> None:
    for (node, request), answer in zip(requests, answers, strict=True):
        completion = cast(Completion, answer)
        tree.rollouts.append(
            Rollout.read("puct", node.state, request, completion, verify, config.dialect)
        )


def _own_value(node: Node, tree: SearchTree[Node], *, default: float) -> float:
    """Mean of the node's own rollouts, or its outcome where it is terminal.

    A dead end is worth 0. If no rollout could be verified, ``default``.
    """
    if node.verdict is not None:
        return float(node.verdict.outcome is Outcome.CORRECT)
    outcomes = [
        rollout.verdict.outcome is Outcome.CORRECT
        for rollout in tree.rollouts
        if rollout.state is node.state and rollout.verdict.is_trial
    ]
    return sum(outcomes) / len(outcomes) if outcomes else default
