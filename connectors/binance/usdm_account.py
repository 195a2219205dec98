"""Private sockets of Binance USD-M futures: account events by listen key, answers of the WebSocket API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from connectors.binance import rows
from connectors.binance.signing import read_json
from connectors.binance.usdm_rows import ALGO_STATUS, FAMILY, KINDS
from connectors.contract import (
    UNREADABLE,
    Answered,
    Ask,
    Call,
    Cost,
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
    once,
)
from connectors.model import Balance, EndReason, Fill, OrderKind, OrderStatus, OrderUpdate, Position, Side, TimeInForce


class UsdmAccountStream(Stream):
    """The private socket: a listen key in its address, nothing to subscribe, events unwrapped."""

    def opening(self, facts: Mapping[str, Any]) -> Flow[Dial]:
        """One key an account, shared by all its terminals: never delete it."""
        key = yield listen_key("POST")
        return Dial(path=f"/ws?listenKey={key}")

    def plan(self, active: frozenset[Topic], add: Sequence[Topic], drop: Sequence[Topic]) -> list[Ask]:
        """Everything comes by itself."""
        return []

    def receive(self, frame: str | bytes) -> list[Event]:
        """One event."""
        return self._read(frame, sides=False)

    def read_alone(self, frame: str | bytes) -> list[Event]:
        """One event, the sides of positions in hedge mode as they stand in it."""
        return self._read(frame, sides=True)

    @staticmethod
    def _read(frame: str | bytes, *, sides: bool) -> list[Event]:
        try:
            row = msgspec.json.decode(frame)
            if "data" in row and "stream" in row:
                row = row["data"]
            return account_events(row, sides=sides)
        except UNREADABLE as error:
            return [Unknown(f"a frame that does not fit ({type(error).__name__})", str(frame[:200]))]


class UsdmTradeStream(Stream):
    """The WebSocket API: requests and their answers."""

    def plan(self, active: frozenset[Topic], add: Sequence[Topic], drop: Sequence[Topic]) -> list[Ask]:
        """Nothing is subscribed here."""
        return []

    def receive(self, frame: str | bytes) -> list[Event]:
        """An answer by its id."""
        try:
            row = msgspec.json.decode(frame)
            if "status" in row and row.get("id") is not None:
                return [Answered(str(row["id"]), row)]
            if row.get("status") == 401:
                return [LoginLost(str((row.get("error") or {}).get("msg", "the session was refused")))]
        except UNREADABLE as error:
            return [Unknown(f"a frame that does not fit ({type(error).__name__})", str(frame[:200]))]
        return [Unknown("an answer without an id", str(frame[:200]))]


def listen_key(method: str) -> Call:
    """POST makes or extends the account's key, PUT keeps it alive; the key header alone is wanted."""
    return Call(
        endpoint=Role.REST,
        method=method,
        path="/fapi/v1/listenKey",
        form=True,
        security=Security.KEY,
        effect=Effect.SETUP,
        read=lambda answer: read_json(answer).get("listenKey", ""),
        costs=(Cost("REQUEST_WEIGHT", 1),),
    )


def keep_alive(facts: Mapping[str, Any]) -> Flow[Any]:
    """Renew the listen key; SessionExpired means that a new one, and so a new socket, is needed."""
    return once(listen_key("PUT"))


def account_events(event: Any, *, sides: bool) -> list[Event]:
    """What one USD-M account event means. `sides`: also long and short of a contract each by itself (hedge mode)."""
    if event.get("st", 1) != 1:
        return []
    match event.get("e"):
        case "ORDER_TRADE_UPDATE":
            return _order_events(event["o"], event.get("T"))
        case "ACCOUNT_UPDATE":
            return _account_rows(event["a"], event.get("T"), sides=sides)
        case "ALGO_UPDATE":
            return _algo_events(event["o"], event.get("T"))
        case "TRADE_LITE" | "MARGIN_CALL" | "ACCOUNT_CONFIG_UPDATE" | "STRATEGY_UPDATE" | "GRID_UPDATE":
            return []  # an early copy of a fill; and notices whose figures come with the next reading
        case "CONDITIONAL_ORDER_TRIGGER_REJECT":
            return []
        case "listenKeyExpired":
            return [LoginLost("the listen key expired")]
        case name:
            return [Unknown(f"account event {name}", str(event)[:200])]


