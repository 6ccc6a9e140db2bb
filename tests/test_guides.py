"""Guides: what is saved is loaded, a state is worth the same in any batch, and wrong ones fail."""

import asyncio
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from transformers import AutoModelForTokenClassification, AutoTokenizer

from datagen.config import EngineSettings, load_settings
from datagen.engines.fake import FakeEngine
from datagen.engines.protocol import Engine, Evaluation
from datagen.engines.registry import WEIGHTS, open_engine, open_team
from datagen.engines.team import EngineTeam, members_of
from datagen.errors import ConfigError
from datagen.factors import taxonomy
from datagen.factors.taxonomy import ACTIONS, Factor
from datagen.guides import Guide, load_guide
from datagen.guides.passes import passes
from datagen.guides.prm import tokens_of
from datagen.guides.two_heads import TwoHeads
from datagen.journal import Journal
from datagen.journal.examine import verify
from datagen.prompts.dialect import NATIVE
from datagen.prompts.native import prior_request
from datagen.reasoner.bundle import SEEDS
from datagen.search.run import search_prefixes
from datagen.seeds import read_seeds
from datagen.traces.model import Step, Trace
from datagen.traces.prefixes import make_prefixes

QUESTION = "Tom has 3 apples. He gets 4 more. How many apples does Tom have?"
STEPS = (
    Step("how many apples Tom has", Factor.RESTATE_GOAL),
    Step("start 3; 4", Factor.EXTRACT_GIVENS),
    Step("3+4=7", Factor.COMPUTE),
    Step("7", Factor.ANSWER),
)
STATES = [
    *(Trace(QUESTION, STEPS[:n]) for n in range(len(STEPS))),
    Trace(QUESTION, STEPS, "7"),
    Trace("Short?", (Step("3+4=8", Factor.COMPUTE),)),
    Trace("How? " * 100, STEPS * 10),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One guide of each kind on the embedded reasoner's trunk, with heads of random weights."""
    root = tmp_path_factory.mktemp("guides")
    torch.manual_seed(0)
    guide = TwoHeads.begin(WEIGHTS, device="cpu")
    torch.nn.init.normal_(guide.network.heads["value"].weight, std=0.1)
    guide.save(root / "two_heads")
    model: Any = AutoModelForTokenClassification.from_pretrained(WEIGHTS, num_labels=2)
    torch.nn.init.normal_(model.score.weight, std=0.1)
    model.float().save_pretrained(root / "prm")
    AutoTokenizer.from_pretrained(WEIGHTS).save_pretrained(root / "prm")
    return {kind: root / kind for kind in ("prm", "two_heads")}


@pytest.fixture(scope="module", params=["prm", "two_heads"])
def folder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    return folders[request.param]


@pytest.fixture(scope="module")
def guide(folder: Path) -> Guide:
    return load_guide(folder, device="cpu")


def values(evaluations: list[Evaluation]) -> list[float]:
    return [evaluation.value for evaluation in evaluations]


@pytest.mark.slow
def test_a_state_is_worth_the_same_in_whatever_batch_it_is(guide: Guide) -> None:
    together = guide.evaluate(STATES)
    alone = [guide.evaluate([state])[0] for state in STATES]
    assert values(together) == pytest.approx(values(alone), abs=1e-5)
    for one, other in zip(together, alone, strict=True):
        if guide.has_policy:
            assert one.policy == pytest.approx(other.policy, abs=1e-5)
        else:
            assert one.policy is None
    assert all(0 <= value <= 1 for value in values(together))
    assert len(set(values(together))) == len(STATES)


def test_no_states_have_no_evaluations(guide: Guide) -> None:
    assert guide.evaluate([]) == []


def test_a_state_longer_than_the_context_is_judged_by_its_end(guide: Guide) -> None:
    long = Trace("What? " * 3000, STEPS)
    assert len(guide.evaluate([long, STATES[0]])) == 2


def test_the_fingerprint_is_that_of_the_contents(folder: Path, tmp_path: Path) -> None:
    before = load_guide(folder, device="cpu").fingerprint
    copy = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    assert load_guide(copy, device="cpu").fingerprint == before
    (weights,) = [path for path in copy.rglob("*.safetensors") if path.name != "heads.safetensors"]
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert load_guide(copy, device="cpu").fingerprint != before


@pytest.mark.slow
def test_a_guide_that_is_saved_and_loaded_says_the_same(tmp_path: Path) -> None:
    guide = TwoHeads.begin(WEIGHTS, device="cpu")
    torch.nn.init.normal_(guide.network.heads["value"].weight, std=0.1)
    guide.save(tmp_path / "saved")
    loaded = load_guide(tmp_path / "saved", device="cpu")
    assert loaded.evaluate(STATES) == guide.evaluate(STATES)
    assert loaded.has_policy and loaded.fingerprint.startswith("two_heads:")


async def _prior(engine: Any, state: Trace) -> tuple[float, ...]:
    return (await engine.choose([prior_request(state)]))[0].probabilities


def test_a_new_policy_is_the_prior_of_the_language_model() -> None:
    guide = TwoHeads.begin(WEIGHTS, device="cpu")
    engine = open_engine(EngineSettings(device="cpu"))
    for state in STATES[:3]:
        (found,) = guide.evaluate([state])
        assert found.policy is not None and found.value == pytest.approx(0.5)
        told = asyncio.run(_prior(engine, state))[: len(ACTIONS)]
        expected = [p / sum(told) for p in told]
        assert found.policy == pytest.approx(expected, abs=1e-4)


# ---- the reward model's format


def test_a_reward_model_reads_a_newline_after_the_question_and_after_each_step() -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(WEIGHTS)
    ids, ends = tokens_of(tokenizer, f"{QUESTION} \n", ["3+4=7", " \n", "7\n"])
    assert tokenizer.decode(ids) == f"{QUESTION}\n3+4=7\n7\n"
    newline = tokenizer("\n")["input_ids"]
    assert [ids[end] for end in ends] == newline * 2
    assert ends[-1] == len(ids) - 1


def test_the_value_of_a_reward_model_is_label_one_at_the_end_of_the_last_step(
    folders: dict[str, Path],
) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(folders["prm"])
    model: Any = AutoModelForTokenClassification.from_pretrained(folders["prm"])
    guide = load_guide(folders["prm"], device="cpu")
    for state in STATES[:3]:
        text = "".join(f"{line}\n" for line in (QUESTION, *(step.text for step in state.steps)))
        logits = model(**tokenizer(text, return_tensors="pt")).logits[0, -1]
        assert guide.evaluate([state])[0].value == pytest.approx(
            logits.softmax(-1)[1].item(), abs=1e-5
        )


# ---- what is refused


def test_a_guide_of_another_taxonomy_is_refused(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taxonomy, "TAXONOMY_VERSION", "another")
    with pytest.raises(ConfigError, match=r"trained for .* actions of taxonomy .*'another'"):
        load_guide(folders["two_heads"])


def test_a_guide_of_other_actions_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folders["two_heads"], tmp_path / "copy"))
    config = json.loads((copy / "config.json").read_text())
    config["actions"] = [*config["actions"][1:], config["actions"][0]]
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="train it anew"):
        load_guide(copy)


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.json.*search\.value_model"):
        load_guide(tmp_path)


