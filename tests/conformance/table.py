"""docs/conformance.md: venue by scenario, from the results of a run. A pytest plugin that also works with xdist.

Workers send each result with its report; the process that the user started collects them, and writes the table when every
cell has a result. With CI set nothing is written: a table that differs from the committed one fails the run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.marks import columns
from tests.conformance.scenarios import SCENARIOS

PATH = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"

HEAD = """\
# Conformance

Every venue runs the same scenarios (`tests/conformance`) against its practice server, over real sockets; what the exchange
behind the server says is the truth. `./dev test` writes this table. ✓ = passes, ✗ = fails, – = the venue cannot have it,
○ = passes, but the fault itself goes unnoticed there; the number names the reason below.

"""


@dataclass(frozen=True)
class Cell:
    """One result. `reason`: why it cannot be had; `unseen`: why the fault is not noticed."""

    passed: bool
    reason: str = ""
    unseen: str = ""


def render(cells: Mapping[tuple[str, str], Cell]) -> str:
    """The page. Depends on the results alone."""
    places = [column.name for column in columns()]
    notes: dict[str, int] = {}

    def show(cell: Cell) -> str:
        if not cell.passed:
            return "✗"
        note = cell.reason or cell.unseen
        if not note:
            return "✓"
        return f"{'–' if cell.reason else '○'} {notes.setdefault(note, len(notes) + 1)}"

    lines: list[str] = []
    for group in dict.fromkeys(scenario.group for scenario in SCENARIOS):
        lines.append(f"| {group} | " + " | ".join(places) + " |")
        lines.append("|---|" + ":-:|" * len(places))
        for scenario in (each for each in SCENARIOS if each.group == group):
            row = [show(cells[place, scenario.name]) for place in places]
            lines.append(f"| {scenario.title} | " + " | ".join(row) + " |")
        lines.append("")
    lines += [f"{number}. {note[0].upper()}{note[1:]}." for note, number in notes.items()]
    return HEAD + "\n".join(lines).rstrip() + "\n"


_cells: dict[tuple[str, str], Cell] = {}


def pytest_runtest_logreport(report: Any) -> None:
    """Collect; a test has a report for each phase, and a failure in any of them counts."""
    for name, value in report.user_properties:
        if name == "conformance" and (report.when == "call" or report.failed):
            column, scenario, reason, unseen = value
            _cells[column, scenario] = Cell(not report.failed, reason, unseen)


def pytest_sessionfinish(session: Any, exitstatus: int) -> None:
    """Write, or compare, if every cell has a result."""
    if hasattr(session.config, "workerinput"):
        return
    wanted = {(column.name, scenario.name) for column in columns() for scenario in SCENARIOS}
    if not wanted <= _cells.keys():
        return
    text = render(_cells)
    if PATH.exists() and PATH.read_text() == text:
        return
    if os.environ.get("CI"):
        sys.stderr.write("docs/conformance.md is not what this run gives: run ./dev test and commit it\n")
        session.exitstatus = session.exitstatus or 1
        return
    PATH.write_text(text)
