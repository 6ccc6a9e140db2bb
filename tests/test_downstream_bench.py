"""The downstream benchmark: its parts by hand, and all of it at its smallest."""

import json
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from transformers import AutoTokenizer

from assets.bench.downstream import run_downstream_bench
from datagen.bench.downstream import FIGURES, MeteredJournal, Plan
from datagen.bench.downstream.figures import f1_of, gain_of, mean_of
from datagen.bench.downstream.generation import lessons_of, sample_right
from datagen.bench.downstream.labelling import hopeful
from datagen.bench.downstream.plan import GenerationPlan, LabelPlan, RlPlan
from datagen.bench.downstream.questions import as_seeds, draw_questions
from datagen.bench.downstream.reinforce import advantages
from datagen.bench.downstream.selection import Ballot, Rule, accuracy, by_rule, choose, majority
from datagen.bench.downstream.students import IGNORED, Lesson, encoded, open_student
from datagen.bench.downstream.training import Recipe, batches, folder_of
from datagen.bench.downstream.verification import processbench_rows
from datagen.bench.downstream.verifiers import Judged, Reader, Text, Verifier, VerifierRecipe
from datagen.engines.protocol import Completion, Sampling
from datagen.engines.registry import WEIGHTS
from datagen.factors.taxonomy import Factor
from datagen.prompts.native import rollout_requests
from datagen.search.evidence import Rollout
from datagen.traces.markup import THINK_START, render_step
from datagen.traces.model import Step, Trace
from datagen.verify import Outcome, Verdict
from schemas import Sft

TINY = Plan(
    n_events=(2, 3),
    n_train=8,
    n_dev=8,
    n_test=4,
    seeds=(0,),
    n_samples=8,
    n_scored=8,
    n_student_samples=1,
    generation=GenerationPlan(
        n_root=4,
        puct=replace(GenerationPlan().puct, n_simulations=1, n_root_rollouts=4),
    ),
    sft=Recipe(n_steps=2, tokens_per_step=512, learning_rate=3e-4),
    labels=LabelPlan(n_per_question=2, max_rollouts=4, omega_k=1),
    verifiers=(VerifierRecipe(n_steps=5, learning_rate=1e-2),),
    rl=RlPlan(n_steps=1, n_questions=2, group=2),
)


# ---- questions


def test_no_question_is_in_two_sets_and_events_are_balanced() -> None:
    drawn = draw_questions(30, 20, 10, n_events=(2, 7))
    texts = [
        problem.question for group in (drawn.train, drawn.dev, drawn.test) for problem in group
    ]
    assert len(set(texts)) == 60
    assert [len(problem.events) for problem in drawn.test] == [2, 7] * 5


def test_seeds_ask_the_questions_with_their_answers(tmp_path: Path) -> None:
    problems = draw_questions(3, 0, 0, n_events=(2,)).train
    seeds = as_seeds(problems, tmp_path / "questions.jsonl")
    assert seeds["question"].to_list() == [problem.question for problem in problems]
    assert seeds["answer"].to_list() == [str(problem.answer) for problem in problems]


# ---- budgets


def test_the_meter_counts_an_answer_once_whether_it_is_new_or_replayed(tmp_path: Path) -> None:
    requests = rollout_requests(Trace("q"), 2, sampling=Sampling())
    answers = [Completion("a", "stop", (0.0,) * 3, (1,) * 3) for _ in requests]
    with MeteredJournal(tmp_path / "journal.sqlite") as journal:
        journal.append("engine", list(zip(requests, answers, strict=True)))
        assert journal.n_tokens == 6
        keys = list(journal.keys())
        journal.look_up(keys)
        assert journal.n_tokens == 6
        journal.restart()
        journal.look_up(keys[:1])
        assert journal.n_tokens == 3


