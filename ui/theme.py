"""Tokens: colours from resources/themes, fonts and sizes. No colour or size is written in a widget."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QFontMetricsF
from PySide6.QtWidgets import QApplication

from connectors.contract import Environment

THEMES = ("dark", "light")
FAMILIES = ("Inter", "Segoe UI Variable", "Segoe UI", "SF Pro Text", "Noto Sans", "DejaVu Sans")
MONO = ("JetBrains Mono", "Cascadia Mono", "SF Mono", "DejaVu Sans Mono", "monospace")

REMEMBERED = 4096  # widths a font

# name -> (pixels, weight)
FONTS = {
    "caption": (11, 400),
    "caption.strong": (11, 550),
    "body": (12, 400),
    "body.strong": (12, 500),
    "body.bold": (12, 600),
    "large": (13, 600),
    "button": (14, 700),
    "field": (15, 600),
    "title": (20, 600),
    "price": (24, 600),
}


class Widths(QFontMetricsF):
    """Metrics of a font that remember how wide a text is: a screen of figures asks for the same ones again and again."""

    def __init__(self, font: QFont) -> None:
        super().__init__(font)
        self._known: dict[str, float] = {}

    def horizontalAdvance(self, text: str, /, *rest: Any, **more: Any) -> float:
        """Width of `text` in pixels."""
        if rest or more:
            return super().horizontalAdvance(text, *rest, **more)
        width = self._known.get(text)
        if width is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            width = self._known[text] = super().horizontalAdvance(text)
        return width


class Theme(QObject):
    """Colours by token, as attributes of nothing: ask `theme["text.primary"]`. `changed` when another one was chosen."""

    changed = Signal()

    def __init__(self, name: str = "dark", *, colour_blind: bool = False) -> None:
        super().__init__()
        self.name = ""
        self.colour_blind = False
        self.environment = Environment.PRACTICE
        self._colours: dict[str, QColor] = {}
        self._fonts: dict[str, QFont] = {}
        self._metrics: dict[str, Widths] = {}
        self.choose(name, colour_blind=colour_blind)

    def choose(self, name: str, *, colour_blind: bool | None = None) -> None:
        """Take another theme; the dark one in place of one that there is not, as settings may name."""
        name = name if name in THEMES else THEMES[0]
        text = (resources.files("resources") / "themes" / f"{name}.toml").read_text(encoding="utf-8")
        table = tomllib.loads(text)
        self.colour_blind = self.colour_blind if colour_blind is None else colour_blind
        colours = table["colours"] | (table["colour_blind"] if self.colour_blind else {})
        self._colours = {token: QColor(value) for token, value in colours.items()}
        self.name = name
        self.changed.emit()

    def set_environment(self, environment: Environment) -> None:
        """The accent is the environment's colour."""
        if environment is not self.environment:
            self.environment = environment
            self.changed.emit()

    def __getitem__(self, token: str) -> QColor:
        return self._colours[token]

    def ink(self, token: str) -> QColor:
        """A token's colour for words: the colours of some environments are too pale for that and have another."""
        return self._colours.get(f"{token}.text") or self._colours[token]

    def hex(self, token: str) -> str:
        """For style sheets."""
        return self._colours[token].name()

    @property
    def accent(self) -> QColor:
        """The colour of the environment in use."""
        return self._colours[self.environment.value]

    @property
    def accent_text(self) -> QColor:
        """The same where it is text: some accents are too pale for that on a light ground."""
        return self.environment_text(self.environment)

    def environment_text(self, environment: Environment) -> QColor:
        """An environment's colour, fit for its name in words."""
        return self.ink(environment.value)

    @property
    def strip(self) -> QColor:
        """The title strip of trading panels."""
        return self._colours[f"{self.environment.value}.strip"]

    def side(self, name: str, part: str = "") -> QColor:
        """Colour of buy or sell; `part` fill, on, bar."""
        return self._colours[f"{name}.{part}" if part else name]

    def font(self, token: str) -> QFont:
        """A font with tabular figures."""
        if token not in self._fonts:
            pixels, weight = FONTS[token]
            self._fonts[token] = make_font(_family(FAMILIES), pixels, weight)
        return self._fonts[token]

    def mono(self) -> QFont:
        """For codes and keys."""
        if "mono" not in self._fonts:
            self._fonts["mono"] = make_font(_family(MONO), 12, 450)
        return self._fonts["mono"]

    def metrics(self, token: str) -> Widths:
        """Widths of a font."""
        if token not in self._metrics:
            self._metrics[token] = Widths(self.font(token))
        return self._metrics[token]

    def apply(self, application: QApplication) -> None:
        """Base font and style sheet of the whole program."""
        application.setFont(self.font("body"))
        application.setStyleSheet(style_sheet(self))


