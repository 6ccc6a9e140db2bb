"""The label benchmark: who finds first errors best, and for how many generated tokens.

All methods label the same traces over one shared pool of rollouts (one journal), in one run. The
root rollouts that the traces come from are charged to nobody; the scoring pass generates nothing.
What "ours" is compared with is always the best setting of the other method, chosen with the truth
in hand, which no user could do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import polars as pl
import torch

from datagen.bench.cases import CaseSet, Kind, collect, draw_rollouts
from datagen.bench.choosing import choosing_share, tokens_per_second
from datagen.bench.methods import (
    Bench,
    Labelled,
    run_omega,
    run_ours,
    run_prior_bisection,
    run_shepherd,
)
from datagen.bench.scores import exact, processbench_f1, within_one
from datagen.bench.simulated import SCENARIOS, SimulatedConfig, SimulatedPolicy
from datagen.engines.protocol import Engine, Sampling
from datagen.journal import Journal
from datagen.judge import CRITIQUE_SAMPLING, Vote, checker, critique_judge
from datagen.labels.calibration import Calibration, before_first_error, calibration, refit
from datagen.labels.consensus import tally_votes
from datagen.labels.posterior import posterior
from datagen.search.first_error import Attempt, FirstErrorConfig, Suspect
from datagen.traces.model import Trace
from datagen.verify import Outcome

DEFAULT: Final = FirstErrorConfig()
_OURS: Final = (
    (0.0, 0), (0.6, 1), (0.7, 2), (0.8, 3), (0.8, 4), (0.9, 6), (0.9, 12), (0.95, 20), (0.98, 32),
    (0.995, 64),
)  # fmt: skip
"""Settings of ours: mass to stop at, and most rollouts per trace."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How large a run is.

    Attributes:
        n_wrong: wrong traces by kind.
        n_root_rollouts: per question.
        shepherd_ks: rollouts per step of Math-Shepherd, by kind.
        omega_ks: rollouts per prefix of OmegaPRM.
        n_votes: critiques per trace.
        n_simulated: wrong traces of each simulated policy; 0 leaves simulations out.
        n_timed: traces whose next questions are chosen against the clock; 0 leaves it out.
        ours: settings of ours, as pairs of confidence and most rollouts.
    """

    n_wrong: dict[Kind, int] = field(
        default_factory=lambda: {"sampled": 300, "greedy": 150, "planted": 150}
    )
    n_root_rollouts: int = 8
    shepherd_ks: dict[Kind, tuple[int, ...]] = field(
        default_factory=lambda: {
            "sampled": (1, 2, 4, 8),
            "greedy": (1, 2, 4),
            "planted": (1, 2, 4),
        }
    )
    omega_ks: tuple[int, ...] = (1, 2, 4, 8, 16)
    n_votes: int = 3
    n_simulated: int = 150
    n_timed: int = 10_000
    ours: tuple[tuple[float, int], ...] = _OURS


QUICK: Final = Plan(
    n_wrong={"sampled": 26},
    n_root_rollouts=4,
    shepherd_ks={"sampled": (1, 2, 4)},
    omega_ks=(1, 2, 4, 8),
    n_votes=1,
    n_simulated=0,
    n_timed=0,
    ours=((0.0, 0), (0.8, 2), (0.9, 6), (0.9, 12)),
)
"""A run of under a minute, with intervals to match."""


@dataclass(slots=True)
class LabelReport:
    """Everything that the benchmark found.

    Attributes:
        rows: one row per kind of trace and method.
        figures: the headline numbers, as ``--json`` writes them.
        reliability: bins of "comes before the first error", predicted and true, by kind.
        bound: by kind: how often a prefix behind the true first error still reached the answer, and
            how often one before it never did.
    """

    rows: pl.DataFrame
    figures: dict[str, float]
    reliability: dict[str, pl.DataFrame]
    bound: dict[str, dict[str, float]]


def bench_labels(
    engine: Engine, journal: Journal, plan: Plan, *, note: Callable[[str], None]
) -> LabelReport:
    """Run the benchmark.

    Args:
        engine: the embedded reasoner, or a policy that knows its world.
        journal: the pool; a run that was interrupted goes on from it.
        plan: how large.
        note: told what is going on.
    """
    rows: list[dict[str, Any]] = []
    figures: dict[str, float] = {}
    reliability: dict[str, pl.DataFrame] = {}
    bound: dict[str, dict[str, float]] = {}
    for kind, n_wrong in plan.n_wrong.items():
        note(f"{kind} traces: drawing {n_wrong} wrong ones")
        cases = collect(kind, n_wrong, engine, journal, n_root_rollouts=plan.n_root_rollouts)
        run = _KindRun(kind, cases, engine, journal, plan, note)
        rows += run.rows()
        calibrated = run.calibration()
        reliability[kind] = calibrated.table
        bound[kind] = run.bound()
        if kind == "sampled":
            figures |= run.figures() | {"ece": calibrated.ece} | run.consensus()
        else:
            figures |= {f"{kind}_{name}": value for name, value in run.against_omega().items()}
    if plan.n_timed:
        note("time that choosing takes")
        share = choosing_share(tokens_per_second(engine), n_traces=plan.n_timed)
        figures |= {"choosing_share": share.share, "choosing_s": share.search_s}
    if plan.n_simulated:
        for name, config in SCENARIOS.items():
            note(f"simulated policy: {name}")
            rows += _simulated_rows(name, config, plan.n_simulated, plan)
    return LabelReport(pl.DataFrame(rows, infer_schema_length=None), figures, reliability, bound)


def _config(confidence: float, max_rollouts: int, sampling: Sampling) -> FirstErrorConfig:
    return replace(DEFAULT, confidence=confidence, max_rollouts=max_rollouts, sampling=sampling)


def _name(confidence: float, max_rollouts: int) -> str:
    if not max_rollouts:
        return "ours, surprisal only"
    return f"ours, mass {confidence:g}, at most {max_rollouts}"


class _Comparison:
    """Methods run over the same traces, and what the truth says of them."""

    def __init__(self, bench: Bench, truth: Sequence[int], plan: Plan) -> None:
        self.bench, self.plan = bench, plan
        self.truth = np.array(truth, dtype=np.int64)
        self.wrong = np.array([not s.correct for s in bench.suspects])
        self.results: list[Labelled] = []

    def exact(self, labelled: Labelled) -> float:
        """Share of the wrong traces whose first error is found."""
        return float((labelled.predicted == self.truth)[self.wrong].mean())

    def tokens(self, labelled: Labelled) -> float:
        """Tokens per wrong trace."""
        return float(labelled.n_tokens[self.wrong].mean())

    def of(self, family: str) -> list[Labelled]:
        """The settings of one method."""
        return [labelled for labelled in self.results if labelled.family == family]

    def best(self, family: str) -> Labelled:
        """Its setting of greatest accuracy; of equals the cheapest."""
        return max(self.of(family), key=lambda x: (self.exact(x), -self.tokens(x)))

    def named(self, name: str) -> Labelled:
        """One result."""
        return next(labelled for labelled in self.results if labelled.name == name)

    def run_ours(self) -> None:
        """Every setting of ours, then the ablations."""
        sampling = self.bench.sampling
        for confidence, most in self.plan.ours:
            config = _config(confidence, most, sampling)
            self.results.append(run_ours(self.bench, config, _name(confidence, most)))
        flat = replace(_config(DEFAULT.confidence, DEFAULT.max_rollouts, sampling), prior="flat")
        self.results.append(
            run_ours(self.bench, flat, "rollouts only (flat prior)", family="ablation")
        )
        prior = self.named(_name(0.0, 0))
        for k in (2, 4, 8):
            self.results.append(run_prior_bisection(self.bench, prior, k))

    def run_omega(self) -> None:
        """Every setting of OmegaPRM, with and without stop at first success."""
        for k in self.plan.omega_ks:
            for stop in (False, True) if k > 1 else (False,):
                self.results.append(run_omega(self.bench, k, stop_at_first_success=stop))

    def cheapest_at(self, accuracy: float) -> float:
        """Tokens of our cheapest setting that is at least as accurate; infinite without one."""
        return min(
            (self.tokens(x) for x in self.of("ours") if self.exact(x) >= accuracy),
            default=float("inf"),
        )

    def at_tokens(self, n_tokens: float) -> float:
        """Best accuracy among our settings that take no more tokens."""
        return max(self.exact(x) for x in self.of("ours") if self.tokens(x) <= n_tokens)

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """One row per result."""
        return [self._row(kind, labelled) for labelled in self.results]

    def _row(self, kind: str, labelled: Labelled) -> dict[str, Any]:
        truth, wrong = self.truth, self.wrong
        hit = exact(labelled.predicted[wrong], truth[wrong])
        near = within_one(labelled.predicted[wrong], truth[wrong])
        row: dict[str, Any] = {
            "traces": kind,
            "family": labelled.family,
            "method": labelled.name,
            "n_traces": int(wrong.sum()),
            "exact": hit.value,
            "exact_low": hit.low,
            "exact_high": hit.high,
            "within_one": near.value,
            "within_one_low": near.low,
            "within_one_high": near.high,
            "tokens": self.tokens(labelled),
            "rollouts": float(labelled.n_rollouts[wrong].mean()),
            "prefixes": float(labelled.n_prefixes[wrong].mean()),
            "f1": None,
            "f1_low": None,
            "f1_high": None,
            "ece": None,
            "mean_mass": None,
        }
        if (truth < 0).any():
            f1 = processbench_f1(labelled.predicted, truth)
            row |= {"f1": f1.value, "f1_low": f1.low, "f1_high": f1.high}
        if labelled.found is not None:
            found = labelled.found
            gold = torch.from_numpy(truth)
            believed = calibration(*before_first_error(found.posterior, found.batch, gold))
            mass = found.posterior.first_error.max(1).values.numpy()[wrong]
            row |= {"ece": believed.ece, "mean_mass": float(mass.mean())}
        return row


class _KindRun(_Comparison):
    """All methods on one kind of traces from the embedded reasoner."""

    def __init__(
        self,
        kind: Kind,
        cases: CaseSet,
        engine: Engine,
        journal: Journal,
        plan: Plan,
        note: Callable[[str], None],
    ) -> None:
        everything = [*cases.wrong, *cases.right]
        bench = Bench(
            [case.suspect for case in everything], cases.attempts, engine, journal, Sampling()
        )
        super().__init__(bench, [case.truth for case in everything], plan)
        self.kind: Kind = kind
        self.cases = cases
        note(f"{kind} traces: Math-Shepherd")
        shepherds, self.pool = run_shepherd(bench, plan.shepherd_ks[kind])
        note(f"{kind} traces: OmegaPRM")
        self.run_omega()
        self.results += shepherds
        note(f"{kind} traces: ours")
        self.run_ours()

    def rows(self, kind: str = "") -> list[dict[str, Any]]:
        """One row per method."""
        return super().rows(kind or self.kind)

    def figures(self) -> dict[str, float]:
        """The headline numbers."""
        ours = self.named(_name(DEFAULT.confidence, DEFAULT.max_rollouts))
        omega = self.named("OmegaPRM k=8")
        best_omega, best_shepherd = self.best("omega"), self.best("shepherd")
        return {
            "n_traces": int(self.wrong.sum()),
            "ours_exact": self.exact(ours),
            "ours_tokens": self.tokens(ours),
            "omega_exact": self.exact(omega),
            "omega_tokens": self.tokens(omega),
            "omega_best_exact": self.exact(best_omega),
            "shepherd_best_exact": self.exact(best_shepherd),
            "token_ratio_vs_omega": self._ratio(best_omega),
            "token_ratio_vs_shepherd": self._ratio(best_shepherd),
            "gain_at_omega_tokens": self.at_tokens(self.tokens(omega)) - self.exact(omega),
        }

    def against_omega(self) -> dict[str, float]:
        """Cheapest setting of ours that is as accurate as OmegaPRM's best, and its share."""
        best = self.best("omega")
        ours = self.named(_name(DEFAULT.confidence, DEFAULT.max_rollouts))
        return {
            "ours_exact": self.exact(ours),
            "ours_tokens": self.tokens(ours),
            "omega_best_exact": self.exact(best),
            "omega_best_tokens": self.tokens(best),
            "token_ratio_vs_omega": self._ratio(best),
        }

    def _ratio(self, other: Labelled) -> float:
        return self.cheapest_at(self.exact(other)) / self.tokens(other)

    def calibration(self) -> Calibration:
        """Of the default setting: each half of the traces judged by a fit to the other half."""
        found = self.named(_name(DEFAULT.confidence, DEFAULT.max_rollouts)).found
        assert found is not None
        gold = torch.from_numpy(self.truth)
        rows = torch.arange(len(gold))
        predicted: list[float] = []
        happened: list[bool] = []
        for held_out in (rows % 2 == 0, rows % 2 == 1):
            fit_to, judged = rows[~held_out], rows[held_out]
            model = refit(
                found.model,
                found.batch.select(fit_to),
                found.evidence(fit_to),
                gold[fit_to],
                roots=found.roots,
            )
            batch = found.batch.select(judged)
            belief = posterior(model, batch, found.evidence(judged))
            p, y = before_first_error(belief, batch, gold[judged])
            predicted += p.tolist()
            happened += y.tolist()
        return calibration(predicted, happened)

    def consensus(self) -> dict[str, float]:
        """How exact, and how many, are the wrong traces on which posterior and judges agree."""
        found = self.named(_name(DEFAULT.confidence, DEFAULT.max_rollouts))
        assert found.found is not None
        critic = critique_judge(n_votes=self.plan.n_votes, sampling=CRITIQUE_SAMPLING)
        traces = [case.trace for case in self.cases.wrong]
        by_model: list[list[Vote]] = self.bench.run(critic(trace) for trace in traces)
        by_checker: list[list[Vote]] = self.bench.run(checker(trace) for trace in traces)
        verdicts = [
            tally_votes([*model, *proof]) for model, proof in zip(by_model, by_checker, strict=True)
        ]
        judged = np.array([-2 if v.first_error is None else v.first_error for v in verdicts])
        n = len(traces)
        mass = found.found.posterior.first_error.max(1).values.numpy()[:n]
        agree = (judged == found.predicted[:n]) & (mass >= 0.5)
        hit = found.predicted[:n] == self.truth[:n]
        tokens = sum(vote.n_tokens for votes in by_model for vote in votes)
        return {
            "consensus_exact": float(hit[agree].mean()) if agree.any() else 0.0,
            "consensus_retention": float(agree.mean()),
            "judge_exact": float((judged == self.truth[:n]).mean()),
            "judge_tokens": tokens / n,
        }

    def bound(self) -> dict[str, float]:
        """What rollouts can show at best, from the pool that Math-Shepherd drew."""
        behind: list[bool] = []
        before: list[bool] = []
        for case, rollouts in zip(self.cases.wrong, self.pool, strict=False):
            for n_steps in range(1, len(case.trace.steps)):
                right = any(
                    r.verdict.outcome is Outcome.CORRECT
                    for r in rollouts
                    if len(r.state.steps) == n_steps
                )
                (behind if n_steps > case.truth else before).append(right)
        return {
            "rollouts_per_prefix": max(self.plan.shepherd_ks[self.kind]),
            "reached_behind_error": float(np.mean(behind)) if behind else float("nan"),
            "never_reached_before_error": 1 - float(np.mean(before)) if before else float("nan"),
        }


