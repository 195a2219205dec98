"""Waiting in tests: for a condition, never for a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

PATIENCE = 100.0  # seconds; only a test that fails, or a machine that is very busy, comes near it


async def until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Look until `condition` gives something true, and return that. AssertionError naming `what` if it never came."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, f"never came: {what}"
        await asyncio.sleep(0.01)
    return found
