"""The code benchmark: figures by hand, engines by script, errors planted where they must show."""

import io
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import CodeType
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from rich.console import Console

import assets.bench.code
from assets.bench.code import run_code_bench, targets
from assets.cli import cli
from datagen.bench.code import (
    FIGURES,
    CodeReport,
    Plan,
    bench_code,
    bench_functions,
    runs_per_second,
)
from datagen.bench.code_checks import FreshRuns, Rechecked, claim_detail, recheck, share
from datagen.bench.code_errors import (
    Planted,
    change_operator,
    change_value,
    operator_detail,
    plant,
    value_detail,
)
from datagen.bench.code_narration import bench_narrator
from datagen.bench.code_writing import thought_detail
from datagen.code.back_translate import BackTranslation
from datagen.code.check import check_thought
from datagen.code.execution import trace_trusted
from datagen.code.mutate import Mutation
from datagen.code.narrator import narrate
from datagen.config import Settings
from datagen.engines.fake import FakeEngine
from datagen.engines.protocol import CompletionRequest, flat_text
from datagen.errors import SeedError
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal
from datagen.prompts.code import CODE, EXECUTION, FAILED
from datagen.prompts.dialect import NATIVE
from datagen.reasoner.bundle import CODE_SEEDS
from datagen.reasoner.functions import Function
from datagen.traces.markup import THINK_END, THINK_START, render_thought
from datagen.traces.model import Step
from datagen.verify.sandbox import Sandbox, TestJob, TestReport, configure_default
from schemas import CodeSeed
from tests.sandboxes import open_sandbox

pytestmark = pytest.mark.slow

TINY = Plan(n_functions=3, n_mutations=9, n_rewritten=4, n_sandbox_runs=4)
CONFIG = BackTranslation(dialect=NATIVE)


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with open_sandbox("weak") as opened:
        yield opened


# --- an engine by script -------------------------------------------------------------------------


def told(function: Function) -> tuple[Step, ...]:
    """A sound thought about a function."""
    runs = trace_trusted(function.code, function.calls[:3])
    return narrate(function.question, runs, entry_point=function.name)


