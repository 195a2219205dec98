"""BitMEX's private stream, on a socket of its own: orders, executions, positions, margin, as sparse tables.

Rows are merged by their keys, so that every event is as whole as the table. Orders tell their state, executions their fills;
the tables of one event come in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connectors.bitmex import rows
from connectors.bitmex.market import control
from connectors.bitmex.signing import decode, read_json, refusal
from connectors.contract import (
    UNREADABLE,
    Accepted,
    Alive,
    Answered,
    Ask,
    Call,
    Channel,
    Cost,
    Dial,
    Event,
    Flow,
    LoginLost,
    Role,
    Security,
    Stream,
    Topic,
    Unknown,
)
from connectors.errors import ClockSkewed, VenueUnavailable

TABLES = ("order", "execution", "position", "margin")
LOGIN = "login"
_KEYS = {"order": ["orderID"], "position": ["account", "symbol"], "margin": ["account", "currency"]}
_QUIET = frozenset({"wallet", "transact", "privateNotifications", "connected", "announcement"})


def assets() -> Call:
    """GET /wallet/assets: the decimals of every unit that money is counted in."""
    return Call(
        endpoint=Role.REST,
        method="GET",
        path="/wallet/assets",
        read=lambda answer: rows.units_of(read_json(answer)),
        costs=(Cost("PUBLIC", 1),),
    )


class BitmexAccountStream(Stream):
    """One private connection: units first, then `authKeyExpires`, then the four tables."""

    def __init__(self) -> None:
        self._units: rows.Units = rows.UNITS
        self._tables: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
        self._keys = dict(_KEYS)  # a table's image says by which fields its rows are known

    def opening(self, facts: Mapping[str, Any]) -> Flow[Dial]:
        """The units that fees and balances are counted in, once a connection."""
        self._units = yield assets()
        return Dial(facts={"units": self._units})

    def plan(self, active: frozenset[Topic], add: Sequence[Topic], drop: Sequence[Topic]) -> list[Ask]:
        """Log in, and subscribe once that was answered."""
        if not any(topic.channel is Channel.ACCOUNT for topic in add):
            return []
        login = {"op": "authKeyExpires", "args": []}
        return [
            Ask(endpoint=Role.ACCOUNT, id=LOGIN, payload=login, read=_logged_in, security=Security.SIGNED),
            Ask(
                endpoint=Role.ACCOUNT,
                id="",
                payload={"op": "subscribe", "args": list(TABLES)},
                topics=(Topic(Channel.ACCOUNT),),
                answered=False,
            ),
        ]

    def receive(self, frame: str | bytes) -> list[Event]:
        """One frame. What is not understood is never quoted: an echo of the login holds the key."""
        try:
            if frame == "pong":
                return [Alive()]
            head = decode(frame)
            name = head.get("table")
            return self._control(head) if name is None else self._table(name, head)
        except UNREADABLE as error:
            return [Unknown(f"a private frame that does not fit ({type(error).__name__})", "")]

    def read_alone(self, frame: str | bytes) -> list[Event]:
        """Of an image of executions, too, what they were: nobody reads them elsewhere."""
        try:
            head = decode(frame)
            if head.get("table") == "execution":
                return self._executions({**head, "action": "insert"})
        except UNREADABLE:
            pass  # `receive` says what it is
        return self.receive(frame)

    def _control(self, head: Any) -> list[Event]:
        request = head.get("request")
        login = isinstance(request, dict) and request.get("op") == "authKeyExpires"
        if login and ("error" in head or head.get("success") is True):
            said = {"error": str(head.get("error", "")), "status": head.get("status")}
            return [Answered(LOGIN, said)]
        if head.get("success") is True:
            return [Accepted()]
        if "error" in head and head.get("status") in (401, 403):
            return [LoginLost(str(head["error"]))]
        return control(head, {})

    def _table(self, name: str, head: Any) -> list[Event]:
        if name == "execution":
            return self._executions(head)
        if name in _QUIET:
            return [Alive()]
        if name not in _KEYS:
            return [Unknown(f"private table {name}", "")]
        action, kept = head["action"], self._tables.setdefault(name, {})
        if action == "partial":
            kept.clear()
            self._keys[name] = head.get("keys") or _KEYS[name]

        def read(row: dict[str, Any]) -> list[Event]:
            key = tuple(row.get(part) for part in self._keys[name])
            if action == "delete":
                kept.pop(key, None)
                return []
            whole = kept[key] = {**kept.get(key, {}), **row} if action == "update" else dict(row)
            return self._event(name, key, whole)

        return _each(head["data"], read)

    def _event(self, name: str, key: tuple[Any, ...], row: dict[str, Any]) -> list[Event]:
        if name == "position":
            position = rows.position(row, self._units)
            return [position] if position is not None else []
        if name == "margin":
            balance = rows.balance(row, self._units)
            return [balance] if balance is not None else []
        update = rows.order(row)
        if isinstance(update.status, rows.OrderStatus) and update.status.is_final:
            self._tables[name].pop(key, None)
        return [update]

    def _executions(self, head: Any) -> list[Event]:
        """A row an event. A refused cancel says "Rejected" of the request, not of the order, and is no news of it."""
        if head["action"] == "partial":
            return [Alive()]  # the past: fills are read over HTTP

        def read(row: dict[str, Any]) -> list[Event]:
            fill = rows.fill(row, self._units)
            known = row.get("execType") in _EXECUTIONS
            unknown = [] if known else [Unknown(f"execution of the type {row.get('execType')}", "")]
            return [*([fill] if fill is not None else []), *unknown]

        return _each(head["data"], read)


def _each(data: Sequence[dict[str, Any]], read: Callable[[dict[str, Any]], list[Event]]) -> list[Event]:
    """What rows say. One that can't be read takes nothing from those beside it."""
    found: list[Event] = []
    for row in data:
        try:
            found += read(row)
        except UNREADABLE as error:
            found.append(Unknown(f"a private row that does not fit ({type(error).__name__})", ""))
    return found or [Alive()]


_EXECUTIONS = frozenset(
    {"New", "Trade", "Canceled", "Replaced", "Rejected", "Suspended", "Released", "CancelReject", "AmendReject"}
    | {"TriggeredOrActivatedBySystem", "Funding", "Settlement", "Liquidation", "Bankruptcy", "Insurance", "Rebalance"}
)


def _logged_in(said: Any) -> None:
    """Raises what a refused login means. One that came too late has done nothing: a new socket signs anew."""
    if not said["error"]:
        return
    error = refusal(said["error"], said["status"] or 401)
    if isinstance(error, ClockSkewed):
        raise VenueUnavailable(said["error"])
    raise error
