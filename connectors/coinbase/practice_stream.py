"""Coinbase's WebSockets from the venue's side: one number for all messages of a connection, images before acknowledgements.

level2 is collected over 50 ms, trades over 250 ms (newest first, with the maker's side), the user's orders until the next tick,
so that several executions may arrive as one step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from connectors.coinbase.practice_terms import ApiError, portfolio, rfc3339, trade_row
from connectors.coinbase.practice_words import (
    after_fees,
    cancel_word,
    completion,
    status_word,
    tif_word,
    trigger_word,
    type_word,
    uuid_of,
)
from connectors.contract import UNREADABLE
from connectors.model import plain
from connectors.practice.connection import JsonConnection
from connectors.practice.terms import AccountEvent, Order, OrderChanged, PublicTrade, Traded

if TYPE_CHECKING:
    from connectors.coinbase.practice import CoinbasePractice

PRODUCT_CHANNELS = ("level2", "market_trades", "ticker", "ticker_batch", "candles", "status")
PRIVATE_CHANNELS = ("user", "futures_balance_summary")
BATCH = 50  # orders of a snapshot in one message
BAR = 300_000
BARS = 100
_EVERY = {"level2": 50, "market_trades": 250, "ticker": 0, "ticker_batch": 5000, "candles": 1000, "status": 5000}


class Streams:
    """All connections, and the trades that they wait for."""

    def __init__(self, venue: CoinbasePractice) -> None:
        self.venue = venue
        self.open_ones: set[Stream] = set()
        venue.exchange.watch_market(self._market)

    def open(self, *, private: bool) -> Stream:
        """A new connection."""
        stream = Stream(self, private=private)
        self.open_ones.add(stream)
        return stream

    def _market(self, event: Any) -> None:
        if isinstance(event, Traded):
            product = self.venue.exchange.listings[event.key].symbol
            for stream in self.open_ones:
                stream.traded(product, event.trade)


class Stream(JsonConnection):
    """One connection. Subscriptions are by channel, under the ids that the client used; data comes under the main one."""

    def __init__(self, streams: Streams, *, private: bool) -> None:
        super().__init__(private=private, ping_every=20.0)
        self.streams = streams
        self.venue = streams.venue
        self.exchange = streams.venue.exchange
        self._number = 0
        self._channels: dict[str, set[str]] = {}
        self._books: dict[str, int] = {}
        self._trades: dict[str, list[PublicTrade]] = {}
        self._matched: set[str] = set()
        self._due: dict[str, int] = {}
        self._opened: int | None = None
        self._said_at: int | None = None
        self._heard: list[int] = []
        self._account = ""
        self._orders: dict[int, Order] = {}
        self._unwatch: Callable[[], None] | None = None
        self._beats = 0

    # -----------------------------------------------------------------------------------------------------------------
    # What the client says

    def receive(self, frame: str | bytes, now_ms: int) -> None:
        """subscribe and unsubscribe, one channel a message."""
        self.venue.now_ms = now_ms
        self._heard = [*(moment for moment in self._heard if moment > now_ms - 1000), now_ms]
        try:
            asked = msgspec.json.decode(frame)
            kind, channel = asked["type"], str(asked["channel"])
            products = [str(name) for name in asked.get("product_ids") or ()]
            if "jwt" in asked:
                _, owner = self.venue.token(asked["jwt"])
                account = owner.account
            else:
                account = ""
        except ApiError:
            self._refuse("authentication failure")
            return
        except UNREADABLE:
            self._refuse("failure to subscribe")
            return
        if not account and len(self._heard) > 8:
            self.closing = 1008
            return
        known = channel == "heartbeats" or channel in PRODUCT_CHANNELS or channel in PRIVATE_CHANNELS
        if not known or (channel in PRIVATE_CHANNELS and not account):
            self._refuse("authentication failure")  # the same words for a channel that does not exist
        elif channel in PRODUCT_CHANNELS and any(name not in self.venue.products for name in products):
            wrong = next(name for name in products if name not in self.venue.products)
            self._refuse(f"failure to subscribe: {wrong} is not a valid product")
        elif kind == "subscribe":
            self._subscribe(channel, products, account)
        elif kind == "unsubscribe":
            self._unsubscribe(channel, products)
        else:
            self._refuse("failure to subscribe")

    def _subscribe(self, channel: str, products: list[str], account: str) -> None:
        if channel == "user":
            if "user" in self._channels:
                self._refuse("failure to subscribe")
                return
            self._watch(account, products)
        names = self._channels.setdefault(channel, set())
        if channel in PRODUCT_CHANNELS:
            wanted = products or (list(self.venue.products) if channel == "status" else [])
            names.update(wanted)
            self._images(channel, dict.fromkeys(self.venue.main(name) for name in wanted))
        elif channel == "user":
            names.add(portfolio(account))
        else:
            names.add(channel)
        self._acknowledge()

    def _unsubscribe(self, channel: str, products: list[str]) -> None:
        names = self._channels.get(channel, set())
        names.difference_update(products or list(names))
        if not names:
            self._channels.pop(channel, None)
        if channel == "level2":
            stay = {self.venue.main(name) for name in names}
            self._books = {product: number for product, number in self._books.items() if product in stay}
        if channel == "user" and self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        self._acknowledge()

    def _acknowledge(self) -> None:
        active = {channel: sorted(names) for channel, names in self._channels.items()}
        self._say("subscriptions", [{"subscriptions": active}])

    def _refuse(self, text: str) -> None:
        self.say({"type": "error", "message": text})

    # -----------------------------------------------------------------------------------------------------------------
    # What the venue says

    def _say(self, channel: str, events: list[Any]) -> None:
        now = self.venue.now_ms
        message = {
            "channel": channel,
            "client_id": "",
            "timestamp": rfc3339(now)[:-1] + "000Z",
            "sequence_num": self._number,
            "events": events,
        }
        self._number += 1
        self._said_at = now
        self.say(message)

    def _images(self, channel: str, products: Iterable[str]) -> None:
        for product in products:
            match channel:
                case "level2":
                    self._book_image(product)
                case "market_trades":
                    listing = self.venue.products[product]
                    rows = [trade_row(product, row) for row in reversed(self.exchange.trades(listing.key, limit=50))]
                    self._say("market_trades", [{"type": "snapshot", "trades": rows}])
                case "ticker" | "ticker_batch":
                    self._say(channel, [{"type": "snapshot", "tickers": [self._ticker(product, channel)]}])
                case "candles":
                    self._say("candles", [{"type": "snapshot", "candles": self._bars(product, BARS)}])
        if channel == "status":
            self._say("status", [{"type": "snapshot", "products": [self._status(product) for product in products]}])

    def _book_image(self, product: str) -> None:
        image = self.exchange.book(self.venue.products[product].key)
        self._books[product] = image.sequence
        rows = self._levels("bid", image.bids) + self._levels("offer", image.asks)
        self._say("l2_data", [{"type": "snapshot", "product_id": product, "updates": rows}])

    def _levels(self, side: str, rows: Iterable[Any]) -> list[dict[str, str]]:
        time = rfc3339(self.venue.now_ms)
        return [
            {"side": side, "event_time": time, "price_level": plain(row.price), "new_quantity": plain(row.size)}
            for row in rows
        ]

    def tick(self, now_ms: int) -> None:
        """What is due; and the ends of connections that say nothing or hear nothing."""
        if self._opened is None:
            self._opened = self._said_at = now_ms
        if self.closing is not None:
            return
        if not self._channels and now_ms - self._opened > 5000:
            self.closing = 1000
            return
        if self._said_at is not None and now_ms - self._said_at > 75_000:
            self.closing = 1000
            return
        self._flush_orders()
        for channel in list(self._channels):
            if channel in _EVERY and self._is_due(channel, now_ms, _EVERY[channel]):
                self._publish(channel)
        if "heartbeats" in self._channels and self._is_due("heartbeats", now_ms, 1000):
            self._beats += 1
            spoken = rfc3339(now_ms).replace("T", " ").removesuffix("Z")
            beat = {"current_time": f"{spoken} +0000 UTC m=+{self._beats}.5", "heartbeat_counter": self._beats}
            self._say("heartbeats", [beat])

    def _is_due(self, channel: str, now_ms: int, every: int) -> bool:
        if now_ms < self._due.get(channel, 0):
            return False
        self._due[channel] = now_ms + every
        return True

    def _publish(self, channel: str) -> None:
        products = dict.fromkeys(self.venue.main(name) for name in sorted(self._channels[channel]))
        if channel == "level2":
            self._publish_books()
        elif channel == "market_trades":
            for product, trades in self._trades.items():
                rows = [trade_row(product, row) for row in reversed(trades)]
                self._say("market_trades", [{"type": "update", "trades": rows}])
            self._trades.clear()
        elif channel == "ticker":
            for product in sorted(self._matched & products.keys()):
                self._say("ticker", [{"type": "update", "tickers": [self._ticker(product, channel)]}])
            self._matched.clear()
        elif channel == "ticker_batch":
            self._say(channel, [{"type": "update", "tickers": [self._ticker(name, channel) for name in products]}])
        elif channel == "candles":
            rows = [row for name in products for row in self._bars(name, 1)]
            self._say("candles", [{"type": "update", "candles": rows}])
        elif channel == "status":
            self._say("status", [{"type": "update", "products": [self._status(name) for name in products]}])

    def _publish_books(self) -> None:
        for product, sent in list(self._books.items()):
            changes = self.exchange.book_changes(self.venue.products[product].key, sent)
            if changes is None:
                self._book_image(product)  # a snapshot may come without being asked for
                continue
            if changes.first > changes.last:
                continue
            self._books[product] = changes.last
            rows = self._levels("bid", changes.bids) + self._levels("offer", changes.asks)
            if rows:
                self._say("l2_data", [{"type": "update", "product_id": product, "updates": rows}])

    def traded(self, product: str, trade: PublicTrade) -> None:
        """Remember a public trade for whoever has its product."""
        for channel in ("market_trades", "ticker"):
            if any(self.venue.main(name) == product for name in self._channels.get(channel, ())):
                if channel == "ticker":
                    self._matched.add(product)
                else:
                    self._trades.setdefault(product, []).append(trade)

    def _ticker(self, product: str, channel: str) -> dict[str, str]:
        now = self.exchange.ticker(self.venue.products[product].key)
        change = (now.last - now.open) / now.open * 100 if now.open else now.open
        row = {
            "type": "ticker",
            "product_id": product,
            "price": plain(now.last),
            "volume_24_h": plain(now.volume),
            "low_24_h": plain(now.low),
            "high_24_h": plain(now.high),
            "low_52_w": plain(now.low),
            "high_52_w": plain(now.high),
            "price_percent_chg_24_h": f"{change:.14f}",
        }
        if channel == "ticker":
            row |= {
                "best_bid": plain(now.bid.price) if now.bid else "",
                "best_bid_quantity": plain(now.bid.size) if now.bid else "",
                "best_ask": plain(now.ask.price) if now.ask else "",
                "best_ask_quantity": plain(now.ask.size) if now.ask else "",
            }
        return row

    def _bars(self, product: str, count: int) -> list[dict[str, str]]:
        bars = self.exchange.candles(self.venue.products[product].key, BAR, limit=count)
        return [
            {
                "start": str(bar.start // 1000),
                "high": plain(bar.high),
                "low": plain(bar.low),
                "open": plain(bar.open),
                "close": plain(bar.close),
                "volume": plain(bar.volume),
                "product_id": product,
            }
            for bar in reversed(bars)
        ]

    def _status(self, product: str) -> dict[str, str]:
        row = self.venue.product(product)
        return {
            "product_type": "SPOT",
            "id": product,
            "base_currency": row["base_currency_id"],
            "quote_currency": row["quote_currency_id"],
            "base_increment": row["base_increment"],
            "quote_increment": row["quote_increment"],
            "display_name": product.replace("-", "/"),
            "status": row["status"],
            "status_message": "",
            "min_market_funds": row["quote_min_size"],
        }

    # -----------------------------------------------------------------------------------------------------------------
    # The user's orders

    def _watch(self, account: str, products: list[str]) -> None:
        """All open orders in batches; the last one is not full. Then what changes."""
        wanted = set(products)
        rows = [
            self._order(order)
            for order in self.exchange.open_orders(account)
            if not wanted or self.venue.orders.product_of(order) in wanted
        ]
        for start in range(0, len(rows) + 1, BATCH):
            self._say("user", [{"type": "snapshot", "orders": rows[start : start + BATCH], "positions": {}}])

        def hear(event: AccountEvent) -> None:
            if isinstance(event, OrderChanged) and (not wanted or self.venue.orders.product_of(event.order) in wanted):
                self._orders[event.order.id] = event.order

        self._unwatch = self.exchange.watch_account(hear, account)

    def _flush_orders(self) -> None:
        if not self._orders:
            return
        rows = [self._order(order) for order in self._orders.values()]
        self._orders.clear()
        self._say("user", [{"type": "update", "orders": rows}])

    def _order(self, order: Order) -> Mapping[str, Any]:
        final = order.status.is_final
        left = order.amount - order.filled if order.amount is not None and not final else order.filled - order.filled
        return {
            "order_id": uuid_of(order.id),
            "client_order_id": order.client_id,
            "product_id": self.venue.orders.product_of(order),
            "status": status_word(order),
            "order_side": order.side.upper(),
            "order_type": type_word(order),
            "limit_price": plain(order.price) if order.price is not None else "",
            "stop_price": plain(order.trigger) if order.trigger is not None else "",
            "avg_price": plain(order.average) if order.average is not None else "0",
            "cumulative_quantity": plain(order.filled),
            "leaves_quantity": plain(left),
            "filled_value": plain(order.filled_value),
            "number_of_fills": str(self.venue.orders.number_of_fills(order)),
            "completion_percentage": completion(order),
            "total_fees": plain(order.fee),
            "total_value_after_fees": plain(after_fees(order)),
            "creation_time": rfc3339(order.created),
            "end_time": rfc3339(order.expires) if order.expires is not None else "",
            "time_in_force": tif_word(order),
            "trigger_status": trigger_word(order),
            "post_only": "true" if order.post_only else "false",
            "cancel_reason": cancel_word(order),
            "reject_reason": order.text if status_word(order) == "FAILED" else "",
            "outstanding_hold_amount": plain(order.held),
            "product_type": "SPOT",
            "contract_expiry_type": "UNKNOWN_CONTRACT_EXPIRY_TYPE",
            "risk_managed_by": "UNKNOWN_RISK_MANAGEMENT_TYPE",
            "retail_portfolio_id": portfolio(order.account),
        }

    def closed(self) -> None:
        """Gone."""
        self.streams.open_ones.discard(self)
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None


__all__ = ["Stream", "Streams"]
