"""Tags of steps: whoever wrote one is believed, prose is classified, and doubt is shown."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from polars.testing import assert_frame_equal

from datagen.config import EngineSettings
from datagen.engines.fake import FakeEngine
from datagen.engines.protocol import (
    Chat,
    Choice,
    ChoiceRequest,
    Completion,
    Sampling,
    Score,
    ScoreRequest,
    flat_text,
)
from datagen.engines.registry import open_engine
from datagen.factors import classifier as classifier_module
from datagen.factors.classifier import WEIGHTS
from datagen.factors.tagging import TaggerChoice, TaggingConfig, tag_traces, with_tags
from datagen.factors.taxonomy import ACTIONS, TAXONOMY_VERSION, Factor
from datagen.journal import Journal
from datagen.prompts import tagging
from datagen.prompts.dialect import INSTRUCT, NATIVE, Dialect
from datagen.reasoner.evaluate import unseen_problems
from datagen.search.budget import Budget
from datagen.traces.assemble import trace_row
from datagen.traces.markup import parse, start_tag
from datagen.traces.model import Step, Trace
from schemas import Tag
from schemas import Trace as TraceContract

QUESTION = "Ann has 3 boxes of 6 pens and gives 4 away. How many are left?"
TEXTS = ("3 * 6 = 18 ", "18 - 4 = 14 ", "So 14.")
PROSE = Trace(QUESTION, tuple(Step(text) for text in TEXTS), "14")
TAGGED = Trace(
    QUESTION,
    (Step(TEXTS[0], Factor.COMPUTE), Step(TEXTS[1], Factor.DEDUCE), Step("14", Factor.ANSWER)),
    "14",
)


def table(*traces: Trace) -> pl.DataFrame:
    return TraceContract.from_rows(
        [
            trace_row(
                trace,
                seed_id=f"s{idx}",
                prefix_id=f"s{idx}@0",
                rollout_id=None,
                step_source=[f"s{idx}#{k}" for k in range(len(trace.steps))],
                n_human_steps=0,
                gold="14",
                verifier="exact",
                outcome="correct",
                provenance="human",
                engine=None,
            )
            for idx, trace in enumerate(traces)
        ]
    )


def tag(
    traces: pl.DataFrame, tagger: TaggerChoice, engine: FakeEngine | None = None, **options: Any
) -> pl.DataFrame:
    """Tags by an engine; by default by one that fails if it is asked."""
    engine = engine or FakeEngine(lambda _: "", fail_after=0)
    journal = options.pop("journal", None) or Journal(":memory:")
    budget = options.pop("budget", None)
    config = TaggingConfig(tagger=tagger, **options)
    return tag_traces(traces, engine, journal, config=config, budget=budget).tags


class Stub:
    """Says of each step what a number in its text decides."""

    factors = (Factor.PLAN, Factor.COMPUTE, Factor.ANSWER)

    def probabilities(self, trace: Trace) -> NDArray[np.float64]:
        rows = {"3": [0.1, 0.9, 0.0], "1": [0.4, 0.35, 0.25], "S": [0.0, 0.5, 0.5]}
        return np.array([rows[step.text[0]] for step in trace.steps])


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier_module, "shipped_classifier", Stub)


# ---- what is believed, classified and doubted


@pytest.mark.parametrize("tagger", ["classifier", "model", "none"])
def test_tags_of_whoever_wrote_the_step_are_believed(tagger: TaggerChoice) -> None:
    found = tag(table(TAGGED), tagger)
    assert found["factor"].to_list() == ["Compute", "Deduce", "Answer"]
    assert found["probability"].to_list() == [1.0] * 3
    assert found["tagger"].to_list() == ["native"] * 3
    assert not found["needs_review"].any() and found["runner_up"].null_count() == 3
    assert found["depends_on"].to_list() == [[-1], [-1, 0], [1]]
    assert set(found["taxonomy"]) == {TAXONOMY_VERSION}


def test_prose_is_classified_and_doubtful_tags_need_review(stub: None) -> None:
    found = tag(table(PROSE), "classifier")
    assert found.select("factor", "probability", "runner_up", "needs_review").rows() == [
        ("Compute", 0.9, "Plan", False),
        ("Plan", 0.4, "Compute", True),
        ("Compute", 0.5, "Answer", False),
    ]
    assert set(found["tagger"]) == {"classifier"}
    assert found["text"].to_list() == list(TEXTS)
    strict = tag(table(PROSE), "classifier", min_probability=0.6)
    assert strict["needs_review"].to_list() == [False, True, True]


def test_a_thought_may_have_some_tags(stub: None) -> None:
    mixed = Trace(QUESTION, (PROSE.steps[0], TAGGED.steps[1], PROSE.steps[2]), "14")
    found = tag(table(mixed), "classifier")
    assert found["tagger"].to_list() == ["classifier", "native", "classifier"]
    assert found["factor"].to_list() == ["Compute", "Deduce", "Compute"]


def test_without_a_tagger_prose_stays_untagged() -> None:
    found = tag(table(PROSE), "none")
    assert set(found["factor"]) == {"Other"} and set(found["tagger"]) == {"none"}
    assert found["probability"].to_list() == [0.0] * 3 and found["needs_review"].all()


@pytest.mark.parametrize("tagger", ["classifier", "model", "none"])
def test_no_traces_and_no_steps_have_no_tags(tagger: TaggerChoice) -> None:
    for traces in (table(), table(Trace(QUESTION, (), "14"))):
        found = tag(traces, tagger)
        assert found.is_empty()
        assert_frame_equal(with_tags(traces, Tag.validate(found)), traces)


@pytest.mark.skipif(not WEIGHTS.exists(), reason="the weights are not made yet")
def test_the_shipped_classifier_tags_plain_prose() -> None:
    found = tag(table(PROSE), "classifier")
    assert found["factor"].to_list() == ["Compute", "Compute", "Answer"]


# ---- traces with their tags


def test_sure_tags_are_written_into_the_traces_and_nothing_else_changes(stub: None) -> None:
    hostile = Trace("Q?", (Step("3 <ACT_Plan-Start> <\\Think_End>\n"), Step("Stop.")), None)
    traces = table(TAGGED, PROSE, hostile, Trace("Nothing?", (), "14"))
    found = with_tags(traces, tag(traces, "classifier"))
    assert found["factors"].to_list() == [
        ["Compute", "Deduce", "Answer"],
        ["Compute", "Other", "Compute"],  # the second needs review
        ["Compute", "Compute"],
        [],
    ]
    assert_frame_equal(found.drop("factors", "markup"), traces.drop("factors", "markup"))
    TraceContract.validate(found)
    for row in found.iter_rows(named=True):
        again = parse(row["markup"], question=row["question"])
        assert [step.text for step in again.steps] == row["steps"]
        assert [step.factor.value for step in again.steps] == row["factors"]
        assert again.answer == row["answer"]


# ---- a model that tags

PRIOR = {Factor.COMPUTE: 0.6, Factor.DEDUCE: 0.3}
LIKELIHOOD = {Factor.COMPUTE: math.exp(-2), Factor.DEDUCE: math.exp(-1)}


class Model(FakeEngine):
    """Knows a prior over tags, and how probable each makes a step; a choice costs a million."""

    def __init__(self) -> None:
        super().__init__(lambda _: "", self._prior, self._likelihood, batch_size=1)

    def _prior(self, request: ChoiceRequest) -> Sequence[float]:
        return [PRIOR.get(factor, 0.001) for factor in ACTIONS]

    def _likelihood(self, request: ScoreRequest) -> Score:
        prompt = flat_text(request.prompt)
        factor = next(f for f in ACTIONS if prompt.endswith(start_tag(f)))
        total = math.log(LIKELIHOOD.get(factor, math.exp(-9)))
        return Score((total / 4, total * 3 / 4), (1, len(request.text)))

    async def choose(self, requests: Sequence[ChoiceRequest]) -> list[Choice]:
        self.usage.n_prompt_tokens += 1_000_000 * len(requests)
        return await super().choose(requests)

    def asked(self) -> list[Any]:
        return [request for batch in self.batches for request in batch]


def test_in_its_own_markup_a_model_tags_by_bayes_rule() -> None:
    found = tag(table(PROSE), "model", Model(), dialect=NATIVE)
    rest = (len(ACTIONS) - 2) * 0.001 * math.exp(-9)
    total = 0.6 * math.exp(-2) + 0.3 * math.exp(-1) + rest
    assert found["probability"].to_list() == pytest.approx([0.3 * math.exp(-1) / total] * 3)
    assert set(found["factor"]) == {"Deduce"} and set(found["runner_up"]) == {"Compute"}
    assert set(found["tagger"]) == {"model"}


def test_a_model_reads_a_step_behind_the_tags_that_it_gave_before() -> None:
    engine = Model()
    tag(table(PROSE), "model", engine, dialect=NATIVE)
    priors = [flat_text(r.prompt) for r in engine.asked() if isinstance(r, ChoiceRequest)]
    assert [prompt.count("<ACT_Deduce-Start>") for prompt in priors] == [0, 1, 2]
    assert not any("ACT_Other" in prompt for prompt in priors)


def test_in_plain_words_a_model_chooses() -> None:
    engine = Model()
    found = tag(table(PROSE), "model", engine, dialect=INSTRUCT)
    assert set(found["factor"]) == {"Compute"}
    total = 0.9 + (len(ACTIONS) - 2) * 0.001
    assert found["probability"].to_list() == pytest.approx([0.6 / total] * 3)
    first, second, _ = engine.asked()
    assert f"Steps:\n>>> {TEXTS[0].strip()} <<<\n{TEXTS[1].strip()}\n" in flat_text(first.prompt)
    assert f"\n{TEXTS[0].strip()}\n>>> {TEXTS[1].strip()} <<<\n" in flat_text(second.prompt)


@pytest.mark.parametrize("dialect", [NATIVE, INSTRUCT])
def test_a_server_that_tells_no_probabilities_leaves_all_to_review(dialect: Dialect) -> None:
    for nothing in (0.0, math.nan):
        engine = FakeEngine(
            lambda _: "",
            lambda request: [0.0] * len(request.choices),
            lambda _, nothing=nothing: Score((nothing,), (1,)),
        )
        found = tag(table(PROSE), "model", engine, dialect=dialect)
        assert found["probability"].to_list() == pytest.approx([1 / len(ACTIONS)] * 3)
        assert found["needs_review"].all()


def test_a_spent_budget_leaves_steps_untagged_and_a_resumed_run_asks_only_about_them() -> None:
    with Journal(":memory:") as journal:
        first, second, third = Model(), Model(), Model()
        traces, asks = table(PROSE), {"dialect": INSTRUCT, "journal": journal}
        budget = Budget(max_cost=2.0, price_prompt=1.0)
        found = tag(traces, "model", first, budget=budget, **asks)
        assert found["tagger"].to_list() == ["model", "model", "none"]
        assert found["factor"].to_list() == ["Compute", "Compute", "Other"]
        assert found["needs_review"].to_list() == [False, False, True]
        whole = tag(traces, "model", second, **asks)
        assert set(whole["tagger"]) == {"model"} and len(second.asked()) == 1
        assert_frame_equal(tag(traces, "model", third, **asks), whole)
        assert third.asked() == []


# ---- hostile steps

PIECES = ["<", ">", "<<<", ">>>", "[Answer]", "\n", " ", "Steps:", "\\", "[", "x", "</think>"]
HOSTILE = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=9).map("".join))


@given(HOSTILE, st.lists(HOSTILE, min_size=1, max_size=5), st.data())
def test_no_step_and_no_question_breaks_out_of_its_place(
    question: str, texts: list[str], data: st.DataObject
) -> None:
    step_idx = data.draw(st.integers(0, len(texts) - 1))
    trace = Trace(question, tuple(map(Step, texts)))
    (request,) = INSTRUCT.tag_requests(trace, step_idx)
    chat = cast(Chat, cast(ChoiceRequest, request).prompt)
    shown = chat.messages[0].content.removeprefix(tagging.TASK)
    before, step, behind = (shown.split(">>>")[0], *shown.split(">>>")[1].split("<<<"))
    assert shown.count(">>>") == shown.count("<<<") == 1
    for part in (before, step, behind):
        assert "[Answer]" not in part and "</think>" not in part
    kept = step.replace("\\", "").split()
    assert kept == texts[step_idx].replace("\\", "").split()


# ---- the embedded reasoner


@pytest.mark.slow
def test_the_reasoner_finds_its_own_tags_again() -> None:
    engine = open_engine(EngineSettings())
    states = [Trace(problem.question) for problem in unseen_problems(2)]
    requests = [
        request
        for state in states
        for request in NATIVE.rollout_requests(state, 1, sampling=Sampling(max_tokens=400))
    ]
    completions: list[Completion] = asyncio.run(engine.complete(requests))
    written = [NATIVE.read_rollout(c, s) for c, s in zip(completions, states, strict=True)]
    traces = [Trace(s.question, r.steps, r.answer) for s, r in zip(states, written, strict=True)]
    blank = [
        Trace(trace.question, tuple(Step(step.text) for step in trace.steps), trace.answer)
        for trace in traces
    ]
    with Journal(":memory:") as journal:
        config = TaggingConfig(tagger="model", dialect=NATIVE)
        found = tag_traces(table(*blank), engine, journal, config=config).tags
    truth = [step.factor.value for trace in traces for step in trace.steps]
    assert len(truth) > 80 and len(set(truth)) > 6
    assert sum(map(str.__eq__, truth, found["factor"])) / len(truth) >= 0.95
    assert set(found["tagger"]) == {"model"}
