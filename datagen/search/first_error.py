"""The information-directed search for first errors: many traces, one belief, the best question.

Each wave asks, for every trace that is still in doubt, for one rollout (or a few) from the prefix
whose outcome is expected to tell most about the first error per generated token (Lindley 1956; cost
as in cost-sensitive active search). One search holds all traces of a shard, for two reasons: the
engine gets them side by side, and what the first rollouts show about the policy (how often it
recovers, how far its surprisal can be believed) is fitted and serves all traces from then on.
"""

from collections import defaultdict
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final, cast

import torch
from torch import Tensor

from datagen.engines.protocol import Answer, Completion, CompletionRequest, Request, Score
from datagen.labels.fitting import RootRollouts, fit
from datagen.labels.hazard import StepBatch, step_batch
from datagen.labels.posterior import (
    ErrorModel,
    Evidence,
    Posterior,
    TraceBatch,
    posterior,
)
from datagen.prompts.reading import StepSurprisal
from datagen.search.evidence import Rollout
from datagen.search.suspects import Attempt, FirstErrorConfig, Suspect
from datagen.search.waves import BudgetSpent
from datagen.traces.distance import shared_steps
from datagen.traces.model import Step, Trace
from datagen.verify import Outcome

_CHUNK: Final = 1024
"""Traces whose next question is chosen at once; bounds the memory, not the result."""

_FIT_TO: Final = 256
"""Traces that a fit looks at, evenly spread; the parameters are few."""


@dataclass(slots=True)
class FirstErrors:
    """What the search found.

    Attributes:
        suspects: the traces, in the order given; the tensors' rows.
        model: parameters as fitted last.
        batch: the traces as tensors.
        roots: the root rollouts as tensors; ``None`` without any.
        trials: rollouts by the step behind which they left the trace, ``(n_traces, longest)``;
            ``successes`` likewise. Known rollouts included.
        posterior: what is believed at the end.
        rollouts: per trace, the rollouts that this search asked for, in order.
        surprisals: per trace, of each of its steps.
    """

    suspects: Sequence[Suspect]
    model: ErrorModel
    batch: TraceBatch
    roots: RootRollouts | None
    trials: Tensor
    successes: Tensor
    posterior: Posterior
    rollouts: list[list[Rollout]]
    surprisals: list[tuple[StepSurprisal, ...]]

    def evidence(self, rows: Tensor | None = None) -> Evidence:
        """The counts as the posterior takes them, of all traces or of some."""
        if rows is None:
            return Evidence.of(self.trials, self.successes)
        return Evidence.of(self.trials[rows], self.successes[rows])


def first_errors(
    suspects: Sequence[Suspect],
    attempts: Sequence[Attempt],
    config: FirstErrorConfig,
    *,
    model: ErrorModel | None = None,
) -> Generator[Sequence[Request], Sequence[Answer], FirstErrors]:
    """Seek the first error of every suspect.

    Args:
        suspects: whole traces, right or wrong.
        attempts: root rollouts of the run, to fit solve rates and hazard by. A suspect that is one
            of them may be among them.
        config: when to ask and when to stop.
        model: parameters to begin with, from an earlier run, say; fitted further to this one.

    Returns:
        Posteriors and rollouts; also if the budget is spent midway, even before the first wave.
    """
    state = _State(suspects, attempts, config, model or ErrorModel())
    try:
        yield from state.read_surprisal()
        fitted = True
        for n_waves in range(1, config.max_rollouts + 1):
            asked = state.choose()
            if not asked:
                break
            requests = [request for _, _, request in asked]
            answers = yield requests
            state.observe(asked, answers)
            fitted = n_waves in config.refit_after
            if fitted:
                state.refit()
        if not fitted and config.refit_after:
            state.refit()
    except BudgetSpent:
        pass
    return state.result()


_Asked = tuple[int, int, CompletionRequest]
"""Row of the trace, step behind which the rollout begins, and what is asked."""


