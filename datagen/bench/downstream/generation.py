"""Data to learn from: what the pipeline makes of some questions, and what plain sampling does.

Both get bare questions with their gold answers, and the same number of generated tokens: rollouts,
search, critiques, probes and the joints of self-corrections are all counted. The pipeline spends
its tokens where they are needed: every question is tried a few times, only those that were hard are
searched, and of the traces that went wrong a few are looked into.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from datagen.bench.downstream.metered import MeteredJournal
from datagen.bench.downstream.plan import GenerationPlan
from datagen.bench.downstream.students import Lesson, attempts, is_right
from datagen.corrections import CorrectionConfig, make_corrections
from datagen.curate import CurateConfig, curate_traces, kept
from datagen.curate.difficulty import pass_rates
from datagen.engines.protocol import Engine
from datagen.engines.team import members_of
from datagen.export import export_sft
from datagen.judge import CRITIQUE_SAMPLING, checker, critique_judge, judge_traces
from datagen.measure import pick_traces
from datagen.measure.run import measure_traces
from datagen.reasoner.world import Problem
from datagen.search.best_of_n import BestOfNConfig
from datagen.search.generate import GenerateConfig
from datagen.search.run import search_prefixes
from datagen.traces.assemble import assemble_traces
from datagen.traces.markup import render
from datagen.traces.prefixes import make_prefixes

_CRITIC: Final = critique_judge(n_votes=1, sampling=replace(CRITIQUE_SAMPLING, temperature=0.0))
"""One greedy critique of each trace."""


@dataclass(frozen=True, slots=True)
class Generated:
    """Data to learn from, and what it cost.

    Attributes:
        lessons: the rows.
        n_tokens: generated for it.
        n_solved: questions that have a row; of ``n_questions``.
        n_questions: questions asked.
        n_corrections: rows that mend an error that was spliced in.
        rollouts: table ``rollouts`` of the bare questions, ``traces`` of all that was found; empty
            for plain sampling.
        traces: see there.
    """

    lessons: list[Lesson]
    n_tokens: int
    n_solved: int
    n_questions: int
    n_corrections: int
    rollouts: pl.DataFrame
    traces: pl.DataFrame

    def figures(self) -> dict[str, int]:
        """What a report says of it."""
        return {
            "n_rows": len(self.lessons),
            "n_tokens": self.n_tokens,
            "n_solved": self.n_solved,
            "n_questions": self.n_questions,
            "n_corrections": self.n_corrections,
        }


def generate_ours(
    seeds: pl.DataFrame, engine: Engine, journal: MeteredJournal, plan: GenerationPlan
) -> Generated:
    """Run the pipeline from seeds to ``sft``, on bare questions alone.

    Args:
        seeds: table ``seeds``; the thoughts in it are not used.
        engine: the policy; a team with a value model searches with it.
        journal: the answers, and the meter.
        plan: settings.
    """
    journal.restart()
    prefixes = make_prefixes(seeds, n_prefixes=0)
    tried = search_prefixes(
        prefixes,
        engine,
        journal,
        config=GenerateConfig(algorithm="best_of_n", best_of_n=BestOfNConfig(n=plan.n_root)),
    )
    rates = pass_rates(tried.rollouts)
    easy = rates.filter(pl.col("pass_rate") >= plan.hard)["seed_id"]
    hard = prefixes.filter(~pl.col("seed_id").is_in(easy.implode()))
    puct = plan.puct
    if guide := members_of(engine).guide:
        puct = replace(puct, guide=guide, guide_value=plan.guide_value)
    searched = search_prefixes(
        hard, engine, journal, config=GenerateConfig(algorithm="puct", puct=puct)
    )
    # The search begins with the rollouts that said that it is needed.
    rollouts = pl.concat([searched.rollouts, tried.rollouts]).unique(
        "rollout_id", keep="first", maintain_order=True
    )
    everything = assemble_traces(seeds, prefixes, rollouts, searched.nodes)
    own = everything.filter(pl.col("provenance") == "model")
    traces = kept(own, curate_traces(own, config=CurateConfig()))
    picked = pick_traces(traces, rollouts, n_right=0, n_wrong=plan.n_wrong)
    critiques = judge_traces(picked, engine, journal, judges=[checker, _CRITIC])
    measured = measure_traces(
        picked, traces, rollouts, critiques, engine, journal, config=plan.measure
    )
    corrections = make_corrections(
        traces,
        rollouts,
        measured.probes,
        measured.trace_labels,
        critiques,
        engine,
        journal,
        config=CorrectionConfig(kinds=plan.kinds, max_rows=plan.max_corrections),
    ).corrections
    rows = export_sft(
        traces, corrections=corrections, form="tagged", max_per_question=plan.max_per_question
    )
    return Generated(
        lessons_of(rows),
        journal.n_tokens,
        rows["seed_id"].n_unique(),
        seeds.height,
        rows.filter(pl.col("id").is_in(corrections["trace_id"].implode())).height,
        tried.rollouts,
        traces,
    )


def lessons_of(rows: pl.DataFrame) -> list[Lesson]:
    """Rows of ``sft``; what is masked there is not learned."""
    return [
        Lesson(
            user["content"],
            assistant["content"],
            tuple((span["start"], span["end"]) for span in spans),
        )
        for (user, assistant), spans in rows.select("messages", "masked_spans").iter_rows()
    ]


def sample_right(
    problems: Sequence[Problem], engine: Engine, journal: MeteredJournal, *, n_tokens: int
) -> Generated:
    """Rejection sampling: equally many samples of every question, of which the right ones stay.

    All different right replies are kept (Yuan et al. 2023, arXiv 2308.01825, section 3.3).

    Args:
        problems: the questions.
        engine: the policy.
        journal: its answers.
        n_tokens: to be spent; the last round of samples goes only as far as they last.
    """
    n = 8
    while True:
        drawn = attempts(engine, journal, problems, n)
        # By sample and then by question: the order in which the tokens are spent.
        order = [group[idx] for idx in range(n) for group in drawn]
        spent = np.cumsum([rollout.n_tokens for rollout in order])
        if spent[-1] >= n_tokens:
            break
        n += max(1, int(n * (n_tokens / spent[-1] - 1)))
    bought = order[: int(np.searchsorted(spent, n_tokens, side="right"))]
    right = [rollout for rollout in bought if is_right(rollout) and rollout.ended]
    lessons = dict.fromkeys(
        Lesson(rollout.trace.question, render(rollout.trace)) for rollout in right
    )
    return Generated(
        list(lessons),
        sum(rollout.n_tokens for rollout in bought),
        len({lesson.question for lesson in lessons}),
        len(problems),
        0,
        pl.DataFrame(),
        pl.DataFrame(),
    )
