"""A team: each request reaches the model that it names, and the journal tells them apart."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from datagen.config import Settings, load_settings
from datagen.engines import registry
from datagen.engines.fake import FakeEngine
from datagen.engines.protocol import (
    ChoiceRequest,
    CompletionRequest,
    Engine,
    Evaluation,
    EvaluationRequest,
    Request,
    Sampling,
    ScoreRequest,
)
from datagen.engines.registry import open_team
from datagen.engines.team import EngineTeam, Members, members_of
from datagen.errors import ConfigError, EngineError
from datagen.journal import Journal
from datagen.search.scheduler import Scheduler
from datagen.search.waves import Search
from datagen.traces.model import Step, Trace


class LengthGuide:
    """Values a state by its number of steps."""

    def __init__(self, batch_size: int = 4) -> None:
        self.fingerprint, self.batch_size, self.has_policy = "guide", batch_size, False
        self.batches: list[list[Trace]] = []

    def evaluate(self, states: Sequence[Trace]) -> list[Evaluation]:
        self.batches.append(list(states))
        return [Evaluation(len(state.steps)) for state in states]


def member(name: str, **options: Any) -> FakeEngine:
    """Signs what it writes."""
    return FakeEngine(lambda request: f"{request.prompt} by {name}", fingerprint=name, **options)


def ask(prompt: str, model: str = "") -> CompletionRequest:
    return CompletionRequest(prompt, Sampling(), 0, model)


def judged(n_steps: int, model: str = "guide") -> EvaluationRequest:
    return EvaluationRequest(Trace("q", (Step("s"),) * n_steps), model)


def written(team: EngineTeam, *requests: CompletionRequest) -> list[str]:
    return [completion.text for completion in asyncio.run(team.complete(requests))]


def test_every_completion_comes_from_the_model_that_its_request_names() -> None:
    team = EngineTeam(member("policy"), [member("one"), member("two")])
    requests = [ask("a", "two"), ask("b"), ask("c", "one"), ask("d", "two"), ask("e")]
    expected = ["a by two", "b by policy", "c by one", "d by two", "e by policy"]
    assert written(team, *requests) == expected


def test_a_replica_gets_no_larger_batches_than_it_takes() -> None:
    small = member("small", batch_size=2)
    team = EngineTeam(member("policy", batch_size=8), [small])
    texts = written(team, *(ask(str(idx), "small") for idx in range(5)))
    assert texts == [f"{idx} by small" for idx in range(5)]
    assert [len(batch) for batch in small.batches] == [2, 2, 1]


def test_what_names_no_model_is_the_policys() -> None:
    policy, replica = member("policy"), member("replica")
    team = EngineTeam(policy, [replica])
    asyncio.run(team.choose([ChoiceRequest("p", ("a",))]))
    asyncio.run(team.score([ScoreRequest("p", "a")]))
    assert len(policy.batches) == 2 and not replica.batches


def test_a_model_that_is_not_in_the_team_is_named_with_those_that_are() -> None:
    team = EngineTeam(member("policy"), [member("one")], LengthGuide())
    with pytest.raises(EngineError, match=r"no model 'three' .*it has 'one'.*replica_models"):
        written(team, ask("a", "three"))
    with pytest.raises(EngineError, match=r"no value model 'another'; its own is 'guide'"):
        asyncio.run(team.evaluate([judged(1), judged(1, "another")]))
    with pytest.raises(EngineError, match=r"no value model .*search\.value_model"):
        asyncio.run(EngineTeam(member("policy")).evaluate([judged(1)]))


def test_one_model_twice_in_a_team_is_refused() -> None:
    with pytest.raises(ConfigError, match="'policy' is in the team more than once"):
        EngineTeam(member("policy"), [member("policy")])


def test_a_search_can_see_who_is_in_the_team() -> None:
    team = EngineTeam(member("policy"), [member("one"), member("two")], LengthGuide())
    assert members_of(team) == Members(("one", "two"), "guide", has_policy=False)
    assert members_of(member("alone")) == Members((), None, has_policy=False)


@pytest.mark.parametrize("batch_size", [1, 8])
def test_states_are_judged_in_batches_of_the_guide_and_in_order(batch_size: int) -> None:
    guide = LengthGuide(batch_size=4)
    team = EngineTeam(member("policy", batch_size=batch_size), guide=guide)
    found = asyncio.run(team.evaluate([judged(n) for n in range(9)]))
    assert found == [Evaluation(n) for n in range(9)]
    assert [len(batch) for batch in guide.batches] == [4, 4, 1]


def test_usage_adds_up_over_the_members_even_if_one_fails() -> None:
    policy, replica = member("policy"), member("replica", fail_after=1)
    team = EngineTeam(policy, [replica])
    written(team, ask("a"), ask("b", "replica"))
    with pytest.raises(EngineError, match="told to fail"):
        written(team, ask("c"), ask("d", "replica"))
    assert policy.usage.n_generated_tokens == 8 and replica.usage.n_generated_tokens == 4
    assert asdict(team.usage)["n_generated_tokens"] == 12


def test_closing_a_team_closes_every_member_though_one_fails_to() -> None:
    closed: list[str] = []

    class Closing(FakeEngine):
        def close(self) -> None:
            closed.append(self.fingerprint)
            if self.fingerprint == "one":
                raise OSError("stuck")

    members = [Closing(lambda r: "", fingerprint=name) for name in ("policy", "one", "two")]
    with pytest.raises(OSError, match="stuck"):
        EngineTeam(members[0], members[1:]).close()
    assert closed == ["policy", "one", "two"]


# ---- the journal


def search() -> Search[list[Any]]:
    requests: list[Request] = [ask("a"), ask("a", "replica"), judged(2), judged(3)]
    return list((yield requests))


def run(engine: Engine, journal: Path) -> list[Any]:
    with Journal(journal) as kept:
        return Scheduler[list[Any]](engine, kept).run([("s", search())])["s"]


def test_a_second_run_asks_no_member_anything(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    first = run(EngineTeam(member("policy"), [member("replica")], LengthGuide()), path)
    assert [answer.text for answer in first[:2]] == ["a by policy", "a by replica"]
    assert first[2:] == [Evaluation(2), Evaluation(3)]
    silent, guide = [member(name, fail_after=0) for name in ("policy", "replica")], LengthGuide()
    assert run(EngineTeam(silent[0], silent[1:], guide), path) == first
    assert guide.batches == []


def test_what_the_policy_said_outlives_a_change_of_the_team(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    run(EngineTeam(member("policy"), [member("replica")], LengthGuide()), path)
    with Journal(path) as journal:
        assert journal.engines() == ["policy"]
        scheduler = Scheduler[list[Any]](member("policy", fail_after=0), journal)

        def alone() -> Search[list[Any]]:
            return list((yield [ask("a")]))

        (answer,) = scheduler.run([("alone", alone())])["alone"]
    assert answer.text == "a by policy"


# ---- from settings


def team_settings(**search: Any) -> Settings:
    return load_settings(None, search=search, engine={"model": "policy", "memory_share": 0.9})


def test_without_replicas_and_value_model_the_engine_is_opened_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = member("alone")
    monkeypatch.setattr(registry, "open_engine", lambda settings: alone)
    assert open_team(team_settings()) is alone


def test_a_team_is_opened_as_the_settings_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[str, float]] = []

    def open_fake(settings: Any) -> FakeEngine:
        opened.append((settings.model, settings.memory_share))
        return member(settings.model)

    monkeypatch.setattr(registry, "open_engine", open_fake)
    monkeypatch.setattr("datagen.guides.load_guide", lambda folder, device: LengthGuide())
    team = open_team(team_settings(replica_models=("one", "two"), value_model="folder"))
    assert members_of(team) == Members(("one", "two"), "guide")
    assert team.fingerprint == "policy"
    assert opened == [(name, pytest.approx(0.3)) for name in ("policy", "one", "two")]


def test_what_was_opened_is_closed_if_another_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []

    class Closing(FakeEngine):
        def close(self) -> None:
            closed.append(self.fingerprint)

    def open_fake(settings: Any) -> FakeEngine:
        if settings.model == "missing":
            raise EngineError("no such model")
        return Closing(lambda r: "", fingerprint=settings.model)

    monkeypatch.setattr(registry, "open_engine", open_fake)
    with pytest.raises(EngineError, match="no such model"):
        open_team(team_settings(replica_models=("missing",)))
    assert closed == ["policy"]


def test_a_mistyped_value_model_is_noticed_before_any_engine_is_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(registry, "open_engine", lambda settings: pytest.fail("not yet"))
    with pytest.raises(ConfigError, match=r"value_model"):
        open_team(team_settings(value_model=str(tmp_path / "nothing")))
