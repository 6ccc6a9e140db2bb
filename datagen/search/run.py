"""Run the search over a table of prefixes and write down what it found, as tables.

The tables hold nothing that is not in the journal; they are what the journal says, in the words of
the contracts. Row order follows the prefixes and the order of asking, never the clock.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from datagen.engines.protocol import Completion, CompletionRequest, Engine
from datagen.journal import Journal, journal_key
from datagen.prompts.dialect import NATIVE, Dialect
from datagen.prompts.reading import states_along
from datagen.search.budget import Budget, Progress
from datagen.search.evidence import Rollout, Tally, Verify, state_key, tally
from datagen.search.generate import GenerateConfig, generate
from datagen.search.scheduler import Scheduler
from datagen.search.tree import SearchTree, TreeNode
from datagen.search.waves import Search
from datagen.traces.prefixes import prefix_trace
from datagen.verify import Outcome, Verdict, verify_completion
from schemas import Node as NodeContract
from schemas import Rollout as RolloutContract

_PIECE: Final = 64
"""Searches whose tables are handed over together."""


@dataclass(slots=True)
class RunProgress:
    """What a run shows while it goes on.

    Attributes:
        engine: the scheduler's view.
        n_expected: about how many rollouts there will be; a guess, to draw a bar by.
        n_rollouts: rollouts verified so far; ``n_correct`` of them correct.
    """

    engine: Progress
    n_expected: int = 0
    n_rollouts: int = 0
    n_correct: int = 0


@dataclass(frozen=True, slots=True)
class SearchTables:
    """Result of a run: tables ``rollouts`` and ``nodes``, and what it took."""

    rollouts: pl.DataFrame
    nodes: pl.DataFrame
    progress: Progress


def search_prefixes(
    prefixes: pl.DataFrame,
    engine: Engine,
    journal: Journal,
    *,
    config: GenerateConfig,
    budget: Budget | None = None,
    on_progress: Callable[[RunProgress], None] | None = None,
    speculate: bool = False,
) -> SearchTables:
    """Search from every prefix at once; the arguments are those of :func:`stream_prefixes`."""
    rollouts = [RolloutContract.from_rows([])]
    nodes = [NodeContract.from_rows([])]

    def take(some_rollouts: pl.DataFrame, some_nodes: pl.DataFrame) -> None:
        rollouts.append(some_rollouts)
        nodes.append(some_nodes)

    progress = stream_prefixes(
        prefixes,
        engine,
        journal,
        config=config,
        take=take,
        budget=budget,
        on_progress=on_progress,
        speculate=speculate,
    )
    return SearchTables(
        RolloutContract.validate(pl.concat(rollouts)),
        NodeContract.validate(pl.concat(nodes)),
        progress,
    )


def stream_prefixes(
    prefixes: pl.DataFrame,
    engine: Engine,
    journal: Journal,
    *,
    config: GenerateConfig,
    take: Callable[[pl.DataFrame, pl.DataFrame], None],
    budget: Budget | None = None,
    on_progress: Callable[[RunProgress], None] | None = None,
    speculate: bool = False,
) -> Progress:
    """Search from every prefix, and hand over the tables piece by piece.

    Nothing of a search is kept once its piece was taken, so memory depends on how many searches the
    engine needs at a time, and not on how many there are.

    Args:
        prefixes: table ``prefixes``.
        engine: the policy.
        journal: answers already known, and where new ones go.
        config: settings of each search.
        take: is given pieces of ``rollouts`` and ``nodes``, in the order of the prefixes.
        budget: when to stop; searches that have begun then return what they have.
        on_progress: called whenever the engine has answered.
        speculate: as in :class:`~datagen.search.scheduler.Scheduler`.

    Raises:
        EngineError: if the engine is broken; run again to go on from the journal.
    """
    steps = prefixes.select("n_seed_steps", "n_steps").iter_rows()
    run = RunProgress(
        Progress(), n_expected=sum(_expected(n_seed - n, config) for n_seed, n in steps)
    )

    def counted(verify: Verify) -> Verify:
        def judge(completion: Completion) -> Verdict:
            verdict = verify(completion)
            run.n_rollouts += 1
            run.n_correct += verdict.outcome is Outcome.CORRECT
            return verdict

        return judge

    def report(progress: Progress) -> None:
        run.engine = progress
        if on_progress:
            on_progress(run)

    begun: dict[str, dict[str, Any]] = {}
    finished: list[_Tables] = []

    def searches() -> Iterator[tuple[str, Search[SearchTree[TreeNode]]]]:
        for row in prefixes.iter_rows(named=True):
            begun[row["prefix_id"]] = row
            yield (
                row["prefix_id"],
                generate(prefix_trace(row), config, counted(verifier_of(row, config.dialect))),
            )

    def hand_over() -> None:
        rollouts = [row for tables in finished for row in tables.rollouts()]
        nodes = [row for tables in finished for row in tables.nodes()]
        finished.clear()
        take(RolloutContract.from_rows(rollouts), NodeContract.from_rows(nodes))

    def finish(prefix_id: str, tree: SearchTree[TreeNode]) -> None:
        finished.append(_Tables(begun.pop(prefix_id), tree, engine.fingerprint))
        if len(finished) >= _PIECE:
            hand_over()

    scheduler = Scheduler[SearchTree[TreeNode]](
        engine, journal, budget=budget, on_progress=report, speculate=speculate
    )
    scheduler.stream(searches(), finish, n_searches=prefixes.height)
    hand_over()
    return scheduler.progress


def _expected(n_steps: int, config: GenerateConfig) -> int:
    """Rollouts of one search, if the model's traces are as long as the human one."""
    match config.algorithm:
        case "puct":
            puct = config.puct
            n_tried = puct.n_simulations * len(puct.replicas) * puct.n_rollouts
            return puct.n_root_rollouts + n_tried
        case "beam":
            beam = config.beam
            n_tried = beam.n_subtrees * beam.width * min(max(n_steps, 1), beam.max_depth)
            return beam.n_root_rollouts + n_tried * beam.n_proposal_rollouts
        case "revise":
            return config.revise.n_chains * (1 + config.revise.n_revisions)
        case "omega":
            omega = config.omega
            n_asks = max(n_steps - 1, 0).bit_length()
            return omega.n_screening + omega.n_searches * n_asks * omega.n_rollouts
        case "best_of_n":
            return config.best_of_n.n


