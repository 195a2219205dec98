"""The report of the kill switch: account by account, what is being done, until each venue has confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.blotter import now_ms
from app.kill import Round
from ui.theme import Theme

if TYPE_CHECKING:
    from app.desk import Desk

GLYPHS = {Round.CANCELLING: "◐", Round.UNREACHABLE: "◆", Round.CONFIRMED: "●", Round.CUT_OFF: "◆"}
TONES = {Round.CANCELLING: "text.primary", Round.UNREACHABLE: "warn", Round.CONFIRMED: "buy", Round.CUT_OFF: "warn"}
WIDTH = 560


class KillReport(QFrame):
    """Floats over the window from the moment the switch is pressed; can be hidden when all have confirmed.

    One that an earlier run did not get to the end of is shown at the start, to go on with or to leave.
    """

    def __init__(self, theme: Theme, desk: Desk, parent: QWidget) -> None:
        super().__init__(parent)
        self.theme = theme
        self.desk = desk
        self._over = parent
        self.setAccessibleName("Report of the kill switch")
        self.head = QLabel()
        self.head.setProperty("role", "large")
        self.again, self.close_ = QPushButton("Try now"), QPushButton("Hide")
        self.again.clicked.connect(lambda _: desk.run(self._press(), "kill"))
        self.close_.clicked.connect(lambda _: self._leave())
        top = QHBoxLayout()
        top.addWidget(self.head, 1)
        top.addWidget(self.again)
        top.addWidget(self.close_)
        self.grid = QGridLayout()
        self.grid.setHorizontalSpacing(10)
        self.grid.setColumnStretch(2, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 10, 14, 12)
        column.addLayout(top)
        column.addLayout(self.grid)
        self._rows: dict[str, tuple[QLabel, QLabel, QLabel]] = {}
        self._slow = QTimer(self)
        self._slow.setInterval(500)
        self._slow.timeout.connect(self.refresh)
        self._pressed = 0
        self.hide()
        parent.installEventFilter(self)
        desk.killing.changed.connect(self.refresh)
        theme.changed.connect(self.refresh)
        self.refresh()

    async def _press(self) -> None:
        await (self.desk.go_on_killing() if self.desk.killing.cut_off else self.desk.kill())

    def _leave(self) -> None:
        self.hide()
        if self.desk.killing.cut_off:
            self.desk.killing.leave()

    def refresh(self) -> None:
        """Say how far it is."""
        killing = self.desk.killing
        if not killing.pressed_at:
            return
        if killing.pressed_at != self._pressed:
            self._pressed = killing.pressed_at
            self.show()
            self.raise_()
        if self.isHidden():
            self._slow.stop()
            return
        self._slow.start()  # how long ago it was goes on when all is confirmed
        seconds = max(0, (now_ms() - killing.pressed_at) // 1000)
        confirmed = sum(line.state is Round.CONFIRMED for line in killing.lines.values())
        whole = len(killing.lines)
        words = f"{confirmed} of {whole} confirmed" if whole else "no account is connected with a key"
        cut_off = bool(killing.cut_off)
        what = "A kill was cut off, pressed" if cut_off else "Kill,"
        self.head.setText(f"{what} {seconds // 60}:{seconds % 60:02} ago: {words}")
        self.again.setVisible(killing.active or cut_off)
        self.again.setText("Go on cancelling" if cut_off else "Try now")
        self.close_.setText("Leave it" if cut_off else "Hide, go on trying" if killing.active else "Hide")
        tone = self.theme.hex("danger" if killing.active or cut_off else "line.strong")
        self.setStyleSheet(
            f"KillReport {{ background: {self.theme.hex('surface.panel')}; border: 2px solid {tone}; border-radius: 6px; }}"
        )
        for line in killing.lines.values():
            glyph, name, text = self._rows.get(line.account) or self._add(line.account)
            ink = self.theme.ink(TONES[line.state]).name()
            glyph.setText(GLYPHS[line.state])
            name.setText(line.name)
            tries = f" (round {line.rounds})" if line.rounds > 1 and line.state is not Round.CONFIRMED else ""
            text.setText((line.text or "cancelling") + tries)
            for label in (glyph, text):
                label.setStyleSheet(f"color: {ink}")
        for account, labels in self._rows.items():
            for label in labels:
                label.setVisible(account in killing.lines)  # one that turned out to have no key takes no part
        self._place()

    def _add(self, account: str) -> tuple[QLabel, QLabel, QLabel]:
        labels = (QLabel(), QLabel(), QLabel())
        labels[2].setWordWrap(True)
        for column, label in enumerate(labels):
            self.grid.addWidget(label, len(self._rows), column, Qt.AlignmentFlag.AlignTop)
        self._rows[account] = labels
        return labels

    def _place(self) -> None:
        width = min(WIDTH, self._over.width() - 24)
        self.resize(width, max(self.sizeHint().height(), self.heightForWidth(width)))
        self.move((self._over.width() - width) // 2, 56)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay in the middle of the window."""
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self._place()
        return False
