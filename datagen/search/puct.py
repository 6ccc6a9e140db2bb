"""PUCT: AlphaZero's tree search over thought factors (Silver et al. 2017, Methods, "Search").

An action is a thought factor, not a piece of text: the tree has one child per factor. What the
child says is settled at expansion, when several replicas propose a segment and the best is taken;
the others stay as siblings that are never visited, and are the negatives. What rollouts have
written under that factor in this very state counts as proposed already: it costs nothing, and where
it led to is known. Two statistics of a node must not be confused: ``n_visits`` and ``value`` steer
the search, while on-policy evidence is counted from the rollouts (:mod:`datagen.search.evidence`).
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import cast

from datagen.engines.protocol import Answer, Evaluation, EvaluationRequest, Request
from datagen.factors.taxonomy import ACTIONS, Factor
from datagen.search.evidence import Verify
from datagen.search.expansion import ExpansionConfig, Replica, look, read_proposal, segment_request
from datagen.search.tree import SearchTree, TreeNode
from datagen.search.waves import BudgetSpent
from datagen.traces.model import Trace
from datagen.verify import Outcome

__all__ = ["Node", "PuctConfig", "Replica", "backup", "puct", "puct_score", "select"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PuctConfig(ExpansionConfig):
    """Settings of one search.

    Attributes:
        n_simulations: expansions or revisits after the root was evaluated.
        n_root_rollouts: on-policy rollouts from the root; they give its solve rate.
        c_puct: weight of the prior against the value.
        reuse: whether steps that rollouts wrote are proposals. The replicas then only write steps
            under factors that no rollout has taken in that state.
    """

    n_simulations: int = 8
    n_root_rollouts: int = 8
    c_puct: float = 1.5
    reuse: bool = True


@dataclass(slots=True, eq=False, repr=False)
class Node(TreeNode):
    """A state in the tree.

    Where n simulations went through a state that can go on, N(s) = 1 + sum of N(s,a) over its
    actions, and N(s)·V(s) = ``evaluation`` + sum of N(s,a)·Q(s,a). Where the trace has ended, V is
    the evaluation.

    Attributes:
        children: by factor.
        rejected: proposals that lost, over all factors.
        value_sum: sum of the values that its ``n_visits`` simulations backed up, its own evaluation
            included.
    """

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
    """Search the completions of ``root``; returns early, with what it has, on a spent budget.

    Raises:
        ConfigError: if the guide lacks the policy that ``config.guide_prior`` weighs.
    """
    tree = SearchTree(Node(root))
    try:
        yield from look(
            tree,
            [tree.root],
            algorithm="puct",
            n_rollouts=config.n_root_rollouts,
            config=config,
            verify=verify,
        )
        _backup_own(tree.root, default=0.0)
        for _ in range(config.n_simulations):
            node, factor = select(tree.root, c_puct=config.c_puct)
            parent_value = node.value
            if factor is not None:
                node = yield from _expand(tree, node, factor, config, verify)
            _backup_own(node, default=parent_value)
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
            for factor in ACTIONS
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


def _backup_own(node: Node, *, default: float) -> None:
    """Back up what a state is worth by itself; ``default``, if nobody could tell, is kept."""
    if node.evaluation is None:
        node.evaluation = default
    backup(node, node.evaluation)


def _expand(
    tree: SearchTree[Node], parent: Node, factor: Factor, config: PuctConfig, verify: Verify
) -> Generator[Sequence[Request], Sequence[Answer], Node]:
    """Find or write proposals for the step, look at them, and keep the best as the child."""
    written = _written(tree, parent, factor) if config.reuse else []
    if written:
        # Only the best has new rollouts drawn from it: of the others enough is known to leave them.
        best = yield from _best_written(written, config)
        yield from look(
            tree,
            [best],
            algorithm="puct",
            n_rollouts=config.n_rollouts,
            config=config,
            verify=verify,
        )
        return _adopt(parent, factor, best, written)
    requests = [
        segment_request(parent.state, factor, replica_idx=idx, sample_idx=idx, config=config)
        for idx in range(len(config.replicas))
    ]
    answers = yield requests
    by_state: dict[Trace, Node] = {}
    for idx, (request, answer) in enumerate(zip(requests, answers, strict=True)):
        node = read_proposal(
            parent,
            factor,
            request,
            answer,
            replica_idx=idx,
            dialect=config.dialect,
            verify=verify,
        )
        by_state.setdefault(node.state, node)
    proposals = list(by_state.values())
    advice = yield from look(
        tree,
        proposals,
        algorithm="puct",
        n_rollouts=config.n_rollouts,
        config=config,
        verify=verify,
    )

    def worth(idx: int) -> tuple[float, bool, int]:
        """The guide chooses where there is one; an open end is worth more than a dead one."""
        node, said = proposals[idx], advice[idx]
        return (node.evaluation or 0.0) if said is None else said, not node.terminal, -idx

    best = proposals[max(range(len(proposals)), key=worth)]
    return _adopt(parent, factor, best, proposals)


def _adopt(parent: Node, factor: Factor, best: Node, proposals: Sequence[Node]) -> Node:
    """Make one proposal the child, and keep the others as its rejected siblings."""
    best.chosen = True
    parent.children[factor] = best
    parent.rejected += [node for node in proposals if node is not best]
    return best


def _best_written(
    written: Sequence[Node], config: PuctConfig
) -> Generator[Sequence[Request], Sequence[Answer], Node]:
    """The one that the guide takes to be worth most, or without one, that most often ended right.

    Of equals, an open end comes before a finished trace, and then what was written first.
    """
    worth = [node.evaluation or 0.0 for node in written]
    if config.guide is not None and len(written) > 1:
        answers = yield [EvaluationRequest(node.state, config.guide) for node in written]
        worth = [cast(Evaluation, answer).value for answer in answers]
    ranks = [(value, not node.terminal) for value, node in zip(worth, written, strict=True)]
    return written[max(range(len(written)), key=lambda idx: (*ranks[idx], -idx))]


def _written(tree: SearchTree[Node], parent: Node, factor: Factor) -> list[Node]:
    """What rollouts wrote under ``factor`` in the state of ``parent``: one node per segment.

    Each has as its evaluation how often the rollouts that wrote it ended right. They are on-policy
    evidence for it as for any state that they pass through.
    """
    at = len(parent.state.steps)
    found: dict[Trace, Node] = {}
    outcomes: dict[Trace, list[bool]] = {}
    for rollout in tree.rollouts:
        steps = rollout.trace.steps
        if (
            not rollout.ended
            or not len(rollout.state.steps) <= at < len(steps)
            or steps[at].factor is not factor
            or steps[:at] != parent.state.steps
        ):
            continue
        state, verdict = parent.state.extended(steps[at]), None
        if factor is Factor.ANSWER:
            state, verdict = replace(state, answer=rollout.reading.answer), rollout.verdict
        own = rollout.reading.step(at - len(rollout.state.steps), answer=state.answer)
        found.setdefault(
            state,
            Node(
                state,
                parent,
                factor,
                parent.priors.get(factor),
                request=rollout.request,
                reading=own,
                verdict=verdict,
                chosen=False,
            ),
        )
        outcomes.setdefault(state, []).append(rollout.verdict.outcome is Outcome.CORRECT)
    for state, node in found.items():
        node.evaluation = sum(outcomes[state]) / len(outcomes[state])
    return list(found.values())
