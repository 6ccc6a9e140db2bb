"""What every search leaves behind: the states it looked at, as a tree, and the rollouts it drew.

One node is one step, also where an algorithm jumps over several at once, so that all trees fit one
table. What steers a search (visits, its own estimate) is kept apart from on-policy evidence, which
is counted from the rollouts (:mod:`datagen.search.evidence`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar

from datagen.engines.protocol import CompletionRequest
from datagen.factors.taxonomy import Factor
from datagen.prompts.reading import Reading
from datagen.search.evidence import Rollout
from datagen.traces.model import Trace
from datagen.verify import Verdict


@dataclass(slots=True, eq=False, repr=False)
class TreeNode:
    """A state in the tree; an algorithm adds its own statistics in a subclass.

    Nodes refer to each other up and down, so the ``repr`` that a dataclass writes would run through
    the whole tree once per path; subclasses keep the short one by ``repr=False``.

    Attributes:
        state: question and steps so far; its answer is set where the trace has ended.
        parent: the state one step before; ``None`` at the root.
        factor: thought factor of the step that leads here; ``None`` at the root.
        prior: the policy's probability of that factor; ``None`` where nobody asked.
        replica_idx: which replica wrote the step; -1 if it was written in a rollout, or is given.
        request: the request whose completion holds the step; ``None`` at the root.
        reading: that completion, read, cut down to this one step; ``None`` at the root.
        verdict: set where the trace has ended, or can go no further.
        chosen: whether the search can go through it; otherwise a rejected proposal.
        n_visits: how often the search selected it.
        priors: the factors that may follow and their probabilities, which sum to one, in the order
            of the taxonomy; empty where nobody asked.
        evaluation: what the state was worth when the search first looked at it; ``None`` where it
            did not, or could not tell.
    """

    state: Trace
    parent: Self | None = None
    factor: Factor | None = None
    prior: float | None = None
    replica_idx: int = -1
    request: CompletionRequest | None = None
    reading: Reading | None = None
    verdict: Verdict | None = None
    chosen: bool = True
    n_visits: int = 0
    priors: Mapping[Factor, float] = field(default_factory=dict[Factor, float])
    evaluation: float | None = None

    def __repr__(self) -> str:
        n_steps = len(self.state.steps)
        return f"<{type(self).__name__} {n_steps=} n_visits={self.n_visits}>"

    @property
    def estimate(self) -> float | None:
        """What the search takes the state to be worth, in [0, 1]; ``None`` if it has no opinion."""
        return None

    @property
    def terminal(self) -> bool:
        """Whether nothing can follow."""
        return self.verdict is not None

    @property
    def below(self) -> "Sequence[TreeNode]":
        """All nodes one step on, rejected proposals behind those that were chosen."""
        return ()


@dataclass(slots=True, eq=False, repr=False)
class BranchingNode(TreeNode):
    """A state that may have several children of one factor, told apart by what they say.

    Attributes:
        children: by their state, which includes the answer where a trace has ended.
    """

    children: "dict[Trace, Self]" = field(default_factory=lambda: dict[Trace, Any]())

    @property
    def estimate(self) -> float | None:
        """What it was worth when first looked at; ``None`` if it was not taken."""
        return self.evaluation if self.n_visits else None

    @property
    def below(self) -> "Sequence[Self]":
        """The children that were taken, then the others."""
        return sorted(self.children.values(), key=lambda child: not child.chosen)


N_co = TypeVar("N_co", bound=TreeNode, covariant=True)


@dataclass(slots=True, eq=False, repr=False)
class SearchTree(Generic[N_co]):
    """What a search leaves behind: the tree, and every rollout in the order of asking."""

    root: N_co
    rollouts: list[Rollout] = field(default_factory=list[Rollout])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} root={self.root!r} n_rollouts={len(self.rollouts)}>"

    def nodes(self) -> Iterator[TreeNode]:
        """Every node, depth first, parents before children."""
        stack: list[TreeNode] = [self.root]
        while stack:
            node = stack.pop()
            yield node
            stack += reversed(node.below)
