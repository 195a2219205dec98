"""KuCoin's private sockets, one a product: orders with their executions, stop orders, balances, positions."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.contract import Ask, Event, Role, Topic, Unknown
from connectors.kucoin.futures_rows import FAMILY as FUTURES_FAMILY
from connectors.kucoin.futures_rows import position_event, wallet_row
from connectors.kucoin.market import Envelope, KucoinStream
from connectors.kucoin.rows import exact, order_events, stop_event
from connectors.kucoin.spot_rows import FAMILY as SPOT_FAMILY
from connectors.kucoin.spot_rows import balance_event


class _AccountStream(KucoinStream):
    """A private connection: every topic of its product from the start."""

    private = True
    topics: tuple[str, ...]

    def plan(self, active: frozenset[Topic], add: Sequence[Topic], drop: Sequence[Topic]) -> list[Ask]:
        """Everything private at once."""
        return [self.ask(Role.ACCOUNT, "subscribe", topic, tuple(add)) for topic in self.topics if add]


class SpotAccountStream(_AccountStream):
    """The private connection: orders with their executions, stop orders, balances."""

    topics = ("/spotMarket/tradeOrdersV2", "/spotMarket/advancedOrders", "/account/balance")

    def __init__(self) -> None:
        super().__init__()
        self._new: set[str] = set()  # received, not seen in the book yet

    def message(self, envelope: Envelope, frame: str | bytes) -> list[Event]:
        """By topic; notices of topics that were not asked for are not understood."""
        data = exact(envelope.data)
        head = envelope.topic.partition(":")[0]
        if head in ("/spotMarket/tradeOrdersV2", "/spotMarket/tradeOrders"):
            return order_events(data, SPOT_FAMILY, self._new)
        if head == "/spotMarket/advancedOrders":
            return [stop_event(data, SPOT_FAMILY, "entry", algo=True)]
        if head == "/account/balance":
            return balance_event(data)
        return [Unknown(f"topic {head}", str(frame[:200]))]


class FuturesAccountStream(_AccountStream):
    """The private connection: orders with their executions, stop orders, wallet, positions."""

    topics = (
        "/contractMarket/tradeOrders",
        "/contractMarket/advancedOrders",
        "/contractAccount/wallet",
        "/contract/positionAll",
    )

    def message(self, envelope: Envelope, frame: str | bytes) -> list[Event]:
        """By topic and subject."""
        data = exact(envelope.data)
        head = envelope.topic.partition(":")[0]
        match head:
            case "/contractMarket/tradeOrders":
                return order_events(data, FUTURES_FAMILY, set())
            case "/contractMarket/advancedOrders":
                return [stop_event(data, FUTURES_FAMILY, "up", algo=False)]
            case "/contractAccount/wallet":
                return [wallet_row(data)] if envelope.subject == "walletBalance.change" else []
            case "/contract/position" | "/contract/positionAll":
                return position_event(data, envelope)
        return [Unknown(f"topic {head}", str(frame[:200]))]
