"""One interface, two dialects: searches, labels and critiques do not know which they speak.

The policy here is the toy walk of the fake engine, told in the instruct form by a model that leaves
the form in every fifth reply.
"""

import math
import pickle
import random
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate
from typing import Any, Literal

import polars as pl
import pytest

from datagen.config import EngineSettings
from datagen.engines import registry
from datagen.engines.fake import FakeEngine, toy_question, toy_value
from datagen.engines.protocol import (
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Sampling,
    Score,
    ScoreRequest,
    flat_text,
)
from datagen.errors import ConfigError
from datagen.factors.taxonomy import Factor
from datagen.journal import Journal
from datagen.judge import critique_judge
from datagen.measure import MeasureConfig, pick_traces
from datagen.measure.run import measure_traces
from datagen.prompts import instruct, instruct_code, instruct_critique, instruct_rubric
from datagen.prompts.dialect import DIALECTS, INSTRUCT, NATIVE, PromptStyle
from datagen.prompts.reading import Opinion, StepSurprisal
from datagen.prompts.tag_lines import opening
from datagen.search.beam import BeamConfig
from datagen.search.best_of_n import BestOfNConfig, best_of_n
from datagen.search.first_error import Attempt, FirstErrorConfig, FirstErrors, Suspect, first_errors
from datagen.search.generate import GenerateConfig, TreeSearch
from datagen.search.omega import OmegaConfig, OmegaTree, omega
from datagen.search.puct import PuctConfig
from datagen.search.revise import ReviseConfig
from datagen.search.run import SearchTables, search_prefixes, verifier_of
from datagen.search.scheduler import Scheduler
from datagen.traces.assemble import assemble_traces
from datagen.traces.model import Step, Trace
from datagen.traces.prefixes import make_prefixes
from datagen.verify import Outcome
from schemas import Critique, Probe, Seed
from schemas import Rollout as RolloutContract

SLOPPINESS = 0.2
ENDINGS = ("The walk ends at", "That makes")


# ---- the toy walk, told by an instruct model


def walk_from(prompt: str) -> tuple[int, int]:
    """Where the walk stands, and its target."""
    target = int(prompt.rpartition("Reach ")[2].split()[0])
    totals = [line.rpartition("=")[2] for line in prompt.splitlines() if line[:1] == "["]
    return next((int(t) for t in reversed(totals) if t.isdigit()), 0), target


def in_order(steps: list[tuple[Factor, str]]) -> str:
    return "\n".join(f"[{factor.value}] {words}" for factor, words in steps)


def in_bold(steps: list[tuple[Factor, str]]) -> str:
    return "\n\n".join(f"**[{factor.value}]** {words}" for factor, words in steps)


def in_a_list(steps: list[tuple[Factor, str]]) -> str:
    lines = [f"{n}. {f.value}: {words}" for n, (f, words) in enumerate(steps, start=1)]
    return "Sure, here are the steps:\n\n" + "\n".join(lines) + "\n\nLet me know if that helps!"


def in_a_fence(steps: list[tuple[Factor, str]]) -> str:
    return f"```\n{in_order(steps).lower()}\n```"


def in_thought(steps: list[tuple[Factor, str]]) -> str:
    return f"<think>\n{in_order(steps[:-1])}\n</think>\n\n{steps[-1][1]}"


SLOPPY = (in_bold, in_a_list, in_a_fence, in_thought)


def write(request: CompletionRequest) -> str:
    """Add 1 or 2, equally often, until the target is met or overstepped."""
    rng = random.Random(request.seed)
    prompt = flat_text(request.prompt)
    total, target = walk_from(prompt)
    factor = next((f for f in Factor if prompt.endswith(f"\n{opening(f)}")), None)
    begun = factor is not None
    steps: list[tuple[Factor, str]] = []
    while factor is not Factor.ANSWER and (begun or total < target):
        add = rng.choice((1, 2))
        steps.append(
            (factor or rng.choice((Factor.COMPUTE, Factor.PLAN)), f"{total}+{add}={total + add}")
        )
        total, factor, begun = total + add, None, False
    steps.append((Factor.ANSWER, f"{rng.choice(ENDINGS)} \\boxed{{{total}}}."))
    tell = rng.choice(SLOPPY) if rng.random() < SLOPPINESS else in_order
    if prompt.endswith("]"):  # the tag is there
        tail = in_order(steps) if tell is in_order else in_bold(steps).removeprefix("**")
        return tail.removeprefix(opening(steps[0][0]))
    return tell(steps)


