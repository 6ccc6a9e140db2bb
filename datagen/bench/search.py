"""The search benchmark: how many different right traces a token buys, on questions that are hard.

Sampling again and again finds right traces of a hard question rarely, and always has to write them
from the first word. A search goes on from beginnings that did well. The two get the same tokens of
each question, everything generated counted, and only traces that differ in two steps or more count
as two. Which questions are hard is told by rollouts of their own, which neither may use.
"""

import random
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import polars as pl

from datagen.bench.cases import verify_world
from datagen.bench.scores import Ints, bootstrap
from datagen.engines.protocol import Answer, Completion, Engine, Request, Sampling
from datagen.engines.team import EngineTeam, members_of
from datagen.export import export_policy_value
from datagen.guides import load_guide
from datagen.guides.training import Schedule, TwoHeadsReport, train_two_heads
from datagen.journal import Journal
from datagen.prompts.native import rollout_requests
from datagen.reasoner.world import Problem, draw_problem
from datagen.search.evidence import Rollout
from datagen.search.expansion import Replica
from datagen.search.generate import GenerateConfig
from datagen.search.puct import PuctConfig, puct
from datagen.search.run import search_prefixes
from datagen.search.scheduler import Scheduler
from datagen.search.tree import SearchTree, TreeNode
from datagen.search.waves import Search
from datagen.traces.distance import edit_distance
from datagen.traces.model import Trace
from datagen.verify import Outcome
from schemas import Prefix

FIGURES: Final = (
    *("n_questions", "puct_verified_per_1k", "rejection_verified_per_1k"),
    *("ratio", "ratio_low", "ratio_high"),
)
"""The figures that every report has, in this order."""

HARD: Final = 0.3
"""Questions that the policy solves less often than this are hard."""

MIN_EDITS: Final = 2
"""Fewest steps in which two different traces differ."""

_RNG_SEED: Final = 60_000_011
_TRAINING_SEED: Final = 60_000_013
_SCREENING_FROM: Final = 1_000_000
"""Sample index from which on rollouts only tell which questions are hard."""
_WAVE: Final = 16

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """How large a run is.

    Attributes:
        n_problems: drawn; those that are hard are searched.
        n_events: of a problem, drawn from these.
        n_screening: rollouts that tell if a problem is hard.
        puct: the search that is measured.
        variants: further settings of it, by name, for the detail.
        n_training: problems searched for the data of the two-headed model; 0 leaves it out.
        guide_prior: weight of its policy in the prior.
        guide_value: weight of its value against the rollouts'.
        schedule: of its training.
    """

    n_problems: int = 60
    n_events: tuple[int, ...] = (6, 7, 8)
    n_screening: int = 48
    puct: PuctConfig = field(
        default_factory=lambda: PuctConfig(
            n_simulations=48, n_root_rollouts=4, c_puct=0.5, replicas=(Replica(1.0),)
        )
    )
    variants: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {
            "without reuse of rollouts": {"reuse": False},
            "c_puct 1.5": {"c_puct": 1.5},
        }
    )
    n_training: int = 100
    guide_prior: float = 0.5
    guide_value: float = 0.5
    schedule: Schedule = field(default_factory=lambda: Schedule(epochs=4))


QUICK: Final = SearchPlan(n_problems=40, n_screening=32, variants={}, n_training=0)
"""The short run."""


class Yield(NamedTuple):
    """What one method got out of one question.

    Attributes:
        traces: its right traces, in the order of finding.
        n_tokens: tokens generated for all that it did.
    """

    traces: list[Trace]
    n_tokens: int


@dataclass(frozen=True, slots=True)
class SearchReport:
    """What was found.

    Attributes:
        figures: those of :data:`FIGURES`; with a two-headed model also ``guided_verified_per_1k``,
            and ``guided_gain`` over the unguided search with its interval.
        detail: the questions, the settings, and further comparisons.
    """

    figures: dict[str, Any]
    detail: dict[str, Any]


