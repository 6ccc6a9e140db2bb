"""The verifiers, trained on the same traces with different labels, and what they can do.

The replies that they choose from are the base's own, the same for all of them and for the majority.
Traces to learn from are of the training questions, ways of using a verifier are settled on the
development questions, and first errors are compared with what the world's oracle says.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from datagen.bench.cases import verify_world
from datagen.bench.downstream.figures import f1_of
from datagen.bench.downstream.findings import DownstreamReport
from datagen.bench.downstream.labelling import LABELLINGS, Labelling, judged, label_traces
from datagen.bench.downstream.plan import Plan
from datagen.bench.downstream.questions import Questions
from datagen.bench.downstream.scaling import Values, scaling_curve
from datagen.bench.downstream.selection import (
    RULES,
    Ballot,
    Rule,
    accuracy,
    best_rule,
    by_rule,
    majority,
)
from datagen.bench.downstream.students import attempts, is_right, solve_rates
from datagen.bench.downstream.verifiers import (
    Judged,
    Reader,
    Remembered,
    Text,
    Verifier,
    outcome_rows,
)
from datagen.bench.methods import Bench
from datagen.bench.scores import Ints
from datagen.engines.protocol import Engine, Sampling
from datagen.guides.processbench import evaluate_processbench
from datagen.journal import Journal
from datagen.reasoner.oracle import first_error
from datagen.reasoner.world import Problem
from datagen.search.evidence import Rollout
from datagen.search.first_error import Attempt, Suspect
from datagen.traces.model import Trace

N_CHOSEN = 8
"""Replies that a verifier chooses from, but for the scaling curve."""

_UNTRAINED: Final = Rule("least", "best")
"""Take the reply whose least likely word is likeliest."""

Drawn = Sequence[Sequence[Rollout]]
"""Replies to each question."""


class Traces(NamedTuple):
    """What is labelled: wrong traces with the oracle's first errors, and right ones."""

    wrong: list[Trace]
    truth: list[int]
    right: list[Trace]
    bench: Bench


