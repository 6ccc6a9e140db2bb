"""A taxonomy of the user's own: what a file may say, and that everything then goes by it.

The enum is made once per process, so what a file does is seen in processes of its own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from datagen.errors import ConfigError
from datagen.factors.descriptions import DESCRIPTIONS
from datagen.factors.document import SAMPLE
from datagen.factors.extension import VARIABLE, Extension, extension_in_force
from datagen.factors.vocabularies import LABELS

ROOT = Path(__file__).parents[1]
USED = ["ExtractGivens", "RecallFact", "Plan", "Deduce", "Compute", "CheckResult", "CorrectError"]
USED += ["Answer", "Other"]
"""What the sample leaves in use of the built-in factors."""


def factor(name: str = "DrawFigure", maps_to: str = "{}", **changes: str | None) -> str:
    """A file with one factor, some of its texts changed or (``None``) left out."""
    texts: dict[str, str | None] = {
        "definition": "describe a figure",
        "example": "Draw the height.",
        "counter_example": "AB is parallel to CD.",
        "counter_factor": "ExtractGivens",
    }
    texts |= changes
    lines = [f"{key} = {json.dumps(text)}" for key, text in texts.items() if text is not None]
    head = ['version = "a"', "[[factor]]", f"name = {json.dumps(name, ensure_ascii=False)}"]
    return "\n".join([*head, *lines, f"maps_to = {maps_to}"])


def read(tmp_path: Path, text: str | bytes) -> Extension | None:
    path = tmp_path / "mylab.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    env = {VARIABLE: str(path)}
    return extension_in_force(known=DESCRIPTIONS, version="2", labels=LABELS, env=env)


def within(tmp_path: Path, code: str, text: str = SAMPLE) -> Any:
    """What ``code`` prints as JSON in a process that has the taxonomy of ``text``."""
    path = tmp_path / "mylab.toml"
    path.write_text(text, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-c", "import json\n" + code],
        cwd=ROOT,
        env={**os.environ, VARIABLE: str(path)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


# ---- what a file may say


@pytest.mark.parametrize("env", [{}, {VARIABLE: ""}])
def test_without_the_variable_there_is_no_extension(env: dict[str, str]) -> None:
    assert extension_in_force(known=DESCRIPTIONS, version="2", labels=LABELS, env=env) is None


def test_a_file_is_read_as_it_is_written(tmp_path: Path) -> None:
    found = read(tmp_path, SAMPLE)
    assert found is not None
    assert (found.version, found.use and sorted(found.use)[:2]) == (
        "mylab-1",
        ["CheckResult", "Compute"],
    )
    figure, symmetry = found.factors
    assert (figure.name, figure.member, figure.counter_factor) == (
        "DrawFigure",
        "DRAW_FIGURE",
        "ExtractGivens",
    )
    assert figure.maps_to == {"schoenfeld": "Analyze", "thought_anchors": "problem_setup"}
    assert symmetry.maps_to == {}


def test_a_file_may_only_restrict_or_only_extend(tmp_path: Path) -> None:
    assert read(tmp_path, 'version = "a"\nuse = []') == Extension("a", frozenset(), ())
    found = read(tmp_path, factor())
    assert found is not None
    assert (found.use, len(found.factors)) == (None, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"version=None; add version"),
        ('version = "2"', r"version='2' is that of the built-in"),
        ("version = 3", r"version=3"),
        ('version = " "', r"version=' '"),
        ('version = "a\\nb"', r"version='a\\nb'"),
        ('version = "a"\nuses = []', r"unknown key 'uses'; use factor, use, version"),
        ('version = "a"\nuse = "Plan"', r"use='Plan' is not a list"),
        ('version = "a"\nuse = ["Plan", "Draw"]', r"unknown factor 'Draw'"),
        ('version = "a"\nfactor = 1', r"factor=1 is not a list of tables"),
        ('version = "a"\nfactor = ["x"]', r"is not a list of tables"),
        ('version = "a"\n[[factor]]', r"a factor has name=None"),
        ("version = ", r"is not valid TOML"),
        (b'version = "\xff"', r"is not valid TOML"),
        *(
            (factor(name), rf"{name!r} would not survive as a tag")
            for name in ("Draw Figure", "Draw-Figure", "Draw1", "Zeichne_", "Étape", "Dr", "D" * 41)
        ),
        *(
            (factor(name), rf"{name!r} is taken")
            for name in ("Plan", "restategoal", "Think", "Hypothesize", "FinalAnswer")
        ),
        (factor() + factor("drawFigure").removeprefix('version = "a"'), "'drawFigure' is taken"),
        *(
            (factor(**{key: None}), rf"the factor 'DrawFigure' has {key}=None; add {key}")
            for key in ("definition", "example", "counter_example", "counter_factor")
        ),
        (factor(example=""), "example=''"),
        (factor(exmaple="a"), "the factor 'DrawFigure' has the unknown key 'exmaple'"),
        (factor(definition="a\nb"), "spans several lines"),
        (factor(counter_factor="Draw"), "counter_factor='Draw' of the factor 'DrawFigure'"),
        (factor(counter_factor="DrawFigure"), "must name another factor"),
        (factor(maps_to='"A1"'), "maps_to='A1'"),
        (factor(maps_to='{rsta = "A1"}'), "the unknown taxonomy 'rsta'; use one of rstar"),
        (factor(maps_to='{rstar = "A6"}'), "'A6', which is no label of rstar; use one of A1"),
        (factor(maps_to='{rstar = ["A1"]}'), r"\['A1'\], which is no label"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_with_file_value_and_fix(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{VARIABLE}='{tmp_path / 'mylab.toml'}': ")


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no.toml"):
        with pytest.raises(ConfigError, match=r"cannot be read: .*absolute path"):
            extension_in_force(
                known=DESCRIPTIONS, version="2", labels=LABELS, env={VARIABLE: str(path)}
            )


# ---- what it does


def test_own_factors_are_members_behind_the_built_in_ones(tmp_path: Path) -> None:
    found = within(
        tmp_path,
        """