def bench_search(
    engine: Engine,
    journal: Journal,
    plan: SearchPlan,
    *,
    checkpoint: Path,
    out: Path,
    note: Callable[[str], None],
) -> SearchReport:
    """Compare the search with plain sampling, and with itself under a trained model.

    Args:
        engine: the policy; it must know the embedded reasoner's world.
        journal: where its answers go.
        plan: sizes and settings.
        checkpoint: folder of the language model that lends the two-headed model its trunk.
        out: folder for that model.
        note: is told what comes next.
    """
    bench = _Bench(engine, journal, note)
    problems = _draw(plan.n_problems, plan.n_events, _RNG_SEED)
    note(f"{len(problems)} problems, {plan.n_screening} rollouts each to find the hard ones")
    rates = bench.solve_rates(problems, plan.n_screening)
    hard = [p for p, rate in zip(problems, rates, strict=True) if rate < HARD]
    configs = {"puct": plan.puct}
    configs |= {name: replace(plan.puct, **more) for name, more in plan.variants.items()}
    found = {name: bench.search(name, hard, config) for name, config in configs.items()}
    report: TwoHeadsReport | None = None
    if plan.n_training:
        report = _train(bench, plan, checkpoint, out)
        team = EngineTeam(engine, guide=load_guide(out))
        guided = replace(
            plan.puct,
            guide=members_of(team).guide,
            guide_prior=plan.guide_prior,
            guide_value=plan.guide_value,
        )
        found["guided"] = _Bench(team, journal, note).search("guided", hard, guided)
    most = [max(ways[idx].n_tokens for ways in found.values()) for idx in range(len(hard))]
    note("plain sampling with the same tokens")
    sampled = bench.sample(hard, most)
    return _report(plan, rates, found, sampled, report)


def n_distinct(traces: Iterable[Trace]) -> int:
    """How many traces differ in :data:`MIN_EDITS` steps or more from all counted before them."""
    kept: list[Trace] = []
    for trace in traces:
        if all(edit_distance(trace, other) >= MIN_EDITS for other in kept):
            kept.append(trace)
    return len(kept)


class _Bench:
    """Runs searches over many questions side by side, and counts what each had generated."""

    def __init__(self, engine: Engine, journal: Journal, note: Callable[[str], None]) -> None:
        self.engine, self.journal, self.note = engine, journal, note

    def solve_rates(self, problems: Sequence[Problem], n: int) -> list[float]:
        drawn = self._run([_rollouts(p, n, first=_SCREENING_FROM, enough=None) for p in problems])
        return [
            sum(r.verdict.outcome is Outcome.CORRECT for r in rollouts) / n for rollouts, _ in drawn
        ]

    def search(self, name: str, problems: Sequence[Problem], config: PuctConfig) -> list[Yield]:
        self.note(f"search: {name}")
        trees = self._run([puct(Trace(p.question), config, verify_world(p)) for p in problems])
        return [Yield(_right_traces(tree), n_tokens) for tree, n_tokens in trees]

    def sample(self, problems: Sequence[Problem], n_tokens: Sequence[int]) -> list[list[Rollout]]:
        drawn = self._run(
            [
                _rollouts(p, _WAVE, first=0, enough=most)
                for p, most in zip(problems, n_tokens, strict=True)
            ]
        )
        return [rollouts for rollouts, _ in drawn]

    def _run(self, searches: Sequence[Search[T]]) -> list[tuple[T, int]]:
        scheduler = Scheduler[tuple[T, int]](self.engine, self.journal)
        named = [(str(idx), _metered(search)) for idx, search in enumerate(searches)]
        results = scheduler.run(iter(named), n_searches=len(named))
        return [results[name] for name, _ in named]


def _metered(search: Search[T]) -> Search[tuple[T, int]]:
    """A search that also tells how many tokens were generated for it; a sample counts once."""
    seen: dict[str, int] = {}
    requests = next(search)
    while True:
        answers = yield requests
        for request, answer in zip(requests, answers, strict=False):
            if isinstance(answer, Completion):
                seen[request.identity] = answer.n_tokens
        try:
            requests = search.send(answers)
        except StopIteration as end:
            return end.value, sum(seen.values())


def _rollouts(
    problem: Problem, n: int, *, first: int, enough: int | None
) -> Generator[Sequence[Request], Sequence[Answer], list[Rollout]]:
    """``n`` rollouts of the bare question; with ``enough``, so many again until it is spent."""
    root, verify = Trace(problem.question), verify_world(problem)
    found: list[Rollout] = []
    while not found or (enough is not None and sum(r.n_tokens for r in found) < enough):
        requests = rollout_requests(root, n, sampling=Sampling(), first=first + len(found))
        answers = yield requests
        for request, answer in zip(requests, answers, strict=True):
            assert isinstance(answer, Completion)
            found.append(Rollout.read("best_of_n", root, request, answer, verify))
    return found


def _right_traces(tree: SearchTree[TreeNode]) -> list[Trace]:
    """Rollouts that ended right, then ends of the tree that did."""
    ends = [n for n in tree.nodes() if n.verdict and n.verdict.outcome is Outcome.CORRECT]
    return [*_right(tree.rollouts), *(node.state for node in ends)]


def _right(rollouts: Iterable[Rollout]) -> list[Trace]:
    return [r.trace for r in rollouts if r.ended and r.verdict.outcome is Outcome.CORRECT]