def prefer(request: ChoiceRequest) -> list[float]:
    total, target = walk_from(flat_text(request.prompt))
    likely = ["Compute]", "Plan]"] if total < target else ["Answer]"]
    return [0.9 / len(likely) * (choice in likely) for choice in request.choices]


def engine(told: Callable[[ScoreRequest], Score] | None = None, **options: Any) -> FakeEngine:
    return FakeEngine(write, prefer, told or rate, **options)


def rate(request: ScoreRequest) -> Score:
    """True log-probabilities, two tokens a step: tag and words."""
    lines = request.text.splitlines(keepends=True)
    tags = [line.partition(" ")[0] for line in lines]
    likely = [(1.0, 0.5) if tag == "[Answer]" else (0.5, 0.5) for tag in tags]
    logprobs = [math.log(p) for pair in likely for p in pair]
    lengths = [
        n for tag, line in zip(tags, lines, strict=True) for n in (len(tag), len(line) - len(tag))
    ]
    return Score(tuple(logprobs), tuple(accumulate(lengths)))


def counted(request: ScoreRequest) -> Score:
    """One token per step, of which nothing is told."""
    ends = tuple(accumulate(map(len, request.text.splitlines(keepends=True))))
    return Score((math.nan,) * len(ends), ends)


def unscored(_: ScoreRequest) -> Score:
    return Score((), ())


# ---- searches

TARGETS = (3, 4, 5)


def seed(idx: int) -> dict[str, Any]:
    target = TARGETS[idx % len(TARGETS)]
    steps = [f"{at}+1={at + 1}\n" for at in range(target)]
    return {
        "seed_id": f"s{idx}",
        "source": "toy",
        "license": "CC0-1.0",
        "domain": "math",
        "question": toy_question(target, idx),
        "thought": "".join(steps),
        "steps": steps,
        "factors": ["Compute"] * target,
        "answer": str(target),
        "verifier": "numeric",
        "facts": [],
        "meta": "{}",
    }


SEEDS = Seed.from_rows([seed(idx) for idx in range(24)])
PREFIXES = make_prefixes(SEEDS, n_prefixes=1)
SAMPLING = Sampling(max_tokens=100)
CONFIG = GenerateConfig(
    puct=PuctConfig(
        reuse=False,
        n_simulations=4,
        n_root_rollouts=8,
        max_step_tokens=30,
        rollout=SAMPLING,
        dialect=INSTRUCT,
    ),
    beam=BeamConfig(n_root_rollouts=4, max_step_tokens=30, rollout=SAMPLING, dialect=INSTRUCT),
    revise=ReviseConfig(n_chains=4, max_step_tokens=30, rollout=SAMPLING, dialect=INSTRUCT),
    omega=OmegaConfig(
        n_screening=8, n_searches=3, n_rollouts=4, rollout=SAMPLING, dialect=INSTRUCT
    ),
    best_of_n=BestOfNConfig(n=8, rollout=SAMPLING, dialect=INSTRUCT),
)


def run(algorithm: TreeSearch) -> SearchTables:
    with Journal(":memory:") as journal:
        config = replace(CONFIG, algorithm=algorithm)
        return search_prefixes(PREFIXES, engine(), journal, config=config)


@pytest.fixture(scope="module", params=["puct", "beam", "revise", "omega", "best_of_n"])
def found(request: pytest.FixtureRequest) -> SearchTables:
    return run(request.param)


@pytest.mark.slow
def test_a_sloppy_model_is_verified_like_any_other(found: SearchTables) -> None:
    rollouts = found.rollouts
    assert set(rollouts["outcome"]) == {"correct", "wrong"}
    for row in rollouts.iter_rows(named=True):
        # The last sum is where the walk ends, whatever dress it came in.
        assert row["steps"][-2].endswith(f"={row['answer']}")
        assert (row["answer"] == row["gold"]) == (row["outcome"] == "correct")
        assert (row["factors"][-1], row["tail"]) == ("Answer", "")
        doubts = {"DetectError"} if row["algorithm"] == "revise" else set[str]()
        assert set(row["factors"][:-1]) <= {"Compute", "Plan"} | doubts


