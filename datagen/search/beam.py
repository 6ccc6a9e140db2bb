"""Beam search over steps, led by a guide: one beam over all, or diverse subtrees.

Snell et al. 2024, "Scaling LLM Test-Time Compute Optimally", section 5.2 (beam search), and
Beeching, Tunstall and Rush 2024, "Scaling test-time compute with open models" (diverse verifier
tree search, in which each beam keeps to its own subtree). Where there is a guide, no verdict steers
the search, not even at the end of a trace, so it works on questions without a gold answer. What
differs from both: the steps proposed after one state are of different thought factors, as far as
there are enough likely ones, and not merely different samples.
"""

import hashlib
import math
import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from datagen.engines.protocol import Answer, CompletionRequest, Request
from datagen.factors.taxonomy import Factor
from datagen.search.evidence import Verify, state_key
from datagen.search.expansion import ExpansionConfig, look, read_proposal, segment_request
from datagen.search.tree import BranchingNode, SearchTree
from datagen.search.waves import BudgetSpent
from datagen.traces.model import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamConfig(ExpansionConfig):
    """Settings of one search.

    Rollouts are drawn from proposals only where they have weight: without a guide, or with a
    ``guide_value`` below 1.

    Attributes:
        n_subtrees: beams.
        width: steps proposed after the state of each beam.
        max_depth: most steps below the root.
        n_root_rollouts: on-policy rollouts from the root; they steer nothing.
        diverse: each beam goes on with the best of its own proposals; else the best ``n_subtrees``
            of all proposals go on.
    """

    n_subtrees: int = 4
    width: int = 4
    max_depth: int = 64
    n_root_rollouts: int = 0
    diverse: bool = True

    @property
    def n_proposal_rollouts(self) -> int:
        """On-policy rollouts from each proposal."""
        return 0 if self.guide and self.guide_value == 1 else self.n_rollouts


@dataclass(frozen=True, slots=True)
class _Ask:
    """A step to be proposed."""

    beam_idx: int
    parent: BranchingNode
    factor: Factor
    replica_idx: int
    request: CompletionRequest


def beam(
    root: Trace, config: BeamConfig, verify: Verify
) -> Generator[Sequence[Request], Sequence[Answer], SearchTree[BranchingNode]]:
    """Complete ``root`` along ``config.n_subtrees`` beams; returns early on a spent budget.

    ``n_visits`` of a node counts the beams that went through it. Of equally good proposals the one
    that was drawn first goes on; a dead end goes on, and ends its beam, only if all others are dead
    ends too.

    Raises:
        ConfigError: if the guide lacks the policy that ``config.guide_prior`` weighs.
    """
    tree = SearchTree(BranchingNode(root))
    try:
        yield from look(
            tree,
            [tree.root],
            algorithm="beam",
            n_rollouts=config.n_root_rollouts,
            config=config,
            verify=verify,
        )
        beams = {idx: tree.root for idx in range(config.n_subtrees)}
        tree.root.n_visits = len(beams)
        for _ in range(config.max_depth):
            if not beams:
                break
            proposals = yield from _propose(tree, beams, config, verify)
            taken = _best_of_each(proposals) if config.diverse else _best(proposals, len(beams))
            for node in taken.values():
                node.chosen = True
                node.n_visits += 1
            beams = {idx: node for idx, node in taken.items() if not node.terminal}
    except BudgetSpent:
        pass
    return tree


def draw_factors(node: BranchingNode, n: int, *, beam_idx: int) -> list[Factor]:
    """``n`` factors to go on by: drawn by the prior without replacement, then over again.

    The draw is the same for the same state and beam. No factor comes twice before each legal one
    has come once.
    """
    text = f"{state_key(node.state)}\0{beam_idx}".encode("utf-8", "surrogatepass")
    rng = random.Random(int.from_bytes(hashlib.sha256(text).digest()[:8], "big"))
    # Whoever of several exponential clocks rings first is drawn by its rate; so are those after it.
    rings = {
        factor: -math.log(1 - rng.random()) / prior
        for factor, prior in node.priors.items()
        if prior
    }
    order = sorted(rings, key=rings.__getitem__)
    return [order[idx % len(order)] for idx in range(n)]


def _propose(
    tree: SearchTree[BranchingNode],
    beams: dict[int, BranchingNode],
    config: BeamConfig,
    verify: Verify,
) -> Generator[Sequence[Request], Sequence[Answer], dict[int, list[BranchingNode]]]:
    """The proposals of each beam, looked at and part of the tree; equal ones are one node."""
    asks = [
        _Ask(
            beam_idx,
            parent,
            factor,
            replica_idx := slot % len(config.replicas),
            segment_request(
                parent.state,
                factor,
                replica_idx=replica_idx,
                # Beams can stand in the same state, and must not say the same there.
                sample_idx=beam_idx * config.width + slot,
                config=config,
            ),
        )
        for beam_idx, parent in beams.items()
        for slot, factor in enumerate(draw_factors(parent, config.width, beam_idx=beam_idx))
    ]
    answers = yield [ask.request for ask in asks]
    proposals: dict[int, list[BranchingNode]] = {idx: [] for idx in beams}
    new: dict[int, dict[Trace, BranchingNode]] = {id(parent): {} for parent in beams.values()}
    for ask, answer in zip(asks, answers, strict=True):
        read = read_proposal(
            ask.parent,
            ask.factor,
            ask.request,
            answer,
            replica_idx=ask.replica_idx,
            dialect=config.dialect,
            verify=verify,
        )
        node = new[id(ask.parent)].setdefault(read.state, read)
        if node not in proposals[ask.beam_idx]:
            proposals[ask.beam_idx].append(node)
    found = [node for siblings in new.values() for node in siblings.values()]
    yield from look(
        tree,
        found,
        algorithm="beam",
        n_rollouts=config.n_proposal_rollouts,
        config=config,
        verify=verify,
        guide_ends=True,
    )
    for node in found:
        assert node.parent is not None
        node.parent.children[node.state] = node
    return proposals


def _worth(node: BranchingNode) -> tuple[bool, float]:
    alive = not node.terminal or node.state.answer is not None
    return alive, node.evaluation or 0.0


def _best_of_each(proposals: dict[int, list[BranchingNode]]) -> dict[int, BranchingNode]:
    return {idx: max(nodes, key=_worth) for idx, nodes in proposals.items()}


def _best(proposals: dict[int, list[BranchingNode]], n: int) -> dict[int, BranchingNode]:
    """The ``n`` best of all, numbered anew."""
    unique = {id(node): node for nodes in proposals.values() for node in nodes}
    return dict(enumerate(sorted(unique.values(), key=_worth, reverse=True)[:n]))
