"""Turns of large answers: a few at a time, first those that have taken least, and no place is ever lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from autoscaler.gcs.errors import GcsError
from autoscaler.gcs.turns import HALF_LIFE_SECONDS, Turns, Used


class Scene:
    """Heads that take turns; the time stands still unless a test moves it."""

    def __init__(self, places: int = 1, longest_wait: float = 30.0) -> None:
        self.now = 100.0
        self.turns = Turns(places, lambda: self.now, longest_wait)
        self.inside: list[str] = []
        self.order: list[str] = []

    def used(self, seconds: float = 0.0) -> Used:
        used = Used(lambda: self.now)
        used.add(seconds)
        return used

    def enter(self, name: str, used: Used, until: asyncio.Event) -> asyncio.Task[None]:
        async def take() -> None:
            async with self.turns.turn(used):
                self.order.append(name)
                self.inside.append(name)
                try:
                    await until.wait()
                finally:
                    self.inside.remove(name)

        return asyncio.create_task(take())


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await test()

    asyncio.run(main())


def test_a_few_go_in_at_a_time_and_each_gets_its_turn() -> None:
    async def test() -> None:
        scene, ends = Scene(places=2), [asyncio.Event() for _ in range(5)]
        tasks = [scene.enter(str(number), scene.used(), end) for number, end in enumerate(ends)]
        for number, end in enumerate(ends):
            await settled()
            assert len(scene.inside) == min(2, 5 - number)
            end.set()
        await asyncio.gather(*tasks)
        assert scene.order == ["0", "1", "2", "3", "4"]

    run(test)


def test_who_has_taken_least_goes_first() -> None:
    async def test() -> None:
        scene, first, rest = Scene(), asyncio.Event(), asyncio.Event()
        rest.set()
        greedy, modest = scene.used(), scene.used(1.0)
        tasks = [scene.enter("greedy", greedy, first)]
        await settled()
        scene.now += 2.0
        first.set()
        await settled()
        hold = asyncio.Event()
        tasks += [scene.enter("x", scene.used(), hold)]
        await settled()
        tasks += [scene.enter("greedy", greedy, rest), scene.enter("modest", modest, rest)]
        await settled()
        hold.set()
        await asyncio.gather(*tasks)
        assert scene.order == ["greedy", "x", "modest", "greedy"]

    run(test)


def test_what_was_taken_is_forgotten() -> None:
    scene = Scene()
    used = scene.used(8.0)
    scene.now += 3 * HALF_LIFE_SECONDS
    assert used.seconds() == pytest.approx(1.0)


def test_waiting_ends_and_a_turn_that_fails_is_over() -> None:
    async def test() -> None:
        scene, end = Scene(longest_wait=0.01), asyncio.Event()
        task = scene.enter("first", scene.used(), end)
        await settled()
        with pytest.raises(GcsError, match="timeout"):
            await scene.enter("second", scene.used(), end)
        task.cancel()
        await asyncio.wait({task})
        end.set()
        await scene.enter("third", scene.used(), end)
        assert scene.order == ["first", "third"]

    run(test)


def test_one_that_is_cancelled_while_it_waits_takes_no_place() -> None:
    async def test() -> None:
        scene, end = Scene(), asyncio.Event()
        first = scene.enter("first", scene.used(), end)
        await settled()
        gone, let_in = scene.enter("gone", scene.used(), end), scene.enter("let in", scene.used(), end)
        await settled()
        gone.cancel()
        await settled()
        end.set()
        await settled()
        # Cancelled in the moment in which it is let in, too.
        let_in.cancel()
        await asyncio.wait({first, gone, let_in})
        await scene.enter("last", scene.used(), end)
        assert scene.order[-1] == "last" and "gone" not in scene.order

    run(test)


def test_nothing_is_kept_of_those_that_have_waited_in_vain() -> None:
    async def test() -> None:
        scene, end = Scene(longest_wait=0.0), asyncio.Event()
        first = scene.enter("first", scene.used(), end)
        await settled()
        for _ in range(100):
            with pytest.raises(GcsError):
                await scene.enter("other", scene.used(), end)
        assert not scene.turns._waiting
        end.set()
        await first
        await scene.enter("next", scene.used(), end)
        assert scene.order == ["first", "next"]

    run(test)
