"""The scheduler: full batches, one journal, and the same results however a run was cut up."""

import asyncio
import signal
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import Any, cast

import pytest

from datagen.engines.fake import FakeEngine
from datagen.engines.protocol import (
    Answer,
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Evaluation,
    EvaluationRequest,
    Request,
    Sampling,
    Score,
    ScoreRequest,
)
from datagen.errors import EngineError
from datagen.journal import Journal, journal_key
from datagen.search.budget import Budget, Progress
from datagen.search.scheduler import Scheduler
from datagen.search.waves import BudgetSpent, Search, Until
from datagen.traces.model import Step, Trace

SAMPLING = Sampling()


def ask(prompt: str, sample_idx: int = 0) -> CompletionRequest:
    return CompletionRequest(prompt, SAMPLING, sample_idx)


def engine(**options: Any) -> FakeEngine:
    """Repeats its prompt: one token and the end, or more if the prompt has spaces."""
    return FakeEngine(lambda request: f"{request.prompt}!{request.sample_idx}", **options)


def judged(name: str, n_steps: int = 0) -> EvaluationRequest:
    return EvaluationRequest(Trace(name, tuple(Step(str(idx)) for idx in range(n_steps))), "guide")


def judge(request: EvaluationRequest) -> Evaluation:
    """Values a state by its number of steps."""
    return Evaluation(len(request.state.steps))


def waves_of(*waves: Sequence[Request]) -> Search[list[str]]:
    """A search that asks for fixed waves and returns the texts it was sent, in order."""
    texts: list[str] = []
    for wave in waves:
        answers = yield wave
        assert len(answers) == len(wave)
        texts += [answer.text for answer in answers if isinstance(answer, Completion)]
    return texts


def talk(name: str, n_waves: int = 3, width: int = 3) -> Search[list[str]]:
    """A search whose every prompt depends on what it was told before."""
    said = [name]
    for wave in range(n_waves):
        answers = yield [ask(f"{said[-1]}/{wave}", idx) for idx in range(width)]
        said += [answer.text for answer in answers if isinstance(answer, Completion)]
    return said


def talks(n: int, **options: int) -> Iterator[tuple[str, Search[list[str]]]]:
    """Talks of different lengths, so that they end in another order than they begin."""
    return ((f"t{i}", talk(f"t{i}", n_waves=1 + (7 * i) % 4, **options)) for i in range(n))


def run(
    searches: Iterator[tuple[str, Search[Any]]] | Sequence[tuple[str, Search[Any]]],
    answering: FakeEngine,
    journal: Journal | None = None,
    **options: Any,
) -> tuple[dict[str, Any], Progress]:
    with Journal(":memory:") if journal is None else journal as kept:
        scheduler = Scheduler[Any](answering, kept, **options)
        return scheduler.run(iter(searches)), scheduler.progress


def asked(answering: FakeEngine) -> list[Request]:
    return [request for batch in answering.batches for request in batch]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


# ---- many searches, one engine


