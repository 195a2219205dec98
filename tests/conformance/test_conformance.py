"""Every scenario at every venue: `pytest tests/conformance -k "kraken and checksum"`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.bench import open_bench
from tests.conformance.marks import CANNOT, UNSEEN, Column, Scenario, cannot, columns, unseen
from tests.conformance.scenarios import SCENARIOS
from tests.conformance.table import PATH, Cell, render

CELLS = [
    pytest.param(column, scenario, id=f"{column.name} {scenario.name}".replace(" ", "-"))
    for column in columns()
    for scenario in SCENARIOS
]


@pytest.mark.parametrize(("column", "scenario"), CELLS)
async def test_conformance(column: Column, scenario: Scenario, record_property: Any) -> None:
    reason = cannot(column, scenario)
    record_property("conformance", [column.name, scenario.name, reason, unseen(column, scenario.name)])
    if reason:
        pytest.skip(f"{column.name} cannot have this: {reason}")
    async with open_bench(column, **scenario.options) as bench:
        await scenario.run(bench)


def test_marks_name_what_exists() -> None:
    names = {scenario.name for scenario in SCENARIOS}
    places = {column.name for column in columns()} | {column.slug for column in columns()}
    for table in (CANNOT, UNSEEN):
        for (place, name), reason in table.items():
            assert place in places, f"no column {place}"
            assert name in names, f"no scenario {name}"
            assert reason


def test_the_committed_table_is_the_one_that_a_green_run_gives() -> None:
    cells = {
        (column.name, scenario.name): Cell(True, cannot(column, scenario), unseen(column, scenario.name))
        for column in columns()
        for scenario in SCENARIOS
    }
    assert PATH.read_text() == render(cells), "run ./dev test once and commit docs/conformance.md"
