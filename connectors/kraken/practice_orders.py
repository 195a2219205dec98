"""Kraken's order entry from the venue's side, shared by REST and WebSocket: checks, ids, rows, engine limiter, dead man's switch."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from msgspec import structs

from connectors.kraken.practice_pairs import PAIRS, Pair, asset_id, cost, size
from connectors.model import EndReason, InstrumentStatus, OrderKind, OrderStatus, Side, TimeInForce
from connectors.practice.exchange import Exchange
from connectors.practice.terms import AccountRules, Execution, NewOrder, Order, Refusal, RefusalKind, SelfTrade, Wallet

KINDS = {
    "market": OrderKind.MARKET,
    "limit": OrderKind.LIMIT,
    "iceberg": OrderKind.LIMIT,
    "stop-loss": OrderKind.STOP,
    "stop-loss-limit": OrderKind.STOP_LIMIT,
    "take-profit": OrderKind.TAKE_PROFIT,
    "take-profit-limit": OrderKind.TAKE_PROFIT_LIMIT,
}
_AT_ONCE = {
    OrderKind.STOP: OrderKind.MARKET,
    OrderKind.TAKE_PROFIT: OrderKind.MARKET,
    OrderKind.STOP_LIMIT: OrderKind.LIMIT,
    OrderKind.TAKE_PROFIT_LIMIT: OrderKind.LIMIT,
}
_REFUSALS = {
    RefusalKind.FUNDS: "EOrder:Insufficient funds",
    RefusalKind.CLIENT_ID: "EGeneral:Invalid arguments:cl_ord_id",
    RefusalKind.PRICE_TICK: "EOrder:Tick size check failed",
    RefusalKind.PRICE_BOUNDS: "EOrder:Invalid price",
    RefusalKind.SIZE_LOT: "EGeneral:Invalid arguments:volume",
    RefusalKind.SIZE_MAXIMUM: "EGeneral:Invalid arguments:volume",
    RefusalKind.SIZE_MINIMUM: "EOrder:Order minimum not met",
    RefusalKind.NOTIONAL_MINIMUM: "EOrder:Cost minimum not met",
    RefusalKind.MARKET_CLOSED: "EService:Market in cancel_only mode",
    RefusalKind.POST_ONLY: "EOrder:Post only order",
    RefusalKind.TOO_MANY_ORDERS: "EOrder:Orders limit exceeded",
    RefusalKind.UNKNOWN_LISTING: "EQuery:Unknown asset pair",
    RefusalKind.UNKNOWN_ORDER: "EOrder:Unknown order",
    RefusalKind.ORDER_ENDED: "EOrder:Unknown order",
}
_WORDS = {
    EndReason.USER: "User requested",
    EndReason.DEAD_MAN: "Cancel all orders after timeout",
    EndReason.POST_ONLY: "Post only order",
    EndReason.SELF_TRADE: "Self trade prevention",
    EndReason.IOC_REST: "Immediate or cancel",
    EndReason.FOK: "Fill or kill",
}
RULES = AccountRules(
    max_open_orders=80, recorded=frozenset({RefusalKind.FOK, RefusalKind.POST_ONLY, RefusalKind.NO_LIQUIDITY})
)
_MODES = {
    InstrumentStatus.TRADING: "online",
    InstrumentStatus.CANCEL_ONLY: "cancel_only",
    InstrumentStatus.CLOSED: "maintenance",
}
_SELF_TRADE = {
    "cancel-newest": SelfTrade.CANCEL_NEWEST,
    "cancel-oldest": SelfTrade.CANCEL_OLDEST,
    "cancel-both": SelfTrade.CANCEL_BOTH,
}
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class KrakenError(Exception):
    """An error string of the venue."""


@dataclass(slots=True)
class Leak:
    """A counter that rises by what is done and falls with time, as both of the venue's limiters do."""

    limit: float
    rate: float  # per second
    used: float = 0.0
    at: int = 0

    def take(self, weight: float, now_ms: int) -> bool:
        """Count `weight`; False, and nothing counted, when that would be too much."""
        self.used = max(0.0, self.used - (now_ms - self.at) / 1000 * self.rate)
        self.at = now_ms
        if self.used + weight > self.limit:
            return False
        self.used += weight
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """An order as it was asked for, REST and WebSocket alike. Numbers are text as they came."""

    pair: str
    side: str
    kind: str
    volume: str = ""
    cash: str = ""
    price: str = ""
    trigger: str = ""
    tif: str = "gtc"
    post: bool = False
    client_id: str = ""
    stp: str = ""
    deadline: str = ""
    expires: int | None = None  # ms, of good till date
    userref: int = 0
    validate: bool = False