class _State:
    """The search between two waves."""

    def __init__(
        self,
        suspects: Sequence[Suspect],
        attempts: Sequence[Attempt],
        config: FirstErrorConfig,
        model: ErrorModel,
    ) -> None:
        self.suspects, self.attempts, self.config = suspects, attempts, config
        self.model = model
        self._of_question: defaultdict[str, list[Attempt]] = defaultdict(list)
        for attempt in attempts:
            self._of_question[attempt.question].append(attempt)
        unscored = [tuple(StepSurprisal(0.0, 0.0) for _ in s.trace.steps) for s in suspects]
        self.surprisals: list[tuple[StepSurprisal, ...]] = unscored
        self.roots: RootRollouts | None = None
        self.batch = self._batch()
        shape = self.batch.steps.mask.shape
        self.trials = torch.zeros(shape, dtype=torch.float64)
        self.successes = torch.zeros(shape, dtype=torch.float64)
        for row, suspect in enumerate(suspects):
            for n_shared, correct in (*suspect.known, *self._sisters(suspect)):
                self._count(row, n_shared, correct)
        # Until a trace's own tokens have been counted, every step costs the same.
        self.cost = self._tokens_ahead([[1] * len(s.trace.steps) for s in suspects])
        self.rollouts: list[list[Rollout]] = [[] for _ in suspects]

    # --- before the first wave ---------------------------------------------------------------

    def read_surprisal(self) -> Generator[Sequence[Request], Sequence[Answer], None]:
        """One scoring pass over traces and root rollouts, then the first fit."""
        traces = [s.trace for s in self.suspects] + [a.trace for a in self.attempts]
        # Many attempts are suspects as well, and many short ones are alike.
        dialect = self.config.dialect
        requests = {trace: dialect.score_request(trace) for trace in traces}
        answers = yield list(requests.values())
        scores = dict(zip(requests, (cast(Score, answer) for answer in answers), strict=True))
        said = {trace: dialect.read_score(score, trace) for trace, score in scores.items()}
        self.surprisals = [said[s.trace] for s in self.suspects]
        self.batch = self._batch()
        # A server that scores nothing counts no tokens either: the steps go on costing the same.
        counts = [[x.n_tokens for x in row] for row in self.surprisals]
        self.cost = self._tokens_ahead([row if any(row) else [1] * len(row) for row in counts])
        self.roots = self._root_rollouts(said)
        self.refit()

    def _batch(self) -> TraceBatch:
        # Root rollouts that share a step with the trace are counted where they leave it.
        roots = [
            [correct for n_shared, correct in self._sisters(suspect) if not n_shared]
            for suspect in self.suspects
        ]
        steps = [s.trace.steps for s in self.suspects]
        return TraceBatch(
            self._features(list(zip(steps, self.surprisals, strict=True))),
            torch.tensor([s.correct for s in self.suspects], dtype=torch.bool),
            torch.tensor([len(group) for group in roots], dtype=torch.float64),
            torch.tensor([sum(group) for group in roots], dtype=torch.float64),
            torch.tensor([s.n_given for s in self.suspects], dtype=torch.int64),
        )

    def _sisters(self, suspect: Suspect) -> list[tuple[int, bool]]:
        """Attempts at the same question, as (steps shared on their own, ended right)."""
        shared = [
            (shared_steps(suspect.trace, attempt.trace), attempt)
            for attempt in self._of_question[suspect.question]
        ]
        return [(n, attempt.correct) for n, attempt in shared if n >= attempt.n_given]

    def _root_rollouts(self, said: dict[Trace, tuple[StepSurprisal, ...]]) -> RootRollouts | None:
        if not self.attempts:
            return None
        own: list[tuple[Sequence[Step], Sequence[StepSurprisal]]] = [
            (a.trace.steps[a.n_given :], said[a.trace][a.n_given :]) for a in self.attempts
        ]
        counts = list(_per_question(self.attempts).values())
        return RootRollouts(
            self._features(own),
            torch.tensor([a.correct for a in self.attempts]),
            torch.tensor([n for n, _ in counts], dtype=torch.float64),
            torch.tensor([c for _, c in counts], dtype=torch.float64),
        )

    def _features(
        self, traces: Sequence[tuple[Sequence[Step], Sequence[StepSurprisal]]]
    ) -> StepBatch:
        batch = step_batch(traces)
        return batch if self.config.prior == "fitted" else batch.without_features()

    def _tokens_ahead(self, lengths: Sequence[Sequence[int]]) -> Tensor:
        """Expected tokens of a rollout from after each step: what the trace itself took."""
        ahead = torch.ones(self.batch.steps.mask.shape, dtype=torch.float64)
        for row, counts in enumerate(lengths):
            tokens = torch.tensor(counts, dtype=torch.float64)
            ahead[row, : len(counts)] += tokens.sum() - tokens.cumsum(0)
        return ahead

    # --- waves -------------------------------------------------------------------------------

    def choose(self) -> list[_Asked]:
        """The next rollouts; empty if nothing is worth asking."""
        room = torch.tensor([self.config.max_rollouts - len(drawn) for drawn in self.rollouts])
        asked: list[_Asked] = []
        for rows in torch.nonzero(room > 0).squeeze(1).split(_CHUNK):
            belief = posterior(self.model, self.batch.select(rows), self._evidence(rows))
            unsettled = belief.first_error.max(1).values < self.config.confidence
            rows, gain = rows[unsettled], belief.information[unsettled]
            if not len(rows):
                continue
            # Rounded, so that another machine's last bit does not choose another prefix.
            worth = (gain / self.cost[rows, : gain.shape[1]]).round(decimals=9)
            best = worth.argmax(1)
            for row, step_idx, most in zip(
                rows.tolist(), best.tolist(), gain.max(1).values.tolist(), strict=True
            ):
                if most > self.config.min_information:
                    asked += self._requests(row, step_idx)
        return asked

    def _requests(self, row: int, step_idx: int) -> list[_Asked]:
        drawn = self.rollouts[row]
        suspect, n_steps = self.suspects[row], step_idx + 1
        state = suspect.trace.prefix(n_steps)
        first = suspect.n_samples.get(n_steps, 0)
        first += sum(len(r.state.steps) == n_steps for r in drawn)
        n = min(self.config.wave, self.config.max_rollouts - len(drawn))
        dialect, sampling = self.config.dialect, self.config.sampling
        requests = dialect.rollout_requests(state, n, sampling=sampling, first=first)
        return [(row, step_idx, request) for request in requests]

    def observe(self, asked: Sequence[_Asked], answers: Sequence[Answer]) -> None:
        """Take in a wave."""
        for (row, step_idx, request), answer in zip(asked, answers, strict=True):
            suspect = self.suspects[row]
            state = suspect.trace.prefix(step_idx + 1)
            rollout = Rollout.read(
                "first_error",
                state,
                request,
                cast(Completion, answer),
                suspect.verify,
                self.config.dialect,
            )
            self.rollouts[row].append(rollout)
            if rollout.verdict.is_trial:
                n_shared = shared_steps(suspect.trace, rollout.trace)
                self._count(row, n_shared, rollout.verdict.outcome is Outcome.CORRECT)

    def _count(self, row: int, n_shared: int, correct: bool) -> None:
        # One that never left the trace says nothing beyond the trace's own outcome.
        if 0 < n_shared < len(self.suspects[row].trace.steps):
            self.trials[row, n_shared - 1] += 1
            self.successes[row, n_shared - 1] += correct

    def _evidence(self, rows: Tensor) -> Evidence:
        return Evidence.of(self.trials[rows], self.successes[rows])

    def refit(self) -> None:
        """Fit the model to everything seen so far."""
        every = max(1, -(-len(self.suspects) // _FIT_TO))
        rows = torch.arange(0, len(self.suspects), every)
        self.model = fit(
            self.model,
            roots=self.roots,
            batch=self.batch.select(rows),
            evidence=self._evidence(rows),
        )

    def result(self) -> FirstErrors:
        """What is believed now."""
        return FirstErrors(
            self.suspects,
            self.model,
            self.batch,
            self.roots,
            self.trials,
            self.successes,
            posterior(self.model, self.batch, Evidence.of(self.trials, self.successes)),
            self.rollouts,
            self.surprisals,
        )


def _per_question(attempts: Sequence[Attempt]) -> dict[str, tuple[int, int]]:
    """Trials and successes of each question, bare: a prefix makes it an easier one."""
    counts: dict[str, tuple[int, int]] = {}
    for attempt in attempts:
        if attempt.n_given == 0:
            n, c = counts.get(attempt.question, (0, 0))
            counts[attempt.question] = (n + 1, c + attempt.correct)
    return counts
