"""What every panel is: a widget with a title that may follow an instrument and is asked once a frame whether it changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from ui.clock import FrameClock
from ui.links import Links
from ui.theme import Theme

if TYPE_CHECKING:
    from app.markets import Feed
    from app.terminal import Terminal


@dataclass(frozen=True, slots=True)
class PanelContext:
    """What a panel may need, given to its factory. `terminal` is the app floor."""

    terminal: Terminal
    theme: Theme
    clock: FrameClock
    links: Links


class Panel(QWidget):
    """Base of panels. The window puts it into a dock, registers it with the clock and gives it feeds.

    Class attributes: `panel_id` is stable (layouts name it), `follows_instrument` panels get `set_feed` and a link chip,
    `trading` panels wear the environment's accent in their title strip, `framed` ones all round (the ticket).
    """

    panel_id: ClassVar[str] = ""
    title: ClassVar[str] = ""
    follows_instrument: ClassVar[bool] = False
    trading: ClassVar[bool] = False
    framed: ClassVar[bool] = False

    count_changed = Signal(object)  # int or None: the number beside the title ("Orders 6")
    strip_text_changed = Signal(str)  # grey words in the strip behind the instrument ("1 000 levels a side")
    instrument_chosen = Signal(str)  # key: the panel's link group follows it
    panel_wanted = Signal(str)  # id of another panel to bring to the front

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.theme = theme
        self.group = "A"  # link group, set by the window before `set_feed`
        self.feed: Feed | None = None
        self.setAccessibleName(self.title)
        self.setMinimumSize(40, 24)
        theme.changed.connect(self.restyle)

    def set_feed(self, feed: Feed | None) -> None:
        """Follow another instrument, or none. The window owns the feed: it opened it and will close it."""
        self.feed = feed
        self.update()

    def frame(self, now: float) -> None:
        """Once a frame while visible: compare versions and `update()` only where something changed."""

    def strip_widgets(self) -> list[QWidget]:
        """Controls for the right end of the title strip, left to right. Asked for once."""
        return []

    def restyle(self) -> None:
        """The theme changed: forget what was derived from it and repaint."""
        self.update()

    def save(self) -> dict[str, object]:
        """What the panel wants to find again at the next start (JSON values only)."""
        return {}

    def restore(self, state: dict[str, object]) -> None:
        """Take up what `save` gave; ignore what isn't understood."""


@dataclass(frozen=True, slots=True)
class PanelKind:
    """An entry of the registry: each module of `ui.panels` offers one as `PANEL` (or several as `PANELS`)."""

    id: str
    title: str
    make: Callable[[PanelContext], Panel]
