"""The searches that make traces from a prefix, by name: the pipeline runs one of them."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from datagen.engines.protocol import Answer, Request
from datagen.prompts.dialect import Dialect
from datagen.search.beam import BeamConfig, beam
from datagen.search.best_of_n import BestOfNConfig, best_of_n
from datagen.search.evidence import Verify
from datagen.search.omega import OmegaConfig, omega
from datagen.search.puct import PuctConfig, puct
from datagen.search.revise import ReviseConfig, revise
from datagen.search.tree import SearchTree, TreeNode
from datagen.traces.model import Trace

TreeSearch = Literal["puct", "beam", "revise", "omega", "best_of_n"]
"""The searches that make traces from a prefix."""


@dataclass(frozen=True, slots=True)
class GenerateConfig:
    """Which search, and the settings of each.

    Attributes:
        algorithm: which search makes the traces; the settings of the others are not read.
        puct: the search over thought factors.
        beam: the search along a few beams, led by a guide.
        revise: attempts that are doubted and revised.
        omega: the search by bisection of wrong rollouts.
        best_of_n: plain sampling.
    """

    algorithm: TreeSearch = "puct"
    puct: PuctConfig = field(default_factory=PuctConfig)
    beam: BeamConfig = field(default_factory=BeamConfig)
    revise: ReviseConfig = field(default_factory=ReviseConfig)
    omega: OmegaConfig = field(default_factory=OmegaConfig)
    best_of_n: BestOfNConfig = field(default_factory=BestOfNConfig)

    @property
    def dialect(self) -> Dialect:
        """How the search that is run asks the policy."""
        return getattr(self, self.algorithm).dialect


def generate(
    root: Trace, config: GenerateConfig, verify: Verify
) -> Generator[Sequence[Request], Sequence[Answer], SearchTree[TreeNode]]:
    """Search from ``root`` by ``config.algorithm``."""
    match config.algorithm:
        case "puct":
            return (yield from puct(root, config.puct, verify))
        case "beam":
            return (yield from beam(root, config.beam, verify))
        case "revise":
            return (yield from revise(root, config.revise, verify))
        case "omega":
            return (yield from omega(root, config.omega, verify))
        case "best_of_n":
            settings = config.best_of_n
            return (
                yield from best_of_n(
                    root,
                    n=settings.n,
                    sampling=settings.rollout,
                    verify=verify,
                    dialect=settings.dialect,
                )
            )
