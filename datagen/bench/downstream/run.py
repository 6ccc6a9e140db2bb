"""The downstream benchmark: does what the pipeline makes teach anything, and more than the rest?

Everything is measured on questions that nothing was trained or settled on. Where two things are
compared they have had the same: students the same generated tokens, training steps and start;
process reward models the same network, right traces and tokens of rollouts to label wrong ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from datagen.bench.downstream.findings import DownstreamReport
from datagen.bench.downstream.generation import Generated, generate_ours, sample_right
from datagen.bench.downstream.metered import MeteredJournal
from datagen.bench.downstream.plan import Plan
from datagen.bench.downstream.questions import as_seeds, draw_questions
from datagen.bench.downstream.reinforce import reinforce
from datagen.bench.downstream.students import (
    Floats,
    attempts,
    open_student,
    solve_rates,
    train_student,
)
from datagen.bench.downstream.verification import Verification
from datagen.bench.downstream.verifiers import Verifier
from datagen.curate import CurateConfig, describe_questions
from datagen.engines.protocol import Engine
from datagen.engines.team import EngineTeam
from datagen.export import export_rl
from datagen.reasoner.world import Problem
from datagen.search.evidence import Rollout
from schemas import CodeSeed, CodeTask

FIGURES: Final = (
    *("base_pass1", "rejection_sft_pass1", "ours_sft_pass1"),
    *("majority8", "prm8_ours", "prm8_shepherd", "prm8_omega"),
    *("f1_ours", "f1_shepherd", "f1_omega", "round2_pass1"),
)
"""The figures that every report has, each with ``_low`` and ``_high``."""


def bench_downstream(
    journal: MeteredJournal,
    plan: Plan,
    *,
    checkpoint: Path,
    out: Path,
    note: Callable[[str], None],
) -> DownstreamReport:
    """Run the benchmark; one that was stopped goes on from its journal and its checkpoints.

    Args:
        journal: answers of all policies.
        plan: how large.
        checkpoint: the reasoner, which must know the embedded world.
        out: folder for checkpoints.
        note: is told what comes next.
    """
    out.mkdir(parents=True, exist_ok=True)
    engine = open_student(checkpoint)
    try:
        return _Run(engine, journal, plan, checkpoint, out, note).report()
    finally:
        engine.close()


@dataclass(frozen=True, slots=True)
class _Students:
    """Trainings of one kind, one per seed.

    Attributes:
        folders: checkpoints, by seed.
        sampled: share of right replies at temperature 1, ``(n_seeds, n_questions)``.
    """

    folders: list[Path]
    sampled: Floats


class _Run:
    """The stages, in the order in which they need each other."""

    def __init__(
        self,
        engine: Engine,
        journal: MeteredJournal,
        plan: Plan,
        checkpoint: Path,
        out: Path,
        note: Callable[[str], None],
    ) -> None:
        self.engine, self.journal, self.plan = engine, journal, plan
        self.base, self.out, self.note = checkpoint, out, note
        self.questions = draw_questions(
            plan.n_train, plan.n_dev, plan.n_test, n_events=plan.n_events
        )
        self.found = DownstreamReport(
            detail={
                "n_train": plan.n_train,
                "n_dev": plan.n_dev,
                "n_questions": plan.n_test,
                "n_events": list(plan.n_events),
                "seeds": list(plan.seeds),
                "n_samples": plan.n_samples,
                "n_student_samples": plan.n_student_samples,
                "sft_steps": plan.sft.n_steps,
            }
        )

    def report(self) -> DownstreamReport:
        """Run everything."""
        seeds = as_seeds(self.questions.train, self.out / "questions.jsonl")
        drawn, base = self._base()
        ours = self._generated("ours", seeds, self.engine)
        students = self._compared(ours, base)
        verification = Verification(
            self.engine,
            self.journal,
            self.plan,
            self.questions,
            checkpoint=self.base,
            report=self.found,
            note=self.note,
        )
        prm = verification.run(ours.traces, drawn)
        if self.plan.rl.n_steps:
            self._reinforcement(seeds, ours, students)
        self._second_round(seeds, students, prm, base)
        return self.found

    def _base(self) -> tuple[list[list[Rollout]], Floats]:
        """Measure the base; verifiers will choose from its replies to the test questions."""
        plan, test = self.plan, self.questions.test
        self.note(f"base: {plan.n_samples} replies to each of {plan.n_test} test questions")
        drawn = attempts(self.engine, self.journal, test, plan.n_samples)
        greedy = attempts(self.engine, self.journal, test, 1, greedy=True)
        sampled = solve_rates(drawn)[None]
        self.found.say("base_pass1", sampled)
        self.found.say("base_greedy", solve_rates(greedy)[None])
        self.found.detail["base_pass1_by_events"] = self._by_events(sampled)
        return drawn, sampled

    def _generated(self, name: str, seeds: pl.DataFrame, engine: Engine) -> Generated:
        self.note(f"{name}: data from {seeds.height} questions")
        made = generate_ours(seeds, engine, self.journal, self.plan.generation)
        self.found.detail[f"{name}_data"] = made.figures()
        self.note(f"{name}: {len(made.lessons):,} rows for {made.n_tokens:,} tokens")
        return made

    def _compared(self, ours: Generated, base: Floats) -> _Students:
        """Students on our data beside students on rejection samples."""
        self.note(f"rejection sampling: data for {ours.n_tokens:,} tokens")
        rejection = sample_right(
            self.questions.train, self.engine, self.journal, n_tokens=ours.n_tokens
        )
        self.found.detail["rejection_data"] = rejection.figures()
        plain = self._students("rejection_sft", rejection)
        taught = self._students("ours_sft", ours)
        self.found.compare("ours_sft_over_base", taught.sampled, base)
        self.found.compare("ours_sft_over_rejection", taught.sampled, plain.sampled)
        return taught

    def _students(self, name: str, made: Generated) -> _Students:
        """Train and measure a student per seed, each from the base."""
        folders: list[Path] = []
        sampled: list[Floats] = []
        greedy: list[Floats] = []
        for seed in self.plan.seeds:
            self.note(f"{name}: student of seed {seed}")
            folder = train_student(
                made.lessons,
                name=f"{name}-{seed}",
                start=self.base,
                out=self.out,
                recipe=self.plan.sft,
                seed=seed,
            )
            rates = self._measured(folder, self.questions.test)
            folders.append(folder)
            sampled.append(rates[0])
            greedy.append(rates[1])
        students = _Students(folders, np.stack(sampled))
        self.found.say(f"{name}_pass1", students.sampled)
        self.found.say(f"{name}_greedy", np.stack(greedy))
        self.found.detail[f"{name}_pass1_by_events"] = self._by_events(students.sampled)
        return students

    def _measured(self, folder: Path, problems: Sequence[Problem]) -> tuple[Floats, Floats]:
        """Solve rates of a checkpoint, sampled and greedy, ``(n_questions,)`` each."""
        engine = open_student(folder)
        try:
            sampled = attempts(engine, self.journal, problems, self.plan.n_student_samples)
            greedy = attempts(engine, self.journal, problems, 1, greedy=True)
            return solve_rates(sampled), solve_rates(greedy)
        finally:
            engine.close()

    def _by_events(self, hits: Floats) -> dict[str, float]:
        n_events = np.array([len(problem.events) for problem in self.questions.test])
        return {str(n): float(hits[:, n_events == n].mean()) for n in self.plan.n_events}

    def _reinforcement(self, seeds: pl.DataFrame, ours: Generated, students: _Students) -> None:
        """Go on from the first of our students, on the dataset ``rl`` of the same questions."""
        described = describe_questions(
            seeds, CodeSeed.empty(), CodeTask.empty(), ours.rollouts, config=CurateConfig()
        )
        folder, rewards = reinforce(
            export_rl(seeds, described),
            start=students.folders[0],
            out=self.out,
            journal=self.journal,
            plan=self.plan.rl,
            note=self.note,
        )
        sampled, greedy = self._measured(folder, self.questions.test)
        self.found.say("rl_pass1", sampled[None])
        self.found.say("rl_greedy", greedy[None])
        self.found.compare("rl_over_its_start", sampled[None], students.sampled[:1])
        self.found.detail["rl_rewards"] = rewards

    def _second_round(
        self, seeds: pl.DataFrame, students: _Students, prm: Verifier, base: Floats
    ) -> None:
        """The first student as the engine and the verifier as the value model; then as before.

        The new students begin at the base again (Zelikman et al. 2022, STaR, section 3.1), so that
        what they gain is the data's.
        """
        team = EngineTeam(open_student(students.folders[0]), guide=prm)
        try:
            made = self._generated("round2", seeds, team)
        finally:
            team.close()
        second = self._students("round2", made)
        self.found.compare("round1_gain", students.sampled, base)
        self.found.compare("round2_gain", second.sampled, students.sampled)
