"""Kraken's own end of REST `/0/private`: what an account has, and its orders."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from connectors.kraken.practice_orders import KrakenError, Orders, Wish, number
from connectors.kraken.practice_pairs import size
from connectors.kraken.practice_socket import Hub
from connectors.practice.exchange import Exchange
from connectors.practice.terms import Order

TOKEN_LIFE = 900
# What is not played here, with the values that ask for nothing: margin, and orders that start later.
_NOT_PLAYED = {
    "leverage": ("", "none", "0", "1", "1:1"),
    "reduce_only": ("", "false"),
    "starttm": ("", "0", "+0"),
}
Params = Mapping[str, Any]


class PrivateRest:
    """`methods` by name, each answers an account's parameters. Raises KrakenError."""

    def __init__(self, exchange: Exchange, orders: Orders, hub: Hub) -> None:
        self.exchange = exchange
        self.orders = orders
        self.hub = hub
        self.token_life = TOKEN_LIFE
        # method -> handler, weight in the key's counter, whether it acts on orders
        self.methods: dict[str, tuple[Callable[[str, Params], Any], float, bool]] = {
            "Balance": (self._balance, 1, False),
            "BalanceEx": (self._balance_ex, 1, False),
            "TradeBalance": (self._trade_balance, 1, False),
            "OpenOrders": (self._open_orders, 1, False),
            "ClosedOrders": (self._closed_orders, 1, False),
            "QueryOrders": (self._query_orders, 1, False),
            "TradesHistory": (self._trades_history, 2, False),
            "QueryTrades": (self._query_trades, 2, False),
            "OpenPositions": (lambda account, params: {}, 1, False),
            "TradeVolume": (self._trade_volume, 1, False),
            "GetWebSocketsToken": (self._token, 1, False),
            "AddOrder": (self._add, 0, True),
            "AddOrderBatch": (self._add_batch, 0, True),
            "AmendOrder": (self._amend, 0, True),
            "EditOrder": (self._edit, 0, True),
            "CancelOrder": (self._cancel, 0, True),
            "CancelOrderBatch": (self._cancel_batch, 0, True),
            "CancelAll": (self._cancel_all, 0, True),
            "CancelAllOrdersAfter": (
                lambda account, params: self.orders.cancel_after(account, str(params.get("timeout", ""))),
                0,
                False,
            ),
        }

    def _balance(self, account: str, params: Params) -> Any:
        return {name: _exact(total) for name, (total, _) in self.orders.balance_rows(account).items()}

    def _balance_ex(self, account: str, params: Params) -> Any:
        return {
            name: {"balance": _exact(total), "hold_trade": _exact(held)}
            for name, (total, held) in self.orders.balance_rows(account).items()
        }

    def _trade_balance(self, account: str, params: Params) -> Any:
        total = self.exchange.balance(account, "USD").total
        zero = dict.fromkeys(("m", "uv", "n", "c", "v"), "0.0000")
        return {**zero, "eb": f"{total:.4f}", "tb": f"{total:.4f}", "e": f"{total:.4f}", "mf": f"{total:.4f}"}

    def _open_orders(self, account: str, params: Params) -> Any:
        wanted, group = params.get("cl_ord_id"), params.get("userref")
        found = (
            self.exchange.open_orders(account) if not group else self.orders.grouped(account, _whole(group, "userref"))
        )
        found = [row for row in found if not wanted or row.client_id == wanted]
        return {"open": {self.orders.txid(row.id): self._row(account, row, params) for row in found}}

    def _closed_orders(self, account: str, params: Params) -> Any:
        found = self.exchange.closed_orders(account, limit=10_000)
        start, end = float(params.get("start") or 0), float(params.get("end") or 2**40)
        found = [row for row in reversed(found) if start <= row.updated / 1000 <= end]
        offset = int(params.get("ofs") or 0)
        page = found[offset : offset + 50]
        return {
            "closed": {self.orders.txid(row.id): self._row(account, row, params) for row in page},
            "count": len(found),
        }

    def _query_orders(self, account: str, params: Params) -> Any:
        names = str(params.get("txid", "")).split(",")
        if len(names) > 50:
            raise KrakenError("EGeneral:Invalid arguments:txid")
        found = {}
        for name in names:
            found[name] = self._row(account, self.orders.find(account, txid=name), params)
        return found

    def _row(self, account: str, order: Order, params: Params) -> Any:
        """`trades`: with the ids of its executions."""
        row = self.orders.order_row(order)
        if str(params.get("trades", "")).lower() == "true" and order.filled:
            fills = self.exchange.fills(account, order.key, order_id=order.id)
            row["trades"] = [self.orders.trade_id(fill) for fill in fills]
        return row

    def _trades_history(self, account: str, params: Params) -> Any:
        start, end = float(params.get("start") or 0), float(params.get("end") or 2**40)
        fills = [
            fill for fill in reversed(self.exchange.fills(account, limit=10_000)) if start < fill.time / 1000 <= end
        ]
        offset = int(params.get("ofs") or 0)
        page = fills[offset : offset + 50]
        rows = {self.orders.trade_id(fill): self.orders.fill_row(account, fill) for fill in page}
        return {"trades": rows, "count": len(fills)}

    def _query_trades(self, account: str, params: Params) -> Any:
        wanted = str(params.get("txid", "")).split(",")
        if len(wanted) > 20:
            raise KrakenError("EGeneral:Invalid arguments:txid")
        fills = self.exchange.fills(account, limit=10_000)
        rows = {self.orders.trade_id(fill): fill for fill in fills}
        return {name: self.orders.fill_row(account, rows[name]) for name in wanted if name in rows}

    def _trade_volume(self, account: str, params: Params) -> Any:
        value = sum((fill.value for fill in self.exchange.fills(account, limit=10_000)), Decimal(0))
        found: dict[str, Any] = {"currency": "ZUSD", "volume": f"{value:.4f}"}
        if params.get("pair"):
            for name, side in (("fees", "taker"), ("fees_maker", "maker")):
                found[name] = {
                    pair.name: {
                        "fee": f"{getattr(pair.listing, side) * 100:.4f}",
                        "minfee": "0.0000",
                        "maxfee": f"{getattr(pair.listing, side) * 100:.4f}",
                        "nextfee": None,
                        "nextvolume": None,
                        "tiervolume": "0.0000",
                    }
                    for pair in self.orders.pairs(params.get("pair", ""))
                }
        return found

    def _token(self, account: str, params: Params) -> Any:
        token = secrets.token_urlsafe(32)
        self.hub.tokens[token] = (account, self.orders.now_ms + self.token_life * 1000)
        return {"token": token, "expires": TOKEN_LIFE}

    # orders

    def _wish(self, params: Params) -> Wish:
        kind = str(params.get("ordertype", ""))
        flags = str(params.get("oflags") or "").split(",")
        if params.get("userref") and params.get("cl_ord_id"):
            raise KrakenError("EGeneral:Invalid arguments")
        for name, plain in _NOT_PLAYED.items():
            if str(params.get(name) or "").lower() not in plain:
                raise KrakenError(f"EGeneral:Invalid arguments:{name}")
        if "fcib" in flags:  # fees are in quote here
            raise KrakenError("EGeneral:Invalid arguments:oflags")
        stop = kind.startswith(("stop-loss", "take-profit"))
        volume = str(params.get("volume", ""))
        return Wish(
            pair=str(params.get("pair", "")),
            side=str(params.get("type", "")),
            kind=kind,
            volume="" if "viqc" in flags else volume,
            cash=volume if "viqc" in flags else "",
            price=str(params.get("price2" if stop else "price") or ""),
            trigger=str(params.get("price") or "") if stop else "",
            tif=str(params.get("timeinforce") or "gtc"),
            post="post" in flags,
            client_id=str(params.get("cl_ord_id") or ""),
            stp=str(params.get("stptype") or ""),
            deadline=str(params.get("deadline") or ""),
            expires=self._expiry(str(params.get("expiretm") or "0")),
            userref=_whole(params.get("userref") or 0, "userref"),
            validate=str(params.get("validate", "")).lower() == "true",
        )

    def _expiry(self, text: str) -> int | None:
        """`expiretm`: +seconds from now, or a unix time; 0 for never."""
        seconds = _whole(text.removeprefix("+"), "expiretm")
        return (self.orders.now_ms if text.startswith("+") else 0) + seconds * 1000 if seconds else None

    def _add(self, account: str, params: Params) -> Any:
        wish = self._wish(params)
        order = self.orders.place(account, wish)
        if order is not None:
            return {"descr": {"order": self.orders.sentence(order)}, "txid": [self.orders.txid(order.id)]}
        pair = self.orders.pair(wish.pair)
        volume = size(number(wish.volume or wish.cash, "volume"))
        price = f"{wish.kind} {pair.price(number(wish.price, 'price'))}" if wish.price else wish.kind
        return {"descr": {"order": f"{wish.side} {volume} {pair.alt} @ {price}"}}

    def _add_batch(self, account: str, params: Params) -> Any:
        listed = params.get("orders")
        if not isinstance(listed, list) or not 2 <= len(listed) <= 15:
            raise KrakenError("EGeneral:Invalid arguments:orders")
        shared = {name: params[name] for name in ("pair", "deadline", "validate") if name in params}
        found = []
        for one in listed:
            try:
                found.append({**(answer := self._add(account, {**one, **shared})), "txid": answer.get("txid", [""])[0]})
            except KrakenError as error:
                found.append({"error": str(error)})
        return {"orders": found}

    def _find(self, account: str, params: Params) -> Any:
        txid, name = str(params.get("txid") or ""), str(params.get("cl_ord_id") or "")
        if not txid and not name:
            raise KrakenError("EGeneral:Invalid arguments")
        return self.orders.find(account, txid=txid, client_id=name)

    def _amend(self, account: str, params: Params) -> Any:
        changed = self.orders.amend(account, self._find(account, params), params)
        return {"amend_id": self.hub.amend_id(changed)}

    def _edit(self, account: str, params: Params) -> Any:
        order = self._find(account, params)
        stop = self.orders.shape(order)[1] is not None
        fields = {"volume": "volume", "price2" if stop else "price": "price", "price" if stop else "price2": "trigger"}
        changes = {name: str(params[field]) for field, name in fields.items() if params.get(field)}
        only_checked = str(params.get("validate", "")).lower() == "true"
        placed = self.orders.edit(account, order, changes, validate=only_checked)
        if placed is None:
            return {"descr": {"order": self.orders.sentence(order)}}
        return {
            "status": "ok",
            "txid": self.orders.txid(placed.id),
            "originaltxid": self.orders.txid(order.id),
            "orders_cancelled": 1,
            "descr": {"order": self.orders.sentence(placed)},
        }

    def _cancel(self, account: str, params: Params) -> Any:
        """`txid` may also be the number of a group."""
        name = str(params.get("txid") or "")
        group = self.orders.grouped(account, int(name)) if name.isdecimal() else []
        for order in group or [self._find(account, params)]:
            self.orders.cancel(account, order)
        return {"count": len(group) or 1}

    def _cancel_batch(self, account: str, params: Params) -> Any:
        lists = [params.get("orders") or [], params.get("cl_ord_ids") or []]
        names = [str(name) for names in lists if isinstance(names, list) for name in names]
        if not 1 <= len(names) <= 50:
            raise KrakenError("EGeneral:Invalid arguments:orders")
        return {"count": self.hub.cancel_many(account, names)}

    def _cancel_all(self, account: str, params: Params) -> Any:
        return {"count": len(self.exchange.cancel_all(account))}


def _whole(value: Any, name: str) -> int:
    """A whole number. Raises KrakenError."""
    try:
        return int(str(value))
    except ValueError:
        raise KrakenError(f"EGeneral:Invalid arguments:{name}") from None


def _exact(value: Decimal) -> str:
    """At least four decimals, and all that there are."""
    return f"{value:.4f}" if value == round(value, 4) else format(value.normalize(), "f")