def verifier_of(prefix: Mapping[str, Any], dialect: Dialect = NATIVE) -> Verify:
    """How completions of one prefix are judged, by what ``dialect`` takes for their answer."""

    def verify(completion: Completion) -> Verdict:
        return verify_completion(
            dialect.visible(completion),
            prefix["answer"],
            verifier=prefix["verifier"],
            finished=completion.finish == "stop",
        )

    return verify


def rollout_row(
    rollout: Rollout,
    origin: Mapping[str, Any],
    *,
    key: str,
    node_id: str | None,
    given_source: Sequence[str],
    fingerprint: str,
) -> dict[str, Any]:
    """A rollout as a row of ``rollouts`` or ``probes``.

    Args:
        rollout: the rollout.
        origin: ``prefix_id``, ``seed_id``, ``answer`` (gold) and ``verifier`` of its question.
        key: journal key of the completion.
        node_id: the node it was drawn from, if that is in a tree.
        given_source: where each step of its state came from.
        fingerprint: of the engine.
    """
    reading, trace = rollout.reading, rollout.trace
    return {
        "rollout_id": f"{origin['prefix_id']}/{key}",
        "prefix_id": origin["prefix_id"],
        "seed_id": origin["seed_id"],
        "node_id": node_id,
        "algorithm": rollout.algorithm,
        "sample_idx": rollout.request.sample_idx,
        "n_given_steps": len(rollout.state.steps),
        "steps": [step.text for step in trace.steps],
        "factors": [step.factor.value for step in trace.steps],
        "step_source": [*given_source, *[key] * len(reading.steps)],
        "step_n_tokens": list(reading.n_tokens),
        "step_min_logprob": list(reading.min_logprobs),
        "sloppy": reading.sloppy,
        "tail": reading.rest,
        "answer": rollout.verdict.extracted,
        "gold": origin["answer"],
        "verifier": origin["verifier"],
        "outcome": rollout.verdict.outcome.value,
        "reason": rollout.verdict.reason,
        "n_tokens": rollout.n_tokens,
        "temperature": float(rollout.request.sampling.temperature),
        "engine": fingerprint,
        "completion_key": key,
    }