class Verification:
    """Labels traces, trains verifiers, and lets them choose.

    Args:
        engine: the base.
        journal: its answers.
        plan: how large.
        questions: the three sets.
        checkpoint: of the base, which reads for the verifiers.
        report: where figures go.
        note: is told what comes next.
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        plan: Plan,
        questions: Questions,
        *,
        checkpoint: Path,
        report: DownstreamReport,
        note: Callable[[str], None],
    ) -> None:
        self._engine, self._journal, self._plan, self._questions = engine, journal, plan, questions
        self._reader = Reader(checkpoint)
        self._report, self._note = report, note

    def run(self, traces: pl.DataFrame, drawn: Drawn) -> Verifier:
        """Run all of it.

        Args:
            traces: table ``traces`` of our data, from which the outcome reward model learns.
            drawn: the base's replies to the test questions.

        Returns:
            The process reward model on our labels, of the first seed.
        """
        plan, report = self._plan, self._report
        self._note(f"dev: {N_CHOSEN} replies to each of {plan.n_dev} questions")
        dev = attempts(self._engine, self._journal, self._questions.dev, N_CHOSEN)
        scored = [group[: plan.n_scored] for group in drawn]
        ballots = [Ballot.of(group) for group in scored]
        voted = accuracy(ballots, N_CHOSEN, lambda row, some: majority(ballots[row], some))[None]
        report.say("majority8", voted)
        report.say("base_pass1_same_replies", solve_rates(scored)[None])
        rows, gold = processbench_rows(self._questions.test, scored)
        dev_rows, _ = processbench_rows(self._questions.dev, dev)
        report.detail["n_processbench"] = {"test": rows.height, "dev": dev_rows.height}

        labelled = self._labelled()
        chosen: dict[Labelling, tuple[list[Verifier], Rule]] = {
            name: self._settled(f"prm_{name}", labelled[name], RULES, dev)
                  for name in LABELLINGS}  # fmt: skip
        hits: dict[Labelling, Any] = {}
        self._note(f"verifiers read {sum(map(len, scored)):,} replies")
        for name, (prms, rule) in chosen.items():
            values = [_step_values(prm, scored) for prm in prms]
            report.detail[f"prm8_{name}_by_rule"] = _means(ballots, values)
            hits[name] = np.stack([by_rule(ballots, v, N_CHOSEN, rule) for v in values])
            report.say(f"prm8_{name}", hits[name])
            found = [_found_errors(prm, rows, dev_rows) for prm in prms]
            report.say(f"f1_{name}", f1_of(np.stack(found), gold))
        report.compare("prm8_ours_over_majority", hits["ours"], voted)
        report.compare("prm8_ours_over_shepherd", hits["ours"], hits["shepherd"])
        report.compare("prm8_ours_over_omega", hits["ours"], hits["omega"])
        unlabelled = by_rule(ballots, self._confidences(scored), N_CHOSEN, _UNTRAINED)[None]
        report.say("surprisal8", unlabelled)
        report.compare("prm8_ours_over_surprisal", hits["ours"], unlabelled)
        prms, rule = chosen["ours"]
        self._scale(traces, drawn, dev, prms[0], rule)
        return prms[0]

    def _confidences(self, drawn: Drawn) -> Values:
        """How probable the base finds the least likely word of each step, without any label."""
        return [
            [self._reader.confidences(Text.of(rollout.trace)) for rollout in group]
            for group in drawn
        ]

    def _labelled(self) -> dict[Labelling, list[Judged]]:
        """The rows of each process reward model."""
        traces = self._traces()
        plan, report = self._plan.labels, self._report
        labels = label_traces(traces.bench, traces.truth, plan, note=self._note)
        report.detail["label_traces"] = {"wrong": len(traces.wrong), "right": len(traces.right)}
        for name, found in labels.items():
            report.figures[f"label_tokens_{name}"] = found.n_tokens
            report.figures[f"label_traces_{name}"] = len(found.rows)
            report.figures[f"label_exact_{name}"] = found.exact
            report.detail[f"label_setting_{name}"] = found.setting
        return {name: judged(traces.wrong, labels[name], traces.right) for name in LABELLINGS}

    def _traces(self) -> Traces:
        """Traces of the training questions, from the rollouts that our data began with.

        Wrong ones that the oracle calls sound, of which only the visible answer is off, are left
        out: no step of theirs is wrong.
        """
        problems, most = self._questions.train, self._plan.labels.n_per_question
        n = self._plan.generation.n_root
        found = Traces([], [], [], Bench([], [], self._engine, self._journal, Sampling()))
        suspects: list[Suspect] = []
        roots: list[Attempt] = []
        for problem, group in zip(
            problems, attempts(self._engine, self._journal, problems, n), strict=True
        ):
            whole = [r for r in group if r.ended]
            roots += [Attempt(r.trace, is_right(r), problem.question) for r in whole]
            unique = {r.trace: r for r in whole if len(r.trace.steps) > 1}
            wrong = {
                trace: first_error(problem, trace.steps)
                for trace, rollout in unique.items()
                if not is_right(rollout)
            }
            for trace in [trace for trace, error in wrong.items() if error >= 0][:most]:
                found.wrong.append(trace)
                found.truth.append(wrong[trace])
                suspects.append(Suspect(trace, False, problem.question, verify_world(problem)))
            found.right.extend([t for t, rollout in unique.items() if is_right(rollout)][:most])
        bench = Bench(suspects, roots, self._engine, self._journal, Sampling())
        return found._replace(bench=bench)

    def _settled(
        self, name: str, rows: Sequence[Judged], rules: Sequence[Rule], dev: Drawn
    ) -> tuple[list[Verifier], Rule]:
        """Verifiers of all seeds, trained and used as does best on the development questions."""
        ballots = [Ballot.of(group) for group in dev]
        tried: list[tuple[float, list[Verifier], Rule]] = []
        for recipe in self._plan.verifiers:
            self._note(f"{name}: verifiers, {len(rows):,} rows, {recipe.n_steps} steps")
            verifiers = [Verifier(rows, self._reader, recipe, seed=seed)
                         for seed in self._plan.seeds]  # fmt: skip
            means = _means(ballots, [_step_values(verifier, dev) for verifier in verifiers])
            rule = best_rule({rule: means[str(rule)] for rule in rules})
            tried.append((means[str(rule)], verifiers, rule))
            self._report.detail[f"{name}_dev_{recipe.n_steps}"] = means
        best = max(range(len(tried)), key=lambda idx: tried[idx][0])
        _, verifiers, rule = tried[best]
        self._report.detail[f"{name}_steps"] = self._plan.verifiers[best].n_steps
        self._report.detail[f"{name}_rule"] = str(rule)
        return verifiers, rule

    def _scale(
        self, traces: pl.DataFrame, drawn: Drawn, dev: Drawn, prm: Verifier, prm_rule: Rule
    ) -> None:
        """The outcome reward model, and the scaling curve."""
        rows = outcome_rows(traces)
        # It has a label for the whole reply only, so there is nothing to fold.
        [orm, *_], rule = self._settled("orm", rows, [r for r in RULES if r.fold == "last"], dev)
        self._report.detail["orm_rows"] = len(rows)
        self._note(f"scaling: two verifiers read {sum(map(len, drawn)):,} replies")
        self._report.scaling = scaling_curve(
            [Ballot.of(group) for group in drawn],
            {
                "orm": (_step_values(orm, drawn), rule),
                "prm": (_step_values(prm, drawn), prm_rule),
            },
        )


def processbench_rows(problems: Sequence[Problem], drawn: Drawn) -> tuple[pl.DataFrame, Ints]:
    """The first wrong and the first right reply to each question, and the oracle's first errors.

    A sound thought with a wrong answer behind it, or the other way round, is no row of ProcessBench
    and left out.
    """
    rows: list[dict[str, Any]] = []
    for problem, group in zip(problems, drawn, strict=True):
        whole = [r for r in group if r.ended and r.trace.steps]
        for right in (False, True):
            for rollout in [r for r in whole if is_right(r) == right][:1]:
                error = first_error(problem, rollout.trace.steps)
                if (error < 0) == right:
                    text = Text.of(rollout.trace)
                    rows.append(
                        {"problem": text.question, "steps": list(text.steps), "label": error}
                    )
    frame = pl.DataFrame(
        rows, schema={"problem": pl.String, "steps": pl.List(pl.String), "label": pl.Int64}
    )
    return frame, frame["label"].to_numpy()


def _found_errors(verifier: Verifier, rows: pl.DataFrame, dev_rows: pl.DataFrame) -> Ints:
    """First errors that a verifier finds, by the threshold that does best on ``dev_rows``."""
    texts = [
        Text(problem, tuple(steps))
        for frame in (rows, dev_rows)
        for problem, steps in frame.select("problem", "steps").iter_rows()
    ]
    return evaluate_processbench(rows, Remembered(verifier, texts), tune_on=dev_rows).predicted


def _means(ballots: Sequence[Ballot], values: Sequence[Values]) -> dict[str, float]:
    """How often a verifier chooses right by each rule, over its seeds and all questions."""
    return {
        str(rule): float(np.mean([by_rule(ballots, each, N_CHOSEN, rule) for each in values]))
        for rule in RULES
    }


def _step_values(verifier: Verifier, drawn: Drawn) -> Values:
    """What a verifier says of each step of each reply."""
    values = iter(verifier.values([Text.of(rollout.trace) for group in drawn for rollout in group]))
    return [[next(values) for _ in group] for group in drawn]
