"""How a function becomes a scenario."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from tests.conformance.bench import Bench
from tests.conformance.marks import Column, Scenario, never

Run: TypeAlias = Callable[[Bench], Coroutine[Any, Any, None]]
SCENARIOS: list[Scenario] = []


def scenario(
    group: str, title: str, *, unless: Callable[[Column], str] = never, **options: Any
) -> Callable[[Run], Run]:
    """Put a function on the list, under its own name; `options` go to `open_bench`."""

    def add(run: Run) -> Run:
        name = getattr(run, "__name__")  # noqa: B009 - a function has one, a Callable need not
        SCENARIOS.append(Scenario(name, title, group, run, unless, options))
        return run

    return add