@pytest.mark.slow
def test_rejection_sampling_never_spends_more_than_it_was_given(tmp_path: Path) -> None:
    problems = draw_questions(3, 0, 0, n_events=(2,)).train
    engine = open_student(WEIGHTS)
    with MeteredJournal(tmp_path / "journal.sqlite") as journal:
        made = sample_right(problems, engine, journal, n_tokens=2000)
    assert 1800 < made.n_tokens <= 2000
    assert made.lessons
    assert len(set(made.lessons)) == len(made.lessons)
    answers = {problem.question: str(problem.answer) for problem in problems}
    assert all(lesson.reply.endswith(answers[lesson.question]) for lesson in made.lessons)


# ---- training


def test_every_row_comes_once_per_epoch_and_no_batch_is_too_large() -> None:
    lengths = [5, 40, 12, 7, 33, 8, 21, 3]
    source = batches(lengths, tokens_per_step=64, seed=0)
    for _ in range(3):
        epoch: list[int] = []
        while len(epoch) < len(lengths):
            batch = next(source)
            assert len(batch) * max(lengths[row] for row in batch) <= 64
            epoch += batch
        assert sorted(epoch) == list(range(len(lengths)))


def test_the_order_of_batches_depends_on_the_seed_alone() -> None:
    def first(seed: int) -> list[list[int]]:
        return list(islice(batches([5] * 40, tokens_per_step=20, seed=seed), 12))

    assert first(1) == first(1) != first(2)


def test_another_row_recipe_or_seed_is_another_checkpoint(tmp_path: Path) -> None:
    recipe = Recipe(n_steps=2, learning_rate=1e-3)
    lessons = [Lesson("q", "r")]
    folders = {
        folder_of(tmp_path, "s", WEIGHTS, lessons, recipe, 0),
        folder_of(tmp_path, "s", WEIGHTS, [Lesson("q", "s")], recipe, 0),
        folder_of(tmp_path, "s", WEIGHTS, lessons, replace(recipe, n_steps=3), 0),
        folder_of(tmp_path, "s", WEIGHTS, lessons, recipe, 1),
    }
    assert len(folders) == 4
    assert folder_of(tmp_path, "s", WEIGHTS, lessons, recipe, 0) in folders


def test_only_the_reply_and_its_end_are_learned() -> None:
    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS)
    ids, labels = encoded(tokenizer, Lesson("How many?", "<Think_Start>\n<Think_End>\n7"))
    learned = [token for token, label in zip(ids, labels, strict=True) if label != IGNORED]
    assert tokenizer.decode(learned) == "<Think_Start>\n<Think_End>\n7<|end|>"
    rendered = tokenizer.apply_chat_template(
        [
            {"role": "user", "content": "How many?"},
            {"role": "assistant", "content": "<Think_Start>\n<Think_End>\n7"},
        ],
        tokenize=False,
    )
    assert tokenizer.decode(ids) == rendered


def test_a_step_that_the_trace_takes_back_is_read_and_not_learned() -> None:
    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS)
    wrong, complaint, repair = (
        render_step(Step(text, factor))
        for text, factor in (
            ("3+4=8", Factor.COMPUTE),
            ("wait, 3+4 is not 8", Factor.DETECT_ERROR),
            ("3+4=7", Factor.CORRECT_ERROR),
        )
    )
    reply = f"{THINK_START}{wrong}{complaint}{repair}<Think_End>\n7"
    span = {"start": len(THINK_START), "end": len(THINK_START + wrong)}
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": reply}]
    rows = [
        {"messages": messages, "id": name, "seed_id": "s", "masked_spans": spans, "summary": None}
        for name, spans in (("plain", []), ("mended", [span]))
    ]
    plain, mended = lessons_of(Sft.from_rows(rows))

    def learned(lesson: Lesson) -> str:
        ids, labels = encoded(tokenizer, lesson)
        return tokenizer.decode([t for t, to in zip(ids, labels, strict=True) if to != IGNORED])

    assert learned(plain) == f"{reply}<|end|>"
    assert learned(mended) == f"{THINK_START}{complaint}{repair}<Think_End>\n7<|end|>"


# ---- choosing


def ballot(answers: Sequence[str | None], gold: str) -> Ballot:
    return Ballot(answers, [answer == gold for answer in answers])


