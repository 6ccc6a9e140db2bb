"""Best-of-n: completions of one state, ranked without a look at the gold answer."""

from typing import Any

import pytest

from datagen.config import load_settings
from datagen.engines.fake import FakeEngine, toy_engine, toy_question
from datagen.engines.protocol import CompletionRequest, Sampling
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal
from datagen.prompts.dialect import NATIVE
from datagen.prompts.native import rollout_requests
from datagen.search.best_of_n import BestOfN, BestOfNConfig, best_of_n
from datagen.search.budget import Budget
from datagen.search.evidence import Rollout
from datagen.search.generate import GenerateConfig
from datagen.search.run import search_prefixes, verifier_of
from datagen.search.scheduler import Scheduler
from datagen.search.waves import BudgetSpent
from datagen.traces.markup import THINK_END, end_tag, start_tag
from datagen.traces.model import Trace
from datagen.traces.prefixes import make_prefixes
from datagen.verify import Outcome
from schemas import Node, Seed
from schemas import Rollout as RolloutContract

ROOT = Trace("How many?")
SAMPLING = Sampling(max_tokens=100)
IS_18 = verifier_of({"answer": "18", "verifier": "numeric"})


def said(step: str, answer: str) -> str:
    """A completion of one step; the fake engine makes longer words less likely."""
    return f"{start_tag(Factor.COMPUTE)}{step}{end_tag(Factor.COMPUTE)}{THINK_END}{answer}"


def run(texts: list[str], *, gold: str = "18", **options: Any) -> BestOfN:
    """Rank these completions."""
    verify = verifier_of({"answer": gold, "verifier": "numeric"})
    search = best_of_n(ROOT, n=len(texts), sampling=SAMPLING, verify=verify, **options)
    engine = FakeEngine(lambda request: texts[request.sample_idx])
    with Journal(":memory:") as journal:
        return Scheduler[BestOfN](engine, journal).run([("b", search)])["b"]


def order(found: BestOfN) -> list[int]:
    return [ranked.rollout.request.sample_idx for ranked in found.ranked]


def test_the_answer_with_the_most_votes_ranks_first() -> None:
    answers = ["17", "18", "19", "18", "17", "18"]
    found = run([said("a", answer) for answer in answers])
    assert order(found) == [1, 3, 5, 0, 4, 2]
    assert [r.vote_share for r in found.ranked] == [3 / 6] * 3 + [2 / 6] * 2 + [1 / 6]
    assert [r.score for r in found.ranked] == [r.vote_share for r in found.ranked]


@pytest.mark.parametrize("gold", ["17", "18", "19"])
def test_the_ranking_does_not_depend_on_the_gold_answer(gold: str) -> None:
    found = run([said("a", answer) for answer in ("18", "17", "17", "19")], gold=gold)
    assert order(found) == [1, 2, 0, 3]
    right = [r.rollout.verdict.outcome is Outcome.CORRECT for r in found.ranked]
    assert right == [answer == gold for answer in ("17", "17", "18", "19")]


def test_of_equal_votes_the_likelier_completion_ranks_first_then_the_earlier() -> None:
    steps = ["looooooooong", "a", "middling", "a"]
    found = run([said(step, "18") for step in steps])
    assert order(found) == [1, 3, 2, 0]
    # The log-probabilities sum to minus a tenth of the characters, and -0.5 for the end.
    (best, *_) = found.ranked
    assert best.rollout.n_tokens == 6
    assert best.mean_logprob == pytest.approx((-len(said("a", "18")) / 10 - 0.5) / 6)


def test_completions_that_cannot_be_read_come_last_and_do_not_vote() -> None:
    texts = [said("a", "several"), said("b", "19"), "18", said("c", "18"), said("d", "18")]
    found = run(texts)
    assert order(found)[:3] == [3, 4, 1]
    assert [r.vote_share for r in found.ranked] == [2 / 3, 2 / 3, 1 / 3, 0.0, 0.0]
    assert [r.score for r in found.ranked[3:]] == [None, None]
    assert len(found.ranked) == len(found.rollouts) == 5


def test_a_score_decides_before_the_votes_and_is_not_asked_about_the_unreadable() -> None:
    seen: list[int] = []

    def score(rollout: Rollout) -> float:
        seen.append(rollout.request.sample_idx)
        return {0: -5.0, 1: -2.0, 2: -2.0, 4: -9.0}[rollout.request.sample_idx]

    texts = [said("a", answer) for answer in ("18", "17", "18", "many", "18")]
    found = run(texts, score=score)
    # 1 and 2 score the same; 2 has three votes of four and 1 has one.
    assert order(found) == [2, 1, 0, 4, 3]
    assert [r.score for r in found.ranked] == [-2.0, -2.0, -5.0, -9.0, None]
    assert [r.vote_share for r in found.ranked] == [0.75, 0.25, 0.75, 0.75, 0.0]
    assert seen == [0, 1, 2, 4]


