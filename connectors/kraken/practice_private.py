"""Kraken's authenticated WebSocket v2 endpoint from the venue's side: executions, balances, and the trading methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from connectors.kraken.practice_orders import KrakenError, Wish, iso, made_id, moment, reason_of, tif_of
from connectors.kraken.practice_pairs import size
from connectors.kraken.practice_socket import Hub, Socket, exact, numbered, raw
from connectors.model import OrderStatus
from connectors.practice.terms import (
    AccountEvent,
    BalanceChanged,
    Execution,
    Happening,
    Order,
    OrderChanged,
    Refusal,
    Wallet,
)

_FIELDS = {
    "add_order": {
        "order_type", "side", "symbol", "order_qty", "cash_order_qty", "limit_price", "limit_price_type", "time_in_force",
        "expire_time", "post_only", "reduce_only", "margin", "triggers", "display_qty", "stp_type", "fee_preference", "deadline",
        "validate", "cl_ord_id", "order_userref", "token",
    },
}  # fmt: skip
# What is not played here, with the values that ask for nothing: margin, relative prices, fees in base.
_NOT_PLAYED: dict[str, tuple[Any, ...]] = {
    "margin": (None, False),
    "reduce_only": (None, False),
    "limit_price_type": (None, "static"),
    "fee_preference": (None, "quote"),
}


def _text(value: Any) -> str:
    """A number as it came, without exponent."""
    return "" if value is None else format(Decimal(str(value)), "f")


class PrivateConnection(Socket):
    """executions, balances, and the trading methods. Every frame carries the token."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub, private=True)
        self._watched: dict[str, str] = {}  # channel -> account
        self._sequence: dict[str, int] = {}
        self._totals: dict[str, Decimal] = {}
        self._ends: list[Callable[[], None]] = []

    @property
    def subscribed(self) -> bool:
        """Whether a private channel is."""
        return bool(self._watched)

    def closed(self) -> None:
        """Gone."""
        super().closed()
        self._hear_no_more()

    # subscriptions

    def _subscription(self, method: str, params: Mapping[str, Any], number: Any) -> None:
        channel = params.get("channel")
        try:
            account = self.hub.account_of(str(params.get("token", "")))
            if channel not in ("executions", "balances"):
                raise KrakenError(
                    "Public market data subscriptions are unavailable on this endpoint. Try ws.kraken.com"
                )
        except KrakenError as error:
            self.fail(method, str(error), number)
            return
        if method == "unsubscribe":
            self._unsubscribe(channel, number)
            return
        if not self._watched:
            self._ends.append(self.hub.exchange.watch_account(self._hear, account))
        self._watched[channel] = account
        self._sequence[channel] = 0
        if channel == "balances":
            wanted, rows = bool(params.get("snapshot", True)), self._balance_snapshot(account)
            self.done(method, {"channel": channel, "snapshot": wanted}, number)
            if wanted:
                self._tell(channel, "snapshot", rows)
            return
        orders, trades = bool(params.get("snap_orders", True)), bool(params.get("snap_trades", False))
        told = {"channel": channel, "maxratecount": 125, "snap_orders": orders, "snap_trades": trades, "snapshot": True}
        self.done(method, told, number)
        rows = []
        if trades:
            rows += [self._snapshot_trade(account, fill) for fill in self.hub.exchange.fills(account, limit=50)[::-1]]
        if orders:
            rows += [self._full_row(order, "new") for order in self.hub.exchange.open_orders(account)]
        self._tell(channel, "snapshot", rows)

    def _unsubscribe(self, channel: str, number: Any) -> None:
        if self._watched.pop(channel, None) is None:
            self.fail("unsubscribe", "Subscription Not Found", number)
            return
        if not self._watched:
            self._hear_no_more()
        self.done("unsubscribe", {"channel": channel}, number)

    def _hear_no_more(self) -> None:
        for end in self._ends:
            end()
        self._ends.clear()

    def _tell(self, channel: str, kind: str, rows: list[Any]) -> None:
        self._sequence[channel] += 1
        self.say({"channel": channel, "type": kind, "data": rows, "sequence": self._sequence[channel]})

    # balances

    def _balance_snapshot(self, account: str) -> list[Any]:
        rows = []
        for row in self.hub.exchange.balances(account, Wallet.SPOT):
            self._totals[row.asset] = row.total
            wallet = {"type": "spot", "id": "main", "balance": exact(row.total)}
            rows.append(
                {"asset": row.asset, "asset_class": "currency", "balance": exact(row.total), "wallets": [wallet]}
            )
        return rows

    def _balance_changed(self, event: BalanceChanged) -> None:
        """The ledger tells totals only: what orders hold is no entry."""
        row = event.balance
        amount = row.total - self._totals.get(row.asset, Decimal(0))
        if row.wallet is not Wallet.SPOT or not amount:
            return
        self._totals[row.asset] = row.total
        ledger = {
            "ledger_id": made_id("L", event.sequence, row.asset),
            "ref_id": made_id("T", event.sequence),
            "timestamp": iso(event.time),
            "type": "trade",
            "asset": row.asset,
            "asset_class": "currency",
            "category": "trade",
            "wallet_type": "spot",
            "wallet_id": "main",
            "amount": exact(amount),
            "fee": 0.0,
            "balance": exact(row.total),
        }
        self._tell("balances", "update", [ledger])

    # executions

    def _hear(self, event: AccountEvent) -> None:
        if isinstance(event, BalanceChanged) and "balances" in self._watched:
            self._balance_changed(event)
        elif isinstance(event, OrderChanged) and "executions" in self._watched:
            for row in self._rows(event):
                self._tell("executions", "update", [row])

    def _rows(self, event: OrderChanged) -> list[Any]:
        order = event.order
        sparse = {"timestamp": iso(order.updated), "order_userref": self.hub.orders.userref(order)}
        sparse["order_id"] = self.hub.orders.txid(order.id)
        _, trigger = self.hub.orders.shape(order)
        match event.what:
            case Happening.ACCEPTED:
                rows = [self._full_row(order, "pending_new"), {**sparse, "exec_type": "new", "order_status": "new"}]
                if trigger is not None and order.trigger is None:  # it starts at once
                    rows += self._triggered(order, sparse)
                return rows
            case Happening.TRIGGERED:
                return self._triggered(order, sparse)
            case Happening.FILLED if event.fill is not None:
                rows = [self._trade_row(order, event.fill)]
                if order.status is OrderStatus.FILLED:
                    rows.append({**sparse, "exec_type": "filled", "order_status": "filled", **self._sums(order)})
                return rows
            case Happening.AMENDED:
                pair = self.hub.orders.by_key[order.key]
                price = {"limit_price": raw(pair.price(order.price))} if order.price is not None else {}
                status = "partially_filled" if order.filled else "new"
                amended = {"exec_type": "amended", "order_status": status, "reason": "User requested", "amended": True}
                quantity = {"order_qty": raw(size(order.amount)), "cum_qty": raw(size(order.filled))}
                return [{**sparse, **amended, **quantity, **price}]
            case Happening.ENDED:
                word = (
                    "expired" if order.status is OrderStatus.EXPIRED and order.end_reason == "expired" else "canceled"
                )
                reason = reason_of(order)
                ended = {"exec_type": word, "order_status": word, "reason": reason, "cancel_reason": reason}
                return [{**sparse, **ended, **self._sums(order)}]
        return []

    def _triggered(self, order: Order, sparse: Mapping[str, Any]) -> list[Any]:
        pair = self.hub.orders.by_key[order.key]
        last = raw(pair.price(self.hub.exchange.ticker(order.key).last))
        state = {"status": "triggered", "timestamp": iso(order.updated), "last_price": last}
        first = {**sparse, "exec_type": "new", "order_status": "triggered", "triggered_price": last, "triggers": state}
        again = self._full_row(order, "new")
        again["triggers"] = {**again["triggers"], **state}
        return [first, again]

    def _sums(self, order: Order) -> dict[str, Any]:
        pair = self.hub.orders.by_key[order.key]
        average = order.average or Decimal(0)
        ticks = -(-average // pair.listing.tick)  # rounded up to the tick
        return {
            "cum_qty": raw(size(order.filled)),
            "cum_cost": exact(order.filled_value),
            "avg_price": raw(pair.price(ticks * pair.listing.tick)),
            "fee_usd_equiv": exact(order.fee),
        }

    def _full_row(self, order: Order, what: str) -> dict[str, Any]:
        pair = self.hub.orders.by_key[order.key]
        kind, trigger = self.hub.orders.shape(order)
        row: dict[str, Any] = {"order_id": self.hub.orders.txid(order.id), "symbol": pair.wire}
        if order.quote_amount is not None:
            row["cash_order_qty"] = exact(order.quote_amount)
        else:
            row["order_qty"] = raw(size(order.amount))
        status = "pending_new" if what == "pending_new" else "partially_filled" if order.filled else "new"
        row |= {
            "cum_cost": exact(order.filled_value if what == "new" else Decimal(0)),
            "time_in_force": tif_of(order),
            "exec_type": what,
            "side": order.side.value,
            "order_type": kind,
            "order_userref": self.hub.orders.userref(order),
            "limit_price_type": "static",
            "stop_price": raw(pair.price(trigger)),
            "limit_price": raw(pair.price(order.price)),
            "order_status": status,
            "fee_usd_equiv": 0.0,
            "fee_ccy_pref": "fciq",
            "timestamp": iso(order.updated),
        }
        if order.filled and what == "new":
            row |= self._sums(order)
        if trigger is not None:
            state = "untriggered" if order.status is OrderStatus.UNTRIGGERED or what == "pending_new" else "triggered"
            row["triggers"] = {
                "price": raw(pair.price(trigger)),
                "price_type": "static",
                "reference": "last",
                "status": state,
            }
            row["trigger"] = "last"
        if order.post_only:
            row["post_only"] = True
        if order.client_id:
            row["cl_ord_id"] = order.client_id
        return row

    def _trade_row(self, order: Order, fill: Execution) -> dict[str, Any]:
        """Even the last fill says `partially_filled`."""
        return {**self._fill_fields(order, fill), "order_status": "partially_filled", **self._sums(order)}

    def _snapshot_trade(self, account: str, fill: Execution) -> dict[str, Any]:
        """Of an old fill, without sums."""
        order = self.hub.exchange.order(account, fill.order_id)
        done = "filled" if order.status is OrderStatus.FILLED else "partially_filled"
        return {**self._fill_fields(order, fill), "order_status": done, "fee_usd_equiv": exact(fill.fee)}

    def _fill_fields(self, order: Order, fill: Execution) -> dict[str, Any]:
        pair = self.hub.orders.by_key[fill.key]
        named = {"cl_ord_id": order.client_id} if order.client_id else {}
        return {
            "order_id": self.hub.orders.txid(fill.order_id),
            "order_userref": self.hub.orders.userref(order),
            **named,
            "exec_id": self.hub.orders.trade_id(fill),
            "exec_type": "trade",
            "trade_id": fill.trade_id,
            "symbol": pair.wire,
            "side": fill.side.value,
            "last_qty": raw(size(fill.size)),
            "last_price": raw(pair.price(fill.price)),
            "liquidity_ind": "m" if fill.maker else "t",
            "cost": exact(fill.value),
            "order_type": self.hub.orders.shape(order)[0],
            "timestamp": iso(fill.time),
            "fees": [{"asset": fill.fee_asset, "qty": exact(fill.fee)}],
        }

    # trading

    def request(self, method: str, params: Mapping[str, Any], number: Any) -> None:
        """One of the trading methods; each answer repeats the number."""
        methods = {
            "add_order": self._add_order,
            "amend_order": self._amend_order,
            "edit_order": self._edit_order,
            "cancel_order": self._cancel_order,
            "cancel_all": self._cancel_all,
            "cancel_all_orders_after": self._cancel_after,
            "batch_add": self._batch_add,
            "batch_cancel": self._batch_cancel,
        }
        handler = methods.get(method)
        if handler is None:
            self.fail(method, "Unsupported event", number)
            return
        try:
            account = self.hub.account_of(str(params.get("token", "")))
            strange = next((name for name in params if name not in _FIELDS.get(method, params)), None)
            if strange is not None:
                words = method.replace("_", " ")
                raise KrakenError(f"Unsupported field: '{strange}' for the given msg type: {words}")
            handler(account, params, number)
        except KrakenError as error:
            self.fail(method, str(error), number)
        except (Refusal, ValueError, TypeError, AttributeError, ArithmeticError):
            self.fail(method, "EGeneral:Invalid arguments", number)

    def _wish(self, params: Mapping[str, Any]) -> Wish:
        triggers = params.get("triggers") or {}
        for name, plain in _NOT_PLAYED.items():
            if params.get(name) not in plain:
                raise KrakenError(f"EGeneral:Invalid arguments:{name}")
        if triggers.get("price_type") not in (None, "static"):
            raise KrakenError("EGeneral:Invalid arguments:price_type")
        pair = self.hub.orders.pair(str(params.get("symbol", "")))
        if pair.wire != params.get("symbol"):  # names of REST and of v1
            raise KrakenError("EQuery:Unknown asset pair")
        text, until = _text, str(params.get("expire_time") or "")
        return Wish(
            pair=pair.wire,
            side=str(params.get("side", "")),
            kind=str(params.get("order_type", "")),
            volume=text(params.get("order_qty")),
            cash=text(params.get("cash_order_qty")),
            price=text(params.get("limit_price")),
            trigger=text(triggers.get("price")),
            tif=str(params.get("time_in_force") or "gtc"),
            post=bool(params.get("post_only")),
            client_id=str(params.get("cl_ord_id") or ""),
            stp=str(params.get("stp_type") or ""),
            deadline=str(params.get("deadline") or ""),
            expires=moment(until, "expire_time") if until else None,
            userref=int(params.get("order_userref") or 0),
            validate=bool(params.get("validate")),
        )

    def _placed(self, account: str, params: Mapping[str, Any]) -> dict[str, Any]:
        order = self.hub.orders.place(account, self._wish(params))
        if order is None:
            return {}
        named: dict[str, Any] = {"cl_ord_id": order.client_id} if order.client_id else {}
        if group := self.hub.orders.userref(order):
            named["order_userref"] = group
        return {"order_id": self.hub.orders.txid(order.id), **named}

    def _add_order(self, account: str, params: Mapping[str, Any], number: Any) -> None:
        self.done("add_order", self._placed(account, params), number)

    def _batch_add(self, account: str, params: Mapping[str, Any], number: Any) -> None:
        listed = params.get("orders")
        if not isinstance(listed, list) or not 2 <= len(listed) <= 15:
            raise KrakenError("EGeneral:Invalid arguments:orders")
        shared = {name: params[name] for name in ("symbol", "deadline", "validate") if name in params}
        found: list[Any] = []
        for one in listed:
            named = {"cl_ord_id": one["cl_ord_id"]} if one.get("cl_ord_id") else {}
            try:
                found.append({**self._placed(account, {**one, **shared}), "success": True})
            except KrakenError as error:
                found.append({**named, "success": False, "error": str(error)})
        self.done("batch_add", {"orders": found}, number)

    def _find(self, account: str, params: Mapping[str, Any]) -> Order:
        return self.hub.orders.find(
            account, txid=str(params.get("order_id") or ""), client_id=str(params.get("cl_ord_id") or "")
        )

    def _amend_order(self, account: str, params: Mapping[str, Any], number: Any) -> None:
        changed = self.hub.orders.amend(account, self._find(account, params), params)
        result = {"amend_id": self.hub.amend_id(changed), "order_id": self.hub.orders.txid(changed.id)}
        self.done("amend_order", result, number)

    def _edit_order(self, account: str, params: Mapping[str, Any], number: Any) -> None:
        order = self._find(account, params)
        triggers = params.get("triggers") or {}
        told = {"volume": params.get("order_qty"), "price": params.get("limit_price"), "trigger": triggers.get("price")}
        changes = {name: _text(value) for name, value in told.items() if value is not None}
        placed = self.hub.orders.edit(account, order, changes, validate=bool(params.get("validate")))
        new = {"order_id": self.hub.orders.txid(placed.id)} if placed is not None else {}
        self.done("edit_order", {**new, "original_order_id": self.hub.orders.txid(order.id)}, number)

    def _cancel_order(self, account: str, params: Mapping[str, Any], number: Any) -> None:
        """As many answers as ids."""
        lists = {name: params.get(name) or [] for name in ("order_id", "cl_ord_id", "order_userref")}
        if not any(lists.values()) or not all(isinstance(names, list) for names in lists.values()):
            raise KrakenError("EGeneral:Invalid arguments")
        groups = [self.hub.orders.grouped(account, int(group)) for group in lists.pop("order_userref")]
        names = [(field, name) for field, names in lists.items() for name in names]
        names += [("order_id", self.hub.orders.txid(order.id)) for group in groups for order in group]
        if not names:
            raise KrakenError("EOrder:Unknown order")
        for field_name, name in names:
            try:
                order = self.hub.orders.cancel(account, self._find(account, {field_name: name}))
            except KrakenError as error:
                self.fail("cancel_order", str(error), number)
            else:
                named = {"cl_ord_id": order.client_id} if order.client_id else {}
                self.done("cancel_order", {"order_id": self.hub.orders.txid(order.id), **named}, number)

    def _cancel_all(self, account: str, params: Mapping[str, Any], number: Any) -> None:
        self.done("cancel_all", {"count": len(self.hub.exchange.cancel_all(account))}, number)

    def _cancel_after(self, account: str, params: Mapping[str, Any], number: Any) -> None:
        self.done("cancel_all_orders_after", self.hub.orders.cancel_after(account, str(params.get("timeout"))), number)

    def _batch_cancel(self, account: str, params: Mapping[str, Any], number: Any) -> None:
        lists = [params.get("orders") or [], params.get("cl_ord_id") or []]
        names = [str(name) for names in lists if isinstance(names, list) for name in names]
        if not 1 <= len(names) <= 50:
            raise KrakenError("EGeneral:Invalid arguments:orders")
        count = self.hub.cancel_many(account, names)
        self.say(
            {
                "method": "batch_cancel",
                "orders_cancelled": count,
                "success": True,
                **self._times(),
                **numbered(number),
            }
        )
