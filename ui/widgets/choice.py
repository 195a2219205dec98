"""A field to choose from a list: it is seen to be one by its arrow, in the colour of its text."""

from __future__ import annotations

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QComboBox


class Choice(QComboBox):
    """A combo box. A style sheet takes the arrow of the platform away, and would want an image for each theme."""

    def paintEvent(self, event: QPaintEvent) -> None:
        """As the style draws it, and the arrow."""
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pen = QPen(self.palette().text().color(), 1.5)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        middle = QPointF(self.width() - 12, self.height() / 2)
        painter.drawPolyline(QPolygonF([middle + QPointF(x, y) for x, y in ((-3.5, -1.5), (0, 2), (3.5, -1.5))]))
