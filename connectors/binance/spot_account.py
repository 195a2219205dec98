"""The private stream of Binance spot, over the WebSocket API (the only way to it since 2026-02-20)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET

from connectors.binance import rows
from connectors.binance.signing import read_ws
from connectors.binance.spot import KINDS
from connectors.contract import (
    UNREADABLE,
    Answered,
    Ask,
    ClosingSoon,
    Cost,
    Effect,
    Event,
    LoginLost,
    Role,
    Security,
    Stream,
    Topic,
    Unknown,
)
from connectors.model import Balance, EndReason, Fill, OrderKind, OrderStatus, OrderUpdate, Side, TimeInForce


class SpotAccountStream(Stream):
    """A WebSocket API connection: answers to requests by id, and the account's events once subscribed."""

    def __init__(self, family: str = "spot", *, subscribe: bool = True) -> None:
        self._family = family
        self._subscribe = subscribe

    def plan(self, active: frozenset[Topic], add: Sequence[Topic], drop: Sequence[Topic]) -> list[Ask]:
        """One signed subscription carries everything."""
        if not self._subscribe or not add:
            return []
        payload = {"method": "userDataStream.subscribe.signature", "params": {}}
        return [
            Ask(
                endpoint=Role.ACCOUNT,
                id="",
                payload=payload,
                read=read_ws,
                security=Security.SIGNED,
                effect=Effect.SETUP,
                costs=(Cost("REQUEST_WEIGHT", 2),),
                extra={"window": False},
            )
        ]

    def receive(self, frame: str | bytes) -> list[Event]:
        """An answer, or an event in its wrapping."""
        try:
            row = msgspec.json.decode(frame)
            if "event" in row:
                return account_events(row["event"], self._family)
            if "data" in row and "stream" in row:
                return account_events(row["data"], self._family)
            if "status" in row:
                if row.get("id") is None:
                    error = row.get("error") or {}
                    return [LoginLost(str(error.get("msg", "the session was refused")))]
                return [Answered(str(row["id"]), row)]
            if "e" in row:
                return account_events(row, self._family)
        except UNREADABLE as error:
            return [Unknown(f"a frame that does not fit ({type(error).__name__})", str(frame[:200]))]
        return [Unknown("a frame without a known name", str(frame[:200]))]

    def read_alone(self, frame: str | bytes) -> list[Event]:
        """Answers that list orders, too, though we ask for lists by HTTP."""
        events = self.receive(frame)
        with suppress(*UNREADABLE):
            return [row for event in events for row in _listed(event)] or events
        return events


def _listed(event: Event) -> list[Event]:
    """The orders of an answer that lists some."""
    result = event.payload.get("result") if isinstance(event, Answered) else None
    orders = result if isinstance(result, list) else []
    return [rows.order_row(row, KINDS) for row in orders if isinstance(row, dict) and "clientOrderId" in row]


def account_events(event: Any, family: str) -> list[Event]:
    """What one spot account event means."""
    match event.get("e"):
        case "executionReport":
            return _execution(event, family)
        case "outboundAccountPosition":
            return [
                Balance(
                    asset=row["a"],
                    family=family,
                    total=rows.money(row["f"]) + rows.money(row["l"]),
                    available=rows.money(row["f"]),
                    held=rows.money(row["l"]),
                    time=event.get("u"),
                )
                for row in event["B"]
            ]
        case "balanceUpdate" | "externalLockUpdate" | "listStatus":
            return []  # outboundAccountPosition follows with the absolute figures; order lists show as their orders
        case "eventStreamTerminated":
            return [LoginLost("the venue ended the event stream")]
        case "serverShutdown":
            return [ClosingSoon("the venue restarts this server")]
        case name:
            return [Unknown(f"account event {name}", str(event)[:200])]


def _execution(event: Any, family: str) -> list[Event]:
    """`c` names the cancel on a cancelled order, `C` the order; otherwise `C` is empty and `c` names the order."""
    client_id = event["C"] or event["c"]
    status = rows.STATUS[event["X"]]
    kind = KINDS.get(event["o"], OrderKind.LIMIT)
    if kind.has_trigger and status is OrderStatus.OPEN and not event.get("w", True):
        status = OrderStatus.UNTRIGGERED
    filled, spent = rows.money(event["z"]), rows.money(event["Z"])
    reason = event.get("r", "NONE")
    update = OrderUpdate(
        wire=event["s"],
        family=family,
        venue_id=str(event["i"]),
        client_id=client_id if event["x"] != "REPLACED" else event["c"],
        previous_client_id=event["C"] if event["x"] == "REPLACED" else "",
        status=status,
        side=Side(event["S"].lower()),
        kind=kind,
        tif=rows.TIF.get(event["f"], TimeInForce.GTC),
        price=rows.given(event["p"]),
        trigger=rows.given(event["P"]),
        amount=rows.given(event["q"]),
        filled=filled,
        average=spent / filled if filled > 0 else UNSET,
        post_only=event["o"] == "LIMIT_MAKER",
        end_reason=rows.end_reason(event["X"], event["f"]),
        reason="" if reason == "NONE" else reason,
        created=event["O"],
        time=event["T"],
    )
    found: list[Event] = []
    if event["x"] == "TRADE":
        found.append(
            Fill(
                wire=event["s"],
                family=family,
                id=str(event["t"]),
                venue_id=str(event["i"]),
                client_id=client_id,
                side=Side(event["S"].lower()),
                price=rows.money(event["L"]),
                amount=rows.money(event["l"]),
                time=event["T"],
                fee=rows.money(event["n"]) if event.get("N") else Decimal(0),
                fee_asset=event.get("N") or "",
                maker=event["m"],
            )
        )
    if update.status is OrderStatus.EXPIRED and update.end_reason is EndReason.OTHER and event["o"] == "MARKET":
        update.end_reason = EndReason.IOC_REST
    return [*found, update]
