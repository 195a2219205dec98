"""No text hides another or leaves its widget, every control has a name, every colour of text can be read."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPixmap
from PySide6.QtWidgets import QAbstractButton, QCheckBox, QComboBox, QLabel, QLineEdit, QPushButton, QWidget

from app.loop import Loop
from app.terminal import Terminal
from connectors.contract import Environment
from tests.end_to_end.stage import play, ready, settled, until, whole_exchange
from ui import panels
from ui.panel import Painted, Panel
from ui.theme import Theme
from ui.widgets import figures
from ui.window import Window
from ui.workspaces import WORKSPACES

BUFFER = 100_000.0
PAINTED = ("depth", "ladder", "tape", "watchlist")


class Recorder(QPainter):
    """A painter that remembers where it put capitals and figures."""

    found: list[tuple[QRectF, str]] = []
    keep = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        # rows in a buffer have places of their own, which say nothing of what is painted beside it
        self._sheet = BUFFER if isinstance(args[0], QPixmap) else 0.0

    def drawText(self, *args: Any) -> None:  # noqa: N802  # ty: ignore[incompatible-method-override] - Qt's name, of many forms
        """Draw, and keep the box of what was drawn at a point; text in a rectangle is clipped by Qt itself."""
        super().drawText(*args)
        if Recorder.keep and isinstance(args[0], QPointF) and args[1].strip():
            metrics = QFontMetricsF(self.font())
            high = metrics.capHeight()
            box = QRectF(args[0].x(), args[0].y() - high, metrics.horizontalAdvance(args[1]), high)
            Recorder.found.append((box.translated(0, self._sheet), args[1]))


def overlaps(found: list[tuple[QRectF, str]]) -> list[str]:
    """Pairs of texts that share more than a pixel."""
    wrong = []
    for index, (box, text) in enumerate(found):
        for other, more in found[index + 1 :]:
            shared = box.intersected(other)
            if shared.width() > 1 and shared.height() > 1 and (box, text) != (other, more):
                wrong.append(f"{text!r} and {more!r}")
    return wrong


def painted_texts(panel: Painted) -> list[tuple[QRectF, str]]:
    """Everything that a panel writes when it draws itself whole, in its own coordinates."""
    Recorder.found = []
    Recorder.keep = True
    panel.grab()
    Recorder.keep = False
    return Recorder.found


def cramped(window: Window) -> list[str]:
    """Buttons and labels whose text is wider than they are."""
    wrong = []
    for widget in window.findChildren(QWidget):
        if not widget.isVisible() or not isinstance(widget, QPushButton | QLabel | QCheckBox):
            continue
        text = widget.text()
        rich = "<" in text or (isinstance(widget, QLabel) and widget.wordWrap())
        if not text or rich:
            continue
        wide = max(widget.fontMetrics().horizontalAdvance(line) for line in text.split("\n"))
        if wide > widget.width() + 1:
            wrong.append(f"{text!r} needs {wide}, has {widget.width()} in {type(widget.parent()).__name__}")
    return wrong


def nameless(window: Window) -> list[str]:
    """Controls that a screen reader could not name."""
    wrong = []
    for widget in window.findChildren(QWidget):
        if widget.objectName().startswith("qt_") or not widget.isVisible():
            continue
        if isinstance(widget, QAbstractButton):
            named = widget.accessibleName() or any(letter.isalpha() for letter in widget.text())
            if not named and "ads" not in str(type(widget)) and widget.width() > 2:
                wrong.append(f"a button {widget.text()!r} in {type(widget.parent()).__name__}")
        elif isinstance(widget, QLineEdit | QComboBox) and not widget.accessibleName():
            wrong.append(f"a field in {type(widget.parent()).__name__}")
        elif isinstance(widget, Panel) and not widget.accessibleName():
            wrong.append(f"the panel {type(widget).__name__}")
    return wrong


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080)])
def test_no_text_hides_another_and_every_control_has_a_name(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    for name in PAINTED:
        monkeypatch.setattr(getattr(panels, name), "QPainter", Recorder)
    assert figures.QPainter is QPainter

    async def scenario(terminal: Terminal, window: Window) -> None:
        window.resize(*size)
        window.reset_layout()
        account = await ready(terminal, window)
        await until(lambda: window.tape._rows, "trades")
        shown = [row for row in account.instruments.values() if row.symbol in ("BTC-USDT", "DOGE-USDT", "ADA-USDT")]
        wrong: list[str] = []
        for name in WORKSPACES:
            window.show_workspace(name)
            await settled(window)
            for instrument in shown if name == "Trade" else shown[:1]:
                window.show_instrument(instrument.key, Environment.PRACTICE)
                await until(lambda: window.feed is not None and window.feed.sync.live, "a live book")
                await until(lambda: not window.ladder.isVisible() or has_rows(window), "rows")
                await settled(window)
                wrong += [f"{name}: {text}" for text in look_at(window)]
            wrong += [f"{name}: {text}" for text in nameless(window)]
        assert not wrong, "\n".join(sorted(set(wrong)))

    play(loop, tmp_path, monkeypatch, scenario, exchange=whole_exchange)


def has_rows(window: Window) -> bool:
    """Whether the ladder knows where its prices stand."""
    return window.ladder.rows is not None and window.ladder.rows.top is not None


def look_at(window: Window) -> list[str]:
    """What is wrong with the texts of the workspace as it stands."""
    wrong = cramped(window)
    for panel in window.panels.values():
        if not isinstance(panel, Painted) or not panel.isVisible():
            continue
        if panel is window.ladder:
            window.ladder._forget()
            rows = painted_rows(window)
            assert len(rows) > 10, "the recorder saw nothing"
            wrong += [f"ladder rows: {text}" for text in overlaps(rows)]
        if panel is window.tape:
            window.tape._layout = ()  # so that its rows are drawn anew, all of them
        found = painted_texts(panel)
        wrong += [f"{panel.panel_id}: {text}" for text in overlaps(found)]
        inside = QRectF(panel.rect()).adjusted(-1, -1, 1, 1)
        wrong += [
            f"{panel.panel_id}: {text!r} leaves it"
            for box, text in found
            if not inside.contains(box) and box.top() < inside.bottom()  # a row below the edge is cut, as in any list
        ]
    return wrong


def painted_rows(window: Window) -> list[tuple[QRectF, str]]:
    """The rows of the ladder are painted into a buffer of their own."""
    Recorder.found = []
    Recorder.keep = True
    window.ladder._draw_rows()
    Recorder.keep = False
    return Recorder.found


# ---------------------------------------------------------------------------------------------------------------------

TEXTS = ("text.primary", "text.secondary", "text.tertiary")
SURFACES = ("surface.panel", "surface.raised", "surface.control")


def contrast(first: QColor, second: QColor) -> float:
    """Of two opaque colours, by the usual formula: 1 to 21."""

    def light(colour: QColor) -> float:
        parts = [colour.redF(), colour.greenF(), colour.blueF()]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    brighter, darker = sorted((light(first), light(second)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("colour_blind", [False, True])
@pytest.mark.parametrize("name", ["dark", "light"])
def test_every_text_can_be_read_on_what_is_behind_it(name: str, colour_blind: bool) -> None:
    theme = Theme(name, colour_blind=colour_blind)
    pairs = [(text, ground) for text in TEXTS for ground in SURFACES]
    pairs += [
        (text, "surface.panel") for text in ("buy", "sell", "danger", "warn", "tier.gold", "tier.silver", "tier.bronze")
    ]
    pairs += [("text.primary", "surface.selected"), ("danger", "danger.tint"), ("warn", "warn.tint")]
    pairs += [(f"{side}.on", side) for side in ("buy", "sell")]
    pairs += [("text.primary", f"{side}.bar") for side in ("buy", "sell")]
    for environment in Environment:
        pairs += [(f"{environment.value}.on", environment.value), (environment.value, "surface.panel")]
        pairs += [("text.primary", f"{environment.value}.strip"), ("text.secondary", f"{environment.value}.strip")]
    low = {
        f"{ink} on {ground}": round(found, 2)
        for ink, ground in pairs
        if (found := contrast(theme.ink(ink), theme.ink(ground) if ground.endswith("panel") else theme[ground])) < 4.5
    }
    assert not low


@pytest.mark.parametrize("name", ["dark", "light"])
def test_the_colour_blind_pair_is_blue_and_orange_and_environments_keep_apart(name: str) -> None:
    theme = Theme(name, colour_blind=True)
    assert 190 <= theme["buy"].hslHue() <= 240
    assert 15 <= theme["sell"].hslHue() <= 45
    hues = sorted(theme[environment.value].hslHue() for environment in Environment)
    assert all(after - before >= 20 for before, after in itertools.pairwise(hues))