def test_the_majority_is_of_readable_answers_and_the_first_of_equals() -> None:
    told = ballot([None, None, None, "3", "4", "4"], "4")
    assert majority(told, range(6))
    assert not majority(told, range(5))
    assert not majority(ballot([None], "4"), range(1))


def test_a_verifier_takes_the_best_reply_or_the_answer_worth_most_together() -> None:
    told = ballot(["3", "4", "4"], "4")
    worth = [0.9, 0.5, 0.6]
    assert not choose(told, range(3), worth, "best")
    assert choose(told, range(3), worth, "vote")
    assert choose(told, [0, 1], [0.9, 0.95, 0.0], "best")


@pytest.mark.parametrize(
    ("fold", "is_right"), [("least", False), ("product", False), ("last", True)]
)
def test_values_of_steps_are_folded_as_the_rule_says(fold: str, is_right: bool) -> None:
    told = ballot(["3", "4"], "4")
    values = [[(0.5, 0.5), (0.1, 0.9)]]
    rule = Rule(fold, "best")  # pyright: ignore[reportArgumentType]
    assert by_rule([told], values, 2, rule).tolist() == [float(is_right)]


def test_accuracy_is_a_mean_over_groups_of_replies() -> None:
    told = ballot(["4", "3", "3", "3", "4", "4", "4"], "4")
    found = accuracy([told], 3, lambda _, members: majority(told, members))
    assert found.tolist() == [0.5]


# ---- intervals


def test_gains_are_paired_by_question() -> None:
    hard = np.array([[0.0, 1.0] * 50])
    gain = gain_of(np.clip(np.repeat(hard, 3, axis=0) + 0.1, 0, None), hard)
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.1, 0.1, 0.1))
    assert mean_of(hard).high - mean_of(hard).low > 0.1


def test_seeds_that_differ_widen_the_interval() -> None:
    same, apart = np.full((3, 50), 0.5), np.repeat([[0.3], [0.5], [0.7]], 50, axis=1)
    assert mean_of(same).high == mean_of(same).low
    assert mean_of(apart).high - mean_of(apart).low > 0.2


def test_f1_is_the_mean_of_each_seeds_harmonic_mean() -> None:
    truth = np.array([2, 3, -1, -1])
    predicted = np.array([[2, 3, -1, -1], [2, 0, -1, 1]])
    assert f1_of(predicted, truth).value == pytest.approx((1.0 + 0.5) / 2)


# ---- labels and verifiers


def rollout(question: str, texts: Sequence[str], answer: str, right: bool, idx: int = 0) -> Rollout:
    steps = "".join(f"<ACT_Compute-Start> {text} <ACT_Compute-End>\n" for text in texts)
    text = f"{steps}<Think_End>\n{answer}"
    [request] = rollout_requests(Trace(question), 1, sampling=Sampling(), first=idx)
    outcome = Outcome.CORRECT if right else Outcome.WRONG
    return Rollout.read(
        "best_of_n",
        Trace(question),
        request,
        Completion(text, "stop", (0.0,), (len(text),)),
        lambda _: Verdict(outcome, answer, ""),
    )


def test_a_step_is_hopeful_if_one_of_the_first_k_completions_from_it_is_right() -> None:
    trace = Trace("q", (Step("a"), Step("b"), Step("c")))
    drawn = [
        replace(rollout("q", ["x"], "1", right, idx), state=trace.prefix(n))
        for n, idx, right in ((1, 0, True), (1, 1, False), (2, 0, False), (2, 1, True))
    ]
    assert hopeful(trace, drawn, 1) == [1.0, 0.0, 0.0]
    assert hopeful(trace, drawn, 2) == [1.0, 1.0, 0.0]


def test_a_reader_is_surprised_by_a_wrong_word_and_not_by_the_step_behind_it() -> None:
    problem = draw_questions(1, 0, 0, n_events=(2,)).train[0]
    event, value = problem.events[0], problem.start
    equations = (f"{value}{event.sign}{event.operand}=", f"{problem.values[1]}")
    texts = [
        Text.of(Trace(problem.question, (Step(equations[0] + end, Factor.COMPUTE),)))
        for end in (equations[1], equations[1] + "1")
    ]
    reader = Reader(WEIGHTS)
    [right], [wrong] = map(reader.confidences, texts)
    assert right > 10 * wrong
    longer = texts[0]._replace(steps=texts[0].steps * 2)
    assert reader.read([longer])[0][0].tolist() == pytest.approx(
        reader.read(texts)[0][0].tolist(), abs=0.05
    )


