from pathlib import Path
from typing import Any

import pytest

from datagen.config import Settings, load_settings
from datagen.engines.protocol import CompletionRequest, Sampling
from datagen.engines.registry import open_engine
from datagen.engines.team import Members
from datagen.errors import ConfigError
from datagen.factors.taxonomy import Factor
from datagen.judge import checker
from datagen.measure import MeasureConfig
from datagen.prompts.dialect import INSTRUCT, NATIVE
from datagen.search.beam import BeamConfig
from datagen.search.best_of_n import BestOfNConfig
from datagen.search.expansion import Replica
from datagen.search.first_error import FirstErrorConfig
from datagen.search.generate import GenerateConfig
from datagen.search.omega import OmegaConfig
from datagen.search.puct import PuctConfig
from datagen.search.revise import ReviseConfig
from datagen.traces.model import Step, Trace

TABLE = list(Settings().table())


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "datagen.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_the_defaults_hold():
    assert load_settings() == Settings()


def test_a_file_sets_what_it_names_and_leaves_the_rest(tmp_path: Path):
    path = write(tmp_path, '[search]\nn_simulations = 3\n[seeds]\nmapping = {question = "q"}\n')
    settings = load_settings(path)
    assert settings.search.n_simulations == 3
    assert settings.seeds.mapping == {"question": "q"}
    assert settings.engine == Settings().engine


def test_overrides_win_and_none_leaves_the_setting_alone(tmp_path: Path):
    path = write(tmp_path, "[seeds]\nlimit = 7\n")
    settings = load_settings(path, seeds={"limit": None, "path": "x.jsonl"})
    assert (settings.seeds.limit, settings.seeds.path) == (7, "x.jsonl")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[search]\nn_simulation = 3\n", r"search\.n_simulation=3"),
        ("[serach]\n", "serach"),
        ("[search]\ntemperature = 0\n", r"search\.temperature=0"),
        ("[search]\nreplica_temperatures = []\n", "replica_temperatures"),
        ('[labels]\nmin_trials = "many"\n', "min_trials='many'"),
        ("[search\n", "not valid TOML"),
    ],
)
def test_a_bad_file_is_an_error_that_names_setting_and_value(
    tmp_path: Path, text: str, message: str
):
    with pytest.raises(ConfigError, match=message):
        load_settings(write(tmp_path, text))


def test_a_missing_file_is_named():
    with pytest.raises(ConfigError, match=r"no-such\.toml"):
        load_settings(Path("no-such.toml"))


def test_settings_survive_the_trip_through_json():
    settings = load_settings(None, search={"budget_seconds": 1.5, "replica_temperatures": (1.0,)})
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


def test_an_unknown_engine_kind_is_refused():
    with pytest.raises(ConfigError, match="abacus"):
        load_settings(None, engine={"kind": "abacus"})
    with pytest.raises(ConfigError, match="abacus"):
        open_engine(Settings().engine.model_copy(update={"kind": "abacus"}))


def test_every_setting_has_a_meaning():
    for name, default, meaning in TABLE:
        assert meaning and default, name


def test_the_settings_reach_the_search_for_first_errors():
    settings = load_settings(
        None,
        search={"temperature": 0.5, "max_tokens": 77},
        labels={
            "confidence": 0.8,
            "max_rollouts": 5,
            "prover_k": 2,
            "min_mass": 0.6,
            "min_trials": 4,
            "threshold": 0.25,
        },
    )
    sampling = Sampling(temperature=0.5, max_tokens=77)
    assert settings.measure_config() == MeasureConfig(
        FirstErrorConfig(confidence=0.8, max_rollouts=5, sampling=sampling),
        prover_k=2,
        min_mass=0.6,
        min_trials=4,
        threshold=0.25,
    )


