"""The joint behind a wrong step, in the policy's own words: a complaint, and how it goes on.

Its factors are forced, its words are not: they are sampled in the very state that the trace has
come to, and refused unless they hold together with what follows. So a policy that cannot correct
itself gets no corrections, instead of ones that it would never have written.
"""

import random
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from datagen.corrections.statements import carries, denies_what_is_true, states_a_falsehood
from datagen.engines.protocol import Answer, Choice, Completion, CompletionRequest, Request
from datagen.factors.taxonomy import Factor
from datagen.prompts.dialect import NATIVE, Dialect
from datagen.traces.model import Step, Trace


@dataclass(frozen=True, slots=True)
class JointConfig:
    """How joints are written.

    Attributes:
        n_joints: samples at most of each joint; the first good one is taken.
        temperature: of its steps.
        max_step_tokens: longest step of it.
        min_prior: an alternative that the policy gives a smaller share is not taken.
        dialect: how the policy is asked.
    """

    n_joints: int = 4
    temperature: float = 1.0
    max_step_tokens: int = 64
    min_prior: float = 0.02
    dialect: Dialect = NATIVE


@dataclass(slots=True)
class Tally:
    """Samples of joints that were written for one row, and why some were refused."""

    n_joints: int = 0
    refused: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class Joint:
    """A joint that was accepted: its steps, and the request that each is the answer to."""

    steps: tuple[Step, ...]
    requests: tuple[CompletionRequest, ...]

    @property
    def corrects(self) -> bool:
        """Whether it ends with the correction of the wrong step."""
        return self.steps[-1].factor is Factor.CORRECT_ERROR


Writing = Generator[Sequence[Request], Sequence[Answer], Joint | None]
"""The search for a joint; ``None`` if no sample is good."""


def mend(state: Trace, due: Step | None, config: JointConfig, tally: Tally) -> Writing:
    """Notice the error that ``state`` ends with, and mend it or go back.

    Args:
        state: the trace up to the wrong step.
        due: what a correction has to state; ``None`` where it takes more than one step to mend, so
            that only going back will do.
        config: settings.
        tally: counts the samples.
    """
    ways = {Factor.BACKTRACK} if due is None else {Factor.CORRECT_ERROR, Factor.BACKTRACK}

    def choose(prior: Mapping[Factor, float], rng: random.Random) -> Factor | str:
        masses = [prior.get(factor, 0.0) for factor in (Factor.CORRECT_ERROR, Factor.BACKTRACK)]
        total = sum(masses)
        share = {Factor.CORRECT_ERROR: 1.0, Factor.BACKTRACK: 0.0}
        if total:
            share = dict(zip(share, (mass / total for mass in masses), strict=True))
        open_ways = [way for way in share if way in ways and share[way] >= config.min_prior]
        if not open_ways:
            return "the policy does not go back"
        return rng.choices(open_ways, [share[way] for way in open_ways])[0]

    def refuse(step: Step) -> str | None:
        if states_a_falsehood(step.text):
            return "the repair is false"
        if step.factor is Factor.CORRECT_ERROR and due and not carries(step.text, due.text):
            return "the correction states something else"
        return None

    return _joint(state, choose, refuse, config, tally)


def give_up(state: Trace, config: JointConfig, tally: Tally) -> Writing:
    """Notice that the whole attempt that ``state`` ends with is wrong, and leave it.

    Whether the policy says that it begins again, and in which way, is left to it.
    """
    ways = (Factor.SWITCH_APPROACH, Factor.BACKTRACK)

    def choose(prior: Mapping[Factor, float], rng: random.Random) -> Factor | None:
        masses = [prior.get(factor, 0.0) for factor in ways]
        likely = [mass if mass >= config.min_prior else 0.0 for mass in masses]
        weights = [*likely, max(1 - sum(likely), 0.0)]
        return rng.choices([*ways, None], weights)[0]

    def refuse(step: Step) -> str | None:
        return "the repair is false" if states_a_falsehood(step.text) else None

    return _joint(state, choose, refuse, config, tally)


def _joint(
    state: Trace,
    choose: Callable[[Mapping[Factor, float], random.Random], Factor | str | None],
    refuse: Callable[[Step], str | None],
    config: JointConfig,
    tally: Tally,
) -> Writing:
    """Sample joints until one is good: first the complaint, then the step that is chosen.

    Args:
        state: the trace up to the error.
        choose: the factor of the step behind the complaint, given the prior and randomness;
            ``None``: no further step, and a string: why neither will do.
        refuse: why that step is not good.
        config: settings.
        tally: counts the samples.
    """
    for sample_idx in range(config.n_joints):
        tally.n_joints += 1
        asked, complaint = yield from _segment(state, Factor.DETECT_ERROR, sample_idx, config)
        if complaint is None:
            tally.refused.append("the complaint is no whole step")
            continue
        if denies_what_is_true(complaint.text):
            tally.refused.append("the complaint denies what is true")
            continue
        after = state.extended(complaint)
        (answer,) = yield [config.dialect.prior_request(after)]
        prior = config.dialect.read_prior(cast(Choice, answer), min_prior=0.0)
        # The policy's choice is a sample as well, and its randomness is that of the request.
        way = choose(prior, random.Random(asked.seed))
        if way is None:
            return Joint((complaint,), (asked,))
        if not isinstance(way, Factor):
            tally.refused.append(way)
            return None  # another complaint would hardly change its mind
        then, repair = yield from _segment(after, way, sample_idx, config)
        if repair is None:
            why = "the repair is no whole step"
        elif (why := refuse(repair)) is None:
            return Joint((complaint, repair), (asked, then))
        tally.refused.append(why)
    return None


def _segment(
    state: Trace, factor: Factor, sample_idx: int, config: JointConfig
) -> Generator[Sequence[Request], Sequence[Answer], tuple[CompletionRequest, Step | None]]:
    """One step under ``factor``; ``None`` if the policy did not come to the end of one."""
    request = config.dialect.segment_request(
        state,
        factor,
        temperature=config.temperature,
        max_tokens=config.max_step_tokens,
        sample_idx=sample_idx,
    )
    (answer,) = yield [request]
    steps = config.dialect.read_segment(cast(Completion, answer), state, factor).steps
    return request, steps[0] if steps and steps[0].text.strip() else None
