"""The look as data: colours, type and sizes from `resources/themes`, and which environment tints it.

No colour or size is written in a widget. A widget keeps the `Theme` it was given, reads `theme.tokens` and
`theme.accents` when it paints, and repaints on `theme.changed`. Colours and fonts are kept as objects and handed out as
they are: never change one in place.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from PySide6.QtCore import QObject, QRectF, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QFontMetricsF, QPaintDevice
from PySide6.QtWidgets import QApplication

import resources
from connectors.contract import Environment
from connectors.model import Side

THEMES = Path(resources.__file__).parent / "themes"
_LIMITS = (0.8, 2.0)  # of the text scale


class ThemeBroken(ValueError):
    """A theme file lacks a token or holds something that is no colour."""


@dataclass(frozen=True, slots=True)
class Accents:
    """What an environment tints: `accent` for lines and fills, `text` where it is read, `strip`, `selection`, `on` it."""

    environment: Environment
    accent: QColor
    text: QColor
    strip: QColor
    selection: QColor
    on: QColor


class Tokens:
    """The colours of one theme. By attribute (`tokens.text_primary`) or by name (`tokens["text.primary"]`)."""

    surface_gutter: QColor  # window, the 4 px between panels
    surface_panel: QColor  # panel body, command strip, status bar
    surface_raised: QColor  # neutral title strip, fields, price column of the ladder
    surface_control: QColor  # quiet button
    surface_selected: QColor  # chosen segment, chosen tab, pressed, hover of a row
    surface_popover: QColor  # menus, palette, cards
    line_subtle: QColor  # hairlines in a panel
    line_strong: QColor  # borders of fields and buttons, mid line, scroll bar handle
    line_grid: QColor  # chart grid
    text_primary: QColor  # values, names
    text_secondary: QColor  # labels beside values, icons
    text_tertiary: QColor  # headings of columns, axes, units, grey zeros, times
    text_disabled: QColor
    danger: QColor  # kill, cancel all, field errors
    danger_tint: QColor
    warn: QColor  # unknown, resyncing, stale
    warn_tint: QColor
    volume: QColor  # volume traded at price in the ladder
    series_ma_fast: QColor
    series_ma_slow: QColor
    series_vwap: QColor
    tier_gold: QColor
    tier_silver: QColor
    tier_bronze: QColor
    link_a: QColor
    link_b: QColor
    link_c: QColor
    buy: QColor  # text, tags, buttons
    sell: QColor
    buy_fill: QColor  # candles, curves, bubbles
    sell_fill: QColor
    buy_on: QColor  # text on a filled button or tag
    sell_on: QColor
    buy_bar: QColor  # size bars behind text.primary
    sell_bar: QColor
    ok: QColor  # glyph of a live connection

    def __init__(self, key: str, table: Mapping[str, Any]) -> None:
        self.key = key
        self.name: str = table["name"]
        self.dark: bool = table["dark"]
        self._colours = {name: _colour(text) for name, text in table["colours"].items()}
        for attribute in _annotated():
            name = attribute.replace("_", ".")
            if name not in self._colours:
                raise ThemeBroken(f"theme {key} lacks the colour {name}")
            setattr(self, attribute, self._colours[name])
        self.heat = tuple((float(at), _colour(text)) for at, text in sorted(table["heat"].items()))
        raised = self.surface_raised
        self._accents = {
            Environment(name): Accents(
                environment=Environment(name),
                accent=_colour(row["accent"]),
                text=_colour(row["text"]),
                strip=_colour(row["strip"]),
                selection=mixed(_colour(row["accent"]), raised, row["selection"]),
                on=_colour(row["on"]),
            )
            for name, row in table["environments"].items()
        }

    def __getitem__(self, name: str) -> QColor:
        """The colour called `name` ("text.primary"). Raises KeyError."""
        return self._colours[name]

    def accents(self, environment: Environment) -> Accents:
        """What `environment` tints in this theme."""
        return self._accents[environment]

    def side(self, side: Side) -> QColor:
        """Text colour of a side."""
        return self.buy if side is Side.BUY else self.sell

    def link(self, group: str) -> QColor:
        """Colour of the link group "A", "B" or "C"."""
        return self._colours[f"link.{group.lower()}"]

    def tier(self, tier: str) -> QColor:
        """Colour of "gold", "silver" or "bronze"."""
        return self._colours[f"tier.{tier.lower()}"]


class TextRecorder(Protocol):
    """Told of every text that is painted, in the coordinates of its device: the debug check for overlaps."""

    def text(self, device: QPaintDevice, rect: QRectF, text: str) -> None:
        """One run of text was painted into `rect`."""
        ...


class Theme(QObject):
    """The theme in force. `changed` fires when colours, environment, text scale or contrast change."""

    changed = Signal()

    def __init__(
        self, name: str = "dark", *, environment: Environment = Environment.PRACTICE, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.recorder: TextRecorder | None = None
        self._measures = _read("measures")
        self._families: dict[str, str] = {}
        self._fonts: dict[str, QFont] = {}
        self._metrics: dict[str, QFontMetricsF] = {}
        self._scale = 1.0
        self._contrast = False
        self.tokens = load(name)
        self.accents = self.tokens.accents(environment)

    @property
    def environment(self) -> Environment:
        """The environment whose colour is the accent."""
        return self.accents.environment

    @property
    def scale(self) -> float:
        """Factor on all type and on the sizes that hold type."""
        return self._scale

    @property
    def more_contrast(self) -> bool:
        """Whether borders of controls are drawn as strong as captions."""
        return self._contrast

    def set_theme(self, name: str) -> None:
        """Change to another theme file. Raises ThemeBroken or FileNotFoundError and stays as it was."""
        self.tokens = self._with_contrast(load(name))
        self._retint(self.environment)

    def set_environment(self, environment: Environment) -> None:
        """Let the accent be that of `environment`."""
        if environment is not self.environment:
            self._retint(environment)

    def set_scale(self, scale: float) -> None:
        """Scale text and what holds it."""
        scale = min(max(scale, _LIMITS[0]), _LIMITS[1])
        if scale != self._scale:
            self._scale = scale
            self._fonts.clear()
            self._metrics.clear()
            self.changed.emit()

    def set_more_contrast(self, on: bool) -> None:
        """Draw the borders of controls as strong as captions, or as the theme says."""
        if on != self._contrast:
            self._contrast = on
            self.tokens = self._with_contrast(load(self.tokens.key))
            self._retint(self.environment)

    def font(self, token: str) -> QFont:
        """The font of a type token ("body.bold"), with tabular figures. Raises KeyError."""
        font = self._fonts.get(token)
        if font is None:
            pixels, weight = self._measures["type"][token]
            font = QFont(self._family("mono" if token == "mono" else "text"))
            font.setPixelSize(round(pixels * self._scale))
            font.setWeight(QFont.Weight(weight))
            font.setFeature(QFont.Tag("tnum"), 1)
            font.setHintingPreference(QFont.HintingPreference.PreferVerticalHinting)
            font.setStyleStrategy(QFont.StyleStrategy.NoSubpixelAntialias)
            if token == "badge":
                font.setLetterSpacing(QFont.SpacingType.AbsoluteSpacing, 0.6)
            self._fonts[token] = font
        return font

    def metrics(self, token: str) -> QFontMetricsF:
        """Metrics of that font, kept."""
        metrics = self._metrics.get(token)
        if metrics is None:
            metrics = self._metrics[token] = QFontMetricsF(self.font(token))
        return metrics

    def px(self, token: str) -> int:
        """A size in pixels ("row.table"). What holds text grows with the text scale. Raises KeyError."""
        size = self._measures["sizes"][token]
        return round(size * self._scale) if token.startswith(_GROW) else size

    def apply(self, application: QApplication) -> None:
        """Give the application this theme's font, and the style sheet for what isn't painted by hand."""
        from ui.style import style_sheet

        application.setFont(self.font("body"))
        application.setStyleSheet(style_sheet(self))

    def _family(self, kind: str) -> str:
        if not self._families:
            installed = set(QFontDatabase.families())
            fallback = {
                "text": QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont).family(),
                "mono": QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont).family(),
            }
            for name, wanted in self._measures["families"].items():
                self._families[name] = next((family for family in wanted if family in installed), fallback[name])
        return self._families[kind]

    def _with_contrast(self, tokens: Tokens) -> Tokens:
        if self._contrast:
            tokens.line_strong = tokens.text_tertiary
        return tokens

    def _retint(self, environment: Environment) -> None:
        self.accents = self.tokens.accents(environment)
        self.changed.emit()


_GROW = ("strip", "command", "status", "welcome", "header", "row.", "control", "head.", "foot", "chip", "icon")


def available() -> dict[str, str]:
    """Themes that can be chosen: file name without its ending -> name for people."""
    names = sorted(path.stem for path in THEMES.glob("*.toml") if path.stem != "measures")
    return {name: _read(name)["name"] for name in names}


def load(name: str) -> Tokens:
    """Read a theme; one with a `base` replaces single colours of it. Raises ThemeBroken, FileNotFoundError."""
    table = _read(name)
    base = table.get("base")
    if base:
        under = _read(base)
        table = {
            "name": table["name"],
            "dark": under["dark"],
            "colours": {**under["colours"], **table.get("colours", {})},
            "environments": under["environments"],
            "heat": table.get("heat", under["heat"]),
        }
    try:
        return Tokens(name, table)
    except KeyError as error:
        raise ThemeBroken(f"theme {name} lacks {error}") from error


def mixed(over: QColor, under: QColor, share: float) -> QColor:
    """`share` of `over` laid on `under`, opaque."""
    rest = 1 - share
    return QColor(
        round(over.red() * share + under.red() * rest),
        round(over.green() * share + under.green() * rest),
        round(over.blue() * share + under.blue() * rest),
    )


def faded(colour: QColor, share: float) -> QColor:
    """`colour` at an opacity of `share`."""
    result = QColor(colour)
    result.setAlphaF(share)
    return result


@cache
def _annotated() -> tuple[str, ...]:
    return tuple(name for name in Tokens.__annotations__)


def _colour(text: str) -> QColor:
    colour = QColor(text)
    if not colour.isValid():
        raise ThemeBroken(f"{text!r} is no colour")
    return colour


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((THEMES / f"{name}.toml").read_text(encoding="utf-8"))