def make_font(family: str, pixels: int, weight: int) -> QFont:
    """Tabular figures, the same text on every surface."""
    font = QFont(family)
    font.setPixelSize(pixels)
    font.setWeight(QFont.Weight(weight))
    font.setHintingPreference(QFont.HintingPreference.PreferVerticalHinting)
    font.setStyleStrategy(QFont.StyleStrategy.NoSubpixelAntialias)
    font.setFeature(QFont.Tag("tnum"), 1)
    return font


@cache
def _family(candidates: tuple[str, ...]) -> str:
    known = set(QFontDatabase.families())
    return next((name for name in candidates if name in known), candidates[-1])


def style_sheet(theme: Theme) -> str:
    """One sheet for everything that is not painted by hand."""
    c = theme.hex
    accent, strip, ink = theme.accent.name(), theme.strip.name(), theme.accent_text.name()
    on = c(f"{theme.environment.value}.on")
    return f"""
    QMainWindow, ads--CDockManager, ads--CDockContainerWidget {{ background: {c("surface.gutter")}; }}
    QDialogButtonBox, QMessageBox {{ dialogbuttonbox-buttons-have-icons: 0; }}
    QDialog, QMessageBox, Panel {{ background: {c("surface.panel")}; }}
    Palette {{ background: {c("surface.control")}; border: 1px solid {c("line.strong")}; }}
    Ticket {{ border: 2px solid {accent}; border-top: none; }}
    QWidget {{ color: {c("text.primary")}; font-family: "{theme.font("body").family()}"; font-size: 12px; }}
    QToolTip {{ background: {c("surface.control")}; color: {c("text.primary")}; border: 1px solid {c("line.strong")}; padding: 4px; }}
    QMenu {{ background: {c("surface.control")}; border: 1px solid {c("line.strong")}; padding: 4px; }}
    QMenu::item {{ padding: 5px 22px 5px 12px; border-radius: 3px; }}
    QMenu::item:selected {{ background: {c("surface.selected")}; }}
    QMenu::item:disabled {{ color: {c("text.disabled")}; }}
    QMenu::separator {{ height: 1px; background: {c("line.subtle")}; margin: 4px 6px; }}
    ads--CDockAreaWidget {{ background: {c("surface.panel")}; border: none; }}
    ads--CDockAreaTitleBar {{ background: {c("surface.raised")}; border: none; border-top: 2px solid {c("surface.raised")}; padding: 0;
        min-height: 26px; max-height: 28px; }}
    ads--CDockAreaTitleBar[trading="true"] {{ background: {strip}; border-top: 2px solid {accent}; }}
    ads--CDockAreaTabBar, #tabsContainerWidget {{ background: transparent; border: none; }}
    ads--CDockWidgetTab {{ background: transparent; border: none; padding: 0 8px; min-height: 26px; }}
    ads--CDockWidgetTab QLabel {{ color: {c("text.secondary")}; font-weight: 500; }}
    ads--CDockWidgetTab[activeTab="true"][alone="false"] {{ background: {c("surface.panel")}; }}
    ads--CDockWidgetTab[activeTab="true"] QLabel {{ color: {c("text.primary")}; font-weight: 600; }}
    ads--CDockWidgetTab:focus {{ border: 2px solid {accent}; }}
    ads--CDockWidget {{ background: {c("surface.panel")}; border: none; }}
    ads--CTitleBarButton {{ padding: 0; border: none; background: transparent; }}
    ads--CDockSplitter::handle, QSplitter::handle {{ background: {c("surface.gutter")}; }}
    QScrollBar:vertical {{ background: transparent; width: 8px; margin: 0; }}
    QScrollBar:horizontal {{ background: transparent; height: 8px; margin: 0; }}
    QScrollBar::handle {{ background: {c("line.strong")}; border-radius: 2px; min-height: 32px; min-width: 32px; margin: 2px; }}
    QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page {{ background: none; border: none; width: 0; height: 0; }}
    QAbstractItemView {{ background: {c("surface.panel")}; border: none; outline: none; selection-background-color: {c("surface.selected")};
        selection-color: {c("text.primary")}; }}
    QListWidget {{ background: {c("surface.control")}; }}
    QListWidget::item {{ padding: 5px 8px; border-radius: 3px; color: {c("text.primary")}; }}
    QListWidget::item:selected {{ background: {c("surface.selected")}; color: {c("text.primary")}; }}
    QTableView {{ background: {c("surface.panel")}; border: none; border-top: 1px solid transparent; gridline-color: transparent; selection-background-color: {c("surface.selected")};
        selection-color: {c("text.primary")}; outline: none; }}
    QTableView:focus {{ border-top: 1px solid {accent}; }}
    QHeaderView {{ background: {c("surface.panel")}; border: none; }}
    QHeaderView::section {{ background: {c("surface.panel")}; color: {c("text.tertiary")}; border: none;
        border-bottom: 1px solid {c("line.subtle")}; padding: 0 8px; font-size: 11px; font-weight: 500; height: 24px; }}
    QTableCornerButton::section {{ background: {c("surface.panel")}; border: none; }}
    QLineEdit, QPlainTextEdit, QComboBox, QSpinBox {{ background: {c("surface.raised")}; border: 1px solid {c("line.strong")}; border-radius: 4px;
        padding: 3px 8px; selection-background-color: {c("surface.selected")}; selection-color: {c("text.primary")}; }}
    QLineEdit:focus, QPlainTextEdit:focus, QComboBox:focus {{ border: 1px solid {accent}; }}
    QLineEdit[problem="true"] {{ border: 1px solid {c("danger")}; }}
    QFrame[role="field"] {{ background: {c("surface.raised")}; border: 1px solid {c("line.strong")}; border-radius: 4px; }}
    QFrame[role="field"][focused="true"] {{ border: 2px solid {accent}; }}
    QFrame[role="field"][problem="true"] {{ border: 1px solid {c("danger")}; }}
    QFrame[role="field"][problem="true"][focused="true"] {{ border: 2px solid {c("danger")}; }}
    QFrame[role="field"] QLineEdit {{ background: transparent; border: none; padding: 0 2px; }}
    QFrame[role="field"] QPushButton {{ background: transparent; border: none; padding: 0; font-size: 15px; color: {c("text.secondary")}; }}
    QFrame[role="field"] QPushButton:hover {{ background: {c("surface.selected")}; color: {c("text.primary")}; }}
    QFrame[role="quote"] {{ background: {c("surface.raised")}; border: 1px solid {c("line.strong")}; border-radius: 4px; }}
    QComboBox::drop-down {{ border: none; width: 18px; }}
    QComboBox::down-arrow {{ image: none; }}
    QComboBox QAbstractItemView {{ background: {c("surface.control")}; border: 1px solid {c("line.strong")}; }}
    QPushButton {{ background: {c("surface.control")}; border: 1px solid {c("line.strong")}; border-radius: 4px; padding: 4px 10px;
        font-weight: 500; min-height: 18px; }}
    QPushButton:hover {{ background: {c("surface.selected")}; }}
    QPushButton:focus {{ border: 1px solid {accent}; }}
    QPushButton::menu-indicator {{ width: 0; image: none; }}
    QPushButton:disabled {{ color: {c("text.disabled")}; border-color: {c("line.subtle")}; }}
    QPushButton[quiet="true"] {{ background: transparent; border: 1px solid transparent; color: {c("text.secondary")}; }}
    QPushButton[quiet="true"]:focus {{ border: 1px solid {accent}; }}
    QPushButton[tight="true"] {{ padding: 4px 2px; }}
    QPushButton[link="true"] {{ color: {ink}; }}
    QPushButton[quiet="true"]:hover {{ color: {c("text.primary")}; }}
    QPushButton[quiet="true"]:checked {{ background: {c("surface.selected")}; color: {c("text.primary")}; font-weight: 600; }}
    QPushButton[danger="true"] {{ background: {c("danger.tint")}; border: 1px solid {c("danger")}; color: {c("danger")}; }}
    QPushButton[chip="true"] {{ padding: 2px 8px; border-radius: 3px; background: transparent; }}
    QPushButton[chip="true"]:checked {{ background: {c("surface.selected")}; border: 1px solid {accent}; font-weight: 600; }}
    QPushButton[accent="true"] {{ background: {accent}; color: {on}; border: 2px solid {accent}; font-weight: 700; }}
    QPushButton[accent="true"]:focus {{ border: 2px solid {c("text.primary")}; }}
    QPushButton[armed="true"] {{ border: 1px solid {accent}; background: {strip}; }}
    QPushButton[side="buy"]:checked {{ background: {c("buy")}; color: {c("buy.on")}; border: none; font-weight: 700; }}
    QPushButton[side="sell"]:checked {{ background: {c("sell")}; color: {c("sell.on")}; border: none; font-weight: 700; }}
    QPushButton[send="buy"] {{ background: {c("buy")}; color: {c("buy.on")}; border: 2px solid transparent; font-size: 14px; font-weight: 700; }}
    QPushButton[send="sell"] {{ background: {c("sell")}; color: {c("sell.on")}; border: 2px solid transparent; font-size: 14px; font-weight: 700; }}
    QPushButton[send]:focus, QPushButton[side]:focus {{ border: 2px solid {accent}; }}
    QPushButton[send]:disabled {{ background: {c("surface.control")}; color: {c("text.disabled")}; }}
    QCheckBox {{ color: {c("text.secondary")}; spacing: 6px; }}
    QCheckBox::indicator {{ width: 13px; height: 13px; border: 1px solid {c("line.strong")}; border-radius: 3px; background: {c("surface.raised")}; }}
    QCheckBox:focus {{ color: {c("text.primary")}; text-decoration: underline; }}
    QCheckBox::indicator:checked {{ background: {accent}; border-color: {accent}; }}
    QCheckBox:disabled {{ color: {c("text.disabled")}; }}
    QSlider::groove:horizontal {{ height: 2px; background: {c("line.strong")}; }}
    QSlider::handle:horizontal {{ width: 10px; height: 10px; margin: -5px 0; border-radius: 5px; background: {c("text.primary")}; }}
    QSlider::handle:horizontal:focus {{ background: {accent}; }}
    QSpinBox:focus {{ border: 1px solid {accent}; }}
    QLabel[role="caption"] {{ color: {c("text.tertiary")}; font-size: 11px; }}
    QLabel[role="secondary"] {{ color: {c("text.secondary")}; }}
    QLabel[role="problem"] {{ color: {c("danger")}; font-size: 11px; }}
    QLabel[role="warn"] {{ color: {c("warn")}; }}
    QLabel[role="title"] {{ font-size: 20px; font-weight: 600; }}
    QLabel[role="large"] {{ font-size: 13px; font-weight: 600; }}
    QLabel[role="strong"] {{ font-weight: 600; }}
    {"".join(f'QLabel[tier="{t}"] {{ font-weight: 600; color: {c("tier." + t)}; }}' for t in ("gold", "silver", "bronze"))}
    {"".join(f'QLabel[environment="{e.value}"] {{ font-weight: 600; color: {theme.environment_text(e).name()}; }}' for e in Environment)}
    QFrame[role="strip"] {{ background: {c("surface.panel")}; border: none; }}
    QFrame[role="welcome"] {{ background: {strip}; border: none; }}
    QFrame[role="notice"] {{ background: {c("surface.control")}; border: 1px solid {c("line.strong")}; border-radius: 6px; }}
    QFrame[role="line"] {{ background: {c("line.subtle")}; border: none; max-height: 1px; min-height: 1px; }}
    QFrame[role="chosen"] {{ background: {strip}; border: 2px solid {accent}; border-radius: 6px; }}
    QScrollArea, QScrollArea > QWidget > QWidget {{ background: {c("surface.panel")}; border: none; }}
    """