def _within(rollouts: Sequence[Rollout], n_tokens: int) -> Yield:
    """The first rollouts that so many tokens pay for; what the last one is short of stays unspent.

    Plain sampling is charged only for what it drew, so it never pays for tokens that it lacks.
    """
    spent = np.cumsum([rollout.n_tokens for rollout in rollouts])
    n = int(np.searchsorted(spent, n_tokens, side="right"))
    return Yield(_right(rollouts[:n]), int(spent[n - 1]) if n else 0)


def _draw(n: int, n_events: Sequence[int], seed: int) -> list[Problem]:
    rng = random.Random(seed)
    return [draw_problem(rng, n_events=rng.choice(n_events)) for _ in range(n)]


def _train(bench: _Bench, plan: SearchPlan, checkpoint: Path, out: Path) -> TwoHeadsReport:
    """Search other problems, and train the two-headed model on what the trees say."""
    bench.note(f"search: {plan.n_training} other problems, to learn from")
    prefixes = Prefix.from_rows(
        [
            _prefix(problem, idx)
            for idx, problem in enumerate(_draw(plan.n_training, plan.n_events, _TRAINING_SEED))
        ]
    )
    config = GenerateConfig(algorithm="puct", puct=plan.puct)
    tables = search_prefixes(prefixes, bench.engine, bench.journal, config=config)
    rows: pl.DataFrame = export_policy_value(tables.nodes, tables.rollouts, prefixes)
    bench.note(f"training on {rows.height:,} states")
    return train_two_heads(rows, checkpoint=checkpoint, out=out, schedule=plan.schedule)


def _prefix(problem: Problem, idx: int) -> dict[str, Any]:
    """The bare question as a row of ``prefixes``."""
    return {
        "prefix_id": f"problem{idx}@0",
        "seed_id": f"problem{idx}",
        "question": problem.question,
        "steps": [],
        "factors": [],
        "n_steps": 0,
        "n_seed_steps": 1,
        "answer": str(problem.answer),
        "verifier": "numeric",
    }


def _report(
    plan: SearchPlan,
    rates: Sequence[float],
    found: dict[str, list[Yield]],
    sampled: Sequence[Sequence[Rollout]],
    trained: TwoHeadsReport | None,
) -> SearchReport:
    hard = [rate for rate in rates if rate < HARD]
    ours = found["puct"]
    figures: dict[str, Any] = {"n_questions": len(hard)}
    compared = {
        name: _compare(
            ways, [_within(r, way.n_tokens) for r, way in zip(sampled, ways, strict=True)]
        )
        for name, ways in found.items()
    }
    figures |= {
        "puct_verified_per_1k": compared["puct"]["verified_per_1k"],
        "rejection_verified_per_1k": compared["puct"]["other_per_1k"],
        **{name: compared["puct"][name] for name in ("ratio", "ratio_low", "ratio_high")},
    }
    if trained is not None:
        gain = _compare(found["guided"], ours)
        figures["guided_verified_per_1k"] = gain["verified_per_1k"]
        figures |= {f"guided_gain{end}": gain[f"ratio{end}"] for end in ("", "_low", "_high")}
    detail: dict[str, Any] = {
        "n_problems": len(rates),
        "mean_solve_rate": float(np.mean(hard)) if hard else None,
        "tokens_per_question": float(np.mean([way.n_tokens for way in ours])) if ours else None,
        "against_rejection": compared,
        "trained": None if trained is None else _plain(trained),
        "guide_prior": plan.guide_prior,
        "guide_value": plan.guide_value,
    }
    return SearchReport(figures, detail)


def _plain(report: TwoHeadsReport) -> dict[str, Any]:
    return {name: getattr(report, name) for name in report.__slots__}


def _compare(ways: Sequence[Yield], others: Sequence[Yield]) -> dict[str, float]:
    """Distinct right traces per 1,000 tokens of both, and the ratio with its interval.

    The interval is a bootstrap over questions.
    """
    sums = np.array(
        [
            (n_distinct(a.traces), a.n_tokens, n_distinct(b.traces), b.n_tokens)
            for a, b in zip(ways, others, strict=True)
        ],
        np.float64,
    )

    def ratio(rows: Ints) -> float:
        ours, tokens, theirs, their_tokens = sums[rows].sum(axis=0)
        if not theirs or not tokens:
            return float("nan")
        return float((ours / tokens) / (theirs / their_tokens))

    found = bootstrap(ratio, len(sums))
    ours, tokens, theirs, their_tokens = sums.sum(axis=0)
    return {
        "verified_per_1k": float(1000 * ours / tokens),
        "other_per_1k": float(1000 * theirs / their_tokens),
        "ratio": found.value,
        "ratio_low": found.low,
        "ratio_high": found.high,
    }
