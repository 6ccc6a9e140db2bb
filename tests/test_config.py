from pathlib import Path

import pytest

from datagen.config import Settings, load_settings
from datagen.engines.registry import open_engine
from datagen.errors import ConfigError

README = Path(__file__).parents[1] / "README.md"


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
    for name, default, meaning in Settings().table():
        assert meaning and default, name


def test_the_readme_lists_every_setting_with_its_default():
    text = README.read_text(encoding="utf-8")
    for name, default, meaning in Settings().table():
        assert f"| `{name}` | `{default}` | {meaning} |" in text
