"""How both of Binance's products are asked: REST with and without a signature, the WebSocket API, an order by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.binance.signing import read_json, read_ws
from connectors.contract import Ask, Call, Cost, Effect, Role, Security
from connectors.model import OrderRef


def get(path: str, weight: float, read: Callable[[Any], Any], *params: tuple[str, str]) -> Call:
    """A public GET; `read` gets the decoded body."""
    return Call(
        endpoint=Role.REST,
        method="GET",
        path=path,
        params=params,
        read=lambda answer: read(read_json(answer)),
        costs=(Cost("REQUEST_WEIGHT", weight),),
    )


def signed(
    method: str,
    path: str,
    weight: float,
    read: Callable[[Any], Any],
    *params: tuple[str, str],
    effect: Effect = Effect.READ,
    costs: tuple[Cost, ...] = (),
) -> Call:
    """A signed request of this request weight, and of `costs` besides; `read` gets the decoded body."""
    return Call(
        endpoint=Role.REST,
        method=method,
        path=path,
        params=params,
        form=method in ("POST", "PUT"),
        security=Security.SIGNED,
        effect=effect,
        read=lambda answer: read(read_json(answer)),
        costs=(Cost("REQUEST_WEIGHT", weight), *costs) if weight else costs,
    )


def ask(
    method: str, params: list[tuple[str, str]], read: Callable[[Any], Any], effect: Effect, costs: tuple[Cost, ...] = ()
) -> Ask:
    """The same over the WebSocket API; `read` gets the `result`."""
    fields: dict[str, Any] = {name: int(value) if name == "orderId" else value for name, value in params}
    return Ask(
        endpoint=Role.TRADE,
        id="",
        payload={"method": method, "params": fields},
        read=lambda payload: read(read_ws(payload)),
        security=Security.SIGNED,
        effect=effect,
        costs=costs,
    )


def named(order: OrderRef) -> list[tuple[str, str]]:
    """The order's name: the venue's id where it is known, it never changes."""
    params = [("symbol", order.instrument.wire)]
    params.append(("orderId", order.venue_id) if order.venue_id else ("origClientOrderId", order.client_id))
    return params
