"""A practice exchange in a process of its own: it serves, ends when told, and is not left over by a parent that died."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.practice_process import PracticeProcess, PracticeProcesses
from connectors.catalogue import load
from connectors.runtime.session import Session
from tests.waiting import PATIENCE, until

ROOT = Path(__file__).resolve().parents[2]


def test_it_serves_the_venue_and_ends_when_told() -> None:
    async def scenario() -> None:
        process = PracticeProcess("binance")
        try:
            await process.start()
            session = Session(load("binance"), hosts=process.hosts, secrets=process.credentials)
            await session.start()
            assert "binance:spot:BTC-USDT" in session.instruments
            await session.stop()
            assert process.alive
        finally:
            await process.stop()
        assert not process.alive

    asyncio.run(scenario())


def test_one_that_was_begun_early_is_taken_once_and_the_rest_end() -> None:
    processes = PracticeProcesses(["binance"])
    first = processes("binance")
    second = processes("binance")
    try:
        assert first.pid != second.pid
    finally:
        first.end()
        second.end()
        processes.end()
    assert not first.alive
    assert not second.alive


def test_a_process_that_cannot_start_is_an_os_error() -> None:
    async def scenario() -> None:
        with pytest.raises(OSError, match="did not start"):
            await PracticeProcess("no-such-venue").start()

    asyncio.run(scenario())


def test_it_ends_by_itself_when_its_parent_is_killed() -> None:
    """given a parent that is killed without a word, then the exchange ends too."""
    script = (
        "import sys, time; from app.practice_process import PracticeProcess; import asyncio\n"
        "p = PracticeProcess('binance'); asyncio.run(p.start()); print(p.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    os.kill(pid, 0)
    parent.send_signal(signal.SIGKILL)
    parent.wait(PATIENCE)
    asyncio.run(until(lambda: not runs(pid), "its end"))
    parent.stdout.close()


def runs(pid: int) -> bool:
    """Whether a process lives; one that is only waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:  # it may go while it is looked at
        return False
