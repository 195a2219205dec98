"""Kraken's public WebSocket v2 endpoint from the venue's side: book, trade, ticker, ohlc, instrument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.kraken.practice_orders import iso
from connectors.kraken.practice_pairs import Pair
from connectors.kraken.practice_socket import Hub, Socket, data_frame, raw, trade_row

DEPTHS = (10, 25, 100, 500, 1000)
INTERVALS = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)


class PublicConnection(Socket):
    """book, trade, ticker, ohlc, instrument."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub, private=False)
        self._modes: dict[str, str] | None = None  # of the pairs as they were told, while they are listened to

    @property
    def subscribed(self) -> bool:
        """Whether anything is."""
        return self._modes is not None or super().subscribed

    def tick(self, now_ms: int) -> None:
        """Pairs whose mode changed, too."""
        super().tick(now_ms)
        if self._modes is not None and (moved := self._modes.items() ^ (now := self._all_modes()).items()):
            wires, self._modes = {wire for wire, _ in moved}, now
            rows = [self._instrument(pair) for pair in self.hub.orders.by_key.values() if pair.wire in wires]
            self.out.append(data_frame("instrument", "update", {"assets": [], "pairs": rows}))

    def _subscription(self, method: str, params: Mapping[str, Any], number: Any) -> None:
        channel = params.get("channel")
        if channel == "instrument":
            self._listing(method, params, number)
            return
        if channel not in ("book", "trade", "ticker", "ohlc"):
            self.fail(
                method, "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com", number
            )
            return
        if channel == "book" and params.get("depth", 10) not in DEPTHS:
            self.fail(method, "Subscription depth not supported", number)
            return
        if channel == "ohlc" and params.get("interval", 1) not in INTERVALS:
            self.fail(method, "Subscription ohlc interval not supported", number)
            return
        symbols = params.get("symbol")
        if not symbols or not isinstance(symbols, list):
            self.fail(method, "EGeneral:Invalid arguments:symbol", number)
            return
        for symbol in symbols:
            pair = self.hub.orders.by_name.get(symbol)
            if pair is None or pair.wire != symbol:
                self.fail(method, f"Currency pair not supported {symbol}", number, str(symbol))
            elif method == "subscribe":
                self._add(channel, pair, params, number)
            else:
                self._drop(channel, pair, params, number)

    def _add(self, channel: str, pair: Pair, params: Mapping[str, Any], number: Any) -> None:
        wire, hub = pair.wire, self.hub
        result: dict[str, Any] = {
            "channel": channel,
            "symbol": wire,
            "snapshot": bool(params.get("snapshot", channel != "trade")),
        }
        if channel == "book":
            depth = params.get("depth", 10)
            if self.books.get(wire, depth) != depth:
                self.fail("subscribe", "Already subscribed to this symbol at another depth", number, wire)
                return
            hub.publish_book(pair)
            self.done("subscribe", {**result, "depth": depth}, number)
            self.books[wire] = depth
            if result["snapshot"]:
                self.out.append(hub.book(pair).snapshot(depth))
        elif channel == "trade":
            self.done("subscribe", result, number)
            self.trades.add(wire)
            if result["snapshot"]:
                rows = [trade_row(pair, row) for row in hub.exchange.trades(pair.key, limit=50)]
                self.out.append(data_frame("trade", "snapshot", rows))
        elif channel == "ticker":
            trigger = params.get("event_trigger", "trades")
            self.done("subscribe", {**result, "event_trigger": trigger}, number)
            self.tickers[wire] = trigger
            if result["snapshot"]:
                self.out.append(data_frame("ticker", "snapshot", [hub.ticker_row(pair)]))
        else:
            minutes = params.get("interval", 1)
            self.done("subscribe", {**result, "interval": minutes}, number)
            self.bars.add((wire, minutes))
            if result["snapshot"]:
                rows = hub.bar_rows(pair, minutes, 10)
                self.out.append(data_frame("ohlc", "snapshot", rows, timestamp=iso(hub.now_ms)))

    def _drop(self, channel: str, pair: Pair, params: Mapping[str, Any], number: Any) -> None:
        wire = pair.wire
        result: dict[str, Any] = {"channel": channel, "symbol": wire}
        had = True
        if channel == "book":
            result["depth"] = params.get("depth", 10)
            had = self.books.get(wire) == result["depth"]
            if had:
                del self.books[wire]
        elif channel == "trade":
            had = wire in self.trades
            self.trades.discard(wire)
        elif channel == "ticker":
            had = self.tickers.pop(wire, None) is not None
        else:
            result["interval"] = params.get("interval", 1)
            had = (wire, result["interval"]) in self.bars
            self.bars.discard((wire, result["interval"]))
        if had:
            self.done("unsubscribe", result, number)
        else:
            self.fail("unsubscribe", "Subscription Not Found", number, wire)

    def _listing(self, method: str, params: Mapping[str, Any], number: Any) -> None:
        """All assets and pairs, then what changes."""
        snapshot = bool(params.get("snapshot", True))
        if method == "subscribe":
            self._modes = self._all_modes()
            self.done(method, {"channel": "instrument", "snapshot": snapshot}, number)
            if snapshot:
                self.out.append(data_frame("instrument", "snapshot", self._instruments()))
        elif self._modes is None:
            self.fail(method, "Subscription Not Found", number)
        else:
            self._modes = None
            self.done(method, {"channel": "instrument"}, number)

    def _all_modes(self) -> dict[str, str]:
        return {pair.wire: self.hub.orders.mode(pair) for pair in self.hub.orders.by_key.values()}

    def _instrument(self, pair: Pair) -> dict[str, Any]:
        """Here numbers come in exponent form."""
        listing, tick = pair.listing, raw(f"{float(pair.listing.tick)!r}")
        return {
            "symbol": pair.wire,
            "base": listing.base,
            "quote": listing.quote,
            "status": self.hub.orders.mode(pair),
            "qty_precision": 8,
            "qty_increment": raw("1e-08"),
            "price_precision": pair.digits,
            "cost_precision": 5,
            "marginable": False,
            "has_index": True,
            "cost_min": raw(f"{float(listing.min_notional)!r}"),
            "tick_size": tick,
            "price_increment": tick,
            "qty_min": raw(f"{float(listing.minimum)!r}"),
        }

    def _instruments(self) -> Any:
        pairs = [self._instrument(pair) for pair in self.hub.orders.by_key.values()]
        names = sorted({name for row in pairs for name in (row["base"], row["quote"])})
        assets = [{"id": name, "status": "enabled", "precision": 10, "precision_display": 5} for name in names]
        return {"assets": assets, "pairs": pairs}
