"""Settings of rollouts and tree search."""

from typing import Any

from pydantic import Field

from datagen.config.section import Section
from datagen.engines.protocol import Sampling
from datagen.engines.team import Members
from datagen.errors import ConfigError
from datagen.prompts.dialect import Dialect
from datagen.search.beam import BeamConfig
from datagen.search.best_of_n import BestOfNConfig
from datagen.search.expansion import Replica
from datagen.search.generate import GenerateConfig, TreeSearch
from datagen.search.omega import OmegaConfig
from datagen.search.puct import PuctConfig
from datagen.search.revise import ReviseConfig


class SearchSettings(Section):
    """Rollouts and tree search."""

    algorithm: TreeSearch = Field(
        default="puct",
        description='"puct": over thought factors; "beam": a few paths, led by value_model; '
        '"revise": attempts that doubt themselves; "omega": bisects wrong rollouts; "best_of_n"',
    )
    n_simulations: int = Field(
        default=4, ge=0, description="Per search: PUCT simulations, or OmegaPRM bisections at most"
    )
    n_root_rollouts: int = Field(
        default=8,
        ge=1,
        description="On-policy rollouts from each root; the n of best-of-n; attempts to revise",
    )
    n_rollouts: int = Field(
        default=1,
        ge=0,
        description="On-policy rollouts from each segment; 0 only where value_model is all judges",
    )
    n_bisect_rollouts: int = Field(
        default=8, ge=1, description="On-policy rollouts from each prefix that OmegaPRM measures"
    )
    replica_temperatures: tuple[float, ...] = Field(
        default=(0.8, 1.2), min_length=1, description="One replica per entry proposes each segment"
    )
    replica_models: tuple[str, ...] = Field(
        default=(), description="Further models, named as engine.model, that propose segments"
    )
    value_model: str | None = Field(
        default=None,
        description="Folder of a PRM or two-headed model that judges states; unset: none",
    )
    guide_prior: float = Field(
        default=0.0, ge=0, le=1, description="Weight of value_model's policy in the prior"
    )
    guide_value: float = Field(
        default=1.0, ge=0, le=1, description="Weight of value_model's value against own rollouts"
    )
    n_beams: int = Field(default=4, ge=1, description="beam: paths, each in a subtree of its own")
    beam_width: int = Field(default=4, ge=1, description="beam: segments proposed on each path")
    n_revisions: int = Field(default=2, ge=0, description="revise: most revisions of an attempt")
    reuse_rollouts: bool = Field(
        default=True, description="Steps that rollouts wrote are proposals; replicas add the rest"
    )
    c_puct: float = Field(default=1.5, ge=0, description="Weight of the prior against the value")
    min_prior: float = Field(
        default=0.02, ge=0, le=1, description="Less likely factors are not tried"
    )
    temperature: float = Field(
        default=1.0, gt=0, description="Of rollouts; any value but 1 makes them off-policy"
    )
    max_step_tokens: int = Field(default=64, ge=1, description="Longest segment, tokens")
    max_tokens: int = Field(default=256, ge=1, description="Longest rollout, tokens")
    budget_tokens: int | None = Field(
        default=None, ge=1, description="Stop after so many generated tokens; unset: no limit"
    )
    budget_seconds: float | None = Field(
        default=None, gt=0, description="Stop after so many seconds of search; unset: no limit"
    )
    budget_cost: float | None = Field(
        default=None, gt=0, description="Stop after this cost, by engine.price_*; unset: no limit"
    )

    def sampling(self) -> Sampling:
        """Of rollouts."""
        return Sampling(temperature=self.temperature, max_tokens=self.max_tokens)

    def generate_config(self, dialect: Dialect, members: Members | None = None) -> GenerateConfig:
        """As the search takes it.

        Args:
            dialect: how the models are asked.
            members: whom the search can ask besides the policy. Further models propose segments at
                the first of the temperatures.

        Raises:
            ConfigError: if a weight has nothing to weigh.
        """
        rollout = self.sampling()
        team = members or Members()
        if self.guide_prior and team.guide and not team.has_policy:
            raise ConfigError(
                f"search.guide_prior={self.guide_prior!r}, but search.value_model="
                f"{self.value_model!r} has no policy; set search.guide_prior to 0, or "
                "search.value_model to a two-headed model"
            )
        temperatures = self.replica_temperatures
        shared: dict[str, Any] = {
            "n_rollouts": self.n_rollouts,
            "replicas": (
                *map(Replica, temperatures),
                *(Replica(temperatures[0], model) for model in team.replicas),
            ),
            "guide": team.guide or None,
            "guide_prior": self.guide_prior,
            "guide_value": self.guide_value,
            "min_prior": self.min_prior,
            "max_step_tokens": self.max_step_tokens,
            "rollout": rollout,
            "dialect": dialect,
        }
        return GenerateConfig(
            algorithm=self.algorithm,
            puct=PuctConfig(
                n_simulations=self.n_simulations,
                n_root_rollouts=self.n_root_rollouts,
                c_puct=self.c_puct,
                reuse=self.reuse_rollouts,
                **shared,
            ),
            beam=BeamConfig(
                n_subtrees=self.n_beams,
                width=self.beam_width,
                n_root_rollouts=self.n_root_rollouts,
                **shared,
            ),
            revise=ReviseConfig(
                n_chains=self.n_root_rollouts,
                n_revisions=self.n_revisions,
                guide=team.guide or None,
                max_step_tokens=self.max_step_tokens,
                rollout=rollout,
                dialect=dialect,
            ),
            omega=OmegaConfig(
                n_screening=self.n_root_rollouts,
                n_searches=self.n_simulations,
                n_rollouts=self.n_bisect_rollouts,
                rollout=rollout,
                dialect=dialect,
            ),
            best_of_n=BestOfNConfig(n=self.n_root_rollouts, rollout=rollout, dialect=dialect),
        )
