"""Simulated policies: what they say of themselves is what their engine does."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise, product
from statistics import fmean
from typing import Any

import pytest

from datagen.bench.chains import SimulatedConfig
from datagen.bench.simulated import GOLD, SCENARIOS, SimulatedPolicy
from datagen.engines.protocol import Sampling
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal
from datagen.prompts.native import read_score, rollout_requests, score_request, segment_request
from datagen.search.best_of_n import BestOfN, best_of_n
from datagen.search.evidence import Rollout
from datagen.search.puct import PuctConfig, puct
from datagen.search.scheduler import Scheduler
from datagen.search.shepherd import shepherd
from datagen.traces.model import Step, Trace
from datagen.verify import Outcome

pytestmark = pytest.mark.slow

PLAIN = SimulatedConfig(luck=0.0)


def draw(policy: SimulatedPolicy, state: Trace, n: int) -> list[Rollout]:
    requests = rollout_requests(state, n, sampling=Sampling())
    completions = asyncio.run(policy.engine().complete(requests))
    verify = policy.verify(state.question)
    return [
        Rollout.read("shepherd", state, request, completion, verify)
        for request, completion in zip(requests, completions, strict=True)
    ]


def roots(policy: SimulatedPolicy, *, n_questions: int = 40, n: int = 10) -> list[Rollout]:
    return [
        rollout
        for question in policy.questions(n_questions)
        for rollout in draw(policy, Trace(question), n)
    ]


def is_right(rollout: Rollout) -> bool:
    return rollout.verdict.outcome is Outcome.CORRECT


def wrong_traces(rollouts: Iterable[Rollout]) -> list[Trace]:
    return [r.trace for r in rollouts if r.verdict.outcome is Outcome.WRONG]


def surprisals(policy: SimulatedPolicy, traces: Sequence[Trace]) -> list[list[float]]:
    """Content surprisal by trace and step, as the engine scores it."""
    scores = asyncio.run(policy.engine().score([score_request(trace) for trace in traces]))
    return [
        [said.content for said in read_score(score, trace)]
        for score, trace in zip(scores, traces, strict=True)
    ]


def auc(policy: SimulatedPolicy) -> float:
    """How often an error is found less probable than a sound step."""
    traces = wrong_traces(roots(policy, n=30))
    errors, sound = list[float](), list[float]()
    for trace, said in zip(traces, surprisals(policy, traces), strict=True):
        for link, surprisal in zip(policy.links(trace), said, strict=True):
            if link.is_error:
                errors.append(surprisal)
            elif link.sound:
                sound.append(surprisal)
    return fmean(a > b for a, b in product(errors, sound))


def chain(policy: SimulatedPolicy, pattern: str, answer: str | None = None) -> Trace:
    """A trace whose states are sound (S) and unsound (U) as the pattern says, made by hand."""
    question = next(
        q
        for q in policy.questions(100)
        if len(draw(policy, Trace(q), 1)[0].trace.steps) == len(pattern)
    )
    trace = Trace(question)
    for letter in pattern:
        steps = (Step(f"by hand #{n:012x}", Factor.COMPUTE) for n in range(10_000))
        trace = next(
            longer
            for longer in map(trace.extended, steps)
            if policy.links(longer)[-1].sound == (letter == "S")
        )
    return replace(trace, answer=answer)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_state_is_worth_what_rollouts_from_it_show(name: str) -> None:
    policy = SimulatedPolicy(SCENARIOS[name], 3)
    trace = wrong_traces(roots(policy, n_questions=5, n=20))[0]
    for n_steps in (0, 1, len(trace.steps) // 2, len(trace.steps) - 1):
        state = trace.prefix(n_steps)
        mean = fmean(map(is_right, draw(policy, state, 1000)))
        assert policy.value(state) == pytest.approx(mean, abs=0.06)  # 3.8 standard errors


@pytest.mark.parametrize("pattern", ["S", "U", "SU", "UU", "UUU", "UUUUU", "USU", "USS"])
def test_sound_and_unsound_states_are_worth_what_rollouts_show(pattern: str) -> None:
    policy = SimulatedPolicy(
        SimulatedConfig(n_steps=(6, 6), recovery=(0.5, 0.1), luck=0.1, jitter=0.3), 0
    )
    state = chain(policy, pattern.ljust(6, "S")).prefix(len(pattern))
    mean = fmean(map(is_right, draw(policy, state, 4000)))
    assert policy.value(state) == pytest.approx(mean, abs=0.03)


def test_answered_traces_are_worth_their_outcome() -> None:
    policy = SimulatedPolicy(replace(PLAIN, luck=0.5, jitter=0.9), 0)
    trace = wrong_traces(roots(policy))[0]
    rollouts = draw(policy, trace.prefix(2), 40)
    assert {is_right(r) for r in rollouts} == {True, False}
    assert all(policy.value(rollout.trace) == is_right(rollout) for rollout in rollouts)


def test_behind_the_last_step_the_answer_is_settled() -> None:
    policy = SimulatedPolicy(replace(PLAIN, luck=0.5, jitter=0.9), 0)
    for rollout in roots(policy, n_questions=20, n=1):
        unanswered = replace(rollout.trace, answer=None)
        endings = draw(policy, unanswered, 5)
        assert {is_right(ending) for ending in endings} == {is_right(rollout)}
        assert {ending.trace for ending in endings} == {rollout.trace}
        assert policy.value(unanswered) == is_right(rollout)


def test_values_of_the_simplest_world_are_products_of_survival() -> None:
    policy = SimulatedPolicy(replace(PLAIN, n_steps=(4, 4), recovery=(0.0,)), 0)
    trace = chain(policy, "SSUU")
    values = [policy.value(trace.prefix(n_steps)) for n_steps in range(5)]
    root = values[0]
    assert values == pytest.approx([root, root**0.75, root**0.5, 0, 0])


@pytest.mark.parametrize(
    ("pattern", "first_error"),
    [("SSSS", -1), ("SUUU", 1), ("UUUU", 0), ("USUU", 2), ("UUSS", -1), ("SUSU", 3), ("SSSU", 3)],
)
def test_the_first_error_begins_the_unsound_stretch_in_which_the_trace_ends(
    pattern: str, first_error: int
) -> None:
    policy = SimulatedPolicy(replace(PLAIN, n_steps=(4, 4)), 0)
    trace = chain(policy, pattern, "1" if pattern[-1] == "S" else "0")
    assert policy.first_error(trace) == first_error
    assert policy.first_error(replace(trace, answer=None)) == first_error
    assert policy.first_error(trace.prefix(0)) == -1


def test_distances_count_from_the_error() -> None:
    policy = SimulatedPolicy(replace(PLAIN, n_steps=(7, 7)), 0)
    links = policy.links(chain(policy, "SUUUSUU"))
    assert [link.distance for link in links] == [0, 0, 1, 2, 0, 0, 1]
    assert [link.is_error for link in links] == [letter == "e" for letter in "-e---e-"]


def test_without_luck_traces_end_right_if_and_only_if_they_end_sound() -> None:
    policy = SimulatedPolicy(PLAIN, 0)
    rollouts = roots(policy)
    assert 0.2 < fmean(map(is_right, rollouts)) < 0.9
    for rollout in rollouts:
        assert is_right(rollout) == policy.links(rollout.trace)[-1].sound
        assert is_right(rollout) == (policy.first_error(rollout.trace) == -1)


def test_a_lucky_trace_still_has_its_first_error() -> None:
    policy = SimulatedPolicy(replace(PLAIN, luck=1.0), 0)
    rollouts = roots(policy)
    assert all(map(is_right, rollouts))
    assert any(policy.first_error(r.trace) >= 0 for r in rollouts)


def test_a_trace_that_was_only_disturbed_errs_in_its_last_step() -> None:
    policy = SimulatedPolicy(replace(PLAIN, n_steps=(4, 4), recovery=(0.0,), jitter=0.9), 0)
    state = chain(policy, "SSSS").prefix(3)
    disturbed = [
        r.trace
        for r in draw(policy, state, 50)
        if not is_right(r) and policy.links(r.trace)[-1].sound
    ]
    assert disturbed
    assert {policy.first_error(trace) for trace in disturbed} == {3}


def test_repairs_come_as_often_as_the_distance_says() -> None:
    policy = SimulatedPolicy(replace(PLAIN, recovery=(0.6, 0.3, 0.1)), 0)
    repaired: dict[int, list[bool]] = {0: [], 1: [], 2: [], 3: []}
    for rollout in roots(policy, n=60):
        for before, after in pairwise(policy.links(rollout.trace)):
            if not before.sound and before.distance in repaired:
                repaired[before.distance].append(after.sound)
    shares = [fmean(seen) for seen in repaired.values()]
    assert shares == pytest.approx([0.6, 0.3, 0.1, 0.1], abs=0.06)


def test_hurdles_gather_the_errors_of_a_question() -> None:
    def share_of_two_commonest(config: SimulatedConfig) -> float:
        policy = SimulatedPolicy(config, 0)
        shares: list[float] = []
        for question in policy.questions(20):
            rollouts = draw(policy, Trace(question), 60)
            places = [
                link.step_idx for r in rollouts for link in policy.links(r.trace) if link.is_error
            ]
            common = sorted(map(places.count, set(places)))[-2:]
            shares.append(sum(common) / max(len(places), 1))
        return fmean(shares)

    even = replace(PLAIN, n_steps=(10, 10), recovery=(0.0,))
    assert share_of_two_commonest(even) < 0.5
    assert share_of_two_commonest(replace(even, n_hurdles=2)) > 0.8


def test_hurdles_leave_the_solve_rate_as_it_is() -> None:
    even = SimulatedPolicy(replace(PLAIN, recovery=(0.0,)), 0)
    uneven = SimulatedPolicy(replace(even.config, n_hurdles=2), 0)
    for question in even.questions(5):
        assert even.value(Trace(question)) == pytest.approx(uneven.value(Trace(question)))


def test_solve_rates_follow_their_beta() -> None:
    policy = SimulatedPolicy(replace(PLAIN, recovery=(0.0,), solve_rate=(2.0, 6.0)), 0)
    rates = [policy.value(Trace(question)) for question in policy.questions(1000)]
    assert fmean(rates) == pytest.approx(0.25, abs=0.02)
    assert fmean((rate - 0.25) ** 2 for rate in rates) == pytest.approx(0.0208, abs=0.003)


def test_disturbed_states_are_worth_less_than_states_further_on() -> None:
    def n_falls(config: SimulatedConfig) -> int:
        """Steps after which a sound state is worth less than the sound state before it."""
        policy = SimulatedPolicy(replace(config, n_steps=(8, 8)), 0)
        trace = chain(policy, "S" * 8)
        values = [policy.value(trace.prefix(n_steps)) for n_steps in range(8)]
        assert values[0] == SimulatedPolicy(replace(policy.config, jitter=0.0), 0).value(
            trace.prefix(0)
        )
        return sum(later < earlier for earlier, later in pairwise(values))

    assert n_falls(PLAIN) == 0
    assert n_falls(SCENARIOS["non-monotone values"]) > 0


def test_informative_surprisal_tells_errors_from_sound_steps() -> None:
    # Of two exponential draws the one of mean 2.5 is larger than that of mean 0.5 in 5 of 6 cases.
    assert auc(SimulatedPolicy(SCENARIOS["assumptions hold"], 0)) == pytest.approx(5 / 6, abs=0.05)


def test_steps_that_only_follow_an_error_are_as_probable_as_sound_ones() -> None:
    policy = SimulatedPolicy(PLAIN, 0)
    links = [link for trace in wrong_traces(roots(policy)) for link in policy.links(trace)]
    following = [link.surprisal for link in links if link.distance > 0]
    assert fmean(following) == pytest.approx(0.5, abs=0.1)


def test_uninformative_surprisal_tells_nothing() -> None:
    policy = SimulatedPolicy(SCENARIOS["surprisal uninformative"], 0)
    assert auc(policy) == pytest.approx(0.5, abs=0.05)
    # Nor is it told by there being no improbable steps at all.
    high = [s > 3 for said in surprisals(policy, wrong_traces(roots(policy))) for s in said]
    assert 0.03 < fmean(high) < 0.2


def test_misleading_surprisal_points_away_from_errors() -> None:
    policy = SimulatedPolicy(SCENARIOS["surprisal misleading"], 0)
    assert auc(policy) < 0.45
    traces = wrong_traces(roots(policy))
    improbable = [
        (trace, said.index(max(said)))
        for trace, said in zip(traces, surprisals(policy, traces), strict=True)
        if max(said) > 2
    ]
    assert len(improbable) > len(traces) / 4
    assert fmean(policy.links(trace)[idx].sound for trace, idx in improbable) > 0.6


@pytest.mark.parametrize("surprisal", ["informative", "uninformative", "misleading"])
def test_steps_are_scored_as_they_were_written(surprisal: Any) -> None:
    policy = SimulatedPolicy(replace(PLAIN, surprisal=surprisal), 0)
    trace = roots(policy, n_questions=1, n=1)[0].trace
    for n_given in (0, 2):
        for rollout in draw(policy, trace.prefix(n_given), 5):
            (said,) = surprisals(policy, [rollout.trace])
            assert said == [link.surprisal for link in policy.links(rollout.trace)]
            (score,) = asyncio.run(policy.engine().score([score_request(rollout.trace)]))
            (request,) = [rollout.request]
            (completion,) = asyncio.run(policy.engine().complete([request]))
            n_own = completion.n_tokens
            own_steps = [lp for lp in completion.logprobs if lp < 0]
            assert own_steps == [lp for lp in score.logprobs if lp < 0][-len(own_steps) :]
            assert 0 < len(own_steps) <= n_own


def test_the_surprisal_of_a_step_lies_on_its_id_and_a_constant_on_its_opening_tag() -> None:
    policy = SimulatedPolicy(PLAIN, 0)
    trace = roots(policy, n_questions=1, n=1)[0].trace
    request = score_request(trace)
    (score,) = asyncio.run(policy.engine().score([request]))
    begins = (0, *score.ends)
    tokens = [request.text[begin:end] for begin, end in pairwise(begins)]
    said = [token for token, logprob in zip(tokens, score.logprobs, strict=True) if logprob < 0]
    openings, ids = said[::2], said[1::2]
    assert len(openings) == len(ids) == len(trace.steps)
    assert all(token.startswith("<ACT_") for token in openings)
    assert all(token.startswith("#") for token in ids)


@pytest.mark.parametrize("step_tokens", [5, 8, 13])
def test_a_completion_takes_the_tokens_of_the_steps_that_are_left(step_tokens: int) -> None:
    policy = SimulatedPolicy(replace(PLAIN, step_tokens=step_tokens), 0)
    trace = roots(policy, n_questions=1, n=1)[0].trace
    for n_given in range(len(trace.steps)):
        (rollout,) = draw(policy, trace.prefix(n_given), 1)
        n_left = len(trace.steps) - n_given
        assert rollout.reading.n_tokens == (step_tokens,) * n_left
        assert rollout.n_tokens == step_tokens * n_left + 3  # end of thought, answer, end of text


def test_traces_compute_and_at_last_answer() -> None:
    lengths = set[int]()
    for rollout in roots(SimulatedPolicy(PLAIN, 0), n=2):
        *steps, last = rollout.trace.steps
        assert {step.factor for step in steps} == {Factor.COMPUTE}
        assert last.factor is Factor.ANSWER
        assert rollout.trace.answer == (GOLD if is_right(rollout) else "0")
        lengths.add(len(rollout.trace.steps))
    assert lengths == set(range(5, 11))


def test_equal_policies_give_equal_answers_whatever_was_asked_before() -> None:
    one, other = SimulatedPolicy(PLAIN, 7), SimulatedPolicy(PLAIN, 7)
    draw(other, Trace("something else"), 3)
    state = roots(one, n_questions=1, n=1)[0].trace.prefix(2)
    assert draw(one, state, 5) == draw(other, state, 5)
    assert len({rollout.trace for rollout in draw(one, state, 5)}) == 5


def test_worlds_of_another_seed_or_config_are_others() -> None:
    policies = [
        SimulatedPolicy(PLAIN, 7),
        SimulatedPolicy(PLAIN, 8),
        SimulatedPolicy(replace(PLAIN, luck=0.1), 7),
    ]
    assert len({policy.engine().fingerprint for policy in policies}) == 3
    assert SimulatedPolicy(PLAIN, 7).engine().fingerprint == policies[0].engine().fingerprint
    question = Trace("the same")
    assert policies[0].value(question) != policies[1].value(question)


def search(policy: SimulatedPolicy, journal: Journal) -> tuple[list[Rollout], int]:
    """Root rollouts, then Math-Shepherd over a wrong one; and how many had to be generated."""
    question = policy.questions(1)[0]
    engine, verify = policy.engine(), policy.verify(question)
    sampling = Sampling()
    first = Scheduler[BestOfN](engine, journal)
    tree = first.run([("r", best_of_n(Trace(question), n=30, sampling=sampling, verify=verify))])
    trace = wrong_traces(tree["r"].rollouts)[0]
    second = Scheduler[list[Rollout]](engine, journal)
    rollouts = second.run(
        [("s", shepherd(trace, first=1, n_rollouts=4, sampling=sampling, verify=verify))]
    )["s"]
    n_generated = first.progress.n_generated + second.progress.n_generated
    return tree["r"].rollouts + rollouts, n_generated


def test_a_replay_knows_the_truth_about_what_it_never_generated() -> None:
    with Journal(":memory:") as journal:
        policy, again = SimulatedPolicy(PLAIN, 0), SimulatedPolicy(PLAIN, 0)
        rollouts, n_generated = search(policy, journal)
        replayed, n_generated_again = search(again, journal)
    assert n_generated == len(rollouts)
    assert n_generated_again == 0
    assert replayed == rollouts
    for rollout in rollouts:
        assert again.links(rollout.trace) == policy.links(rollout.trace)
        assert is_right(rollout) == again.links(rollout.trace)[-1].sound


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_has_wrong_traces_with_a_first_error(name: str) -> None:
    policy = SimulatedPolicy(SCENARIOS[name], 0)
    wrong = wrong_traces(roots(policy))
    assert len(wrong) > 20
    assert all(0 <= policy.first_error(trace) < len(trace.steps) for trace in wrong)


def test_the_scenarios_are_what_their_names_say() -> None:
    def measure(name: str) -> tuple[float, float]:
        """Share of right traces, and share of wrong ones with several errors."""
        policy = SimulatedPolicy(SCENARIOS[name], 0)
        rollouts = roots(policy)
        several = [
            sum(link.is_error for link in policy.links(trace)) > 1
            for trace in wrong_traces(rollouts)
        ]
        return fmean(map(is_right, rollouts)), fmean(several)

    assert measure("assumptions hold")[1] < 0.2
    assert measure("never recovers")[1] == 0
    assert measure("nearly always recovers")[0] > 0.8
    assert measure("strong self-correction")[1] > 0.5
    assert measure("hard questions")[0] < 0.2


def test_tree_search_runs_over_it_too() -> None:
    policy = SimulatedPolicy(PLAIN, 0)
    question = policy.questions(1)[0]
    with Journal(":memory:") as journal:
        config = PuctConfig(n_simulations=6)
        tree = Scheduler[Any](policy.engine(), journal).run(
            [("p", puct(Trace(question), config, policy.verify(question)))]
        )["p"]
    assert max(len(node.state.steps) for node in tree.nodes()) >= 3
    assert all(rollout.ended and policy.links(rollout.trace) for rollout in tree.rollouts)


def test_actions_that_it_never_takes_cannot_be_forced_on_it() -> None:
    policy = SimulatedPolicy(PLAIN, 0)
    state = Trace(policy.questions(1)[0])
    request = segment_request(state, Factor.PLAN, temperature=1.0, max_tokens=9, sample_idx=0)
    with pytest.raises(ValueError, match="never goes on with '<ACT_Plan-Start> '"):
        asyncio.run(policy.engine().complete([request]))


@pytest.mark.parametrize("text", ["a step of another", "step 1 #12", "step 1 #8F2A41C09D77"])
def test_steps_of_others_are_refused(text: str) -> None:
    policy = SimulatedPolicy(PLAIN, 0)
    foreign = Trace(policy.questions(1)[0], (Step(text, Factor.COMPUTE),))
    with pytest.raises(ValueError, match="not written by this policy"):
        policy.value(foreign)
    with pytest.raises(ValueError, match="not written by this policy"):
        draw(policy, foreign, 1)
    with pytest.raises(ValueError, match="not written by this policy"):
        surprisals(policy, [foreign])


def test_a_trace_has_no_more_steps_than_its_question() -> None:
    policy = SimulatedPolicy(replace(PLAIN, n_steps=(4, 4)), 0)
    trace = chain(policy, "SSSS")
    with pytest.raises(ValueError, match="more than the 4 steps"):
        policy.value(trace.extended(trace.steps[0]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_steps": (0, 5)}, r"n_steps=\(0, 5\)"),
        ({"n_steps": (5, 4)}, r"n_steps=\(5, 4\)"),
        ({"n_hurdles": 6}, "n_hurdles=6 must be between 0 and 5"),
        ({"recovery": ()}, r"write \(0.0,\)"),
        ({"recovery": (0.1, 1.1)}, "not 1.1"),
        ({"luck": -0.1}, "not -0.1"),
        ({"jitter": 2.0}, "not 2.0"),
        ({"step_tokens": 4}, "step_tokens=4 must be at least 5"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SimulatedConfig(**settings)
