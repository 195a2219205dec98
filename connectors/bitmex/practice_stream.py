"""BitMEX's `/realtime` from the venue's side: tables with images and changes, one socket for public and private topics.

Ids of book levels are arbitrary and price stands in every row, as since July 2023. An id belongs to a level from its first
order to its last; a level that comes back has another one. Acknowledgement and image come in either order, as at the venue.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from connectors.bitmex.practice_rows import ACCOUNTS, CURRENCIES, Rows, encode, stamp, symbol_of
from connectors.bitmex.practice_terms import ApiError
from connectors.contract import UNREADABLE
from connectors.model import OrderStatus
from connectors.practice.connection import JsonConnection
from connectors.practice.exchange import Exchange
from connectors.practice.listings import Listing
from connectors.practice.terms import (
    AccountEvent,
    BalanceChanged,
    BookLevel,
    FundingPaid,
    Happening,
    OrderChanged,
    PositionChanged,
    PositionImage,
    Traded,
    Wallet,
)

BINS = {"1m": 60_000, "5m": 300_000, "1h": 3_600_000, "1d": 86_400_000}
_BOOKS = {"orderBookL2": None, "orderBookL2_25": 25}
_QUIET = {"funding", "liquidation", "settlement", "insurance", "announcement", "publicNotifications", "chat"}
PUBLIC = {*_BOOKS, "orderBook10", "trade", "quote", "instrument", *(f"tradeBin{name}" for name in BINS), *_QUIET}
PRIVATE = {"order", "execution", "position", "margin", "wallet", "transact", "privateNotifications"}
_KEYS = {
    "orderBookL2": ["symbol", "id", "side"],
    "orderBookL2_25": ["symbol", "id", "side"],
    "orderBook10": ["symbol"],
    "instrument": ["symbol"],
    "order": ["orderID"],
    "position": ["account", "symbol", "strategy"],
    "margin": ["account", "currency"],
    "wallet": ["account", "currency"],
}
_HELP = "This is the BitMEX Realtime API. Operations: subscribe, unsubscribe, authKeyExpires, cancelAllAfter, help."


class Owner(Protocol):
    """What the tables need of the venue's side."""

    def login(self, key: str, expires: Any, signature: str, path: str) -> str:
        """The account that a signature over GET `path` proves. Raises ApiError."""
        ...

    def arm(self, account: str, timeout: int) -> dict[str, Any]:
        """The dead man's switch."""
        ...

    def is_cross(self, account: str, key: str) -> bool:
        """Whether the position shares its margin."""
        ...


class _Levels:
    """What was published of one book: size and id by side and price."""

    def __init__(self, numbers: Callable[[], int]) -> None:
        self.rows: dict[tuple[bool, Decimal], tuple[int, int]] = {}
        self.sequence = -1
        self._numbers = numbers

    def merge(
        self, changed: Iterable[tuple[bool, Decimal, Decimal]]
    ) -> dict[str, list[tuple[bool, Decimal, int, int]]]:
        """Take levels as they are now (size zero = gone); what that means as rows (bid, price, id, size) by action."""
        found: dict[str, list[tuple[bool, Decimal, int, int]]] = {"delete": [], "update": [], "insert": []}
        for bid, price, size in changed:
            old, now = self.rows.get((bid, price)), int(size)
            if now and old is None:
                number = self._numbers()
                self.rows[bid, price] = (number, now)
                found["insert"].append((bid, price, number, now))
            elif now and old is not None and old[1] != now:
                self.rows[bid, price] = (old[0], now)
                found["update"].append((bid, price, old[0], now))
            elif not now and old is not None:
                del self.rows[bid, price]
                found["delete"].append((bid, price, old[0], 0))
        return found