def number(text: str, name: str) -> Decimal:
    """A decimal argument; relative prices (`+5%`) are not taken here."""
    try:
        value = Decimal(text)
    except ArithmeticError:
        raise KrakenError(f"EGeneral:Invalid arguments:{name}") from None
    if not value.is_finite() or value < 0:
        raise KrakenError(f"EGeneral:Invalid arguments:{name}")
    return value


def moment(text: str, name: str) -> int:
    """ms of an RFC 3339 time. Raises KrakenError."""
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        raise KrakenError(f"EGeneral:Invalid arguments:{name}") from None


def iso(ms: int) -> str:
    """RFC 3339 with microseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}000Z"


def made_id(letter: str, *parts: object) -> str:
    """An id of the venue's form, always the same for the same parts."""
    digest = hashlib.blake2s(repr(parts).encode()).digest()
    text = "".join(_LETTERS[byte % 32] for byte in digest[:16])
    return f"{letter}{text[:5]}-{text[5:10]}-{text[10:16]}"


def client_id_fits(text: str) -> bool:
    """A UUID with or without dashes, or free ASCII text of up to 18 characters."""
    if len(text) in (32, 36):
        try:
            return str(uuid.UUID(text)).replace("-", "") == text.lower().replace("-", "")
        except ValueError:
            return False
    return len(text) <= 18 and text.isascii() and text.isprintable()