@pytest.mark.parametrize("text", ["[]", "no json", '{"architectures": 3}'])
def test_a_config_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=r"search\.value_model"):
        load_guide(tmp_path)


def test_a_model_that_only_writes_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"LlamaForCausalLM.*cannot judge states"):
        load_guide(WEIGHTS)


def test_a_classifier_of_three_labels_is_refused(tmp_path: Path) -> None:
    model: Any = AutoModelForTokenClassification.from_pretrained(WEIGHTS, num_labels=3)
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(WEIGHTS).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="has 3 labels"):
        load_guide(tmp_path)


def test_missing_weights_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folders["two_heads"], tmp_path / "copy"))
    (copy / "heads.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"heads\.safetensors"):
        load_guide(copy)


# ---- passes


def test_passes_hold_every_sequence_once_and_no_more_tokens_than_allowed() -> None:
    lengths = [5, 900, 1, 0, 40, 40, 2000, 7]
    cut = list(passes(lengths, max_tokens=1000))
    assert sorted(idx for batch in cut for idx in batch) == list(range(len(lengths)))
    for batch in cut:
        longest = max(lengths[idx] for idx in batch)
        assert len(batch) == 1 or longest * len(batch) <= 1000
    assert len(cut) == 3


# ---- in a search


@pytest.mark.slow
def test_a_search_that_asked_a_guide_is_replayed_without_it(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    prefixes = make_prefixes(read_seeds(str(SEEDS), limit=3).seeds, n_prefixes=0)
    settings = load_settings(
        None,
        engine={"device": "cpu"},
        search={
            "value_model": str(folders["two_heads"]),
            "guide_prior": 0.5,
            "n_simulations": 2,
            "n_root_rollouts": 2,
        },
    )

    def search(engine: Engine) -> list[pl.DataFrame]:
        config = settings.search.generate_config(NATIVE, members_of(engine))
        with Journal(tmp_path / "journal.sqlite") as journal:
            found = search_prefixes(prefixes, engine, journal, config=config)
        return [found.rollouts, found.nodes]

    team = open_team(settings)
    first = search(team)
    assert verify(tmp_path / "journal.sqlite").ok
    silent = FakeEngine(lambda request: "", fingerprint=team.fingerprint, fail_after=0)
    mute = EngineTeam(silent, guide=Mute(members_of(team).guide or ""))
    for made, again in zip(first, search(mute), strict=True):
        assert_frame_equal(made, again)


class Mute:
    """Has a name and no opinion."""

    batch_size, has_policy = 256, True

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint

    def evaluate(self, states: Sequence[Trace]) -> list[Evaluation]:
        raise AssertionError("asked again")
