"""A practice exchange in a process of its own: its crowd takes no time from the window, and it is filled while the window opens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

_HOME = str(Path(__file__).resolve().parent.parent)
_PATIENCE = 60.0  # seconds until it must have said where it serves


class PracticeProcess:
    """`hosts` and `credentials` are there after `start`. It ends with `stop`, and by itself when this process ends."""

    def __init__(self, slug: str) -> None:
        self.slug = slug
        self.hosts: dict[str, str] = {}
        self.credentials: dict[str, str] = {}
        self._child = subprocess.Popen(  # noqa: S603 - this very program, with one of its own words
            [*_ourselves(), "practice", slug, "--json", "--until-stdin-ends"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (_HOME, os.environ.get("PYTHONPATH"))))},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._child.poll() is None

    async def start(self) -> None:
        """Wait until it serves. Raises OSError if it ended instead."""
        out = self._child.stdout
        line = b""
        if out is not None:
            with contextlib.suppress(TimeoutError):
                line = await asyncio.wait_for(asyncio.to_thread(out.readline), _PATIENCE)
        if not line:
            await self.stop()
            raise OSError(f"the practice exchange of {self.slug} did not start (status {self._child.poll()})")
        told = json.loads(line)
        self.hosts, self.credentials = told["hosts"], told["credentials"]

    async def stop(self) -> None:
        """End it, gently first."""
        await asyncio.to_thread(self.end)

    def end(self) -> None:
        """The same, waiting."""
        if self._child.stdin is not None:
            with contextlib.suppress(OSError):
                self._child.stdin.close()
        try:
            self._child.wait(5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(5)
        if self._child.stdout is not None:
            self._child.stdout.close()


class PracticeProcesses:
    """Makes them, and takes one that was begun early if there is one."""

    def __init__(self, early: Iterable[str] = ()) -> None:
        self._early = {slug: PracticeProcess(slug) for slug in early}

    def __call__(self, slug: str) -> PracticeProcess:
        """One for this venue. Raises OSError if no process can be made."""
        begun = self._early.pop(slug, None)
        return begun if begun is not None and begun.alive else PracticeProcess(slug)

    def end(self) -> None:
        """End those that nobody took."""
        for process in self._early.values():
            process.end()
        self._early.clear()


def _ourselves() -> list[str]:
    """The command that starts this program again: a package is its own executable."""
    return [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "app"]