class Orders:
    """Order entry of all accounts."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.now_ms = exchange.now_ms
        self.limited = True
        self.by_name: dict[str, Pair] = {}
        self.by_key: dict[str, Pair] = {}
        for pair in PAIRS:
            if pair.key in exchange.listings:
                self.by_key[pair.key] = pair
                self.by_name.update(dict.fromkeys((pair.name, pair.alt, pair.ws, pair.wire), pair))
        self._ids: dict[str, int] = {}
        self._shapes: dict[int, tuple[str, Decimal | None]] = {}  # order type and trigger as asked for
        self._next: tuple[str, Decimal | None] = ("limit", None)
        self._refs: dict[int, int] = {}  # what the client calls a group of its orders
        self._next_ref = 0
        self._limiters: dict[tuple[str, str], Leak] = {}
        self._switches: dict[str, int] = {}

    # names

    def pair(self, name: str) -> Pair:
        """By any of its names."""
        found = self.by_name.get(name)
        if found is None:
            raise KrakenError("EQuery:Unknown asset pair")
        return found

    def pairs(self, names: str) -> list[Pair]:
        """Pairs by names with commas between them, all where there is none. Raises KrakenError."""
        return [self.pair(name) for name in names.split(",")] if names else list(self.by_key.values())

    def mode(self, pair: Pair) -> str:
        """What a pair takes now, in the venue's word."""
        return _MODES[self.exchange.status(pair.key)]

    def txid(self, order_id: int) -> str:
        """The order's id on the wire."""
        name = made_id("O", "order", order_id)
        self._ids[name] = order_id
        return name

    def find(self, account: str, *, txid: str = "", client_id: str = "") -> Order:
        """An order by one of its names, open or ended."""
        name: int | str = self._ids.get(txid, -1) if txid else client_id
        try:
            return self.exchange.order(account, name)
        except Refusal:
            raise KrakenError("EOrder:Unknown order") from None

    def shape(self, order: Order) -> tuple[str, Decimal | None]:
        """Type and trigger as they were asked for: a stop that had to start at once is still shown as a stop."""
        return self._shapes.setdefault(order.id, self._next)

    def userref(self, order: Order) -> int:
        """The client's number for a group of orders, 0 for none."""
        return self._refs.setdefault(order.id, self._next_ref)

    def grouped(self, account: str, userref: int) -> list[Order]:
        """Open orders of a group."""
        return [row for row in self.exchange.open_orders(account) if userref and self.userref(row) == userref]

    # what costs the engine

    def _engine(self, account: str, pair: Pair, weight: float) -> None:
        limiter = self._limiters.setdefault((account, pair.key), Leak(125, 2.34))
        if not limiter.take(weight, self.now_ms) and self.limited:
            raise KrakenError("EOrder:Rate limit exceeded")

    def _age(self, order: Order, steps: tuple[tuple[int, int], ...]) -> int:
        age = (self.now_ms - order.created) / 1000
        return next((weight for below, weight in steps if age < below), 0)

    # operations

    def place(self, account: str, wish: Wish) -> Order | None:
        """AddOrder and add_order; None for a validation that passed."""
        pair = self.pair(wish.pair)
        self._check_deadline(wish.deadline)
        self._engine(account, pair, 1)
        return self._placed(account, pair, wish)

    def _placed(self, account: str, pair: Pair, wish: Wish) -> Order | None:
        request = self._request(pair, wish)
        if not client_id_fits(wish.client_id):
            raise KrakenError("EGeneral:Invalid arguments")
        self._next, self._next_ref = (wish.kind, request.trigger), wish.userref
        try:
            try:
                self.exchange.test(account, request)
            except Refusal as refusal:
                if refusal.kind is RefusalKind.WOULD_TRIGGER:  # the venue takes it, and it starts at once
                    request = structs.replace(request, kind=_AT_ONCE[request.kind], trigger=None)
                elif refusal.kind not in RULES.recorded or wish.validate:
                    raise
            if wish.validate:
                return None
            order = self.exchange.place(account, request)
            self.shape(order)
            self.userref(order)
        except Refusal as refusal:
            raise self._refused(refusal) from None
        finally:
            self._next_ref = 0
        return order

    def _request(self, pair: Pair, wish: Wish) -> NewOrder:
        if wish.side not in ("buy", "sell"):
            raise KrakenError("EGeneral:Invalid arguments:type")
        kind = KINDS.get(wish.kind)
        if kind is None:
            raise KrakenError("EGeneral:Invalid arguments:ordertype")
        tif = wish.tif.lower()
        if tif not in ("gtc", "gtd", "ioc", "fok"):
            raise KrakenError("EGeneral:Invalid arguments:timeinforce")
        if (tif == "gtd") is (wish.expires is None) or (wish.expires or self.now_ms + 1) <= self.now_ms:
            raise KrakenError("EGeneral:Invalid arguments:expiretm")
        if wish.stp and wish.stp.replace("_", "-") not in _SELF_TRADE:
            raise KrakenError("EGeneral:Invalid arguments:stptype")
        if wish.cash and (kind is not OrderKind.MARKET or wish.side != "buy"):
            raise KrakenError("EGeneral:Invalid arguments:viqc option only available for market buy orders")
        if kind.has_price and not wish.price:
            raise KrakenError("EGeneral:Invalid arguments:price")
        if kind.has_trigger and not wish.trigger:
            raise KrakenError("EGeneral:Invalid arguments:price")
        amount = number(wish.volume, "volume") if wish.volume else None
        if amount is None and not wish.cash:
            raise KrakenError("EGeneral:Invalid arguments:volume")
        return NewOrder(
            key=pair.key,
            side=Side(wish.side),
            kind=kind,
            amount=amount if not wish.cash else None,
            quote_amount=number(wish.cash, "volume") if wish.cash else None,
            price=number(wish.price, "price") if kind.has_price else None,
            trigger=number(wish.trigger, "price") if kind.has_trigger else None,
            tif=TimeInForce.GTC if tif == "gtd" else TimeInForce(tif),
            post_only=wish.post,
            client_id=wish.client_id,
            expires=wish.expires,
            self_trade=_SELF_TRADE.get(wish.stp.replace("_", "-")),
        )

    def _check_deadline(self, text: str) -> None:
        if not text:
            return
        until = moment(text, "deadline")
        if until > self.now_ms + 60_000:
            raise KrakenError("EGeneral:Invalid arguments:deadline")
        if until < self.now_ms:
            raise KrakenError("EService:Deadline elapsed")

    def amend(self, account: str, order: Order, params: Mapping[str, Any]) -> Order:
        """AmendOrder and amend_order; the id stays. A new price may take, unless `post_only` says again that it must not."""
        self._check_deadline(str(params.get("deadline") or ""))
        self._engine(account, self.by_key[order.key], 1 + self._age(order, ((5, 3), (10, 2), (15, 1))))
        given = {
            name: number(str(params[name]), name)
            for name in ("order_qty", "limit_price", "trigger_price")
            if params.get(name) not in (None, "")
        }
        trigger, price = given.get("trigger_price"), given.get("limit_price")
        passive = str(params.get("post_only") or "").lower() == "true" if price is not None else None
        try:
            changed = self.exchange.amend(
                account, order.id, amount=given.get("order_qty"), price=price, trigger=trigger, post_only=passive
            )
        except Refusal as refusal:
            raise self._refused(refusal) from None
        if trigger is not None:
            self._shapes[order.id] = (self.shape(order)[0], trigger)
        return changed

    def edit(self, account: str, order: Order, changes: Mapping[str, str], *, validate: bool = False) -> Order | None:
        """EditOrder and edit_order: `changes` of volume, price and trigger; the order is cancelled, a new one takes its place."""
        pair = self.by_key[order.key]
        self._engine(account, pair, 1 + self._age(order, ((5, 6), (10, 5), (15, 4), (45, 2), (90, 1))))
        if order.status.is_final:
            raise KrakenError("EOrder:Unknown order")
        kind, trigger = self.shape(order)
        wish = Wish(
            pair=pair.wire,
            side=order.side.value,
            kind=kind,
            volume=changes.get("volume") or format(order.remaining or Decimal(0), "f"),
            price=changes.get("price") or (format(order.price, "f") if order.price is not None else ""),
            trigger=changes.get("trigger") or (format(trigger, "f") if trigger is not None else ""),
            tif=tif_of(order),
            post=order.post_only,
            expires=order.expires,
            userref=self.userref(order),
            validate=True,
        )
        self._placed(account, pair, wish)  # what is refused leaves the old order alone
        if validate:
            return None
        self.exchange.cancel(account, order.id)
        return self._placed(account, pair, replace(wish, validate=False))

    def cancel(self, account: str, order: Order) -> Order:
        """CancelOrder and cancel_order."""
        steps = ((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1))
        self._engine(account, self.by_key[order.key], self._age(order, steps))
        try:
            return self.exchange.cancel(account, order.id)
        except Refusal as refusal:
            raise self._refused(refusal) from None

    def cancel_after(self, account: str, seconds: str) -> dict[str, str]:
        """CancelAllOrdersAfter: 0 disarms."""
        timeout = int(number(seconds, "timeout"))
        self._switches.pop(account, None)
        if timeout:
            self._switches[account] = self.now_ms + timeout * 1000
        trigger = iso(self.now_ms + timeout * 1000)[:19] + "Z" if timeout else "0"
        return {"currentTime": iso(self.now_ms)[:19] + "Z", "triggerTime": trigger}

    def tick(self, now_ms: int) -> None:
        """Switches that nobody renewed."""
        self.now_ms = now_ms
        for account, due in list(self._switches.items()):
            if now_ms >= due:
                del self._switches[account]
                self.exchange.cancel_all(account, reason=EndReason.DEAD_MAN)

    @staticmethod
    def _refused(refusal: Refusal) -> KrakenError:
        return KrakenError(_REFUSALS.get(refusal.kind, "EGeneral:Invalid arguments"))

    # rows of the REST API

    def order_row(self, order: Order) -> dict[str, Any]:
        """An order as OpenOrders, ClosedOrders and QueryOrders show it."""
        pair = self.by_key[order.key]
        kind, trigger = self.shape(order)
        price = trigger if trigger is not None else order.price
        price2 = order.price if trigger is not None else None
        flags = ["post"] if order.post_only else []
        flags += ["fciq"] + (["viqc"] if order.quote_amount is not None else [])
        volume = order.amount if order.amount is not None else order.quote_amount
        row: dict[str, Any] = {
            "refid": None,
            "userref": self.userref(order) or None,
            "status": status_of(order),
            "opentm": order.created / 1000,
            "starttm": 0,
            "expiretm": order.expires / 1000 if order.expires is not None else 0,
            "descr": {
                "pair": pair.alt,
                "type": order.side.value,
                "ordertype": kind,
                "price": pair.price(price) if price is not None else "0",
                "price2": pair.price(price2) if price2 is not None else "0",
                "leverage": "none",
                "order": self.sentence(order),
                "close": "",
            },
            "vol": size(volume),
            "vol_exec": size(order.filled_value if order.quote_amount is not None else order.filled),
            "cost": cost(order.filled_value),
            "fee": size(order.fee),
            "price": pair.price(order.average),
            "stopprice": cost(None),
            "limitprice": cost(None),
            "misc": "stopped" if trigger is not None and order.status is not OrderStatus.UNTRIGGERED else "",
            "oflags": ",".join(flags),
        }
        if order.client_id:
            row["cl_ord_id"] = order.client_id
        if order.status.is_final:
            row |= {"closetm": order.updated / 1000, "reason": reason_of(order)}
        return row

    def sentence(self, order: Order) -> str:
        """In words: buy 0.02100000 ETHUSDT @ limit 330.00."""
        pair = self.by_key[order.key]
        kind, trigger = self.shape(order)
        words = f"{order.side.value} {size(order.amount or order.quote_amount)} {pair.alt} @ "
        if trigger is None:
            return words + (f"{kind} {pair.price(order.price)}" if order.price is not None else kind)
        words += f"{kind.removesuffix('-limit').replace('-', ' ')} {pair.price(trigger)}"
        return words + (f" -> limit {pair.price(order.price)}" if order.price is not None else "")

    def trade_id(self, fill: Execution) -> str:
        """An execution's id, the same over REST and WebSocket."""
        return made_id("T", "trade", fill.key, fill.trade_id, fill.order_id)

    def fill_row(self, account: str, fill: Execution) -> dict[str, Any]:
        """An execution as TradesHistory and QueryTrades show it."""
        pair = self.by_key[fill.key]
        order = self.exchange.order(account, fill.order_id)
        return {
            "ordertxid": self.txid(fill.order_id),
            "postxid": made_id("T", "position", fill.order_id),
            "pair": pair.name,
            "time": fill.time / 1000,
            "type": fill.side.value,
            "ordertype": self.shape(order)[0],
            "price": pair.price(fill.price),
            "cost": cost(fill.value),
            "fee": size(fill.fee),
            "vol": size(fill.size),
            "margin": cost(None),
            "leverage": "0",
            "misc": "",
            "trade_id": fill.trade_id,
            "maker": fill.maker,
        }

    def balance_rows(self, account: str) -> dict[str, tuple[Decimal, Decimal]]:
        """Total and held by asset id."""
        return {
            asset_id(row.asset): (row.total, row.held)
            for row in self.exchange.balances(account, Wallet.SPOT)
            if row.total or row.held
        }


def tif_of(order: Order) -> str:
    """GTC, IOC, FOK, or GTD for what ends at a time."""
    return "GTD" if order.expires is not None else order.tif.upper()


def status_of(order: Order) -> str:
    """An order's status over REST."""
    if not order.status.is_final:
        return "open"
    if order.status is OrderStatus.FILLED:
        return "closed"
    return "expired" if order.end_reason is EndReason.EXPIRED else "canceled"


def reason_of(order: Order) -> str | None:
    """Why it ended, in the venue's words."""
    if order.status is OrderStatus.FILLED:
        return None
    return _WORDS.get(order.end_reason or EndReason.OTHER, "Insufficient liquidity")
