"""Tables that are filled from rows: a model over plain row objects and one delegate that draws figures, sides and states."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QPersistentModelIndex,
    QPointF,
    QRectF,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from connectors.model import Side
from ui.theme import Theme
from ui.widgets.figures import DASH, MINUS, THIN, baseline, draw_figure, draw_state, draw_triangle

Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True, slots=True)
class Column:
    """A heading and how its cell is made. `kind`: text, strong, mono, number, side, state, bar, chip, letter, cross, link.

    `sort` gives a key.
    """

    name: str
    text: Callable[[Any], str]
    kind: str = "text"
    width: int = 90
    sort: Callable[[Any], Any] | None = None
    colour: Callable[[Any], str] | None = None  # a theme token
    extra: Callable[[Any], Any] | None = None  # bar: fraction; state: shape; side: Side


ROW = Qt.ItemDataRole.UserRole + 1
_FIGURE = re.compile(r"[-+]?\d+(\.\d+)?")
NOTE_LINE = 18
LEGIBLE = 40  # pixels; a text that is cut to less tells nothing


def _number_in(text: str) -> float:
    """What a figure is sorted by: its first number, below all others where it has none."""
    found = _FIGURE.match(text.replace(THIN, "").replace(MINUS, "-"))
    return float(found[0]) if found is not None else -math.inf


class RowModel(QAbstractTableModel):
    """Rows are any objects; `set_rows` replaces them. `replacing` and `replaced` come before and after it."""

    replacing = Signal()
    replaced = Signal()

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        self.columns = list(columns)
        self.rows: list[Any] = []

    def set_rows(self, rows: Sequence[Any]) -> None:
        """Show these. Rows come and go at the end, so that a view keeps where it was scrolled to."""
        self.replacing.emit()
        old, new, kept = len(self.rows), len(rows), min(len(rows), len(self.rows))
        if new < old:
            self.beginRemoveRows(QModelIndex(), new, old - 1)
            del self.rows[new:]
            self.endRemoveRows()
        self.rows[:kept] = rows[:kept]
        if kept:
            self.dataChanged.emit(self.index(0, 0), self.index(kept - 1, len(self.columns) - 1))
        if new > old:
            self.beginInsertRows(QModelIndex(), old, new - 1)
            self.rows += rows[old:]
            self.endInsertRows()
        self.replaced.emit()

    def rowCount(self, parent: Index = QModelIndex()) -> int:
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:
        return len(self.columns)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row, column = self.rows[index.row()], self.columns[index.column()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return column.text(row)
        if role == Qt.ItemDataRole.ToolTipRole:
            return column.text(row)
        if role == ROW:
            return row
        if role == Qt.ItemDataRole.UserRole:
            if column.sort is not None:
                return column.sort(row)
            return _number_in(column.text(row)) if column.kind == "number" else column.text(row).lower()
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation is Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return self.columns[section].name
            if role == Qt.ItemDataRole.TextAlignmentRole:
                right = self.columns[section].kind == "number"
                return Qt.AlignmentFlag.AlignVCenter | (
                    Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
                )
        return None


class Delegate(QStyledItemDelegate):
    """Draws every cell by its column's kind."""

    def __init__(self, theme: Theme, columns: Sequence[Column]) -> None:
        super().__init__()
        self.theme = theme
        self.columns = list(columns)
        self.tint: Callable[[Any], str] = lambda row: ""
        self.hatched: Callable[[Any], bool] = lambda row: False
        self.notes: Callable[[Any], Sequence[str]] | None = None  # lines below a row, over its whole width

    def note_height(self, row: Any) -> int:
        """Room that the lines below a row need."""
        lines = self.notes(row) if self.notes is not None else ()
        return len(lines) * NOTE_LINE + 4 if lines else 0

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """One cell."""
        theme, row = self.theme, index.data(ROW)
        column = self.columns[index.column()]
        box = QRectF(option.rect)
        painter.save()
        painter.setClipRect(box)
        tint = self.tint(row)
        if tint:
            painter.fillRect(box, theme[tint])
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(box, theme["surface.selected"])
            if index.column() == 0:
                painter.fillRect(QRectF(box.left(), box.top(), 2, box.height()), theme.accent)
        if index.column() == 0 and self.hatched(row):
            self._hatch(painter, box)
        below = self.note_height(row)
        if below:
            self._note(painter, option, box, row)
            box.setHeight(box.height() - below)
        text = column.text(row)
        colour = theme.ink(column.colour(row) if column.colour is not None else "text.primary")
        painter.setFont(theme.font("body"))
        metrics = theme.metrics("body")
        base = baseline(box.top(), box.height(), metrics)
        left = box.left() + 8
        match column.kind:
            case "number":
                plain = column.colour is None
                draw_figure(
                    painter, box.right() - 8, base, text, metrics, colour, theme["text.tertiary"] if plain else colour
                )
            case "side":
                side = column.extra(row) if column.extra is not None else Side.BUY
                tone = theme.side(side.value)
                draw_triangle(painter, QPointF(left + 4, box.center().y()), tone, up=side is Side.BUY)
                painter.setPen(tone)
                painter.setFont(theme.font("body.bold"))
                painter.drawText(QPointF(left + 14, base), text)
            case "state":
                draw_state(
                    painter, QPointF(left + 4, box.center().y()), colour, column.extra(row) if column.extra else "disc"
                )
                painter.setPen(
                    colour if column.colour is not None and column.colour(row) == "warn" else theme["text.primary"]
                )
                room = box.width() - 26
                if room >= min(LEGIBLE, metrics.horizontalAdvance(text)):  # else the form tells it, and the tooltip
                    painter.drawText(
                        QPointF(left + 15, base), metrics.elidedText(text, Qt.TextElideMode.ElideRight, room)
                    )
            case "bar":
                part = float(column.extra(row)) if column.extra is not None else 0.0
                painter.fillRect(QRectF(left, box.center().y() - 2, box.width() - 16, 4), theme["line.subtle"])
                painter.fillRect(
                    QRectF(left, box.center().y() - 2, (box.width() - 16) * min(1.0, part), 4), theme["text.primary"]
                )
            case "chip":
                width = theme.metrics("caption.strong").horizontalAdvance(text) + 22
                chip = QRectF(left, box.center().y() - 9, width, 18)
                painter.setRenderHint(QPainter.RenderHint.Antialiasing)
                painter.setPen(colour)
                painter.drawRoundedRect(chip.adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)
                painter.setBrush(colour)
                painter.drawEllipse(QPointF(left + 9, box.center().y()), 3, 3)
                painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
                painter.setFont(theme.font("caption.strong"))
                painter.drawText(
                    QPointF(left + 16, baseline(box.top(), box.height(), theme.metrics("caption.strong"))), text
                )
            case "letter":
                chip = QRectF(left, box.center().y() - 8, 16, 16)
                painter.setPen(colour)
                painter.drawRoundedRect(chip.adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)
                painter.setFont(theme.font("caption.strong"))
                narrow = theme.metrics("caption.strong")
                at = chip.center().x() - narrow.horizontalAdvance(text) / 2
                painter.drawText(QPointF(at, baseline(chip.top(), chip.height(), narrow)), text)
            case "cross":
                painter.setPen(theme["text.secondary"] if text else theme["text.disabled"])
                if text:
                    middle = box.center()
                    painter.drawLine(middle + QPointF(-4, -4), middle + QPointF(4, 4))
                    painter.drawLine(middle + QPointF(-4, 4), middle + QPointF(4, -4))
            case _:
                if text == DASH:
                    painter.setPen(theme["text.tertiary"])
                elif column.kind == "link":
                    painter.setPen(theme.accent_text if column.colour is None else colour)
                elif column.kind == "mono":
                    painter.setFont(theme.mono())
                    painter.setPen(colour)
                else:
                    painter.setPen(colour)
                    if column.kind == "strong":
                        painter.setFont(theme.font("body.bold"))
                        metrics = theme.metrics("body.bold")
                painter.drawText(
                    QPointF(left, base), metrics.elidedText(text, Qt.TextElideMode.ElideRight, box.width() - 12)
                )
        painter.restore()

    def _note(self, painter: QPainter, option: QStyleOptionViewItem, box: QRectF, row: Any) -> None:
        """The part of the lines below a row that falls into this cell; together the cells show them whole."""
        view = option.widget
        left = view.columnViewportPosition(0) if isinstance(view, QTableView) else box.left()
        metrics = self.theme.metrics("body")
        painter.setFont(self.theme.font("body"))
        top = box.bottom() - self.note_height(row)
        for number, line in enumerate(self.notes(row) if self.notes is not None else ()):
            painter.setPen(self.theme.ink("warn" if number == 0 else "text.secondary"))
            base = baseline(top + number * NOTE_LINE, NOTE_LINE, metrics)
            painter.drawText(QPointF(left + 14, base), line)

    def _hatch(self, painter: QPainter, box: QRectF) -> None:
        """An edge of stripes: in doubt."""
        painter.setPen(self.theme["warn"])
        painter.setClipRect(QRectF(box.left(), box.top(), 6, box.height()))  # the cell's own clip comes back below
        y = box.top() - 6
        while y < box.bottom() + 6:
            painter.drawLine(QPointF(box.left(), y + 6), QPointF(box.left() + 6, y))
            y += 4
        painter.setClipRect(box)