def lied(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The same with a false end."""
    head, _, value = steps[-1].text.rpartition(" ")
    changed = f"{head} {value[:-1]}, 77]" if value.endswith("]") else f"{head} {value}77"
    return (*steps[:-1], replace(steps[-1], text=changed))


Lies = Callable[[Function, str], bool]


def scripted(functions: Sequence[Function], lies: Lies = lambda function, prompt: False) -> Any:
    """Writes sound thoughts but where told to lie, and right programs only from a thought."""

    def write(request: CompletionRequest) -> str:
        prompt = flat_text(request.prompt)
        function = next(f for f in functions if f.question in prompt)
        if CODE in prompt:
            steps = told(function)
            steps = lied(steps) if lies(function, prompt) else steps
            return (render_thought(steps) + THINK_END).removeprefix(THINK_START)
        bare = prompt.endswith(THINK_START + THINK_END)
        return f"def {function.name}(*a):\n    return None" if bare else function.code

    return FakeEngine(write, batch_size=64)


def run(box: Sandbox, lies: Lies = lambda function, prompt: False, **options: Any) -> CodeReport:
    engine = scripted(bench_functions(TINY.n_functions), lies)
    with Journal(":memory:") as journal:
        return bench_code(engine, journal, box, TINY, config=CONFIG, note=lambda _: None, **options)


def test_sound_thoughts_give_full_marks(box: Sandbox) -> None:
    report = run(box)
    figures, detail = report.figures, report.detail
    assert tuple(figures) == FIGURES
    assert figures["n_functions"] == 3
    assert figures["verified_rate"] == 1
    assert figures["claims_contradicted"] == 0
    assert figures["claims_checked"] == detail["claims"]["verified"]["checked"] > 9
    assert figures["sufficiency"] == 1  # always with the thought, never without
    assert detail["sufficiency_low"] == detail["sufficiency_high"] == 1
    assert figures["mutation_recall"] == 1
    assert figures["mutation_false_alarm"] == 0
    assert figures["humaneval_traced"] is figures["humaneval_claims_ok"] is None
    assert (figures["sandbox_per_s"] or 0) > 0
    assert detail["sandbox"]["n"] == detail["sandbox"]["n_passed"] == 4
    assert detail["value_mutations"]["recall"]["n"] == 9
    # This engine writes the right program whatever the thought says.
    assert detail["operator_mutations"]["by_round_trip"]["value"] == 0
    assert all(met is not False for name, (_, met) in targets(report).items() if name[0] != "s")


def test_a_lie_that_is_taken_back_costs_a_revision_and_a_stubborn_one_the_thought(
    box: Sandbox,
) -> None:
    first, second, _ = bench_functions(3)

    def lies(function: Function, prompt: str) -> bool:
        if function is first:
            return EXECUTION not in prompt  # of the route "model": in every attempt
        return function.name == second.name and FAILED not in prompt and EXECUTION in prompt

    functions = [first, second, bench_functions(3)[2]]
    engine = scripted(functions, lies)
    with Journal(":memory:") as journal:
        found = bench_code(engine, journal, box, TINY, config=CONFIG, note=lambda _: None)
    assert found.figures["verified_rate"] == pytest.approx(5 / 6)
    writing = found.detail["thoughts"]
    assert [a["value"] for a in writing["routes"]["model"]["attempts"]] == pytest.approx(
        [2 / 3] * 3
    )
    grounded = writing["routes"]["grounded"]["attempts"]
    assert [a["value"] for a in grounded] == pytest.approx([2 / 3, 1, 1])
    assert writing["routes"]["narrator"]["verified"]["value"] == 1
    assert found.figures["claims_contradicted"] == 0
    assert found.detail["value_mutations"]["n_thoughts"] == 5 + 3  # errors go into sound ones
    assert found.figures["mutation_false_alarm"] == 0
    failed = found.detail["claims"]["routes"]
    assert failed["model"]["failed"] | {"checked": 0} == {
        "thoughts": 3, "checked": 0, "contradicted": 3, "uncheckable": 0,
    }  # fmt: skip
    assert failed["grounded"]["failed"]["contradicted"] == 1


def bytecode(code: str) -> tuple[bytes, Any]:
    """What a function does, whatever its variables are called."""
    (body,) = (c for c in compile(code, "f", "exec").co_consts if isinstance(c, CodeType))
    return body.co_code, repr(body.co_consts)


def test_functions_are_none_of_the_bundled_ones_and_always_the_same() -> None:
    functions = bench_functions(40)
    assert len({f.kind for f in functions}) == 40
    assert functions == bench_functions(40)
    bundled = {bytecode(json.loads(line)["code"]) for line in CODE_SEEDS.read_text().splitlines()}
    assert len(bundled) == 24
    assert not bundled & {bytecode(f.code) for f in bench_functions(120)}
    assert functions[:24] == bench_functions(24)


# --- claims --------------------------------------------------------------------------------------

SQUARES = """def squares(xs):
    total = 0
    for x in xs:
        total += x * x
    return total
"""


def seeds(**fields: Any) -> pl.DataFrame:
    row = {
        "seed_id": "a", "source": "s", "license": "MIT", "question": "Sum of squares.",
        "code": SQUARES, "entry_point": "squares", "prelude": "", "meta": "{}",
        "tests": "assert squares([1, 2]) == 5", "calls": ["squares([1, 2])", "squares([3])"],
    }  # fmt: skip
    return CodeSeed.from_rows([row | fields])


def thought(*texts: str, route: str = "model", verified: bool = True) -> dict[str, Any]:
    return {
        "seed_id": "a", "route": route, "verified": verified, "steps": list(texts),
        "factors": [Factor.COMPUTE.value] * len(texts),
        "step_checks": ["checked"] * len(texts), "first_error": -1,
    }  # fmt: skip


def test_what_the_table_says_of_its_claims_is_not_believed(box: Sandbox) -> None:
    rows = [
        thought(
            "take xs = [1, 2]", "after the first iteration, total = 1", "squares([3]) returns 8"
        ),
        thought("squares([5]) returns 25", "squares([5]) returns 24", verified=False),
        thought("squares([1, 2]) returns 5; we'll see", route="narrator"),
        thought(verified=False),  # unreadable
    ]
    found = recheck(pl.DataFrame(rows), FreshRuns(seeds(), box))
    assert [t.check.first_error for t in found] == [2, 1, -1]
    detail = claim_detail(found)
    assert detail["verified"] == {
        "thoughts": 2, "checked": 3, "contradicted": 1, "uncheckable": 0,
    }  # fmt: skip
    # A call that no run covered yet was traced for it.
    assert detail["failed"]["checked"] == 2 and detail["failed"]["contradicted"] == 1
    assert detail["routes"]["narrator"]["verified"]["checked"] == 1
    assert detail["routes"]["narrator"]["failed"]["thoughts"] == 0


# --- how well thoughts are written ---------------------------------------------------------------


def attempts(seed_id: str, route: str, *marks: tuple[bool, int], bare: int) -> list[dict[str, Any]]:
    return [
        {
            "seed_id": seed_id, "route": route, "thought_idx": 0, "attempt": idx,
            "verified": verified, "n_round_trips": 4, "n_passed": passed,
            "n_bare": 4, "n_bare_passed": bare, "sufficiency": passed / 4 - bare / 4,
        }
        for idx, (verified, passed) in enumerate(marks)
    ]  # fmt: skip


def test_thoughts_by_hand() -> None:
    table = pl.DataFrame(
        [
            *attempts("a", "model", (True, 4), bare=1),
            *attempts("a", "grounded", (False, 0), (True, 2), bare=1),
            *attempts("a", "narrator", (True, 4), bare=1),
            *attempts("b", "model", (False, 3), (False, 1), (False, 4), bare=0),
            *attempts("b", "grounded", (False, 0), (False, 0), (True, 4), bare=0),
        ]
    )
    found = thought_detail(table, 2)
    assert found["verified"]["value"] == 3 / 4
    assert [a["value"] for a in found["attempts"]] == [1 / 4, 2 / 4, 3 / 4]
    assert found["round_trips"] == share(14, 16)
    assert found["bare"] == share(1, 8)
    # Of a: (3/4 + 1/4) / 2; of b, of the one that is verified: 4/4.
    assert found["sufficiency"]["value"] == pytest.approx((0.5 + 1) / 2)
    assert (found["sufficiency"]["low"], found["sufficiency"]["high"]) == (0.5, 1)
    assert found["routes"]["model"]["sufficiency_of_all"]["value"] == pytest.approx((0.75 + 1) / 2)
    assert found["routes"]["narrator"]["verified"]["n"] == 1


def test_without_a_verified_thought_there_is_no_sufficiency_and_no_target_is_met() -> None:
    found = thought_detail(pl.DataFrame(attempts("a", "model", (False, 1), bare=1)), 2)
    assert found["sufficiency"] == {"value": None, "low": None, "high": None, "n": 0}
    assert value_detail([], [])["false_alarm_reported"] is None
    figures: dict[str, Any] = dict.fromkeys(FIGURES) | {
        "claims_checked": 0, "claims_contradicted": 0,
    }  # fmt: skip
    report = CodeReport(figures, {"humaneval": None, "sufficiency_low": None})
    assert {met for _, met in targets(report).values()} == {None}


def test_a_share_has_its_interval() -> None:
    assert share(0, 0) == {"value": None, "low": None, "high": None, "n": 0}
    found = share(5, 10)
    assert found["value"] == 0.5
    assert found["low"] == pytest.approx(0.2366, abs=1e-3)


# --- planted errors ------------------------------------------------------------------------------


def sound(box: Sandbox) -> tuple[Rechecked, FreshRuns]:
    runs = FreshRuns(seeds(), box)
    steps = narrate("Sum.", runs.programs["a"].executions, entry_point="squares")
    return Rechecked("a", "narrator", True, steps, runs.check("a", steps)), runs


def test_each_thought_gets_one_error_before_any_gets_a_second(box: Sandbox) -> None:
    one, runs = sound(box)
    thoughts = [replace(one, steps=(*one.steps, Step(f"note {idx}"))) for idx in range(5)]
    for n in (5, 8):
        planted = plant(thoughts, n, change_value, runs, seed=3)
        assert len(planted) == n
        notes = [p.mutation.steps[-1].text for p in planted]
        assert len(set(notes[:5])) == 5
        assert all(p.found for p in planted)
    assert plant(thoughts, 8, change_value, runs, seed=3) == planted
    assert plant([], 8, change_value, runs, seed=3) == []


def test_errors_that_cannot_be_planted_end_the_search(box: Sandbox) -> None:
    one, runs = sound(box)
    dull = replace(one, steps=(Step("hm"),), check=runs.check("a", (Step("hm"),)))
    assert plant([dull], 8, change_value, runs, seed=0) == []
    only = plant([one], 50, change_operator, runs, seed=0)
    assert 0 < len(only) < 50
    assert len({p.mutation.steps for p in only}) == len(only)


def test_recall_and_false_alarms_by_hand() -> None:
    def planted(step_idx: int, *texts: str) -> Planted:
        steps = tuple(Step(text) for text in texts)
        check = check_thought(steps, trace_trusted(SQUARES, ["squares([1, 2])"]),
                              entry_point="squares")  # fmt: skip
        return Planted("a", Mutation(step_idx, "value", "x", "y", steps), check)

    good, bad = "squares([1, 2]) returns 5", "squares([1, 2]) returns 6"
    cases = [planted(1, good, bad), planted(1, good, good), planted(3, good, bad, good, bad)]
    assert [p.found for p in cases] == [True, False, False]
    thoughts = [
        Rechecked("a", "model", True, p.mutation.steps, p.check) for p in (cases[1], cases[1])
    ]
    found = value_detail(thoughts, cases)
    assert found["recall"]["value"] == pytest.approx(1 / 3)
    assert found["found_elsewhere"] == 1
    assert len(found["missed"]) == 2
    # One of the five steps that stand before a changed one.
    assert found["false_alarms"]["steps_before"]["value"] == pytest.approx(1 / 5)
    assert found["false_alarms"]["sound_thoughts"]["value"] == 0
    assert found["false_alarm_reported"] == "steps_before"
    thoughts[0] = replace(thoughts[0], check=cases[0].check)
    assert value_detail(thoughts, cases)["false_alarm_reported"] == "sound_thoughts"


def test_an_operator_is_caught_if_fewer_programs_pass_than_a_thought_needs(box: Sandbox) -> None:
    one, runs = sound(box)
    planted = plant([one], 2, change_operator, runs, seed=random.Random(1).randrange(99))
    rates: list[float] = []
    for n_wrong in (2, 3):

        def write(request: CompletionRequest, n_wrong: int = n_wrong) -> str:
            wrong = request.sample_idx < n_wrong
            return SQUARES.replace("x * x", "x + x") if wrong else SQUARES

        engine = FakeEngine(write, fingerprint=f"{n_wrong}")
        with Journal(":memory:") as journal:
            found = operator_detail(planted, 1, runs, engine, journal, CONFIG)
        assert found["by_round_trip"]["n"] == 1 and found["by_values"]["n"] == len(planted)
        rates.append(found["by_round_trip"]["value"])
        prompt = flat_text(engine.batches[0][0].prompt)  # type: ignore[union-attr]
        assert planted[0].mutation.steps[planted[0].mutation.step_idx].text in prompt
    assert rates == [0, 1]


# --- the narrator on a file ----------------------------------------------------------------------


def humaneval(tmp_path: Path) -> Path:
    def row(name: str, body: str, test: str) -> dict[str, str]:
        return {
            "task_id": f"T/{name}", "entry_point": name,
            "prompt": f'def {name}(n):\n    """Does {name}."""\n',
            "canonical_solution": body, "test": f"def check(candidate):\n    {test}\n",
        }  # fmt: skip

    rows = [
        row("twice", "    m = n + n\n    return m\n", "assert candidate(2) == 4"),
        row("refused", "    return n\n", "for i in range(3): assert candidate(i) == i"),
        row("endless", "    k = 0\n    while k < 200000:\n        k += 1\n    return n\n",
            "assert candidate(2) == 2"),
    ]  # fmt: skip
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_narrator_is_judged_on_every_row_of_a_file(box: Sandbox, tmp_path: Path) -> None:
    found = bench_narrator(humaneval(tmp_path), box)
    assert (found["n_rows"], found["traced"]) == (3, 1)
    assert found["untraced"] == ["T/endless"]
    assert "literal arguments" in found["refused"][0]
    assert found["claims"]["contradicted"] == 0 and found["contradicted"] == []
    assert found["claims_ok"]["n"] == found["claims"]["checked"] + found["claims"]["uncheckable"]


def test_a_narrator_that_lies_is_told_of(
    box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = bench_narrator(humaneval(tmp_path), box)["claims_ok"]["value"]
    monkeypatch.setattr(
        "datagen.bench.code_narration.narrate",
        lambda *args, **options: [*narrate(*args, **options), Step("so twice(2) returns 5")],
    )
    found = bench_narrator(humaneval(tmp_path), box)
    assert found["claims_ok"]["value"] < honest
    assert found["contradicted"] == ["T/twice: twice(2) returns 5, but 4"]


def test_a_file_without_usable_rows_is_refused(box: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "none.jsonl"
    path.write_text("{}\n")
    with pytest.raises(SeedError):
        bench_narrator(path, box)


# --- speed ---------------------------------------------------------------------------------------


def test_test_runs_are_timed_after_a_warm_up() -> None:
    calls: list[int] = []

    class Slowing:
        def run_tests_many(self, jobs: Sequence[TestJob]) -> list[TestReport]:
            calls.append(len(jobs))
            time.sleep(0.5 if len(calls) == 1 else 0.05)
            return [TestReport("failed" if job.code == "b" else "passed", "") for job in jobs]

    jobs = [TestJob(code, "", "f") for code in "ab"]
    found = runs_per_second(Slowing(), jobs, 10)
    assert calls[1:] == [10] and calls[0] > 0
    assert 30 < found["per_s"] <= 200
    assert (found["n"], found["n_passed"]) == (10, 5)


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def default_settings() -> Iterator[None]:
    yield
    configure_default()


@pytest.mark.usefixtures("default_settings")
def test_the_command_prints_each_figure_beside_its_target_and_writes_just_these(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = scripted(bench_functions(2))
    monkeypatch.setattr(assets.bench.code, "open_engine", lambda settings: engine)
    settings = Settings.model_validate({"sandbox": {"mode": "weak"}})
    path, screen = tmp_path / "figures" / "code.json", io.StringIO()
    n_batches: list[int] = []
    for _ in range(2):
        run_code_bench(
            Console(file=screen), settings, out=tmp_path / "out", quick=True, n_functions=2,
            humaneval=humaneval(tmp_path), json_path=path,
            plan=replace(TINY, n_functions=9),
        )  # fmt: skip
        n_batches.append(len(engine.batches))
    assert n_batches[0] == n_batches[1] > 0  # the second run went on from the journal
    figures = json.loads(path.read_text())
    assert list(figures) == [*FIGURES, "detail"]
    assert figures["n_functions"] == 2 and figures["humaneval_traced"] == 1
    assert json.loads((tmp_path / "out" / "code.json").read_text()) == figures
    shown = screen.getvalue()
    assert all(name in shown for name in FIGURES)
    assert "≥ 0.70" in shown and "≥ 3 of 3" in shown and "low end > 0" in shown
    assert "journal.sqlite" in shown
    assert (tmp_path / "out" / "journal.sqlite").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("default_settings")
def test_the_command_measures_the_embedded_reasoner(tmp_path: Path) -> None:
    open_sandbox("bubblewrap").close()
    path = tmp_path / "code.json"
    options = ["--quick", "--functions", "2", "--out", str(tmp_path / "out"), "--json", str(path)]
    done = CliRunner().invoke(cli, ["bench", "code", *options], catch_exceptions=False)
    assert done.exit_code == 0
    figures = json.loads(path.read_text())
    assert list(figures) == [*FIGURES, "detail"]
    assert figures["n_functions"] == 2
    assert figures["claims_contradicted"] == 0
    assert figures["humaneval_traced"] is None and "--humaneval FILE" in done.output
    assert figures["sandbox_per_s"] > 0
