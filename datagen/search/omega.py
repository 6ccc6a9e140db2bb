"""OmegaPRM: find the first error of wrong rollouts by binary search (Luo et al. 2024).

"Improve Mathematical Reasoning in Language Models by Automated Process Supervision", arXiv
2406.06592. The search does not walk down a tree: it takes any wrong rollout from a pool, bisects
it, and puts the wrong rollouts that this drew into the pool. A rollout that was searched leaves the
pool, as the paper says ("popped"); put back, it would be searched over and over. Two things differ
from the paper: prefixes end at whole steps, where section 4.2 cuts anywhere between tokens, and the
rollouts that screen a question stay as its root's rollouts instead of being thrown away.
"""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Literal

from datagen.engines.protocol import Answer, Request, Sampling
from datagen.prompts.dialect import NATIVE, Dialect
from datagen.prompts.reading import Reading
from datagen.search.bisection import close_in, count_trials, draw
from datagen.search.evidence import Rollout, Verify
from datagen.search.tree import SearchTree, TreeNode
from datagen.search.waves import BudgetSpent
from datagen.traces.model import Step, Trace
from datagen.verify import Outcome

Screening = Literal["kept", "too_easy", "too_hard"]
"""What the root's rollouts say of a question (appendix A): too easy if none went wrong, too hard if
none ended right. Only questions that are kept are searched."""


@dataclass(frozen=True, slots=True)
class OmegaConfig:
    """Settings of one search; the defaults are the paper's (section 4, appendix A).

    Attributes:
        n_screening: rollouts from the root, by which questions are screened (appendix A).
        n_searches: most binary searches per question, the paper's search limit (section 4).
        n_rollouts: k, rollouts per Monte-Carlo estimate (sections 3.2 and 4).
        alpha: base of the preference for rollouts of promising states, in (0, 1] (equation 2).
        beta: base of the penalty on long rollouts, in (0, 1] (equation 2).
        length_scale: L, the length in tokens that costs one factor ``beta`` (equation 2).
        c_puct: weight of states that were rarely searched (equation 3).
        stop_at_first_success: draw a prefix's rollouts one by one and stop at the first right one.
            Not in the paper. First errors are the same and cost less, but of a state that was
            stopped at only "can succeed" is known: its share of right rollouts, one in however
            many were needed, is biased upward and must not be read as a probability.
        rollout: how rollouts are sampled. Any temperature but 1 makes them off-policy.
        dialect: how the policy is asked.
    """

    n_screening: int = 32
    n_searches: int = 100
    n_rollouts: int = 8
    alpha: float = 0.5
    beta: float = 0.9
    length_scale: int = 500
    c_puct: float = 0.125
    stop_at_first_success: bool = False
    rollout: Sampling = field(default_factory=Sampling)
    dialect: Dialect = NATIVE


@dataclass(slots=True, eq=False, repr=False)
class OmegaNode(TreeNode):
    """A state, measured or merely passed on the way to one; ``n_visits`` is the paper's N(s).

    Attributes:
        children: by the step that leads there.
        rollouts: the rollouts of its Monte-Carlo estimate, all drawn from this very state; empty
            where a binary search jumped over it.
    """

    children: "dict[Step, OmegaNode]" = field(default_factory=lambda: dict[Step, OmegaNode]())
    rollouts: list[Rollout] = field(default_factory=list[Rollout])

    @property
    def estimate(self) -> float | None:
        """MC(s) of equation 1; ``None`` if no rollout was drawn from here that could be judged."""
        return count_trials(self.rollouts).mean

    @property
    def below(self) -> "Sequence[OmegaNode]":
        """The children, in the order in which they were found."""
        return list(self.children.values())


@dataclass(frozen=True, slots=True)
class Candidate:
    """A wrong rollout that can be searched.

    Attributes:
        node: the state that it was drawn from.
        rollout: a whole trace with a wrong answer.
        trace: that trace.
    """

    node: OmegaNode
    rollout: Rollout
    trace: Trace


@dataclass(frozen=True, slots=True)
class Searched:
    """A finished binary search.

    Attributes:
        candidate: the rollout that was searched.
        first_error_idx: 0-based step of its whole trace; ``None`` if no rollout of some prefix
            could be judged.
    """

    candidate: Candidate
    first_error_idx: int | None


@dataclass(slots=True, eq=False, repr=False)
class OmegaTree(SearchTree[OmegaNode]):
    """What the search leaves behind.

    Attributes:
        screening: verdict on the question; ``None`` if the budget was spent before.
        pool: rollouts that could be searched next, in the order of drawing.
        searched: binary searches in the order of selection.
    """

    screening: Screening | None = None
    pool: list[Candidate] = field(default_factory=list[Candidate])
    searched: list[Searched] = field(default_factory=list[Searched])