class _Tables:
    """The rows of one search."""

    def __init__(
        self, prefix: Mapping[str, Any], tree: SearchTree[TreeNode], fingerprint: str
    ) -> None:
        self._prefix = prefix
        self._tree = tree
        self._fingerprint = fingerprint
        self._nodes = list(tree.nodes())
        self._ids = {id(node): self._node_id(node) for node in self._nodes}
        self._drawn_from = {
            state_key(node.state): self._ids[id(node)] for node in self._nodes if not node.terminal
        }
        self._tallies = tally(tree.rollouts)
        self._source = self._step_sources()

    def _key(self, request: CompletionRequest) -> str:
        return journal_key(self._fingerprint, request)

    def _node_id(self, node: TreeNode) -> str:
        """Names the state, so equal runs give equal ids."""
        text = f"{self._prefix['prefix_id']}\0{state_key(node.state)}\0{node.state.answer!r}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def _step_sources(self) -> dict[str, str]:
        """For each state beyond the prefix, the completion that first wrote its last step."""
        source: dict[str, str] = {}
        for node in self._nodes:
            if node.request is not None:
                source.setdefault(state_key(node.state), self._key(node.request))
        for rollout in self._tree.rollouts:
            for state in states_along(rollout.state, rollout.reading.steps):
                source.setdefault(state_key(state), self._key(rollout.request))
        return source

    def rollouts(self) -> Iterator[dict[str, Any]]:
        """Rows of ``rollouts``; a sample that was asked for twice has one."""
        seen: set[str] = set()
        for rollout in self._tree.rollouts:
            key = self._key(rollout.request)
            if key not in seen:
                seen.add(key)
                yield self._rollout_row(rollout, key)

    def _rollout_row(self, rollout: Rollout, key: str) -> dict[str, Any]:
        prefix, state = self._prefix, rollout.state
        source = [
            f"{prefix['seed_id']}#{idx}"
            if idx < prefix["n_steps"]
            else self._source[state_key(state.prefix(idx + 1))]
            for idx in range(len(state.steps))
        ]
        node_id = self._drawn_from.get(state_key(state))
        return rollout_row(
            rollout,
            prefix,
            key=key,
            node_id=node_id,
            given_source=source,
            fingerprint=self._fingerprint,
        )

    def nodes(self) -> Iterator[dict[str, Any]]:
        """Rows of ``nodes``, parents before children."""
        for node in self._nodes:
            evidence = self._tallies.get(state_key(node.state), Tally())
            step_idx = len(node.state.steps) - 1
            reading = node.reading
            at_root = node.parent is None
            yield {
                "node_id": self._ids[id(node)],
                "prefix_id": self._prefix["prefix_id"],
                "seed_id": self._prefix["seed_id"],
                "parent_id": self._ids[id(node.parent)] if node.parent else None,
                "depth": step_idx + 1 - len(self._tree.root.state.steps),
                "step_idx": step_idx,
                "factor": node.factor.value if node.factor else None,
                "text": None if at_root else node.state.steps[-1].text,
                "prior": node.prior,
                "legal_factors": [factor.value for factor in node.priors],
                "priors": list(node.priors.values()),
                "evaluation": node.evaluation,
                "n_visits": node.n_visits,
                "value": node.estimate,
                "n_rollouts": evidence.n_rollouts,
                "n_correct": evidence.n_correct,
                "chosen": node.chosen,
                "replica_idx": node.replica_idx,
                "outcome": node.verdict.outcome.value if node.verdict else None,
                "answer": node.verdict.extracted if node.verdict else None,
                "n_tokens": sum(reading.n_tokens) if reading else 0,
                "min_logprob": reading.min_logprob if reading else None,
                "completion_key": self._key(node.request) if node.request else None,
            }
