"""A listener that keeps everything that a session tells."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple, TypeVar

from connectors.contract import Event
from connectors.model import Balance, Fill, Instrument, OrderUpdate, Position, Trade

E = TypeVar("E", bound=Event)


class Loss(NamedTuple):
    """A private stream that went."""

    family: str
    why: str


class Ear:
    """Everything in the order in which it was told; `balances` by (family, asset) and `positions` by wire name as told last."""

    def __init__(self) -> None:
        self.market_events: list[Event] = []
        self.trades: list[Trade] = []
        self.orders: list[OrderUpdate] = []
        self.fills: list[Fill] = []
        self.balances: dict[tuple[str, str], Balance] = {}
        self.positions: dict[str, Position] = {}
        self.readied: list[str] = []
        self.losses: list[Loss] = []
        self.refusals: list[str] = []

    def of(self, kind: type[E]) -> list[E]:
        """Market events of one kind."""
        return [event for event in self.market_events if isinstance(event, kind)]

    def executions(self, venue_id: str = "") -> list[Fill]:
        """Each execution once, as it was told last, for its fee may come later; of one order, or of all."""
        told = {(fill.wire, fill.id): fill for fill in self.fills if venue_id in ("", fill.venue_id)}
        return list(told.values())

    def filled(self, venue_id: str = "") -> Decimal:
        """What was executed, of one order or of all."""
        return sum((fill.amount for fill in self.executions(venue_id)), Decimal(0))

    def market(self, event: Event, instrument: Instrument) -> None:
        self.market_events.append(event)
        if isinstance(event, Trade):
            self.trades.append(event)

    def account(self, event: OrderUpdate | Fill | Balance | Position, family: str) -> None:
        match event:
            case OrderUpdate():
                self.orders.append(event)
            case Fill():
                self.fills.append(event)
            case Balance():
                self.balances[family, event.asset] = event
            case Position():
                self.positions[event.wire] = event

    def ready(self, family: str) -> None:
        self.readied.append(family)

    def lost(self, family: str, why: str) -> None:
        self.losses.append(Loss(family, why))

    def declined(self, text: str) -> None:
        self.refusals.append(text)