class Tables:
    """Every table, and the sockets that hear them."""

    def __init__(self, exchange: Exchange, rows: Rows, owner: Owner) -> None:
        self.exchange = exchange
        self.rows = rows
        self.owner = owner
        self.now_ms = exchange.now_ms
        self.sockets: set[RealtimeConnection] = set()
        self.symbols: dict[str, Listing] = {symbol_of(listing): listing for listing in exchange.listings.values()}
        self._number = 62_400_000_000
        self._books: dict[tuple[str, str], _Levels] = {}
        self._instruments: dict[str, dict[str, Any]] = {}
        self._best: dict[str, Any] = {}
        self._due: dict[str, int] = {}
        self._minute = exchange.now_ms // 60_000
        self._kept: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}  # private rows, by account and table
        self._realised: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)  # by account and contract
        self.entering: tuple[str, str] | None = None  # see Rows.said: of the order that is being placed
        self._events = 0
        exchange.watch_market(self._market)
        for account in ACCOUNTS:
            exchange.watch_account(self._account_event, account)

    # sending

    def publish(self, table: str, symbol: str, action: str, rows: list[Any]) -> None:
        """To every socket that has the table, or the table of this symbol."""
        wanted = [s for s in self.sockets if table in s.topics or f"{table}:{symbol}" in s.topics]
        if wanted and rows:
            text = encode({"table": table, "action": action, "data": rows}).decode()
            for socket in wanted:
                socket.out.append(text)

    def publish_private(self, account: str, table: str, action: str, row: dict[str, Any]) -> None:
        """To every socket of the account that has the table, or the table of the row's symbol."""
        named = {table, f"{table}:{row.get('symbol')}"}
        for socket in self.sockets:
            if socket.account == account and not named.isdisjoint(socket.topics):
                socket.out.append(encode({"table": table, "action": action, "data": [row]}).decode())

    def is_wanted(self, table: str, symbol: str) -> bool:
        """Whether anybody hears it."""
        return any(table in socket.topics or f"{table}:{symbol}" in socket.topics for socket in self.sockets)

    # images

    def image(self, table: str, symbol: str, account: str | None) -> dict[str, Any]:
        """The `partial` of a topic; what was published before is flushed first, so that changes go on from here."""
        listings = [self.symbols[symbol]] if symbol else list(self.symbols.values())
        body: dict[str, Any] = {"table": table, "action": "partial", "keys": _KEYS.get(table, [])}
        body |= {"types": {}, "foreignKeys": {}, "attributes": {"symbol": "grouped"}}
        body["filter"] = {"symbol": symbol} if symbol else {}
        rows: list[Any] = []
        if table in PRIVATE:
            body["filter"] = {"account": ACCOUNTS[account or "trader"], **body["filter"]}
            found = self._private_image(table, account or "trader")
            rows = [row for row in found if symbol in ("", row.get("symbol"))]
        for listing in listings if table in PUBLIC else ():
            rows += self._public_image(table, listing)
        return {**body, "data": rows}

    def _public_image(self, table: str, listing: Listing) -> list[Any]:
        key, symbol = listing.key, symbol_of(listing)
        if table in _BOOKS:
            self._flush_book(table, listing)
            levels = self._books[table, key].rows
            ordered = sorted(levels.items(), key=lambda row: (row[0][0], -row[0][1]))
            return [self._level(symbol, bid, price, number, size) for (bid, price), (number, size) in ordered]
        if table == "orderBook10":
            return [self._top_ten(listing)]
        if table == "trade":
            return [self.rows.trade(trade) for trade in self.exchange.trades(key, limit=1)]
        if table == "quote":
            return [self.rows.quote(key, self.exchange.best(key))]
        if table == "instrument":
            self._flush_instrument(listing)
            return [self._instruments[key]]
        if table.startswith("tradeBin"):
            return self._finished(listing, BINS[table.removeprefix("tradeBin")])
        if table == "funding":
            return [self._funding(listing)]
        return []

    def _private_image(self, table: str, account: str) -> list[Any]:
        if table == "order":
            return [self.rows.order(order) for order in self.exchange.open_orders(account)]
        if table in ("position", "margin", "wallet"):
            return list(self._private_rows(account, table).values())
        return []

    def _private_rows(self, account: str, table: str) -> dict[str, dict[str, Any]]:
        """What was published of an account's positions, margin or wallet; filled at the first look."""
        kept = self._kept.get((account, table))
        if kept is None:
            kept = self._kept[account, table] = {}
            if table in ("margin", "wallet"):
                made = self.margin_row if table == "margin" else self._wallet_row
                kept |= {currency: made(account, asset) for asset, (currency, _) in CURRENCIES.items()}
            else:
                for image in self.exchange.positions(account):
                    kept[symbol_of(self.rows.listing(image.key))] = self.position_row(image)
        return kept

    def position_row(self, image: PositionImage) -> dict[str, Any]:
        """A position with its margin mode."""
        cross, realised = self.owner.is_cross(image.account, image.key), self._realised[image.account, image.key]
        return self.rows.position(image, cross=cross, realised=realised)

    def positions(self, account: str) -> list[dict[str, Any]]:
        """Positions as they are now, closed ones too."""
        known = self._private_rows(account, "position")
        return [self.position_row(self.exchange.position(account, self.symbols[symbol].key)) for symbol in known]

    def margin_row(self, account: str, asset: str) -> dict[str, Any]:
        """The margin of what settles in an asset."""
        keys = [key for key, listing in self.exchange.listings.items() if listing.settle == asset]
        held = sum((each.margin for each in self.exchange.positions(account) if each.key in keys), Decimal(0))
        realised = sum((self._realised[account, key] for key in keys), Decimal(0))
        return self.rows.margin(account, self.exchange.balance(account, asset, Wallet.MARGIN), held, realised)

    def _wallet_row(self, account: str, asset: str) -> dict[str, Any]:
        return self.rows.wallet(account, self.exchange.balance(account, asset, Wallet.MARGIN))

    # time

    def tick(self, now_ms: int) -> None:
        """Publish what changed."""
        self.now_ms = now_ms
        minute = now_ms // 60_000
        for symbol, listing in self.symbols.items():
            for table in _BOOKS:
                if (table, listing.key) in self._books and self._is_due(
                    f"{table} {symbol}", 0 if table[-1] == "2" else 250
                ):
                    self._flush_book(table, listing)
            if self.is_wanted("orderBook10", symbol) and self._is_due(f"10 {symbol}", 250):
                self.publish("orderBook10", symbol, "update", [self._top_ten(listing)])
            if self.is_wanted("quote", symbol):
                self._flush_quote(listing)
            if listing.key in self._instruments and self._is_due(f"instrument {symbol}", 1000):
                self._flush_instrument(listing)
            if minute != self._minute:
                for name, span in BINS.items():
                    if (minute * 60_000) % span == 0 and self.is_wanted(f"tradeBin{name}", symbol):
                        self.publish(f"tradeBin{name}", symbol, "insert", self._finished(listing, span))
        self._minute = minute
        if self._is_due("accounts", 1000):
            for account in ACCOUNTS:
                self._refresh(account)

    def _is_due(self, what: str, every: int) -> bool:
        if self.now_ms < self._due.get(what, 0):
            return False
        self._due[what] = self.now_ms + every
        return True

    def _refresh(self, account: str) -> None:
        """Marks move: positions and margin of those that are heard, once a second."""
        if not any(socket.account == account for socket in self.sockets):
            return
        for image in self.exchange.positions(account):
            self._tell_position(image)
        for asset in CURRENCIES:
            self._tell_margin(account, asset)

    # public tables

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _level(self, symbol: str, bid: bool, price: Decimal, number: int, size: int) -> dict[str, Any]:
        row: dict[str, Any] = {"symbol": symbol, "id": number, "side": "Buy" if bid else "Sell"}
        if size:
            row["size"] = size
        now = stamp(self.now_ms)
        return row | {"price": price, "timestamp": now, "transactTime": now}

    def _flush_book(self, table: str, listing: Listing) -> None:
        """Deletes first, then updates, then inserts: no message leaves the book crossed."""
        key, symbol, most = listing.key, symbol_of(listing), _BOOKS[table]
        levels = self._books.get((table, key))
        fresh = levels is None
        if levels is None:
            levels = self._books[table, key] = _Levels(self._next)
        changed = self._changed(levels, key, most)
        levels.sequence = self.exchange.sequence(key)
        found = levels.merge(changed)
        if fresh:
            return
        for action, rows in found.items():
            made = [self._level(symbol, bid, price, number, size) for bid, price, number, size in rows]
            self.publish(table, symbol, action, made)

    def _changed(self, levels: _Levels, key: str, most: int | None) -> list[tuple[bool, Decimal, Decimal]]:
        changes = self.exchange.book_changes(key, levels.sequence) if most is None and levels.sequence >= 0 else None
        if changes is not None:
            return _both(changes.bids, changes.asks)
        image = self.exchange.book(key, most)
        now = _both(image.bids, image.asks)
        there = {(bid, price) for bid, price, _ in now}
        return [(bid, price, Decimal(0)) for bid, price in levels.rows if (bid, price) not in there] + now

    def _top_ten(self, listing: Listing) -> dict[str, Any]:
        image = self.exchange.book(listing.key, 10)
        sides = {
            name: [[row.price, int(row.size)] for row in rows]
            for name, rows in (("bids", image.bids), ("asks", image.asks))
        }
        return {"symbol": symbol_of(listing), **sides, "timestamp": stamp(self.now_ms)}

    def _flush_quote(self, listing: Listing) -> None:
        best = self.exchange.best(listing.key)
        told = [(row.price, row.size) if row is not None else None for row in best]
        if self._best.get(listing.key) != told:
            self._best[listing.key] = told
            self.publish("quote", symbol_of(listing), "insert", [self.rows.quote(listing.key, best)])

    def _flush_instrument(self, listing: Listing) -> None:
        row, before = self.rows.instrument(listing.key), self._instruments.get(listing.key)
        self._instruments[listing.key] = row
        if before is not None:
            self.publish("instrument", row["symbol"], "update", [_news(before, row, ("symbol", "timestamp"))])

    def _finished(self, listing: Listing, span: int) -> list[Any]:
        """The last bar that is over."""
        over = self.now_ms // span * span - span
        bars = self.exchange.candles(listing.key, span, start=over - span, end=over, limit=2)
        return [self.rows.bar(listing.key, bars[-1], span, bars[0].close)] if len(bars) == 2 else []

    def _funding(self, listing: Listing) -> dict[str, Any]:
        mark = self.exchange.mark(listing.key)
        return {
            "timestamp": stamp(mark.next_funding - 8 * 3_600_000),
            "symbol": symbol_of(listing),
            "fundingInterval": "2000-01-01T08:00:00.000Z",
            "fundingRate": mark.last_rate,
            "fundingRateDaily": mark.last_rate * 3,
        }

    def _market(self, event: Any) -> None:
        if isinstance(event, Traded):
            self.publish("trade", symbol_of(self.rows.listing(event.key)), "insert", [self.rows.trade(event.trade)])

    # private tables

    def _account_event(self, event: AccountEvent) -> None:
        match event:
            case OrderChanged():
                self._order_event(event)
            case PositionChanged():
                self._tell_position(event.position)
            case BalanceChanged() if event.balance.wallet is Wallet.MARGIN and event.balance.asset in CURRENCIES:
                self._tell_margin(event.account, event.balance.asset)
            case FundingPaid():
                self._realised[event.account, event.key] += event.payment.amount
                row = self.rows.funding(event.account, event.payment)
                self.publish_private(event.account, "execution", "insert", row)
            case _:
                pass

    def _order_event(self, event: OrderChanged) -> None:
        """An accepted order is inserted whole; later only what changed. The execution table has a whole row an event."""
        order, account = event.order, event.account
        if event.what is Happening.ACCEPTED and self.entering is not None:
            self.rows.said[order.id] = self.entering
        if event.fill is not None:
            self._realised[account, event.key] += event.fill.realised - event.fill.fee
        kept = self._kept.setdefault((account, "order"), {})
        row = self.rows.order(order)
        name, before = row["orderID"], kept.get(row["orderID"])
        if before is None:
            self.publish_private(account, "order", "insert", row)
        else:
            always = ("orderID", "clOrdID", "account", "symbol", "timestamp")
            self.publish_private(account, "order", "update", _news(before, row, always))
        kept[name] = row
        if order.status.is_final:
            del kept[name]
        kind = {
            Happening.ACCEPTED: "New",
            Happening.TRIGGERED: "TriggeredOrActivatedBySystem",
            Happening.FILLED: "Trade",
            Happening.AMENDED: "Replaced",
            Happening.ENDED: "Rejected" if order.status is OrderStatus.REJECTED else "Canceled",
        }[event.what]
        self._events += 1
        execution = self.rows.execution(
            order, kind, number=self._events, fill=event.fill, filled=order.filled, worth=order.filled_value
        )
        self.publish_private(account, "execution", "insert", execution)

    def refuse_cancel(self, account: str, order_id: str) -> None:
        """A cancel of an order that is not known: the row says "Rejected" and means the request."""
        self._events += 1
        row = {
            "execID": f"dddddddd-0000-4000-8000-{self._events:012x}",
            "orderID": order_id,
            "account": ACCOUNTS[account],
            "execType": "CancelReject",
            "ordStatus": "Rejected",
            "workingIndicator": False,
            "ordRejReason": "Invalid orderID",
            "text": "Invalid orderID",
            "transactTime": stamp(self.now_ms),
            "timestamp": stamp(self.now_ms),
        }
        self.publish_private(account, "execution", "insert", row)

    def _tell_position(self, image: PositionImage) -> None:
        symbol = symbol_of(self.rows.listing(image.key))
        kept = self._private_rows(image.account, "position")
        row, before = self.position_row(image), kept.get(symbol)
        kept[symbol] = row
        if before is None:
            self.publish_private(image.account, "position", "insert", row)
        else:
            always = ("account", "symbol", "strategy", "currency", "timestamp")
            self.publish_private(image.account, "position", "update", _news(before, row, always))

    def tell_position(self, account: str, key: str) -> None:
        """Its leverage was changed."""
        self._tell_position(self.exchange.position(account, key))

    def _tell_margin(self, account: str, asset: str) -> None:
        for table, row in (("margin", self.margin_row(account, asset)), ("wallet", self._wallet_row(account, asset))):
            kept = self._private_rows(account, table)
            before = kept[row["currency"]]
            kept[row["currency"]] = row
            news = _news(before, row, ("account", "currency", "timestamp"))
            if len(news) > 3:
                self.publish_private(account, table, "update", news)


