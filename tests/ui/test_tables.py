"""Tables: figures are sorted as numbers, and the order that a table came in can be had again."""

from __future__ import annotations

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from ui.theme import Theme
from ui.widgets.figures import DASH, MINUS, THIN
from ui.widgets.tables import Column, RowTable


def test_figures_are_sorted_as_numbers_and_a_dash_is_below_all(qtbot: QtBot) -> None:
    rows = ["100", "4", DASH, f"1{THIN}234.50 USDT", f"{MINUS}3.0", "20 / 6000"]
    table = RowTable(Theme("dark"), (Column("Delay", str, "number"),), "Delays", key=str)
    qtbot.addWidget(table)
    table.rows.set_rows(rows)

    def shown() -> list[str]:
        return [table.proxy.index(number, 0).data() for number in range(len(rows))]

    table.sortByColumn(0, Qt.SortOrder.AscendingOrder)
    assert shown() == [DASH, f"{MINUS}3.0", "4", "20 / 6000", "100", f"1{THIN}234.50 USDT"]
    table.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
    assert shown() == rows
    assert table.horizontalHeader().isSortIndicatorClearable()