@pytest.mark.slow
def test_the_batches_of_thousands_of_searches_are_full() -> None:
    answering = engine(batch_size=64)
    searches = ((f"t{i}", talk(f"t{i}")) for i in range(2_000))
    results, progress = run(searches, answering)
    sizes = [len(batch) for batch in answering.batches]
    assert sizes == [64] * (18_000 // 64) + [18_000 % 64]
    assert len(results) == progress.n_finished == 2_000
    assert progress.n_generated == 18_000


def test_no_search_gets_the_answers_of_another() -> None:
    results, _ = run(talks(200), engine(batch_size=7))
    for name, said in results.items():
        assert all(text.startswith(f"{name}/") for text in said[1:])
        assert said[1:4] == [f"{name}/0!{idx}" for idx in range(3)]


def test_results_come_by_name_in_the_order_in_which_the_searches_were_given() -> None:
    results, _ = run(talks(50), engine())
    assert list(results) == [f"t{i}" for i in range(50)]


def test_answers_come_in_the_order_of_the_requests_though_kinds_are_batched_apart() -> None:
    def mixed() -> Search[list[Answer]]:
        choice, score = ChoiceRequest("b", ("x", "y")), ScoreRequest("e", "some words")
        answers = yield [ask("a"), score, choice, ask("c"), ask("d")]
        return list(answers)

    answering = engine(batch_size=2)
    results, progress = run([("m", mixed())], answering)
    kinds = [[type(request) for request in batch] for batch in answering.batches]
    assert kinds == [
        [ChoiceRequest],
        [ScoreRequest],
        [CompletionRequest] * 2,
        [CompletionRequest],
    ]
    assert [getattr(answer, "text", answer) for answer in results["m"]] == [
        "a!0",
        Score((-0.5, -0.5), (5, 10)),
        Choice((0.5, 0.5)),
        "c!0",
        "d!0",
    ]
    assert progress.n_generated == 3


def test_cheap_requests_overtake_completions_that_were_asked_before() -> None:
    answering = engine(batch_size=1)
    long = waves_of([ask("a", idx) for idx in range(3)])
    late = waves_of([ask("b")], [ScoreRequest("b", "c")], [ChoiceRequest("b", ("x",))])
    run([("late", late), ("long", long)], answering)
    kinds = [type(request) for request in asked(answering)]
    assert kinds == [CompletionRequest, ScoreRequest, ChoiceRequest, *[CompletionRequest] * 3]


def test_a_search_that_asks_for_nothing_goes_on_at_once() -> None:
    answering = engine()
    results, _ = run(
        [("idle", waves_of()), ("empty", waves_of([], [], [ask("a")], [], [ask("b")], []))],
        answering,
    )
    assert results == {"idle": [], "empty": ["a!0", "b!0"]}


def test_a_run_without_searches_returns_nothing() -> None:
    assert run([], engine())[0] == {}


def test_searches_with_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two searches are called 'a'; names must be unique"):
        run([("a", talk("a")), ("b", talk("b")), ("a", talk("c"))], engine())


def test_no_more_searches_are_open_than_allowed_and_all_are_run() -> None:
    n_open = most = 0

    def watched(name: str) -> Search[list[str]]:
        nonlocal n_open, most
        n_open += 1
        most = max(most, n_open)
        said = yield from talk(name)
        n_open -= 1
        return said

    searches = ((f"t{i}", watched(f"t{i}")) for i in range(100))
    results, _ = run(searches, engine(batch_size=6), max_live=10)
    assert (len(results), most, n_open) == (100, 10, 0)


def test_searches_are_made_only_when_there_is_room_for_them() -> None:
    n_made = 0

    def lazily() -> Iterator[tuple[str, Search[list[str]]]]:
        nonlocal n_made
        for i in range(1000):
            n_made += 1
            yield f"t{i}", talk(f"t{i}", n_waves=1)

    run(lazily(), engine(), max_live=5, budget=Budget(max_tokens=1))
    assert n_made <= 5 + 8


def test_progress_is_reported_after_every_batch_and_adds_up() -> None:
    seen: list[tuple[int, int]] = []
    answering = engine(batch_size=10)
    _, progress = run(
        talks(40), answering, on_progress=lambda p: seen.append((p.n_generated, p.n_finished))
    )
    assert len(seen) == len(answering.batches) + 1  # and once at the end
    assert seen == sorted(seen)
    assert progress.n_generated == len(asked(answering))
    assert progress.n_tokens == 2 * progress.n_generated
    assert progress.n_finished == 40


# ---- the journal


@pytest.mark.parametrize("concurrency", [1, 4])
def test_every_answer_is_in_the_journal_before_a_search_sees_it(
    path: Path, concurrency: int
) -> None:
    answering = engine(batch_size=5, concurrency=concurrency)
    n_seen = 0

    def suspicious(name: str) -> Search[None]:
        nonlocal n_seen
        for wave in range(3):
            requests: list[Request] = [ask(f"{name}/{wave}", idx) for idx in range(3)]
            requests.append(ChoiceRequest(f"{name}/{wave}", ("x",)))
            requests.append(ScoreRequest(name, f"{wave}"))
            answers = yield requests
            keys = [journal_key("fake", request) for request in requests]
            with Journal(path) as other:  # its own connection: sees only what is committed
                assert other.look_up(keys) == dict(zip(keys, answers, strict=True))
            n_seen += len(answers)

    run([(f"s{i}", suspicious(f"s{i}")) for i in range(20)], answering, Journal(path))
    assert n_seen == 300


def test_a_second_run_is_replayed_without_the_engine(path: Path) -> None:
    first, before = run(talks(100), engine(), Journal(path))
    silent = engine(fail_after=0)
    second, after = run(talks(100), silent, Journal(path))
    assert second == first
    assert list(second) == list(first)
    assert silent.batches == []
    assert (after.n_generated, after.n_tokens) == (0, 0)
    assert after.n_replayed == before.n_generated


def test_only_completions_are_counted_but_every_kind_is_replayed(path: Path) -> None:
    def mixed() -> Search[list[Answer]]:
        cheap = [ScoreRequest("a", "b c d"), ChoiceRequest("a", ("x",)), judged("a", 2)]
        answers = yield [ask("a"), *cheap]
        return list(answers)

    first, before = run([("m", mixed())], engine(evaluate=judge), Journal(path))
    assert first["m"][-1] == Evaluation(2.0)
    second, after = run([("m", mixed())], engine(fail_after=0), Journal(path))
    assert second == first
    assert (before.n_generated, before.n_replayed, before.n_tokens) == (1, 0, 2)
    assert (after.n_generated, after.n_replayed, after.n_tokens) == (0, 1, 0)


def test_another_engine_does_not_find_the_answers_of_the_first(path: Path) -> None:
    run(talks(5), engine(), Journal(path))
    _, progress = run(talks(5), engine(fingerprint="other"), Journal(path))
    assert progress.n_replayed == 0


@pytest.mark.parametrize("n_batches", [0, 1, 13, 30])
def test_a_run_that_crashed_goes_on_with_the_batches_that_it_had_left(
    path: Path, n_batches: int
) -> None:
    whole = engine(batch_size=7)
    expected, uninterrupted = run(talks(60), whole)
    broken, mended = engine(batch_size=7, fail_after=n_batches), engine(batch_size=7)
    with pytest.raises(EngineError, match="told to fail"):
        run(talks(60), broken, Journal(path))
    results, progress = run(talks(60), mended, Journal(path))
    assert results == expected
    assert broken.batches + mended.batches == whole.batches
    assert progress.n_replayed == len(asked(broken)) == 7 * n_batches
    assert progress.n_replayed + progress.n_generated == uninterrupted.n_generated


def test_a_run_that_crashes_again_and_again_still_ends(path: Path) -> None:
    expected, _ = run(talks(60), engine())
    for _ in range(100):
        try:
            results, _ = run(talks(60), engine(fail_after=3), Journal(path))
        except EngineError:
            continue
        break
    assert results == expected


def test_what_was_answered_before_the_engine_broke_is_in_the_journal(path: Path) -> None:
    broken = engine(batch_size=4, fail_after=5)
    with pytest.raises(EngineError):
        run(talks(30), broken, Journal(path))
    with Journal(path) as journal:
        assert set(journal.keys()) == {journal_key("fake", request) for request in asked(broken)}
        assert len(journal) == 20


# ---- identical requests


def twins(n: int) -> list[tuple[str, Search[list[str]]]]:
    return [(f"t{i}", waves_of([ask("same"), ask("same", 1)], [ask("late")])) for i in range(n)]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("concurrency", [1, 2, 16])
def test_a_request_that_many_searches_make_is_generated_once(
    batch_size: int, concurrency: int
) -> None:
    answering = engine(batch_size=batch_size, concurrency=concurrency, delay_s=0.001)
    results, progress = run(twins(10), answering)
    assert sorted(request.identity for request in asked(answering)) == sorted(
        request.identity for request in [ask("same"), ask("same", 1), ask("late")]
    )
    assert progress.n_generated == 3
    assert results == {f"t{i}": ["same!0", "same!1", "late!0"] for i in range(10)}


@pytest.mark.parametrize("request_", [ScoreRequest("p", "a b"), ChoiceRequest("p", ("x",))])
def test_a_cheap_request_that_many_searches_make_is_put_to_the_engine_once(
    request_: Request,
) -> None:
    answering = engine(batch_size=2, concurrency=3, delay_s=0.001)
    run([(f"t{i}", waves_of([request_, request_])) for i in range(5)], answering)
    assert asked(answering) == [request_]


def test_a_search_may_ask_the_same_twice_in_one_wave() -> None:
    answering = engine()
    results, _ = run([("a", waves_of([ask("x"), ask("x"), ask("y")]))], answering)
    assert results["a"] == ["x!0", "x!0", "y!0"]
    assert len(asked(answering)) == 2


def test_whoever_waits_for_a_call_that_fails_gets_its_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Breaks(FakeEngine):
        async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
            await asyncio.sleep(0.01)
            raise EngineError("the server is gone")

    broken = Breaks(lambda _: "", batch_size=1, concurrency=8)
    with pytest.raises(EngineError, match="the server is gone"):
        run(twins(10), broken)
    assert caplog.records == []  # asyncio complains there of errors that nobody took


# ---- several calls at once


def test_results_do_not_depend_on_how_many_calls_are_under_way() -> None:
    expected, _ = run(talks(150), engine(batch_size=5))

    class Uneven(FakeEngine):
        """Later calls end before earlier ones."""

        async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
            await asyncio.sleep(0.0005 * (len(self.batches) * 7 % 5))
            return await super().complete(requests)

    for concurrency in (2, 9):
        uneven = Uneven(
            lambda request: f"{request.prompt}!{request.sample_idx}",
            batch_size=5,
            concurrency=concurrency,
        )
        results, progress = run(talks(150), uneven)
        assert results == expected
        assert list(results) == list(expected)
        assert progress.n_generated == len({request.identity for request in asked(uneven)})


def test_as_many_calls_are_under_way_as_the_engine_takes_and_no_more() -> None:
    under_way: list[int] = []

    class Watched(FakeEngine):
        n = 0

        async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
            self.n += 1
            under_way.append(self.n)
            completions = await super().complete(requests)
            self.n -= 1
            return completions

    watched = Watched(lambda request: request.prompt, batch_size=2, concurrency=3, delay_s=0.001)
    run(talks(20), watched)
    assert max(under_way) == 3


def test_a_call_that_fails_beside_others_loses_none_that_had_been_answered(path: Path) -> None:
    broken = engine(batch_size=4, concurrency=3, fail_after=7, delay_s=0.001)
    with pytest.raises(EngineError):
        run(talks(40), broken, Journal(path))
    with Journal(path) as journal:
        assert set(journal.keys()) >= {journal_key("fake", r) for r in asked(broken)}
    results, _ = run(talks(40), engine(batch_size=4, concurrency=3), Journal(path))
    assert results == run(talks(40), engine())[0]


# ---- errors of searches


def test_an_error_of_a_search_ends_the_run_and_closes_the_others() -> None:
    closed: list[str] = []

    def careful(name: str) -> Search[None]:
        try:
            yield [ask(name)]
            yield [ask(f"{name} again")]
        finally:
            closed.append(name)

    def careless() -> Search[None]:
        yield [ask("x")]
        raise KeyError("a slip")

    searches: list[tuple[str, Search[None]]] = [
        ("a", careful("a")),
        ("b", careless()),
        ("c", careful("c")),
    ]
    with pytest.raises(KeyError, match="a slip"):
        run(searches, engine())
    assert sorted(closed) == ["a", "c"]


# ---- budgets


def patient(name: str, n_waves: int = 50) -> Search[list[str]]:
    """A search that returns what it has when the budget is spent."""
    said: list[str] = []
    try:
        for wave in range(n_waves):
            (answer,) = yield [ask(f"{name}/{wave}")]
            assert isinstance(answer, Completion)
            said.append(answer.text)
    except BudgetSpent:
        said.append("cut")
    return said


def test_a_spent_token_budget_ends_every_search_with_what_it_has() -> None:
    answering = engine(batch_size=10)
    results, progress = run(
        [(f"p{i}", patient(f"p{i}")) for i in range(10)], answering, budget=Budget(max_tokens=60)
    )
    assert progress.budget_spent
    assert progress.n_tokens == 60  # 3 batches of 10 answers of 2 tokens
    assert results == {
        f"p{i}": [*(f"p{i}/{wave}!0" for wave in range(3)), "cut"] for i in range(10)
    }


def test_a_budget_is_overrun_by_one_batch_at_most() -> None:
    answering = engine(batch_size=10)
    _, progress = run(
        [(f"p{i}", patient(f"p{i}")) for i in range(10)], answering, budget=Budget(max_tokens=41)
    )
    assert progress.n_tokens == 60


def test_a_search_that_has_nothing_to_return_has_no_result() -> None:
    results, _ = run(
        [("t", talk("t", n_waves=9)), ("p", patient("p"))],
        engine(),
        budget=Budget(max_tokens=1),
    )
    assert results == {"p": ["p/0!0", "cut"]}


def test_a_search_of_several_stages_keeps_what_the_earlier_ones_found() -> None:
    def staged() -> Search[list[list[str]]]:
        parts: list[list[str]] = []
        for stage in range(4):
            parts.append((yield from patient(f"stage {stage}", n_waves=3)))
        return parts

    results, _ = run([("s", staged())], engine(), budget=Budget(max_tokens=12))
    whole = [f"stage 0/{wave}!0" for wave in range(3)]
    assert results["s"] == [whole, ["stage 1/0!0", "cut"], ["cut"], ["cut"]]


def test_a_budget_that_is_enough_changes_nothing() -> None:
    expected, before = run(talks(20), engine())
    results, progress = run(talks(20), engine(), budget=Budget(max_tokens=before.n_tokens + 1))
    assert results == expected
    assert not progress.budget_spent


def test_a_budget_that_is_spent_by_the_last_answer_of_all_was_enough() -> None:
    _, before = run(talks(20), engine())
    _, progress = run(talks(20), engine(), budget=Budget(max_tokens=before.n_tokens))
    assert progress.n_finished == 20
    assert not progress.budget_spent


def test_searches_that_never_began_count_as_cut_off_by_the_budget() -> None:
    searches = [(f"t{i}", talk(f"t{i}", n_waves=1)) for i in range(3)]
    results, progress = run(searches, engine(), max_live=1, budget=Budget(max_tokens=1))
    assert list(results) == ["t0"]
    assert progress.budget_spent


def test_replayed_answers_cost_no_budget(path: Path) -> None:
    first, before = run(talks(30), engine(), Journal(path))
    second, progress = run(talks(30), engine(), Journal(path), budget=Budget(max_tokens=1))
    assert second == first
    assert before.n_tokens > 1
    assert not progress.budget_spent


def test_a_run_in_instalments_comes_to_the_same_end(path: Path) -> None:
    expected, before = run(talks(30), engine())
    spent, n_runs = True, 0
    while spent:
        results, progress = run(talks(30), engine(), Journal(path), budget=Budget(max_tokens=50))
        spent, n_runs = progress.budget_spent, n_runs + 1
    assert results == expected
    assert n_runs == ceil(before.n_tokens / 64)  # each stops at the 4th of its batches of 8


def test_the_time_budget_of_a_batching_engine_lets_its_batch_end() -> None:
    answering = engine(delay_s=0.05)
    results, progress = run([("p", patient("p"))], answering, budget=Budget(max_seconds=0.01))
    assert results == {"p": ["p/0!0", "cut"]}
    assert progress.budget_spent


def test_the_time_budget_of_an_engine_of_many_calls_cancels_what_is_under_way(path: Path) -> None:
    class OneHangs(FakeEngine):
        """Never answers the second question."""

        async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
            if requests[0].prompt == "b/0":
                await asyncio.sleep(600)
            return await super().complete(requests)

    hanging = OneHangs(lambda request: f"{request.prompt}!", batch_size=1, concurrency=4)
    results, progress = run(
        [("a", patient("a", 1)), ("b", patient("b"))],
        hanging,
        Journal(path),
        budget=Budget(max_seconds=0.2),
    )
    assert results == {"a": ["a/0!"], "b": ["cut"]}
    assert progress.budget_spent and progress.seconds < 30
    with Journal(path) as journal:
        assert len(journal) == 1


def test_tokens_under_way_count_against_the_budget_before_they_have_come() -> None:
    eager = engine(batch_size=1, concurrency=50, delay_s=0.001)
    searches = [(f"p{i}", patient(f"p{i}")) for i in range(50)]
    _, progress = run(searches, eager, budget=Budget(max_tokens=200))
    assert progress.budget_spent
    assert 200 <= progress.n_tokens <= 202  # one answer of 2 tokens may overlap the limit


def test_thousands_of_free_places_do_not_overrun_a_budget() -> None:
    wide = engine(batch_size=1, concurrency=5_000, delay_s=0.001)
    searches = [(f"p{i}", patient(f"p{i}")) for i in range(3_000)]
    _, progress = run(searches, wide, budget=Budget(max_tokens=1_000))
    assert progress.budget_spent
    assert 1_000 <= progress.n_tokens <= 1_002


def test_a_budget_of_money_ends_a_run_by_the_engines_own_count() -> None:
    answering = engine(batch_size=10)
    budget = Budget(max_cost=60.0, price_generated=1_000_000.0)
    searches = [(f"p{i}", patient(f"p{i}")) for i in range(10)]
    _, progress = run(searches, answering, budget=budget)
    assert progress.budget_spent
    assert progress.cost == progress.n_tokens == 60


# ---- waves that end when enough is known


def until_three(name: str, n: int = 8) -> Search[list[str]]:
    """Asks for samples one after the other until sample 3 is seen."""

    def enough(answers: Sequence[Answer]) -> bool:
        seen.append(len(answers))
        last = answers[-1]
        return isinstance(last, Completion) and last.text.endswith("!3")

    seen: list[int] = []
    answers = yield Until([ask(name, idx) for idx in range(n)], enough)
    assert seen == list(range(1, len(answers) + 1))
    return [answer.text for answer in answers if isinstance(answer, Completion)]


FOUR = [f"u!{idx}" for idx in range(4)]


def test_a_search_can_ask_one_by_one_until_it_has_enough() -> None:
    answering = engine(batch_size=64)
    results, _ = run([("u", until_three("u"))], answering)
    assert results == {"u": FOUR}
    assert len(asked(answering)) == 4


def test_a_search_that_never_has_enough_is_sent_every_answer() -> None:
    results, _ = run([("u", until_three("u", n=3))], engine())
    assert results == {"u": FOUR[:3]}


def test_speculation_changes_what_is_asked_but_not_what_a_search_is_sent() -> None:
    class LateFirst(FakeEngine):
        """The later a sample was asked for, the sooner it comes."""

        async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
            await asyncio.sleep(0.002 * (8 - requests[0].sample_idx))
            return await super().complete(requests)

    late = LateFirst(lambda r: f"{r.prompt}!{r.sample_idx}", batch_size=1, concurrency=64)
    results, _ = run([("u", until_three("u"))], late, speculate=True)
    assert results == {"u": FOUR}
    assert len(asked(late)) == 8


def test_answers_that_nobody_waits_for_any_more_are_cancelled() -> None:
    cancelled: list[int] = []

    class Hanging(FakeEngine):
        """Answers the first four samples and no other."""

        async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
            if (idx := requests[0].sample_idx) > 3:
                try:
                    await asyncio.sleep(600)
                except asyncio.CancelledError:
                    cancelled.append(idx)
                    raise
            return await super().complete(requests)

    hanging = Hanging(lambda r: f"{r.prompt}!{r.sample_idx}", batch_size=1, concurrency=64)
    results, progress = run([("u", until_three("u"))], hanging, speculate=True)
    assert results == {"u": FOUR}
    assert sorted(cancelled) == [4, 5, 6, 7]
    assert progress.n_cancelled == 4


def test_a_cancelled_answer_can_be_asked_for_again() -> None:
    def twice() -> Search[list[str]]:
        yield from until_three("u")
        answers = yield [ask("u", idx) for idx in range(8)]
        return [answer.text for answer in answers if isinstance(answer, Completion)]

    slow = engine(batch_size=1, concurrency=64, delay_s=0.001)
    results, _ = run([("u", twice())], slow, speculate=True)
    assert results == {"u": [f"u!{idx}" for idx in range(8)]}


def test_speculation_waits_until_the_engine_has_nothing_else_to_do() -> None:
    busy = engine(batch_size=1, concurrency=3)
    searches = [("u", until_three("u", n=4)), ("w", waves_of([ask("w", idx) for idx in range(2)]))]
    run(searches, busy, speculate=True)
    assert [(r.prompt, r.sample_idx) for r in asked(busy)[:3]] == [("u", 0), ("w", 0), ("w", 1)]


def test_a_batching_engine_never_speculates() -> None:
    answering = engine(batch_size=64, concurrency=2)
    run([("u", until_three("u"))], answering, speculate=True)
    assert len(asked(answering)) == 4


# ---- evaluations


def valued(name: str, n_steps: int) -> Search[list[float]]:
    """Asks what longer and longer states are worth, and writes something in between."""
    values: list[float] = []
    for n in range(n_steps):
        answers = yield [judged(name, n), ask(f"{name}/{n}")]
        values += [answer.value for answer in answers if isinstance(answer, Evaluation)]
    return values


def evaluations(answering: FakeEngine) -> list[int]:
    """Evaluations per call."""
    kinds = [{type(request) for request in batch} for batch in answering.batches]
    assert all(len(kind) == 1 for kind in kinds)
    return [
        len(batch)
        for batch, kind in zip(answering.batches, kinds, strict=True)
        if kind == {EvaluationRequest}
    ]


def test_evaluations_are_batched_among_themselves_and_reach_their_searches() -> None:
    answering = engine(evaluate=judge, batch_size=8)
    results, progress = run([(f"s{i}", valued(f"s{i}", 3)) for i in range(24)], answering)
    assert set(map(tuple, results.values())) == {(0.0, 1.0, 2.0)}
    assert evaluations(answering) == [8] * 9
    assert progress.n_generated == 72


def test_beside_an_engine_of_many_calls_evaluations_still_go_in_batches_one_at_a_time() -> None:
    n_open, most = 0, 0

    class Watched(FakeEngine):
        async def evaluate(self, requests: Sequence[EvaluationRequest]) -> list[Evaluation]:
            nonlocal n_open, most
            n_open += 1
            most = max(most, n_open)
            try:
                return await super().evaluate(requests)
            finally:
                n_open -= 1

    watched = Watched(lambda r: "x", evaluate=judge, batch_size=1, concurrency=40, delay_s=0.005)
    results, _ = run([(f"s{i}", valued(f"s{i}", 3)) for i in range(30)], watched)
    assert set(map(tuple, results.values())) == {(0.0, 1.0, 2.0)}
    assert most == 1
    assert sum(evaluations(watched)) == 90
    assert len(evaluations(watched)) <= 10


def test_an_evaluation_that_was_asked_for_twice_is_made_once() -> None:
    answering = engine(evaluate=judge)
    run([(f"s{i}", waves_of([judged("same", 2)])) for i in range(5)], answering)
    assert evaluations(answering) == [1]


def test_an_engine_without_a_value_model_says_which_setting_names_one() -> None:
    with pytest.raises(EngineError, match=r"'fake' has no value model.* search\.value_model"):
        run([("s", valued("s", 1))], engine())


def test_an_engine_that_cannot_evaluate_at_all_says_the_same() -> None:
    class Bare:
        """An engine in every other way."""

        def __init__(self) -> None:
            whole = engine()
            self.fingerprint, self.batch_size, self.concurrency = "bare", 8, 1
            self.usage, self.close = whole.usage, whole.close
            self.complete, self.choose, self.score = whole.complete, whole.choose, whole.score

    with pytest.raises(EngineError, match=r"'bare' has no value model.* search\.value_model"):
        run([("s", waves_of([judged("s")]))], cast(FakeEngine, Bare()))


# ---- engines that form their own batches


@pytest.mark.slow
def test_ten_thousand_searches_live_at_once() -> None:
    wide = engine(batch_size=1, concurrency=20_000, delay_s=0.5)
    most = 0

    def watch(progress: Progress) -> None:
        nonlocal most
        most = max(most, progress.n_live)

    searches = ((f"t{i}", talk(f"t{i}", n_waves=2, width=1)) for i in range(10_000))
    results, _ = run(searches, wide, on_progress=watch)
    assert most == len(results) == 10_000


def test_what_continues_the_longest_text_just_read_goes_first() -> None:
    one_at_a_time = engine(batch_size=1)

    def growing(name: str) -> Search[None]:
        for length in (1, 3, 2):
            yield [ask(name * length, idx) for idx in range(2)]

    run([(name, growing(name)) for name in "abc"], one_at_a_time)
    prompts = [request.prompt for request in asked(one_at_a_time)]
    assert prompts == [name * length for name in "abc" for length in (1, 1, 3, 3, 2, 2)]


def test_a_search_begins_only_when_the_engine_would_be_idle_without_it() -> None:
    most = 0

    def watch(progress: Progress) -> None:
        nonlocal most
        most = max(most, progress.n_live)

    run(talks(200), engine(batch_size=1, concurrency=6), on_progress=watch)
    assert most == 2  # each has 3 requests out


def test_results_wait_for_those_before_them_and_hold_back_new_searches() -> None:
    begun: list[str] = []

    class FirstHangs(FakeEngine):
        async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
            if requests[0].prompt == "t0/0":
                await asyncio.sleep(0.3)
            return await super().complete(requests)

    def searches() -> Iterator[tuple[str, Search[list[str]]]]:
        for i in range(30):
            begun.append(f"t{i}")
            yield f"t{i}", talk(f"t{i}", n_waves=1, width=1)

    handed: list[tuple[str, int]] = []
    slow = FirstHangs(lambda request: request.prompt, batch_size=1, concurrency=4)
    with Journal(":memory:") as journal:
        scheduler = Scheduler[list[str]](slow, journal, max_live=10)
        scheduler.stream(searches(), lambda name, _: handed.append((name, len(begun))))
    assert [name for name, _ in handed] == [f"t{i}" for i in range(30)]
    assert handed[0] == ("t0", 10)


def test_an_engine_that_drops_answers_is_called_broken() -> None:
    class Short(FakeEngine):
        async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
            return (await super().complete(requests))[1:]

    with pytest.raises(EngineError, match="gave 2 answers to 3 requests"):
        run([("t", talk("t"))], Short(lambda request: request.prompt))


def test_calls_beside_one_that_fails_are_waited_for_and_kept(path: Path) -> None:
    class OneFails(FakeEngine):
        async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
            if requests[0].sample_idx == 0:
                raise EngineError("sample 0 is cursed")
            await asyncio.sleep(0.02)
            return await super().complete(requests)

    failing = OneFails(lambda request: request.prompt, batch_size=1, concurrency=3)
    with pytest.raises(EngineError, match="cursed"):
        run([("t", talk("t"))], failing, Journal(path))
    with Journal(path) as journal:
        assert len(journal) == 2


@pytest.fixture
def plain_ctrl_c() -> Iterator[None]:
    """Python's own handler, whatever an earlier test's library has put in its place."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("plain_ctrl_c")
def test_an_interrupted_run_keeps_what_had_come(path: Path) -> None:
    class Interrupting(FakeEngine):
        """The user presses Ctrl-C while the last answer is out."""

        async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
            if requests[0].sample_idx == 2:
                signal.raise_signal(signal.SIGINT)
                await asyncio.sleep(60)
            return await super().complete(requests)

    interrupting = Interrupting(lambda request: request.prompt, batch_size=1, concurrency=3)
    with pytest.raises(KeyboardInterrupt):
        run([("t", talk("t"))], interrupting, Journal(path))
    with Journal(path) as journal:
        assert len(journal) == 2
    assert run([("t", talk("t"))], engine(), Journal(path))[1].n_replayed == 2