def _both(bids: list[BookLevel], asks: list[BookLevel]) -> list[tuple[bool, Decimal, Decimal]]:
    return [(True, row.price, row.size) for row in bids] + [(False, row.price, row.size) for row in asks]


def _news(before: Mapping[str, Any], row: Mapping[str, Any], always: Iterable[str]) -> dict[str, Any]:
    """What changed, and the fields that an update always names."""
    named = set(always)
    return {name: value for name, value in row.items() if name in named or before.get(name) != value}


class RealtimeConnection(JsonConnection):
    """One socket. `private` once it has proven an account."""

    def __init__(self, tables: Tables, account: str | None, path: str) -> None:
        super().__init__(private=account is not None)
        self.tables = tables
        self.account = account
        self.topics: set[str] = set()
        self._path = path
        self._turn = 0
        tables.sockets.add(self)
        self.say(
            {
                "info": "Welcome to the BitMEX Realtime API.",
                "version": "2021-07-14T01:26:29.000Z",
                "timestamp": stamp(tables.now_ms),
                "docs": "https://www.bitmex.com/app/wsAPI",
                "limit": {"remaining": 39},
            }
        )

    def receive(self, frame: str | bytes, now_ms: int) -> None:
        """`ping`, `help`, and operations."""
        self.tables.now_ms = now_ms
        if frame == "ping":
            self.out.append("pong")
            return
        if frame == "help":
            self.out.append(_HELP)
            return
        try:
            asked = msgspec.json.decode(frame)
            op, args = asked["op"], asked.get("args", [])
        except UNREADABLE:
            self.say({"status": 400, "error": "Unrecognized request.", "meta": {}})
            return
        try:
            match op:
                case "subscribe" | "unsubscribe":
                    for name in [args] if isinstance(args, str) else args:
                        self._topic(op, str(name), asked)
                case "authKeyExpires":
                    self._login(args)
                    self.say({"success": True, "request": asked})
                case "cancelAllAfter":
                    if self.account is None:
                        raise ApiError(401, "Please authenticate first.")
                    self.say({**self.tables.owner.arm(self.account, int(args)), "request": asked})
                case "help":
                    self.out.append(_HELP)
                case _:
                    raise ApiError(400, f"Unrecognized operation: {op}")
        except ApiError as error:
            self.say({"status": error.status, "error": error.text, "meta": {}, "request": asked})
        except (TypeError, ValueError):
            self.say({"status": 400, "error": f"Invalid arguments for {op}.", "meta": {}, "request": asked})

    def _login(self, args: Any) -> None:
        if self.account is not None:
            raise ApiError(400, "You are already authenticated.")
        key, expires, signature = args
        self.account = self.tables.owner.login(str(key), expires, str(signature), "/realtime")
        self.private = True

    def _topic(self, op: str, name: str, asked: Any) -> None:
        table, _, symbol = name.partition(":")
        if table not in PUBLIC | PRIVATE:
            raise ApiError(400, f"Unknown table: {table}")
        if symbol and symbol not in self.tables.symbols:
            raise ApiError(400, f"Unknown or expired symbol: {symbol}")
        if op == "unsubscribe":
            self.topics.discard(name)
            self.say({"success": True, "unsubscribe": name, "request": asked})
            return
        if table in PRIVATE and self.account is None:
            raise ApiError(401, "User requested an account-locked subscription but no authorization was provided.")
        if name in self.topics:
            raise ApiError(400, f"You are already subscribed to this topic: {name}")
        image = self.tables.image(table, symbol, self.account)
        self.topics.add(name)
        said = [{"success": True, "subscribe": name, "request": asked}, image]
        self._turn += 1
        for body in said if self._turn % 2 else reversed(said):
            self.say(body)

    def closed(self) -> None:
        """Gone."""
        self.tables.sockets.discard(self)

    def say(self, value: Any) -> None:
        """Decimals are JSON numbers here."""
        self.out.append(encode(value).decode())