def test_the_sloppy_share_is_reported_as_it_is(found: SearchTables) -> None:
    share = found.rollouts["sloppy"].mean()
    assert isinstance(share, float)
    assert abs(share - SLOPPINESS) < 4 * math.sqrt(0.16 / found.rollouts.height)


def test_rollouts_succeed_as_often_as_the_walk_does(found: SearchTables) -> None:
    roots = found.rollouts.filter(pl.col("n_given_steps") == 0)
    expected = [toy_value(Trace(toy_question(int(gold)))) for gold in roots["gold"].to_list()]
    share = (roots["outcome"] == "correct").mean()
    assert isinstance(share, float)
    sd = math.sqrt(sum(p * (1 - p) for p in expected)) / roots.height
    assert abs(share - sum(expected) / roots.height) < 4 * sd


def test_trees_hold_the_steps_and_nodes_the_evidence() -> None:
    nodes = run("puct").nodes
    below = nodes.filter(pl.col("depth") > 0)
    assert set(below["factor"]) == {"Compute", "Plan", "Answer"}
    walked = below.filter(pl.col("factor") != "Answer")["text"].to_list()
    assert all(text.partition("=")[2].isdigit() for text in walked)
    answers = below.filter(pl.col("factor") == "Answer")
    assert set(answers["outcome"]) == {"correct", "wrong"}
    assert below.filter(pl.col("outcome") == "unverifiable").is_empty()
    assert below["n_rollouts"].sum() > 0


def test_omega_finds_the_step_that_oversteps_the_target() -> None:
    found: list[bool] = []
    with Journal(":memory:") as journal:
        for idx in range(12):
            verify = verifier_of({"answer": "5", "verifier": "numeric"}, INSTRUCT)
            search = omega(Trace(toy_question(5, idx)), CONFIG.omega, verify)
            tree = Scheduler[OmegaTree](engine(), journal).run([("o", search)])["o"]
            found += [s.first_error_idx == overstep(s.candidate.trace, 5) for s in tree.searched]
    # Four rollouts from a state that succeeds half the time all fail once in sixteen.
    assert len(found) > 20 and sum(found) > 0.75 * len(found)


def test_best_of_n_ranks_replies_whose_log_probabilities_nobody_told() -> None:
    class Silent(FakeEngine):
        async def complete(self, requests: Any) -> list[Completion]:
            told = await super().complete(requests)
            return [replace(c, logprobs=(math.nan,) * c.n_tokens) for c in told]

    verify = verifier_of({"answer": "4", "verifier": "numeric"}, INSTRUCT)
    search = best_of_n(
        Trace(toy_question(4)), n=12, sampling=SAMPLING, verify=verify, dialect=INSTRUCT
    )
    with Journal(":memory:") as journal:
        ranked = Scheduler[Any](Silent(write, prefer), journal).run([("b", search)])["b"].ranked
    assert {r.mean_logprob for r in ranked} == {-math.inf}
    assert [r.vote_share for r in ranked] == sorted((r.vote_share for r in ranked), reverse=True)
    samples = [r.rollout.request.sample_idx for r in ranked if r.vote_share == ranked[0].vote_share]
    assert samples == sorted(samples)
    assert all(r.rollout.reading.min_logprob is None for r in ranked)


# ---- first errors


def overstep(trace: Trace, target: int) -> int:
    """Index of the first step from which the target cannot be met; -1 without one."""
    totals = [int(step.text.rpartition("=")[2]) for step in trace.steps[:-1]]
    return next((idx for idx, total in enumerate(totals) if total > target), -1)


def suspects() -> tuple[list[Suspect], list[Attempt], list[int]]:
    """One wrong trace of each question, root rollouts of all, and the true first errors."""
    wrong: dict[str, Suspect] = {}
    attempts: list[Attempt] = []
    truth: dict[str, int] = {}
    with Journal(":memory:") as journal:
        for idx in range(30):
            target = TARGETS[idx % len(TARGETS)]
            question = toy_question(target, idx)
            verify = verifier_of({"answer": str(target), "verifier": "numeric"}, INSTRUCT)
            search = best_of_n(
                Trace(question), n=6, sampling=SAMPLING, verify=verify, dialect=INSTRUCT
            )
            drawn = Scheduler[Any](engine(), journal).run([("b", search)])["b"].rollouts
            for rollout in drawn:
                correct = rollout.verdict.outcome is Outcome.CORRECT
                attempts.append(Attempt(rollout.trace, correct, question))
                if not correct and question not in wrong:
                    wrong[question] = Suspect(rollout.trace, False, question, verify)
                    truth[question] = overstep(rollout.trace, target)
    return list(wrong.values()), attempts, list(truth.values())


