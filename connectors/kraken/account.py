"""Kraken's private WebSocket v2: executions, balances, and the answers to orders sent over it.

Rows are sparse (a `new` names nothing but the order), so the stream remembers of each open order what later rows leave out. Each
channel numbers its messages; a hole means that something was missed, and only a new snapshot with a new reading helps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET

from connectors.contract import (
    UNREADABLE,
    Alive,
    Answered,
    Ask,
    Dial,
    Effect,
    Event,
    Flow,
    LoginLost,
    Role,
    Security,
    Stream,
    Topic,
    Unknown,
)
from connectors.kraken.market import ms
from connectors.kraken.rows import KINDS, TIF, end_reason, given, money
from connectors.kraken.signing import result_of_frame
from connectors.kraken.trading import token_call
from connectors.model import Balance, Fill, OrderKind, OrderStatus, OrderUpdate, Side

STATUS = {
    "pending_new": OrderStatus.PENDING,
    "new": OrderStatus.OPEN,
    "triggered": OrderStatus.OPEN,
    "partially_filled": OrderStatus.PARTLY_FILLED,
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELLED,
    "expired": OrderStatus.EXPIRED,
}
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


@dataclass(slots=True)
class _Known:
    """What rows of an open order leave out."""

    symbol: str
    client_id: str = ""
    kind: OrderKind | None = None
    tif: str = ""
    started: bool = False  # its trigger was reached


class KrakenAccountStream(Stream):
    """One private connection."""

    def __init__(self) -> None:
        self._orders: dict[str, _Known] = {}
        self._sequence: dict[str, int] = {}

    def opening(self, facts: Mapping[str, Any]) -> Flow[Dial]:
        """A fresh token for every connection; orders over it need the token too."""
        token = yield token_call()
        return Dial(facts={"token": token})

    def plan(self, active: frozenset[Topic], add: Sequence[Topic], drop: Sequence[Topic]) -> list[Ask]:
        """Executions with what is open and the last fifty fills, so that a reconnect misses none; then balances."""
        if not add:
            return []
        wanted = (
            {"channel": "executions", "snap_orders": True, "snap_trades": True},
            {"channel": "balances", "snapshot": True},
        )
        return [
            Ask(
                endpoint=Role.ACCOUNT,
                id="",
                payload={"method": "subscribe", "params": params},
                read=lambda payload: result_of_frame(payload, Effect.SETUP),
                security=Security.SIGNED,
                effect=Effect.SETUP,
            )
            for params in wanted
        ]

    def receive(self, frame: str | bytes) -> list[Event]:
        """An answer by its number, or news of orders and balances."""
        try:
            body = _decode(frame)
            match body.get("channel"):
                case None:
                    return self._answer(body)
                case "executions" | "balances" as channel:
                    return self._numbered(channel, body)
                case "status" | "heartbeat":
                    return [Alive()]
                case name:
                    return [Unknown(f"channel {name}", str(frame[:200]))]
        except UNREADABLE as error:
            return [Unknown(f"a frame that does not fit ({type(error).__name__})", str(frame[:200]))]

    @staticmethod
    def _answer(body: Any) -> list[Event]:
        if body.get("method") == "pong":
            return [Alive()]
        error = str(body.get("error", ""))
        ended: list[Event] = (
            [LoginLost(error)] if error.startswith(("ESession:", "EAPI:Invalid session", "EAPI:Invalid token")) else []
        )
        if body.get("req_id") is None:
            return ended or [Unknown(f"an answer without a number: {error or body.get('method')}", str(body)[:200])]
        return [Answered(str(body["req_id"]), body), *ended]

    def _numbered(self, channel: str, body: Any) -> list[Event]:
        number, last = body.get("sequence"), self._sequence.get(channel)
        if isinstance(number, int):
            if last is not None and number <= last:
                return []  # told already
            self._sequence[channel] = number
        read = self._execution if channel == "executions" else self._balance
        whole = body.get("type") == "snapshot"
        events: list[Event] = []
        for row in body["data"]:
            try:
                events += read(row, whole)
            except UNREADABLE as error:  # the others count all the same
                events.append(Unknown(f"a row of {channel} that does not fit ({type(error).__name__})", str(row)[:200]))
        if isinstance(number, int) and last is not None and number > last + 1:
            events.append(LoginLost(f"a message about {channel} is missing"))
        return events

    def _execution(self, row: Mapping[str, Any], whole: bool) -> list[Event]:
        order_id = row["order_id"]
        known = self._orders.get(order_id) or _Known(row.get("symbol", ""))
        self._remember(order_id, known, row)
        if row["exec_type"] != "trade":
            return [self._update(order_id, known, row)]
        fill = _fill(row, known)
        # in a snapshot trades are old: they have no sums, and their status is that of then
        return [fill] if whole else [fill, self._update(order_id, known, row)]

    def _remember(self, order_id: str, known: _Known, row: Mapping[str, Any]) -> None:
        known.symbol = row.get("symbol") or known.symbol
        known.client_id = row.get("cl_ord_id") or known.client_id
        known.kind = KINDS.get(row.get("order_type", ""), known.kind)
        known.tif = row.get("time_in_force") or known.tif
        status = row.get("order_status", "")
        if status == "triggered" or (row.get("triggers") or {}).get("status") == "triggered":
            known.started = True
        if status in STATUS and STATUS[status].is_final:
            self._orders.pop(order_id, None)
        else:
            self._orders[order_id] = known

    def _update(self, order_id: str, known: _Known, row: Mapping[str, Any]) -> OrderUpdate:
        status = STATUS[row["order_status"]]
        filled = money(row["cum_qty"]) if "cum_qty" in row else UNSET
        if status is OrderStatus.OPEN and known.kind is not None and known.kind.has_trigger and not known.started:
            status = OrderStatus.UNTRIGGERED
        if status is OrderStatus.OPEN and filled is not UNSET and filled > 0:
            status = OrderStatus.PARTLY_FILLED
        update = OrderUpdate(
            wire=known.symbol,
            family="spot",
            venue_id=order_id,
            client_id=known.client_id,
            status=status,
            price=given(row.get("limit_price")) if row.get("limit_price_type", "static") == "static" else UNSET,
            amount=given(row.get("order_qty")),
            quote_amount=given(row.get("cash_order_qty")),
            filled=filled,
            reason=row.get("reason") or row.get("cancel_reason") or "",
        )
        if "side" in row:
            update.side = Side(row["side"])
        if known.kind is not None:
            update.kind = known.kind
        if known.tif.lower() in TIF:
            update.tif = TIF[known.tif.lower()]
        told = row.get("triggers") or {}
        trigger = row.get("stop_price") or (told.get("price") if told.get("price_type", "static") == "static" else None)
        if known.kind is not None and known.kind.has_trigger:
            update.trigger = given(trigger)
        if filled is not UNSET and filled > 0 and "cum_cost" in row:
            update.average = money(row["cum_cost"]) / filled  # the reported one is rounded up to the tick
        if "post_only" in row:
            update.post_only = bool(row["post_only"])
        if status.is_final and status is not OrderStatus.FILLED:
            update.end_reason = end_reason(row["order_status"], update.reason, known.tif)
        if "timestamp" in row:
            update.time = _time(row["timestamp"])
            if row["exec_type"] == "pending_new":
                update.created = update.time
        return update

    @staticmethod
    def _balance(row: Mapping[str, Any], whole: bool) -> list[Event]:
        """A snapshot row has every wallet of an asset, an update the new total of one. Only spot's main wallet trades."""
        if whole:
            totals = [money(wallet["balance"]) for wallet in row["wallets"] if wallet["type"] == "spot"]
            return [Balance(asset=row["asset"], family="spot", total=sum(totals, Decimal(0)))]
        if row.get("wallet_type", "spot") != "spot":
            return []
        return [Balance(asset=row["asset"], family="spot", total=money(row["balance"]), time=_time(row["timestamp"]))]


def _fill(row: Mapping[str, Any], known: _Known) -> Fill:
    """One execution. Fees in several assets can't be told as one, and are left to the account's history."""
    fees = row.get("fees") or []
    single = len({fee["asset"] for fee in fees}) == 1
    return Fill(
        wire=known.symbol,
        family="spot",
        id=row["exec_id"],
        venue_id=row["order_id"],
        client_id=known.client_id,
        side=Side(row["side"]),
        price=money(row["last_price"]),
        amount=money(row["last_qty"]),
        time=_time(row["timestamp"]) if "timestamp" in row else 0,
        fee=sum((money(fee["qty"]) for fee in fees), Decimal(0)) if single else None,
        fee_asset=fees[0]["asset"] if single else "",
        maker=row["liquidity_ind"] == "m" if "liquidity_ind" in row else None,
    )


def _time(text: str) -> int:
    return ms(datetime.fromisoformat(text))