# `er`: why an order expired, as the venue's documentation of this event numbers it.
_EXPIRED = {
    "1": EndReason.SELF_TRADE,
    "2": EndReason.IOC_REST,
    "3": EndReason.SELF_TRADE,
    "4": EndReason.REDUCE_ONLY,
    "5": EndReason.LIQUIDATION,
    "6": EndReason.OTHER,
    "7": EndReason.OTHER,
    "9": EndReason.IOC_REST,
    "10": EndReason.FOK,
    "11": EndReason.POST_ONLY,
}


def _order_events(row: Any, time: int | None) -> list[Event]:
    filled = rows.money(row["z"])
    expired = _EXPIRED.get(str(row.get("er", "")))
    update = OrderUpdate(
        wire=row["s"],
        family=FAMILY,
        venue_id=str(row["i"]),
        client_id=row["c"],
        status=rows.STATUS[row["X"]],
        side=Side(row["S"].lower()),
        kind=KINDS.get(row.get("ot") or row["o"], UNSET),
        tif=rows.TIF.get(row["f"], TimeInForce.GTC),
        price=rows.given(row["p"]),
        trigger=rows.given(row.get("sp")),
        amount=rows.given(row["q"]),
        filled=filled,
        average=rows.given(row["ap"]) if filled else UNSET,
        post_only=row["f"] == "GTX",
        reduce_only=bool(row.get("R")),
        end_reason=expired or rows.end_reason(row["X"], row["f"]),
        time=row.get("T") or time or UNSET,
    )
    if row["c"].startswith(("autoclose-", "adl_autoclose")):
        update.end_reason = EndReason.LIQUIDATION
    found: list[Event] = []
    if row["x"] in ("TRADE", "CALCULATED") and row.get("t"):
        found.append(
            Fill(
                wire=row["s"],
                family=FAMILY,
                id=str(row["t"]),
                venue_id=str(row["i"]),
                client_id=row["c"],
                side=Side(row["S"].lower()),
                price=rows.money(row["L"]),
                amount=rows.money(row["l"]),
                time=row["T"],
                fee=rows.money(row.get("n") or "0"),
                fee_asset=row.get("N") or "",
                maker=row["m"],
            )
        )
    return [*found, update]


def _account_rows(row: Any, time: int | None, *, sides: bool) -> list[Event]:
    """Only what changed: one side of a hedged position does not tell the other, so REST tells both after news of an order."""
    found: list[Event] = [
        Balance(asset=part["a"], family=FAMILY, total=rows.money(part["wb"]), time=time) for part in row.get("B", ())
    ]
    hedged = {part["s"] for part in row.get("P", ()) if part.get("ps", "BOTH") != "BOTH"}
    for part in row.get("P", ()):
        if part["s"] in hedged and not sides:
            continue
        isolated = part.get("mt") == "isolated"
        found.append(
            Position(
                wire=part["s"],
                family=FAMILY,
                size=rows.money(part["pa"]),
                entry=rows.money(part["ep"]),
                unrealised=rows.money(part["up"]),
                isolated=isolated,
                time=time,
            )
        )
    return found


def _algo_events(row: Any, time: int | None) -> list[Event]:
    status = ALGO_STATUS.get(row["X"], UNSET)  # FINISHED: the order that it became tells the end
    update = OrderUpdate(
        wire=row["s"],
        family=FAMILY,
        venue_id=str(row["aid"]),
        client_id=row["caid"],
        status=status,
        side=Side(row["S"].lower()),
        kind=KINDS.get(row["o"], OrderKind.STOP),
        tif=rows.TIF.get(row["f"], TimeInForce.GTC),
        price=rows.given(row.get("p")),
        trigger=rows.given(row.get("tp")),
        amount=rows.given(row["q"]),
        average=rows.given(row.get("ap")),
        reduce_only=bool(row.get("R")),
        reason=row.get("rm", ""),
        time=time or UNSET,
        algo=True,
    )
    if rows.given(row.get("aq")) is not UNSET:
        update.filled = rows.money(row["aq"])
    if row["X"] == "FINISHED":
        # one that closes a position names no amount
        whole = update.filled is not UNSET and (update.amount is UNSET or update.filled >= update.amount)
        update.status = OrderStatus.FILLED if whole else OrderStatus.EXPIRED
    return [update]