def sought(config: FirstErrorConfig, asked: FakeEngine) -> tuple[FirstErrors, list[int]]:
    traces, attempts, truth = suspects()
    with Journal(":memory:") as journal:
        search = first_errors(traces, attempts, replace(config, dialect=INSTRUCT))
        found = Scheduler[FirstErrors](asked, journal).run([("f", search)])["f"]
    return found, truth


@pytest.mark.slow
def test_first_errors_of_instruct_traces_are_found() -> None:
    found, truth = sought(FirstErrorConfig(sampling=SAMPLING), engine())
    predicted = found.posterior.first_error.argmax(1).tolist()
    assert sum(a == b for a, b in zip(predicted, truth, strict=True)) >= 0.9 * len(truth)


def test_where_nothing_can_be_scored_factors_and_rollouts_decide() -> None:
    found, truth = sought(FirstErrorConfig(sampling=SAMPLING), engine(unscored))
    assert all(s == StepSurprisal(0.0, 0.0) for row in found.surprisals for s in row)
    predicted = found.posterior.first_error.argmax(1).tolist()
    assert sum(a == b for a, b in zip(predicted, truth, strict=True)) >= 0.9 * len(truth)


@pytest.mark.parametrize("prior", ["fitted", "flat"])
def test_where_nothing_can_be_scored_every_step_is_equally_suspect_at_first(
    prior: Literal["fitted", "flat"],
) -> None:
    traces, _, _ = suspects()
    config = FirstErrorConfig(sampling=SAMPLING, prior=prior, max_rollouts=0, dialect=INSTRUCT)
    with Journal(":memory:") as journal:
        search = first_errors(traces, [], config)
        found = Scheduler[FirstErrors](engine(unscored), journal).run([("f", search)])["f"]
    for suspect, row in zip(traces, found.posterior.first_error.tolist(), strict=True):
        n_steps = len(suspect.trace.steps)
        assert row[:n_steps] == pytest.approx([1 / n_steps] * n_steps, rel=0.25)


@pytest.mark.slow
def test_where_no_tokens_are_counted_every_step_costs_the_same() -> None:
    config = FirstErrorConfig(sampling=SAMPLING, prior="flat", max_rollouts=2)
    asked = [
        [[len(rollout.state.steps) for rollout in drawn] for drawn in found.rollouts]
        for found in (sought(config, engine(rate))[0] for rate in (unscored, counted))
    ]
    assert asked[0] == asked[1]
    assert any(asked[0])


@pytest.mark.slow
def test_the_pipeline_labels_instruct_traces_from_beginning_to_end() -> None:
    made = run("best_of_n")
    traces = assemble_traces(SEEDS, PREFIXES, made.rollouts)
    assert traces.filter(pl.col("provenance") == "model").height > 20
    picked = pick_traces(traces, made.rollouts, n_right=1, n_wrong=1)
    config = MeasureConfig(FirstErrorConfig(sampling=SAMPLING, dialect=INSTRUCT))
    with Journal(":memory:") as journal:
        measured = measure_traces(
            picked, traces, made.rollouts, Critique.empty(), engine(), journal, config=config
        )
    Probe.validate(measured.probes)
    RolloutContract.validate(made.rollouts)
    assert set(measured.probes["outcome"]) <= {"correct", "wrong"}
    labels = measured.trace_labels.join(picked, on="trace_id")
    wrong = labels.filter((pl.col("outcome") == "wrong") & (pl.col("n_human_steps") == 0))
    right = [
        row["first_error"]
        == overstep(Trace("", tuple(Step(text) for text in row["steps"])), int(row["gold"]))
        for row in wrong.iter_rows(named=True)
    ]
    assert len(right) > 10 and sum(right) >= 0.8 * len(right)


