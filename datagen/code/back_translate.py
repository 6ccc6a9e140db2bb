"""Back-translation: from a program to the thought that leads there, written, checked and revised.

One search per program, in the scheduler's ask/tell form. A thought is believed only if every claim
that it makes about a run holds, if programs written from it alone pass the tests, and if it does
not betray that the program was there first. CodeI/O (Li et al. 2025, arXiv 2502.07316) checks the
final output and revises once; here every intermediate value is checked, which also says *where* a
thought goes wrong.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from datagen.code.check import CheckedClaim, ThoughtCheck, check_thought, wanted_calls
from datagen.code.examine import Examiner, Program
from datagen.code.happenings import render_execution
from datagen.code.leaks import find_leak
from datagen.code.narrator import narrate
from datagen.engines.protocol import Answer, Completion, CompletionRequest, Request, Sampling
from datagen.prompts.code import MAX_REASONS, ThoughtJob, value_reason
from datagen.prompts.dialect import Dialect
from datagen.search.waves import BudgetSpent, Search
from datagen.traces.model import Step
from schemas import Route

UNREADABLE: Final = "it cannot be read as steps, or does not come to its end"
UNCHECKED: Final = "it says nothing that a run could confirm"
UNFINISHED: Final = "the budget was spent before it could be checked"

THOUGHT_SAMPLING: Final = Sampling(temperature=1.0, max_tokens=512)
CODE_SAMPLING: Final = Sampling(temperature=1.0, max_tokens=256)

_MAX_CALLS: Final = 8
"""Most runs beyond the known ones that a thought may ask for."""


@dataclass(frozen=True, slots=True)
class BackTranslation:
    """How thoughts are written and checked.

    Attributes:
        dialect: how the model is asked.
        routes: who writes them.
        n_thoughts: thoughts per program and route; the narrator writes one.
        n_round_trips: programs written from each thought, and from the question alone; 0: none.
        min_round_trip: least share of those that must pass.
        max_revisions: how often a thought that failed is written anew.
        thought: sampling of thoughts.
        code: sampling of programs.
    """

    dialect: Dialect
    routes: tuple[Route, ...] = ("model", "grounded", "narrator")
    n_thoughts: int = 1
    n_round_trips: int = 4
    min_round_trip: float = 0.5
    max_revisions: int = 2
    thought: Sampling = THOUGHT_SAMPLING
    code: Sampling = CODE_SAMPLING


@dataclass(frozen=True, slots=True)
class Thought:
    """One writing of one thought, and what came of it.

    Attributes:
        route: who wrote it.
        thought_idx: 0-based, among those of program and route.
        attempt: 0, or the number of the revision.
        request: what the model was asked; ``None`` of the narrator.
        steps: empty if unreadable.
        check: its claims, compared with runs.
        leak: words that betray the program.
        programs: what was written from it; ``None`` where no program was written.
        failures: why each of these fails the tests, ``None`` where it passes.
        bare_failures: the same of programs that were written from the question alone.
        reasons: why it failed; none if it is verified.
        n_tokens: generated for it.
    """

    route: Route
    thought_idx: int
    attempt: int
    request: CompletionRequest | None
    steps: tuple[Step, ...]
    check: ThoughtCheck
    leak: str | None = None
    programs: tuple[str | None, ...] = ()
    failures: tuple[str | None, ...] = ()
    bare_failures: tuple[str | None, ...] = ()
    reasons: tuple[str, ...] = ()
    n_tokens: int = 0

    @property
    def verified(self) -> bool:
        """Whether every check was passed."""
        return not self.reasons


@dataclass(slots=True)
class _Chain:
    """One thought under way: what its next writing is asked for."""

    route: Route
    thought_idx: int
    job: ThoughtJob
    attempt: int = 0
    thoughts: list[Thought] = field(default_factory=list[Thought])


def back_translate(
    program: Program, config: BackTranslation, examiner: Examiner
) -> Search[list[Thought]]:
    """Write, check and revise the thoughts that lead to one program.

    Args:
        program: the code seed and its runs.
        config: who writes how many thoughts, and what they must pass.
        examiner: runs programs.

    Returns:
        A search whose result is every writing of every thought, failed ones too.
    """
    run = render_execution(program.executions[0])
    plain = ThoughtJob(program.question, program.code)
    chains = [
        _Chain(route, idx, replace(plain, execution=run) if route == "grounded" else plain)
        for route in config.routes
        for idx in range(1 if route == "narrator" else config.n_thoughts)
    ]
    bare: tuple[str | None, ...] | None = None
    active = chains
    for _ in range(config.max_revisions + 1):
        asked = [chain for chain in active if chain.route != "narrator"]
        requests = [_request(chain, config) for chain in asked]
        if bare is None:
            requests += config.dialect.code_requests(
                program.question, (), config.n_round_trips, sampling=config.code
            )
        try:
            completions = yield from _ask(requests)
        except BudgetSpent:
            for chain in active:
                if chain.route == "narrator":  # who needs no engine to write
                    chain.thoughts.append(replace(_told(program), reasons=(UNFINISHED,)))
            break
        if bare is None:
            _, bare = _programs(program, completions[len(asked) :], config, examiner)
        written = dict(zip(map(id, asked), zip(requests, completions, strict=False), strict=False))
        for chain in active:
            chain.thoughts.append(
                replace(
                    _told(program)
                    if chain.route == "narrator"
                    else _read(program, chain, *written[id(chain)], config.dialect, examiner),
                    bare_failures=bare,
                )
            )
        yield from _round_trips(program, active, config, examiner)
        active = [chain for chain in active if _revise(chain)]
        if not active:
            break
    return [thought for chain in chains for thought in chain.thoughts]


def _ask(
    requests: Sequence[CompletionRequest],
) -> Generator[Sequence[Request], Sequence[Answer], list[Completion]]:
    if not requests:
        return []
    answers = yield requests
    return [answer for answer in answers if isinstance(answer, Completion)]


def _request(chain: _Chain, config: BackTranslation) -> CompletionRequest:
    # A text that could not be read gives nothing to revise: it is drawn again.
    sample_idx = chain.thought_idx + (0 if chain.job.reasons else config.n_thoughts * chain.attempt)
    return config.dialect.thought_request(chain.job, sampling=config.thought, sample_idx=sample_idx)


def _told(program: Program) -> Thought:
    steps = narrate(program.question, program.executions, entry_point=program.entry_point)
    check = check_thought(steps, program.executions, entry_point=program.entry_point)
    return Thought("narrator", 0, 0, None, steps, check, find_leak(steps, code=program.code))


def _read(
    program: Program,
    chain: _Chain,
    request: CompletionRequest,
    completion: Completion,
    dialect: Dialect,
    examiner: Examiner,
) -> Thought:
    steps = dialect.read_thought(completion) or ()
    entry_point, known = program.entry_point, program.executions
    wanted = wanted_calls(steps, known, entry_point=entry_point)[:_MAX_CALLS]
    runs = (*known, *examiner.trace(program.code, wanted))
    return Thought(
        chain.route,
        chain.thought_idx,
        chain.attempt,
        request,
        steps,
        check_thought(steps, runs, entry_point=entry_point),
        find_leak(steps, code=program.code),
        n_tokens=completion.n_tokens,
    )


def _round_trips(
    program: Program, chains: Sequence[_Chain], config: BackTranslation, examiner: Examiner
) -> Generator[Sequence[Request], Sequence[Answer], None]:
    """Let programs be written from the thoughts just read, and judge each thought."""
    n = config.n_round_trips
    tried = [c for c in chains if c.thoughts[-1].steps and c.thoughts[-1].leak is None]
    requests = [
        request
        for chain in tried
        for request in config.dialect.code_requests(
            program.question, chain.thoughts[-1].steps, n, sampling=config.code
        )
    ]
    spent = False
    try:
        completions = yield from _ask(requests)
    except BudgetSpent:
        completions, spent = [], True
    for at, chain in enumerate(tried if completions else ()):
        own = completions[at * n : (at + 1) * n]
        programs, failures = _programs(program, own, config, examiner)
        thought = chain.thoughts[-1]
        chain.thoughts[-1] = replace(
            thought,
            programs=programs,
            failures=failures,
            n_tokens=thought.n_tokens + sum(completion.n_tokens for completion in own),
        )
    for chain in chains:
        thought = chain.thoughts[-1]
        reasons = _reasons(thought, config)
        if spent and not reasons:
            reasons = (UNFINISHED,)
        chain.thoughts[-1] = replace(thought, reasons=reasons)


def _programs(
    program: Program,
    completions: Sequence[Completion],
    config: BackTranslation,
    examiner: Examiner,
) -> tuple[tuple[str | None, ...], tuple[str | None, ...]]:
    codes = tuple(map(config.dialect.read_code, completions))
    return codes, tuple(examiner.failures(program, codes))


def _reasons(thought: Thought, config: BackTranslation) -> tuple[str, ...]:
    """Why a thought is not believed, in words that its writer can use."""
    if not thought.steps:
        return (UNREADABLE,)
    reasons = [_wrong(thought.steps, claim) for claim in thought.check.claims if _false(claim)]
    if thought.leak is not None:
        reasons.append(f"it betrays the program: {thought.leak}")
    if not reasons and not thought.check.n_checked:
        reasons.append(UNCHECKED)
    failed = [failure for failure in thought.failures if failure is not None]
    if len(failed) > (1 - config.min_round_trip) * len(thought.failures):
        reasons.append(f"a program written from it fails: {failed[0]}")
    return tuple(reasons)


def _false(claim: CheckedClaim) -> bool:
    return claim.verdict == "contradicted"


def _wrong(steps: Sequence[Step], checked: CheckedClaim) -> str:
    claim = checked.claim
    actual = "another" if checked.actual is None else checked.actual
    return value_reason(steps[claim.step_idx].text, claim.subject, actual, claim.value)


def _revise(chain: _Chain) -> bool:
    """Prepare the next writing; whether there is to be one."""
    thought = chain.thoughts[-1]
    if thought.verified or chain.route == "narrator" or UNFINISHED in thought.reasons:
        return False
    chain.attempt += 1
    if thought.steps:
        reasons = thought.reasons[:MAX_REASONS]
        chain.job = replace(chain.job, failed=thought.steps, reasons=reasons)
    return True
