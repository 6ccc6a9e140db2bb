"""What searches over thought factors share: steps are proposed, and states are looked at.

The guide (a value model, with or without a policy) is advice and never evidence: what it says goes
into priors and evaluations, which steer the search, while on-policy evidence is counted from
rollouts alone (:mod:`datagen.search.evidence`).
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

from datagen.engines.protocol import (
    Answer,
    Choice,
    Completion,
    CompletionRequest,
    Evaluation,
    EvaluationRequest,
    Request,
    Sampling,
)
from datagen.errors import ConfigError
from datagen.factors.taxonomy import ACTIONS, Factor
from datagen.prompts.dialect import NATIVE, Dialect
from datagen.prompts.reading import text_of
from datagen.search.evidence import Rollout, Verify
from datagen.search.tree import SearchTree, TreeNode
from datagen.traces.model import Step, Trace
from datagen.verify import Outcome, Verdict
from schemas import Algorithm

N = TypeVar("N", bound=TreeNode)


@dataclass(frozen=True, slots=True)
class Replica:
    """One of several samplers that propose a step.

    Attributes:
        temperature: at which it writes.
        model: fingerprint of the model that writes; empty for the policy itself.
    """

    temperature: float = 1.0
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpansionConfig:
    """Settings that searches over thought factors share.

    Attributes:
        n_rollouts: on-policy rollouts from each proposed step; may be 0 if there is a guide.
        replicas: who proposes steps.
        guide: fingerprint of the value model; ``None`` for none.
        guide_prior: weight of the guide's policy in the prior, in [0, 1], the rest being the
            policy's own. More than 0 needs a guide with a policy head.
        guide_value: weight of the guide's value against the mean of a state's own rollouts, in
            [0, 1]. Where there is only one of the two, it has all the weight.
        min_prior: factors that the policy finds less likely are not legal.
        max_step_tokens: longest segment.
        rollout: how rollouts are sampled. Any temperature but 1 makes them off-policy.
        dialect: how the policy is asked.

    Raises:
        ConfigError: if a weight has nothing to weigh.
    """

    n_rollouts: int = 1
    replicas: tuple[Replica, ...] = (Replica(0.8), Replica(1.2))
    guide: str | None = None
    guide_prior: float = 0.0
    guide_value: float = 1.0
    min_prior: float = 0.02
    max_step_tokens: int = 64
    rollout: Sampling = field(default_factory=Sampling)
    dialect: Dialect = NATIVE

    def __post_init__(self) -> None:
        """Refuse settings that would be ignored without a word."""
        for name in ("guide_prior", "guide_value"):
            if not 0 <= (weight := getattr(self, name)) <= 1:
                raise ConfigError(f"{name}={weight!r} is a weight; set it between 0 and 1")
        if self.guide is None and self.guide_prior:
            raise ConfigError(
                f"guide_prior={self.guide_prior!r} weighs the policy of a guide, and there is "
                "none; name one in search.value_model, or set search.guide_prior to 0"
            )
        if not self.n_rollouts and (self.guide is None or self.guide_value < 1):
            raise ConfigError(
                f"n_rollouts=0 leaves states without a value, with guide={self.guide!r} and "
                f"guide_value={self.guide_value!r}; set search.n_rollouts to 1 or more, or name a "
                "guide in search.value_model and set search.guide_value to 1"
            )


def segment_request(
    state: Trace, factor: Factor, *, replica_idx: int, sample_idx: int, config: ExpansionConfig
) -> CompletionRequest:
    """Ask one of ``config.replicas`` for the next step under ``factor``."""
    replica = config.replicas[replica_idx]
    request = config.dialect.segment_request(
        state,
        factor,
        temperature=replica.temperature,
        max_tokens=config.max_step_tokens,
        sample_idx=sample_idx,
    )
    return replace(request, model=replica.model) if replica.model else request


def read_proposal(
    parent: N,
    factor: Factor,
    request: CompletionRequest,
    answer: Answer,
    *,
    replica_idx: int,
    dialect: Dialect,
    verify: Verify,
) -> N:
    """The state that a proposed step leads to, not yet part of the tree.

    An answer ends the trace and is verified at once. A segment that is not one whole step is a dead
    end: the replica lost the thread, which is no evidence about any step.
    """
    completion = cast(Completion, answer)
    reading = dialect.read_segment(completion, parent.state, factor)
    verdict: Verdict | None = None
    if len(reading.steps) == 1:
        state = parent.state.extended(*reading.steps)
        if factor is Factor.ANSWER:
            state = Trace(state.question, state.steps, reading.answer)
            verdict = verify(completion)
    else:
        # An answer that was followed by more steps leaves no rest.
        state = parent.state.extended(Step(reading.rest or text_of(completion), factor))
        outcome = Outcome.UNVERIFIABLE if completion.finish == "stop" else Outcome.TRUNCATED
        verdict = Verdict(outcome, None, "the segment is not one whole step")
    prior = parent.priors.get(factor)
    return type(parent)(
        state, parent, factor, prior, replica_idx, request, reading, verdict, chosen=False
    )


def look(
    tree: SearchTree[N],
    nodes: Sequence[N],
    *,
    algorithm: Algorithm,
    n_rollouts: int,
    config: ExpansionConfig,
    verify: Verify,
    guide_ends: bool = False,
) -> Generator[Sequence[Request], Sequence[Answer], list[float | None]]:
    """Find out in one wave what states are worth and what can follow them.

    Sets ``priors`` of the states that can go on, and ``evaluation`` of all: the guide's value and
    the mean of the own rollouts by ``config.guide_value``, ``None`` if there is neither. A trace
    that has ended is worth 1 if it ended right and else 0, or what the guide says.

    Args:
        tree: where rollouts are recorded.
        nodes: new states, none of which was looked at before.
        algorithm: name of the search.
        n_rollouts: on-policy rollouts from each state that can go on.
        config: settings.
        verify: judges a completion.
        guide_ends: whether the guide is asked about traces that came to an answer, too, so that
            their verdict does not count.

    Returns:
        What the guide says of each state; ``None`` where it was not asked.

    Raises:
        ConfigError: if the guide has no policy and ``config.guide_prior`` gives it weight.
    """
    dialect, guide = config.dialect, config.guide
    going_on = [node for node in nodes if not node.terminal]
    requests = [
        (node, request)
        for node in going_on
        for request in dialect.rollout_requests(node.state, n_rollouts, sampling=config.rollout)
    ]
    priors = [dialect.prior_request(node.state) for node in going_on]
    asked = nodes if guide_ends else going_on
    guided = [node for node in asked if guide and (not node.terminal or _has_ended(node))]
    evaluations = [EvaluationRequest(node.state, guide) for node in guided if guide]
    answers = yield [*(request for _, request in requests), *priors, *evaluations]

    drawn, said = len(requests), len(requests) + len(priors)
    outcomes: dict[int, list[bool]] = {}
    for (node, request), answer in zip(requests, answers[:drawn], strict=True):
        completion = cast(Completion, answer)
        rollout = Rollout.read(algorithm, node.state, request, completion, verify, dialect)
        tree.rollouts.append(rollout)
        if rollout.verdict.is_trial:
            right = rollout.verdict.outcome is Outcome.CORRECT
            outcomes.setdefault(id(node), []).append(right)
    advice = {
        id(node): cast(Evaluation, answer)
        for node, answer in zip(guided, answers[said:], strict=True)
    }
    for node, prior in zip(going_on, answers[drawn:said], strict=True):
        own = dialect.read_prior(cast(Choice, prior), min_prior=config.min_prior)
        node.priors = mixed_prior(own, advice.get(id(node)), config)
    values = [advice[id(node)].value if id(node) in advice else None for node in nodes]
    for node, value in zip(nodes, values, strict=True):
        node.evaluation = _worth(node, value, outcomes.get(id(node), ()), config)
    return values


def mixed_prior(
    own: Mapping[Factor, float], advice: Evaluation | None, config: ExpansionConfig
) -> dict[Factor, float]:
    """P = (1 - w)·own + w·guide over the legal factors, summing to one, in taxonomy order.

    Which factors are legal is the policy's own say. A guide that gives all of them nothing is not
    heard.

    Raises:
        ConfigError: if w, ``config.guide_prior``, is not 0 and the guide has no policy.
    """
    weight = config.guide_prior
    if advice is None or not weight:
        return dict(own)
    if advice.policy is None:
        raise ConfigError(
            f"the guide {config.guide!r} has no policy for guide_prior={weight!r} to weigh; "
            "set search.guide_prior to 0, or search.value_model to a two-headed model"
        )
    policy = dict(zip(ACTIONS, advice.policy, strict=True))
    mass = {
        factor: (1 - weight) * own[factor] + weight * policy.get(factor, 0.0)
        for factor in ACTIONS
        if factor in own
    }
    total = sum(mass.values())
    if total <= 0:
        return dict(own)
    return {factor: p / total for factor, p in mass.items()}


def _has_ended(node: TreeNode) -> bool:
    """Whether it is a whole trace, and no dead end."""
    return node.factor is Factor.ANSWER and bool(node.reading and len(node.reading.steps) == 1)


def _worth(
    node: TreeNode, advised: float | None, outcomes: Sequence[bool], config: ExpansionConfig
) -> float | None:
    if node.verdict is not None:
        return float(node.verdict.outcome is Outcome.CORRECT) if advised is None else advised
    mean = sum(outcomes) / len(outcomes) if outcomes else None
    if advised is None or mean is None:
        return mean if advised is None else advised
    return config.guide_value * advised + (1 - config.guide_value) * mean