def test_the_settings_reach_each_search_that_makes_traces():
    settings = load_settings(
        None,
        search={
            "algorithm": "omega",
            "n_simulations": 3,
            "n_root_rollouts": 5,
            "n_rollouts": 2,
            "n_bisect_rollouts": 6,
            "replica_temperatures": (0.5, 0.75),
            "guide_prior": 0.25,
            "guide_value": 0.5,
            "n_beams": 7,
            "beam_width": 3,
            "n_revisions": 9,
            "c_puct": 2.0,
            "min_prior": 0.1,
            "temperature": 0.5,
            "max_step_tokens": 11,
            "max_tokens": 77,
        },
    )
    sampling = Sampling(temperature=0.5, max_tokens=77)
    members = Members(("m1", "m2"), "g", has_policy=True)
    expansion = {
        "n_rollouts": 2,
        "replicas": (Replica(0.5), Replica(0.75), Replica(0.5, "m1"), Replica(0.5, "m2")),
        "guide": "g",
        "guide_prior": 0.25,
        "guide_value": 0.5,
        "min_prior": 0.1,
        "max_step_tokens": 11,
        "rollout": sampling,
        "dialect": INSTRUCT,
    }
    assert settings.search.generate_config(INSTRUCT, members) == GenerateConfig(
        algorithm="omega",
        puct=PuctConfig(n_simulations=3, n_root_rollouts=5, c_puct=2.0, **expansion),
        beam=BeamConfig(n_subtrees=7, width=3, n_root_rollouts=5, **expansion),
        revise=ReviseConfig(
            n_chains=5,
            n_revisions=9,
            guide="g",
            max_step_tokens=11,
            rollout=sampling,
            dialect=INSTRUCT,
        ),
        omega=OmegaConfig(
            n_screening=5, n_searches=3, n_rollouts=6, rollout=sampling, dialect=INSTRUCT
        ),
        best_of_n=BestOfNConfig(n=5, rollout=sampling, dialect=INSTRUCT),
    )


def test_a_search_without_a_team_asks_the_policy_alone():
    config = load_settings(None).search.generate_config(NATIVE)
    assert config.puct.guide is config.beam.guide is config.revise.guide is None
    assert config.puct.replicas == (Replica(0.8), Replica(1.2))


@pytest.mark.parametrize(
    ("search", "members", "message"),
    [
        ({"guide_prior": 0.5}, Members(), r"guide_prior=0\.5 .* name one in search\.value_model"),
        (
            {"guide_prior": 0.5, "value_model": "my-prm"},
            Members(guide="g"),
            r"guide_prior=0\.5, but search\.value_model='my-prm' has no policy; set",
        ),
        ({"n_rollouts": 0}, Members(), r"n_rollouts=0 leaves states without a value"),
        ({"n_rollouts": 0, "guide_value": 0.5}, Members(guide="g"), r"guide_value=0\.5"),
    ],
)
def test_a_weight_that_has_nothing_to_weigh_is_an_error(
    search: dict[str, Any], members: Members, message: str
):
    with pytest.raises(ConfigError, match=message):
        load_settings(None, search=search).search.generate_config(NATIVE, members)


def test_a_guide_that_is_all_judges_makes_rollouts_needless():
    settings = load_settings(None, search={"n_rollouts": 0})
    assert settings.search.generate_config(NATIVE, Members(guide="g")).puct.n_rollouts == 0


def test_the_checker_always_judges_and_the_model_as_often_as_asked():
    trace = Trace("How many?", (Step("1+1=2", Factor.COMPUTE),), "2")
    labels = load_settings(None, labels={"n_critiques": 2, "max_critique_tokens": 99}).labels
    for dialect in (NATIVE, INSTRUCT):
        assert load_settings(None, labels={"n_critiques": 0}).labels.judges(dialect) == (checker,)
        first, model = labels.judges(dialect)
        assert first is checker
        assert list(next(model(trace))) == [
            CompletionRequest(dialect.critique_prompt(trace), Sampling(1.0, max_tokens=99), idx)
            for idx in range(2)
        ]


def test_a_budget_of_money_needs_a_price():
    with pytest.raises(ConfigError, match=r"search.budget_cost=2.5 needs engine.price_prompt"):
        load_settings(search={"budget_cost": 2.5})
    priced = load_settings(search={"budget_cost": 2.5}, engine={"price_generated": 0.8})
    assert priced.search_budget().max_cost == 2.5
    assert priced.search_budget().price_generated == priced.budget(None).price_generated == 0.8
