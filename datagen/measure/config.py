"""How traces are measured and labelled, for settings to name without PyTorch."""

from dataclasses import dataclass, field

from datagen.search.suspects import FirstErrorConfig


@dataclass(frozen=True, slots=True)
class MeasureConfig:
    """How traces are measured and labelled.

    Attributes:
        search: when to ask for rollouts and when to stop.
        prover_k: the prover of advantages is the best of so many rollouts.
        min_mass: least posterior mass with which a first error counts as verified.
        min_trials: fewest trials that can call a step of any other trace wrong.
        threshold: Monte-Carlo value above which such a step is good.
    """

    search: FirstErrorConfig = field(default_factory=FirstErrorConfig)
    prover_k: int = 4
    min_mass: float = 0.5
    min_trials: int = 3
    threshold: float = 0.0
