"""`python -m tests.conformance` writes the table that a green run gives, to settle a merge; only a run proves it."""

from tests.conformance.marks import cannot, columns, unseen
from tests.conformance.scenarios import SCENARIOS
from tests.conformance.table import PATH, Cell, render

PATH.write_text(
    render(
        {
            (column.name, each.name): Cell(True, cannot(column, each), unseen(column, each.name))
            for column in columns()
            for each in SCENARIOS
        }
    )
)