import pickle
from datagen.factors.taxonomy import ACTIONS, TAXONOMY_VERSION, Factor
own = Factor("DrawFigure")
print(json.dumps({
    "factors": list(Factor), "actions": ACTIONS, "version": TAXONOMY_VERSION,
    "own": [own.name, own.definition, own.example, own.counter_example, own.counter_factor.name],
    "same": pickle.loads(pickle.dumps(own)) is own is Factor["DRAW_FIGURE"],
    "member_types": sorted({type(member).__name__ for member in Factor.__members__.values()}),
}))
""",
    )
    assert found["factors"] == [*DESCRIPTIONS, "DrawFigure", "ExploitSymmetry"]
    assert found["actions"] == [*USED, "DrawFigure", "ExploitSymmetry"]
    assert found["version"] == "mylab-1"
    assert found["own"] == [
        "DRAW_FIGURE",
        "describe a figure, or add a line or point to it",
        "Draw the height from C and call its foot H.",
        "In the figure, AB and CD are parallel.",
        "EXTRACT_GIVENS",
    ]
    assert found["same"] is True
    assert found["member_types"] == ["Factor"]


def test_without_use_every_built_in_factor_stays_legal(tmp_path: Path) -> None:
    code = "from datagen.factors.taxonomy import ACTIONS\nprint(json.dumps(ACTIONS))"
    actions = within(tmp_path, code, factor())
    assert actions == [*DESCRIPTIONS, "DrawFigure"]


@pytest.mark.slow
def test_both_forms_of_markup_round_trip_own_factors_and_those_out_of_use(tmp_path: Path) -> None:
    found = within(
        tmp_path,
        r"""
from datagen.engines.protocol import Completion
from datagen.factors.taxonomy import Factor
from datagen.prompts.sloppy import read_rollout
from datagen.prompts.tag_lines import render_steps
from datagen.traces.markup import parse, render
from datagen.traces.model import Step, Trace
from datagen.traces.tagged import factor_of, tag_problem
texts = ["", "<ACT_DrawFigure-End>\n", " <ACT_ExploitSymmetry-Start> x", "[DrawFigure] y\n[Plan]"]
steps = tuple(Step(text, factor) for factor in Factor for text in texts)
trace = Trace("q", steps, "18")
lines = tuple(Step(text.strip() or "z", factor) for factor in Factor for text in texts
              if factor is not Factor.ANSWER) + (Step("\\boxed{1}", Factor.ANSWER),)