def omega(
    root: Trace, config: OmegaConfig, verify: Verify
) -> Generator[Sequence[Request], Sequence[Answer], OmegaTree]:
    """Search wrong rollouts of ``root``, most instructive first (section 3.3).

    Ends when ``config.n_searches`` are done or the pool is empty; returns early, with what it has,
    on a spent budget.
    """
    tree = OmegaTree(OmegaNode(root))
    try:
        tree.root.rollouts = yield from draw(
            root,
            config.n_screening,
            stop_at_first_success=False,
            sampling=config.rollout,
            verify=verify,
            record=tree.rollouts,
            dialect=config.dialect,
        )
        tree.screening = screen(tree.root.rollouts)
        tree.pool = candidates(tree.root)  # none, if it was screened out
        while tree.pool and len(tree.searched) < config.n_searches:
            yield from _search(tree, select(tree.pool, tree, config), config, verify)
    except BudgetSpent:
        pass
    return tree


def screen(rollouts: Iterable[Rollout]) -> Screening:
    """Whether a question is worth a search, by rollouts from its root (appendix A)."""
    count = count_trials(rollouts)
    if not count.n_correct:
        return "too_hard"
    return "too_easy" if count.n_correct == count.n_rollouts else "kept"


def candidates(node: OmegaNode) -> list[Candidate]:
    """The rollouts of ``node`` that can be searched; none unless 0 < MC(s) < 1 (section 3.3).

    A rollout of one step is none of them: it has no prefix of its own to measure.
    """
    mc = node.estimate
    if mc is None or not 0 < mc < 1:
        return []
    return [
        Candidate(node, rollout, rollout.trace)
        for rollout in node.rollouts
        if rollout.verdict.outcome is Outcome.WRONG
        and rollout.ended
        and len(rollout.reading.steps) > 1
    ]


def select(pool: Sequence[Candidate], tree: OmegaTree, config: OmegaConfig) -> Candidate:
    """The candidate of the largest Q(s, r) + U(s); of equals the one that was drawn first."""
    # Each search adds one to the N(s) of one state, so this is the sum of all of them.
    n_visits_total = len(tree.searched)

    def priority(candidate: Candidate) -> float:
        node, rollout = candidate.node, candidate.rollout
        return rollout_value(node.estimate or 0.0, rollout.n_tokens, config) + exploration(
            node.n_visits, n_visits_total, config
        )

    return max(pool, key=priority)


def rollout_value(mc: float, n_tokens: int, config: OmegaConfig) -> float:
    """Q(s, r) = alpha^(1 - MC(s)) * beta^(len(r) / L), equation 2; ``n_tokens`` of r alone.

    A wrong rollout of a state that mostly succeeds holds an avoidable error, and is worth most.
    """
    return config.alpha ** (1 - mc) * config.beta ** (n_tokens / config.length_scale)


def exploration(n_visits: int, n_visits_total: int, config: OmegaConfig) -> float:
    """U(s) = c_puct * sqrt(sum of all N) / (1 + N(s)), equation 3."""
    return config.c_puct * sqrt(n_visits_total) / (1 + n_visits)


def _search(
    tree: OmegaTree, picked: Candidate, config: OmegaConfig, verify: Verify
) -> Generator[Sequence[Request], Sequence[Answer], None]:
    """Bisect one rollout; what it measures becomes part of the tree, and its draws of the pool."""
    n_given = len(picked.node.state.steps)
    found: list[OmegaNode] = []

    def measure(n_steps: int) -> Generator[Sequence[Request], Sequence[Answer], float | None]:
        node = _grow(picked, n_steps - n_given)
        if not node.rollouts:
            node.rollouts = yield from draw(
                node.state,
                config.n_rollouts,
                stop_at_first_success=config.stop_at_first_success,
                sampling=config.rollout,
                verify=verify,
                record=tree.rollouts,
                dialect=config.dialect,
            )
            found.append(node)
        return node.estimate

    first_error_idx = yield from close_in(n_given, len(picked.trace.steps), measure)
    picked.node.n_visits += 1
    tree.searched.append(Searched(picked, first_error_idx))
    # Equal traces leave the pool with it, whichever state they were drawn from: their first error
    # is the same, and to search for it again would measure nothing new.
    tree.pool = [other for other in tree.pool if other.trace != picked.trace]
    done = {search.candidate.trace for search in tree.searched}
    tree.pool += [new for node in found for new in candidates(node) if new.trace not in done]


def _grow(picked: Candidate, n_own_steps: int) -> OmegaNode:
    """The node after so many steps of the rollout's own, with every node on the way there."""
    node, rollout = picked.node, picked.rollout
    reading = rollout.reading
    for step, n_tokens, logprob in zip(
        reading.steps[:n_own_steps], reading.n_tokens, reading.min_logprobs, strict=False
    ):
        if step not in node.children:
            node.children[step] = OmegaNode(
                node.state.extended(step),
                node,
                step.factor,
                request=rollout.request,
                reading=Reading((step,), None, "", (n_tokens,), (logprob,), reading.sloppy),
            )
        node = node.children[step]
    return node
