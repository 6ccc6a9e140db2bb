"""The pipeline's own search: make traces by PUCT, then measure some of them step by step.

Both run as one search, so a question whose tree is finished goes on to its labels while others are
still being searched, and the engine's batches stay full.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from datagen.engines.protocol import Answer, Request
from datagen.search.evidence import Rollout, Verify
from datagen.search.puct import PuctConfig, SearchTree, puct
from datagen.search.shepherd import shepherd
from datagen.traces.model import Trace
from datagen.verify import Outcome


@dataclass(frozen=True, slots=True)
class GenerateConfig:
    """Settings of the two stages.

    Attributes:
        puct: the tree search.
        n_label_rollouts: completions after every step of a trace that is measured.
        n_right_traces: right traces to measure per search; wrong ones likewise.
    """

    puct: PuctConfig = field(default_factory=PuctConfig)
    n_label_rollouts: int = 4
    n_right_traces: int = 1
    n_wrong_traces: int = 1


def generate(
    root: Trace, config: GenerateConfig, verify: Verify
) -> Generator[Sequence[Request], Sequence[Answer], SearchTree]:
    """Search from ``root``, then complete chosen traces from each of their steps.

    Returns:
        The tree; its rollouts are those of both stages.
    """
    tree = yield from puct(root, config.puct, verify)
    right = pick_traces(tree, Outcome.CORRECT, config.n_right_traces)
    wrong = pick_traces(tree, Outcome.WRONG, config.n_wrong_traces)
    for trace in (*right, *wrong):
        tree.rollouts += yield from shepherd(
            trace,
            first=len(root.steps) + 1,
            n_rollouts=config.n_label_rollouts,
            sampling=config.puct.rollout,
            verify=verify,
        )
    return tree


def pick_traces(tree: SearchTree, outcome: Outcome, n: int) -> list[Trace]:
    """The first ``n`` distinct whole traces with this outcome, drawn by the policy from the root.

    Traces drawn deeper in the tree are not picked: the search has had a hand in those, and a PRM
    has to judge what the policy writes by itself.
    """
    drawn: Sequence[Rollout] = [r for r in tree.rollouts if r.state is tree.root.state]
    traces = (r.trace for r in drawn if r.ended and r.verdict.outcome is outcome)
    return list(dict.fromkeys(traces))[:n]