text = render_steps(lines)
reading = read_rollout(Completion(text, "stop", (0.0,), (len(text),)), Trace("q"))
print(json.dumps({
    "native": parse(render(trace), question="q") == trace,
    "lines": reading.steps == lines,
    "seed": [factor_of("<ACT_DrawFigure-Start> a <ACT_DrawFigure-End>"),
             tag_problem("<ACT_DrawFigure-Start> a <ACT_DrawFigure-End>")],
}))
""",
    )
    assert found["native"] is True
    assert found["lines"] is True
    assert found["seed"] == ["DrawFigure", None]


@pytest.mark.slow
def test_prompts_offer_the_actions_and_show_nothing_that_is_out_of_use(tmp_path: Path) -> None:
    found = within(
        tmp_path,
        """
from datagen.engines.protocol import Choice, Sampling
from datagen.prompts import instruct, instruct_code, native
from datagen.prompts.code import ThoughtJob
from datagen.factors.taxonomy import ACTIONS, Factor
from datagen.traces.model import Trace
code = instruct_code.thought_request(ThoughtJob("q", "c"), sampling=Sampling(), sample_idx=0)
even = (1 / len(ACTIONS),) * len(ACTIONS)
print(json.dumps({
    "task": instruct.TASK, "code": code.prompt.messages[0].content,
    "native": native.prior_request(Trace("q")).choices,
    "instruct": instruct.prior_request(Trace("q")).choices,
    "native_prior": native.read_prior(Choice((*even, 0.0)), min_prior=0.0),
    "instruct_prior": instruct.read_prior(Choice(even), min_prior=0.0),
    "flat": instruct.read_prior(Choice((0.0,) * len(ACTIONS)), min_prior=0.9),
    "actions": ACTIONS, "unused": [f for f in Factor if f not in ACTIONS],
}))
""",
        SAMPLE.replace("describe a figure", "{describe} a figure").replace('"CheckResult", ', ""),
    )
    actions = found["actions"]
    assert found["native"] == [*(f"<ACT_{name}-Start> " for name in actions), "<Think_End>\n"]
    assert found["instruct"] == [f"{name}]" for name in actions]
    for prior in ("native_prior", "instruct_prior", "flat"):
        assert list(found[prior]) == actions
        assert found[prior]["DrawFigure"] == pytest.approx(1 / len(actions))
    assert "\n[DrawFigure] {describe} a figure, or add a line or point to it\n" in found["task"]
    assert "\n[DrawFigure] {describe} a figure, or add a line or point to it\n" in found["code"]
    assert not [name for name in found["unused"] if f"[{name}]" in found["task"]]
    assert "\n[DrawFigure] Draw the height from C and call its foot H.\n" in found["task"]
    assert "\n[Backtrack]" not in found["code"]
    assert "\n[SimulateExecution] follow a program" in found["code"]  # the rules name it


@pytest.mark.slow
def test_a_search_takes_an_own_factor_that_its_policy_prefers(tmp_path: Path) -> None:
    found = within(
        tmp_path,
        """
from datagen.engines.fake import FakeEngine
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal
from datagen.search.puct import PuctConfig, puct
from datagen.search.run import verifier_of
from datagen.search.scheduler import Scheduler
from datagen.traces.markup import THINK_END, end_tag, render_step, start_tag
from datagen.traces.model import Step, Trace
own = Factor("DrawFigure")
end = render_step(Step("18", Factor.ANSWER)) + THINK_END + "18"

def write(request):
    opened = start_tag(own)
    return f"draw it{end_tag(own)}" if request.prompt.endswith(opened) else end

def prefer(request):
    return [float(choice == start_tag(own)) for choice in request.choices]

with Journal(":memory:") as journal:
    scheduler = Scheduler(FakeEngine(write, prefer=prefer), journal)
    search = puct(Trace("How many?"), PuctConfig(n_simulations=2),
                  verifier_of({"answer": "18", "verifier": "numeric"}))
    tree = scheduler.run([("t", search)])["t"]
