"""Qt's own loops inside a callback of asyncio lose no other callback."""

from __future__ import annotations

import asyncio

from PySide6.QtWidgets import QApplication

from app.loop import Loop
from tests.waiting import until


def test_tasks_that_become_due_while_qt_runs_events_inside_another_go_on(qapp: QApplication, loop: Loop) -> None:
    failures: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _, context: failures.append(context))

    async def scenario() -> None:
        turns = [0] * 20

        async def work(number: int) -> None:
            while True:
                await asyncio.sleep(0.001)
                turns[number] += 1

        tasks = [asyncio.ensure_future(work(number)) for number in range(len(turns))]
        for _ in range(100):
            await asyncio.sleep(0.002)
            qapp.processEvents()
        before = list(turns)
        await until(lambda: all(now > then for now, then in zip(turns, before, strict=True)), "each of them")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    loop.run_until_complete(asyncio.wait_for(scenario(), 60))
    assert failures == []


def test_what_is_due_inside_waits_for_the_end_of_the_one_at_work(qapp: QApplication, loop: Loop) -> None:
    told: list[str] = []

    async def scenario() -> None:
        loop.call_soon(told.append, "inside")
        loop.call_soon(told.append, "behind it")
        qapp.processEvents()
        told.append("at work")
        await until(lambda: len(told) == 3, "the others")

    loop.run_until_complete(asyncio.wait_for(scenario(), 60))
    assert told == ["at work", "inside", "behind it"]


def test_a_cancelled_callback_is_not_called(loop: Loop) -> None:
    told: list[str] = []
    loop.call_later(0.01, told.append, "cancelled").cancel()
    loop.call_later(0.02, told.append, "called")

    async def scenario() -> None:
        await until(lambda: told, "the other one")

    loop.run_until_complete(asyncio.wait_for(scenario(), 60))
    assert told == ["called"]