def _simulated_rows(name: str, config: SimulatedConfig, n: int, plan: Plan) -> list[dict[str, Any]]:
    """All methods but Math-Shepherd on one simulated policy."""
    policy = SimulatedPolicy(config, seed=1)
    engine = policy.engine(batch_size=4096)
    with Journal(":memory:") as journal:
        suspects, attempts, truth = _simulated_suspects(policy, n, engine, journal)
        bench = Bench(suspects, attempts, engine, journal, Sampling())
        comparison = _Comparison(bench, truth, plan)
        comparison.run_omega()
        comparison.run_ours()
    return comparison.rows(f"simulated: {name}")


def _simulated_suspects(
    policy: SimulatedPolicy, n: int, engine: Engine, journal: Journal, *, n_roots: int = 8
) -> tuple[list[Suspect], list[Attempt], list[int]]:
    """One wrong trace per question, for ``n`` questions, and the root rollouts of all."""
    suspects: list[Suspect] = []
    attempts: list[Attempt] = []
    truth: list[int] = []
    questions = policy.questions(8 * n)
    verify = policy.verify(questions[0])
    for start in range(0, len(questions), n):
        block = questions[start : start + n]
        states = [Trace(question) for question in block]
        drawn = draw_rollouts(states, [verify] * len(block), n_roots, engine, journal)
        for question, rollouts in zip(block, drawn, strict=True):
            attempts += [
                Attempt(r.trace, r.verdict.outcome is Outcome.CORRECT, question) for r in rollouts
            ]
            wrong = [r.trace for r in rollouts if r.verdict.outcome is Outcome.WRONG]
            if wrong and policy.first_error(wrong[0]) >= 0 and len(suspects) < n:
                suspects.append(Suspect(wrong[0], False, question, verify))
                truth.append(policy.first_error(wrong[0]))
        if len(suspects) == n:
            break
    return suspects, attempts, truth
