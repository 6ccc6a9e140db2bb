"""The pipeline's own search: make traces by one algorithm, then measure some of them step by step.

Both run as one search, so a question whose tree is finished goes on to its labels while others are
still being searched, and the engine's batches stay full.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from datagen.engines.protocol import Answer, Request, Sampling
from datagen.search.best_of_n import BestOfNConfig, best_of_n
from datagen.search.evidence import Rollout, Verify
from datagen.search.omega import OmegaConfig, omega
from datagen.search.puct import PuctConfig, puct
from datagen.search.shepherd import shepherd
from datagen.search.tree import SearchTree, TreeNode
from datagen.traces.model import Trace
from datagen.verify import Outcome

TreeSearch = Literal["puct", "omega", "best_of_n"]
"""The searches that make traces from a prefix."""


@dataclass(frozen=True, slots=True)
class GenerateConfig:
    """Settings of the two stages.

    Attributes:
        puct: the search over thought factors.
        n_label_rollouts: completions after every step of a trace that is measured.
        n_right_traces: right traces to measure per search; wrong ones likewise.
        algorithm: which search makes the traces; the settings of the others are not read.
        omega: the search by bisection of wrong rollouts.
        best_of_n: plain sampling.
    """

    puct: PuctConfig = field(default_factory=PuctConfig)
    n_label_rollouts: int = 4
    n_right_traces: int = 1
    n_wrong_traces: int = 1
    algorithm: TreeSearch = "puct"
    omega: OmegaConfig = field(default_factory=OmegaConfig)
    best_of_n: BestOfNConfig = field(default_factory=BestOfNConfig)

    @property
    def rollout(self) -> Sampling:
        """How the algorithm samples rollouts."""
        settings = {"puct": self.puct, "omega": self.omega, "best_of_n": self.best_of_n}
        return settings[self.algorithm].rollout


def generate(
    root: Trace, config: GenerateConfig, verify: Verify
) -> Generator[Sequence[Request], Sequence[Answer], SearchTree[TreeNode]]:
    """Search from ``root``, then complete chosen traces from each of their steps.

    Returns:
        The tree; its rollouts are those of both stages.
    """
    tree = yield from search_tree(root, config, verify)
    yield from measure_traces(tree, config, verify)
    return tree


def search_tree(
    root: Trace, config: GenerateConfig, verify: Verify
) -> Generator[Sequence[Request], Sequence[Answer], SearchTree[TreeNode]]:
    """The first stage: search from ``root`` by ``config.algorithm``."""
    match config.algorithm:
        case "puct":
            return (yield from puct(root, config.puct, verify))
        case "omega":
            return (yield from omega(root, config.omega, verify))
        case "best_of_n":
            settings = config.best_of_n
            return (
                yield from best_of_n(root, n=settings.n, sampling=settings.rollout, verify=verify)
            )


def measure_traces(
    tree: SearchTree[TreeNode], config: GenerateConfig, verify: Verify
) -> Generator[Sequence[Request], Sequence[Answer], None]:
    """The second stage: complete chosen traces from each of their steps, and add the rollouts."""
    right = pick_traces(tree, Outcome.CORRECT, config.n_right_traces)
    wrong = pick_traces(tree, Outcome.WRONG, config.n_wrong_traces)
    for trace in (*right, *wrong):
        tree.rollouts += yield from shepherd(
            trace,
            first=len(tree.root.state.steps) + 1,
            n_rollouts=config.n_label_rollouts,
            sampling=config.rollout,
            verify=verify,
        )


def pick_traces(tree: SearchTree[TreeNode], outcome: Outcome, n: int) -> list[Trace]:
    """The first ``n`` distinct whole traces with this outcome, drawn by the policy from the root.

    Traces drawn deeper in the tree are not picked: the search has had a hand in those, and a PRM
    has to judge what the policy writes by itself.
    """
    drawn: Sequence[Rollout] = [r for r in tree.rollouts if r.state is tree.root.state]
    traces = (r.trace for r in drawn if r.ended and r.verdict.outcome is outcome)
    return list(dict.fromkeys(traces))[:n]