def test_a_verifier_learns_its_labels() -> None:
    right = Trace("q", (Step("3+4=7", Factor.COMPUTE), Step("7", Factor.ANSWER)))
    good = Text.of(right)
    bad = Text.of(Trace("q", (Step("3+4=9", Factor.COMPUTE), Step("9", Factor.ANSWER))))
    rows = [Judged(good, (1.0, None)), Judged(bad, (0.0, None))]
    verifier = Verifier(
        rows, Reader(WEIGHTS), VerifierRecipe(n_steps=60, learning_rate=0.02), seed=0
    )
    (a, _), (b, _) = verifier.values([good, bad])
    assert a > 0.8 > 0.2 > b
    found = verifier.evaluate([right.prefix(1), right.prefix(0)])
    assert [answer.value for answer in found] == pytest.approx([a, 0.5], abs=1e-3)


def test_rows_to_find_errors_in_are_one_wrong_and_one_right_reply_of_each_question() -> None:
    [problem] = draw_questions(1, 0, 0, n_events=(2,)).train
    values = problem.values
    right = [
        f"{before}{event.sign}{event.operand}={after}"
        for before, event, after in zip(values, problem.events, values[1:], strict=False)
    ]
    wrong = [f"{right[0]}1", right[1]]
    drawn = [
        rollout(problem.question, [*wrong, "1"], "1", False),
        rollout(problem.question, [*wrong, "2"], "2", False),
        rollout(problem.question, right, str(problem.answer), True),
    ]
    rows, gold = processbench_rows([problem], [drawn])
    assert rows.height == 2
    texts = [[*wrong, "1"], right]
    assert rows["steps"].to_list() == [
        [render_step(Step(text, Factor.COMPUTE)) for text in some] for some in texts
    ]
    assert gold.tolist() == [0, -1]


# ---- reinforcement


def test_advantages_are_zero_in_a_group_that_is_all_alike() -> None:
    assert advantages([1.0, 1.0]).tolist() == [0.0, 0.0]
    up, down = advantages([1.0, 0.0])
    assert up == pytest.approx(1.0, abs=1e-4)
    assert up == -down


# ---- all of it


@pytest.mark.slow
def test_a_small_run_reports_every_figure_and_goes_on_from_what_is_there(tmp_path: Path) -> None:
    def run() -> tuple[dict[str, object], str]:
        console = Console(file=StringIO(), width=120)
        run_downstream_bench(
            console,
            out=tmp_path / "out",
            quick=True,
            json_path=tmp_path / "figures.json",
            plot_path=tmp_path / "scaling.png",
            plan=TINY,
        )
        shown = console.file
        assert isinstance(shown, StringIO)
        return json.loads((tmp_path / "figures.json").read_text()), shown.getvalue()

    found, shown = run()
    for name in FIGURES:
        low, value, high = (found[f"{name}{end}"] for end in ("_low", "", "_high"))
        assert isinstance(low, float) and isinstance(value, float) and isinstance(high, float)
        assert 0 <= low <= value <= high <= 1, name
    detail = found["detail"]
    assert isinstance(detail, dict)
    ours, rejection = detail["ours_data"], detail["rejection_data"]
    assert ours["n_rows"] > 0
    assert 0.9 * ours["n_tokens"] < rejection["n_tokens"] <= ours["n_tokens"]
    assert {row["n"] for row in found["scaling"]} == {1, 2, 4, 8}  # pyright: ignore
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")
    assert "SFT on ours" in shown and "PRM, OmegaPRM" in shown

    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.safetensors")}
    again, _ = run()
    assert {
        path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.safetensors")
    } == made
    for report in (found, again):
        report["detail"].pop("seconds")  # pyright: ignore
    assert again == found