steps = tree.root.children[own].state.steps
print(json.dumps([[step.factor, step.text] for step in steps]))
""",
    )
    assert found == [["DrawFigure", "draw it"]]


@pytest.mark.slow
def test_the_page_and_the_mapping_know_own_factors(tmp_path: Path) -> None:
    found = within(
        tmp_path,
        """
from datagen.factors.document import document
from datagen.factors.published import factors_of, translate
from datagen.factors.taxonomy import Factor
own = [Factor("DrawFigure"), Factor("ExploitSymmetry")]
print(json.dumps({"page": document(), "there": translate(own, "schoenfeld"),
                  "back": factors_of("thought_anchors", "problem_setup")}))
""",
    )
    assert found["there"] == ["Analyze", None]
    assert "DrawFigure" in found["back"]
    assert "\n### DrawFigure\n" in found["page"]
    assert "Version `mylab-1`, 11 actions." in found["page"]
    assert "Out of use: `RestateGoal`" in found["page"]


def test_the_doctor_tells_the_version_in_force(tmp_path: Path) -> None:
    code = (
        "from datagen.doctor.belongings import taxonomy\nprint(json.dumps(next(taxonomy()).detail))"
    )
    detail = "version mylab-1, 11 of 27 thought factors in use, from DATAGEN_TAXONOMY"
    assert within(tmp_path, code) == detail


def test_a_process_with_a_file_that_cannot_be_used_does_not_begin(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", "import datagen.factors.taxonomy"],
        cwd=ROOT,
        env={**os.environ, VARIABLE: str(tmp_path / "no.toml")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "ConfigError: DATAGEN_TAXONOMY=" in run.stderr


@pytest.mark.slow
def test_the_command_says_in_one_line_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("version =")
    run = subprocess.run(
        [sys.executable, "-m", "assets", "config"],
        cwd=ROOT,
        env={**os.environ, VARIABLE: str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith(f"error: {VARIABLE}='{path}': is not valid TOML")
    assert len(run.stderr.splitlines()) == 1


@pytest.mark.slow
def test_the_embedded_reasoner_searches_under_an_extended_taxonomy(tmp_path: Path) -> None:
    found = within(
        tmp_path,
        """
import asyncio, math
from datagen.config import EngineSettings
from datagen.engines.registry import open_engine
from datagen.factors.taxonomy import ACTIONS, Factor
from datagen.journal import Journal
from datagen.prompts import native
from datagen.search.puct import PuctConfig, puct
from datagen.search.run import verifier_of
from datagen.search.scheduler import Scheduler
from datagen.traces.markup import parse, render
from datagen.traces.model import Trace
from pathlib import Path
seed = json.loads(Path("datagen/reasoner/seeds.jsonl").read_text().splitlines()[0])
root = Trace(seed["question"])
engine = open_engine(EngineSettings())
(prior,) = asyncio.run(engine.choose([native.prior_request(root)]))
own = Factor("DrawFigure")
segment = native.segment_request(root, own, temperature=1.0, max_tokens=24, sample_idx=0)
(said,) = asyncio.run(engine.complete([segment]))
with Journal(":memory:") as journal:
    config = PuctConfig(n_simulations=6, min_prior=0.0)
    verify = verifier_of({"answer": seed["answer"], "verifier": "numeric"})
    tree = Scheduler(engine, journal).run([("t", puct(root, config, verify))])["t"]
states = [child.state for child in tree.root.children.values()]
print(json.dumps({
    "offered": prior.probabilities[ACTIONS.index(own)], "sum": sum(prior.probabilities),
    "priors": tree.root.priors, "n_visits": tree.root.n_visits,
    "children": list(tree.root.children),
    "segment": [step.factor for step in native.read_segment(said, own).steps],
    "round_trip": [parse(render(s), question=s.question).steps == s.steps for s in states],
}))
""",
    )
    assert 0 < found["offered"] < 0.01
    assert 0 < found["sum"] <= 1.001
    assert len(found["priors"]) == 11
    assert found["priors"]["DrawFigure"] < 0.02
    assert "RestateGoal" not in found["priors"]
    assert found["n_visits"] == 7
    assert set(found["children"]) <= set(found["priors"])
    assert found["segment"] in ([], ["DrawFigure"])
    assert found["round_trip"] and all(found["round_trip"])