def test_a_score_of_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="nan for sample 1"):
        run(
            [said("a", "18")] * 2,
            score=lambda r: float("nan") if r.request.sample_idx else 1.0,
        )


def test_without_a_readable_answer_there_is_a_ranking_without_scores() -> None:
    found = run([said("a", "many"), said("a", "few")])
    assert [(r.score, r.vote_share) for r in found.ranked] == [(None, 0.0)] * 2
    assert run([]).ranked == []


def test_the_completions_are_asked_for_in_one_wave_and_kept_in_that_order() -> None:
    search = best_of_n(ROOT, n=5, sampling=SAMPLING, verify=IS_18)
    assert list(next(search)) == rollout_requests(ROOT, 5, sampling=SAMPLING)
    found = run([said("a", answer) for answer in ("17", "18", "18")])
    assert [r.request.sample_idx for r in found.rollouts] == [0, 1, 2]
    assert {r.algorithm for r in found.rollouts} == {"best_of_n"}
    assert list(found.nodes()) == [found.root]
    assert (found.root.state, found.root.estimate, found.root.n_visits) == (ROOT, None, 0)


def test_a_spent_budget_leaves_no_ranking() -> None:
    search = best_of_n(ROOT, n=5, sampling=SAMPLING, verify=IS_18)
    next(search)
    with pytest.raises(StopIteration) as end:
        search.throw(BudgetSpent())
    assert (end.value.value.rollouts, end.value.value.ranked) == ([], [])
    with Journal(":memory:") as journal:
        scheduler = Scheduler[BestOfN](
            toy_engine(batch_size=1), journal, budget=Budget(max_tokens=1)
        )
        search = best_of_n(Trace(toy_question(5)), n=3, sampling=SAMPLING, verify=IS_18)
        assert scheduler.run([("b", search)])["b"].rollouts == []


def test_a_run_by_best_of_n_keeps_the_contracts() -> None:
    seeds = Seed.from_rows(
        [
            {
                "seed_id": f"s{walk}",
                "source": "toy",
                "license": "CC0-1.0",
                "domain": "math",
                "question": toy_question(4, walk),
                "thought": "0+1=1\n1+1=2\n",
                "steps": ["0+1=1\n", "1+1=2\n"],
                "factors": ["Compute"] * 2,
                "answer": "4",
                "verifier": "numeric",
                "facts": [],
                "meta": "{}",
            }
            for walk in range(3)
        ]
    )
    prefixes = make_prefixes(seeds, n_prefixes=0)
    config = GenerateConfig(algorithm="best_of_n", best_of_n=BestOfNConfig(n=6, rollout=SAMPLING))
    expected: list[int] = []
    with Journal(":memory:") as journal:
        found = search_prefixes(
            prefixes,
            toy_engine(),
            journal,
            config=config,
            on_progress=lambda progress: expected.append(progress.n_expected),
        )
    RolloutContract.validate(found.rollouts)
    Node.validate(found.nodes)
    assert set(expected) == {18}
    assert found.rollouts["sample_idx"].to_list() == [0, 1, 2, 3, 4, 5] * 3
    assert set(found.rollouts["algorithm"]) == {"best_of_n"}
    assert found.rollouts["node_id"].to_list() == [
        node_id for node_id in found.nodes["node_id"] for _ in range(6)
    ]
    assert found.nodes["n_rollouts"].to_list() == [6] * 3
    right = [(rows["outcome"] == "correct").sum() for _, rows in found.rollouts.group_by("seed_id")]
    assert sorted(right) == sorted(found.nodes["n_correct"])


def test_the_settings_choose_n() -> None:
    config = load_settings(
        None, search={"algorithm": "best_of_n", "n_root_rollouts": 5, "temperature": 0.7}
    ).search.generate_config(NATIVE)
    assert config.algorithm == "best_of_n"
    assert config.best_of_n.n == 5
    assert config.best_of_n.rollout.temperature == 0.7


def test_the_request_is_a_plain_completion_of_the_state() -> None:
    (request,) = next(best_of_n(ROOT, n=1, sampling=SAMPLING, verify=IS_18))
    assert isinstance(request, CompletionRequest)
    assert request.sampling is SAMPLING
