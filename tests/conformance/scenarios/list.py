"""How a function becomes a scenario."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tests.conformance.marks import Column, Scenario, never

F = TypeVar("F", bound=Callable[..., Any])
SCENARIOS: list[Scenario] = []


def scenario(
    group: str, title: str, *, unless: Callable[[Column], str] = never, **options: Any
) -> Callable[[F], F]:
    """Put a function on the list; `options` go to `open_bench`."""

    def add(run: F) -> F:
        SCENARIOS.append(Scenario(run.__name__, title, group, run, unless, options))
        return run

    return add