# ---- the interface


@pytest.mark.parametrize("style", ["native", "instruct"])
def test_a_dialect_travels_to_other_processes_as_itself(style: PromptStyle) -> None:
    assert pickle.loads(pickle.dumps(DIALECTS[style])) == DIALECTS[style]
    assert NATIVE != INSTRUCT


@pytest.mark.parametrize("style", ["native", "instruct"])
def test_a_dialect_reads_back_what_it_asks_a_model_to_go_on_from(style: PromptStyle) -> None:
    dialect = DIALECTS[style]
    state = Trace("How many?", (Step("3 * 6 = 18", Factor.COMPUTE),))
    (bare,) = dialect.rollout_requests(Trace("How many?"), 1, sampling=SAMPLING)
    (request,) = dialect.rollout_requests(state, 1, sampling=SAMPLING)
    written = flat_text(request.prompt).removeprefix(flat_text(bare.prompt))
    completion = Completion(written, "length", (-1.0,), (len(written),))
    assert dialect.read_rollout(replace(completion, finish="stop"), Trace("?")).steps == state.steps
    score = dialect.score_request(state)
    assert score.text == written
    assert [s.n_tokens for s in dialect.read_score(Score((-1.0,), (len(written),)), state)] == [1]


def test_every_word_of_a_prompt_is_in_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = INSTRUCT.fingerprint
    assert before.startswith("instruct-1-") and len(before) == len("instruct-1-") + 8
    seen = {before}
    for module in (instruct, instruct_code, instruct_critique, instruct_rubric):
        for name in [name for name in vars(module) if name.endswith("TASK")]:
            with monkeypatch.context() as patch:
                patch.setattr(module, name, getattr(module, name) + " And smile.")
                seen.add(INSTRUCT.fingerprint)
    assert len(seen) == 1 + 6
    assert NATIVE.fingerprint == "native-1"


def test_journals_know_in_which_dialect_an_engine_was_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(registry.ENGINES, "vllm", lambda _: engine(fingerprint="model"))
    native = registry.open_engine(EngineSettings(kind="vllm", model="m"))
    told = registry.open_engine(EngineSettings(kind="vllm", model="m", prompts="instruct"))
    assert native.fingerprint == "model"
    assert told.fingerprint == f"model:{INSTRUCT.fingerprint}"


def test_the_embedded_reasoner_cannot_be_told_what_to_do_and_says_so() -> None:
    assert not NATIVE.follows_instructions
    with pytest.raises(ConfigError, match=r"engine\.prompts.* no summaries"):
        NATIVE.summary_request(Trace("?"), sampling=Sampling(), sample_idx=0)
    with pytest.raises(ConfigError, match=r"engine\.prompts.* by a rubric"):
        NATIVE.criterion_request("?", "!", "Is short.")


def test_a_critics_thought_is_no_verdict() -> None:
    trace = Trace("3*6?", (Step("3*6=17"), Step("17", Factor.ANSWER)), "17")
    text = "<think>first error: step 1\nQuote: 17\n\\boxed{1}</think>\nQuote: 3*6\n\\boxed{0}"

    def opinion(text: str, finish: Any = "stop") -> Opinion:
        completion = Completion(text, finish, (-1.0,), (len(text),))
        return INSTRUCT.read_critique(completion, trace)

    assert opinion(text) == Opinion(0, "3*6", "Quote: 3*6\n\\boxed{0}")
    assert opinion("<think>Quote: none\n</think>\\boxed{0}").first_error == 0
    assert opinion(text, "length") == Opinion(None, "", text)
    thought = text.partition("</think>")[0]
    assert opinion(thought) == Opinion(None, "", thought)


def test_votes_of_an_instruct_judge_carry_its_name() -> None:
    judge = critique_judge(n_votes=1, dialect=INSTRUCT)
    asking = judge(Trace("?", (Step("x"),)))
    (request,) = next(asking)
    assert request.prompt == INSTRUCT.critique_prompt(Trace("?", (Step("x"),)))
    with pytest.raises(StopIteration) as end:
        asking.send([Completion("\\boxed{-1}", "stop", (-1.0,), (10,))])
    (vote,) = end.value.value
    assert (vote.judge, vote.first_error) == ("instruct_critique", -1)
