"""Link groups: panels with the same colour follow one instrument, and a price clicked in one reaches the ticket of its group."""

from __future__ import annotations

from decimal import Decimal

from PySide6.QtCore import QObject, Signal

from connectors.contract import Environment
from connectors.model import Side

GROUPS = ("A", "B", "C")


class Links(QObject):
    """Which instrument each group follows, in the one environment that the window is in."""

    followed = Signal(str, str)  # group, instrument key
    picked = Signal(str, object, object)  # group, price: Decimal, side: Side | None
    sized = Signal(str, object)  # group, amount: Decimal
    environment_changed = Signal(object)  # Environment

    def __init__(self, environment: Environment = Environment.PRACTICE, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._keys: dict[str, str] = {}
        self._environment = environment

    @property
    def environment(self) -> Environment:
        """Where everything that trades goes."""
        return self._environment

    def set_environment(self, environment: Environment) -> None:
        """Move all panels to another environment."""
        if environment is not self._environment:
            self._environment = environment
            self.environment_changed.emit(environment)

    def instrument(self, group: str) -> str:
        """Key of the instrument that `group` follows, "" if none yet."""
        return self._keys.get(group, "")

    def groups(self) -> dict[str, str]:
        """Group -> instrument key."""
        return dict(self._keys)

    def follow(self, group: str, key: str) -> None:
        """Let `group` follow another instrument."""
        if key and self._keys.get(group) != key:
            self._keys[group] = key
            self.followed.emit(group, key)

    def pick(self, group: str, price: Decimal, side: Side | None = None) -> None:
        """A price was clicked in a panel of `group`: the ticket takes it."""
        self.picked.emit(group, price, side)

    def size(self, group: str, amount: Decimal) -> None:
        """An amount was chosen in a panel of `group`."""
        self.sized.emit(group, amount)