class RowTable(QTableView):
    """A table over rows, sortable by every column. `key` names a row, so that the chosen one stays chosen."""

    def __init__(
        self,
        theme: Theme,
        columns: Sequence[Column],
        name: str,
        row_height: int = 24,
        key: Callable[[Any], Any] = id,
    ) -> None:
        super().__init__()
        self._key = key
        self._kept: Any = None
        self.rows = RowModel(columns)
        self.proxy = QSortFilterProxyModel()
        self.proxy.setSourceModel(self.rows)
        self.proxy.setSortRole(Qt.ItemDataRole.UserRole)
        self.setModel(self.proxy)
        self.cells = Delegate(theme, columns)
        self.setItemDelegate(self.cells)
        self.setAccessibleName(name)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)  # Tab goes on to the next control; the arrows are for the rows
        self.setSortingEnabled(True)
        self.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setMouseTracking(True)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(row_height)
        self.verticalHeader().setMinimumSectionSize(row_height)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSortIndicatorClearable(True)  # a third click brings the table's own order back
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(columns[-1].kind != "number")  # a figure does not run away from its heading
        header.setMinimumSectionSize(24)
        for index, column in enumerate(columns):
            self.setColumnWidth(index, column.width)
        self.rows.replacing.connect(self._remember)
        self.rows.replaced.connect(self._choose_again)
        self.rows.replaced.connect(self._make_room)
        self.horizontalHeader().sortIndicatorChanged.connect(lambda *_: self._make_room())

    def choose(self, test: Callable[[Any], bool]) -> bool:
        """Select the first row that passes; False if none does."""
        for number, row in enumerate(self.rows.rows):
            if test(row):
                self.setCurrentIndex(self.proxy.mapFromSource(self.rows.index(number, 0)))
                return True
        return False

    def _make_room(self) -> None:
        """Rows with lines below them are taller."""
        if self.cells.notes is None:
            return
        heights, usual = self.verticalHeader(), self.verticalHeader().defaultSectionSize()
        for number in range(self.proxy.rowCount()):
            wanted = usual + self.cells.note_height(self.proxy.index(number, 0).data(ROW))
            if heights.sectionSize(number) != wanted:
                heights.resizeSection(number, wanted)

    def _remember(self) -> None:
        self._kept = None if self.chosen is None else self._key(self.chosen)

    def _choose_again(self) -> None:
        if self._kept is None or (self.chosen is not None and self._key(self.chosen) == self._kept):
            return
        if not self.choose(lambda row: self._key(row) == self._kept):
            self.setCurrentIndex(QModelIndex())

    def row_at(self, index: Index) -> Any:
        """The row object of an index of this view."""
        return index.data(ROW) if index.isValid() else None

    @property
    def chosen(self) -> Any:
        """The selected row object."""
        return self.row_at(self.currentIndex())
