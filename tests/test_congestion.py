"""The congestion window: first come, first served, and never more than the server takes."""

import asyncio

import pytest
from virtual_time import run

from datagen.engines.openai.congestion import CongestionWindow


def now() -> float:
    return asyncio.get_running_loop().time()


def test_no_more_than_the_limit_are_in_flight_and_all_get_their_turn_in_order() -> None:
    async def check() -> None:
        window, begun, most = CongestionWindow(3), list[int](), 0

        async def one(idx: int) -> None:
            nonlocal most
            async with window.turn():
                begun.append(idx)
                most = max(most, window.n_in_flight)
                await asyncio.sleep(1 + idx % 4)

        await asyncio.gather(*(one(idx) for idx in range(40)))
        assert begun == list(range(40))
        assert most == 3
        assert window.n_in_flight == 0

    run(check())


def test_before_the_first_overload_the_window_doubles_with_every_round_trip() -> None:
    async def check() -> None:
        window = CongestionWindow(100, first=4)

        async def one() -> None:
            async with window.turn():
                await asyncio.sleep(1)
                window.answered()

        tasks = [asyncio.create_task(one()) for _ in range(400)]
        seen = list[int]()
        for _ in range(7):
            await asyncio.sleep(0.5)
            seen.append(window.n_in_flight)
            await asyncio.sleep(0.5)
        await asyncio.gather(*tasks)
        assert seen == [4, 8, 16, 32, 64, 100, 100]

    run(check())


def test_after_an_overload_the_window_grows_by_one_in_a_round_trip() -> None:
    async def check() -> None:
        window = CongestionWindow(1000, first=20)

        async def one(*, refused: bool) -> None:
            async with window.turn() as began:
                await asyncio.sleep(1)
                window.overloaded(began) if refused else window.answered()

        await one(refused=True)
        assert window.limit == 10
        tasks = [asyncio.create_task(one(refused=False)) for _ in range(100)]
        await asyncio.sleep(3.5)
        assert 12 < window.limit < 13.01
        await asyncio.gather(*tasks)

    run(check())


def test_refusals_of_one_moment_halve_the_window_once() -> None:
    async def check() -> None:
        window = CongestionWindow(64)

        async def refused() -> None:
            async with window.turn() as began:
                await asyncio.sleep(1)
                window.overloaded(began)

        await asyncio.gather(*(refused() for _ in range(64)))
        assert window.limit == 32
        await asyncio.gather(*(refused() for _ in range(32)))
        assert window.limit == 16

    run(check())


def test_the_window_never_closes() -> None:
    async def check() -> None:
        window = CongestionWindow(8)
        for _ in range(20):
            async with window.turn() as began:
                window.overloaded(began)
        assert window.limit == 1

    run(check())


def test_a_window_that_is_not_full_does_not_grow() -> None:
    async def check() -> None:
        window = CongestionWindow(1000, first=10)
        for _ in range(100):
            async with window.turn():
                window.answered()
        assert window.limit == 10

    run(check())


def test_a_pause_holds_up_all_who_wait() -> None:
    async def check() -> None:
        window = CongestionWindow(2)
        async with window.turn():
            window.hold(5)
            window.hold(3)  # a shorter one changes nothing

        async def one() -> float:
            async with window.turn():
                return now()

        assert await asyncio.gather(*(one() for _ in range(4))) == [5.0] * 4

    run(check())


@pytest.mark.parametrize("when", [0.0, 0.5, 1.5])
def test_whoever_is_cancelled_leaves_no_place_taken(when: float) -> None:
    async def check() -> None:
        window = CongestionWindow(1)

        async def one() -> None:
            async with window.turn():
                await asyncio.sleep(1)

        tasks = [asyncio.create_task(one()) for _ in range(3)]
        await asyncio.sleep(when)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert tasks[1].cancelled()
        assert window.n_in_flight == 0
        await asyncio.wait_for(one(), 2)

    run(check())
