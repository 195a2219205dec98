"""What happens to a USD-M account, as Binance tells it: orders, conditional orders, balances and positions."""

from __future__ import annotations

from typing import Any

from connectors.binance.practice_terms import status_of
from connectors.binance.practice_usdm_market import NAMES
from connectors.binance.practice_usdm_orders import ALGO_IDS, UsdmOrders, algo_status, working_type
from connectors.model import EndReason, OrderStatus
from connectors.practice.terms import (
    AccountEvent,
    BalanceChanged,
    Execution,
    Happening,
    Order,
    OrderChanged,
    PositionChanged,
    Wallet,
)

# Why an order expired, as this event numbers it.
_EXPIRY = {
    EndReason.SELF_TRADE: "1",
    EndReason.IOC_REST: "2",
    EndReason.REDUCE_ONLY: "4",
    EndReason.LIQUIDATION: "5",
}


def usdm_events(product: UsdmOrders, event: AccountEvent) -> list[dict[str, Any]]:
    """What an event of the exchange is on the wire."""
    match event:
        case OrderChanged() if product.mine(event.order):
            return _order_events(product, event)
        case BalanceChanged() if event.balance.wallet is Wallet.MARGIN and event.balance.asset == "USDT":
            wallet = f"{event.balance.total:.8f}"
            row = {"a": event.balance.asset, "wb": wallet, "cw": wallet, "bc": "0"}
            return [_account_update(product, event.time, [row], [])]
        case PositionChanged() if product.symbol(event.key) in product.listings:
            image = event.position
            row = {
                "s": product.symbol(event.key),
                "pa": product.number(image.size),
                "ep": product.number(image.entry),
                "bep": product.number(image.entry),
                "cr": product.number(image.realised),
                "up": f"{image.unrealised:.8f}",
                "mt": "cross",
                "iw": "0",
                "ps": "BOTH",
            }
            return [_account_update(product, event.time, [], [row])]
    return []


def _account_update(product: UsdmOrders, time: int, balances: list[Any], positions: list[Any]) -> dict[str, Any]:
    return {
        "e": "ACCOUNT_UPDATE",
        "E": product.now_ms,
        "T": time,
        "a": {"m": "ORDER", "B": balances, "P": positions},
        "st": 1,
    }


def _order_events(product: UsdmOrders, event: OrderChanged) -> list[dict[str, Any]]:
    order = event.order
    waiting = order.kind.has_trigger and (order.triggered is None or event.what is Happening.TRIGGERED)
    found: list[dict[str, Any]] = []
    if order.kind.has_trigger and (waiting or order.status.is_final):
        found.append(_algo_event(product, order))
    triggering = [_algo_event(product, order, triggering=True)] if event.what is Happening.TRIGGERED else []
    if found and order.triggered is None:
        return found
    fill: Execution | None = event.fill
    execution = {
        Happening.ACCEPTED: "NEW",
        Happening.TRIGGERED: "NEW",
        Happening.FILLED: "TRADE",
        Happening.AMENDED: "AMENDMENT",
        Happening.ENDED: status_of(order),
    }[event.what]
    number = product.number
    row = {
        "s": product.symbol(order.key),
        "c": order.client_id,
        "S": order.side.upper(),
        "o": working_type(order),
        "f": "GTX" if order.post_only else order.tif.upper(),
        "q": number(order.amount),
        "p": number(order.price),
        "ap": number(order.average),
        "sp": number(order.trigger),
        "x": execution if execution != "EXPIRED_IN_MATCH" else "EXPIRED",
        "X": "NEW" if event.what is Happening.ACCEPTED else status_of(order),
        "i": order.id,
        "l": number(fill.size if fill else None),
        "z": number(order.filled if event.what is not Happening.ACCEPTED else None),
        "L": number(fill.price if fill else None),
        "n": number(fill.fee) if fill else "0",
        "N": fill.fee_asset if fill else "USDT",
        "T": order.updated,
        "t": fill.trade_id if fill else 0,
        "b": "0",
        "a": "0",
        "m": fill.maker if fill else False,
        "R": order.reduce_only,
        "wt": "CONTRACT_PRICE",
        "ot": NAMES[order.kind],
        "ps": "BOTH",
        "cp": False,
        "rp": number(fill.realised if fill else None),
        "pP": False,
        "si": 0,
        "ss": 0,
        "V": "EXPIRE_MAKER",
        "pm": "NONE",
        "gtd": 0,
        "er": _EXPIRY.get(order.end_reason, "0") if order.status is OrderStatus.EXPIRED else "0",
    }
    found.insert(0, {"e": "ORDER_TRADE_UPDATE", "T": order.updated, "E": product.now_ms, "o": row, "st": 1})
    return [*triggering, *found]


def _algo_event(product: UsdmOrders, order: Order, *, triggering: bool = False) -> dict[str, Any]:
    number = product.number
    row = {
        "caid": order.client_id,
        "aid": order.id + ALGO_IDS,
        "at": "CONDITIONAL",
        "o": NAMES[order.kind],
        "s": product.symbol(order.key),
        "S": order.side.upper(),
        "ps": "BOTH",
        "f": order.tif.upper(),
        "q": number(order.amount),
        "X": "TRIGGERING" if triggering else algo_status(order),
        "ai": str(order.id) if order.triggered is not None and not triggering else "",
        "ap": number(order.average),
        "aq": number(order.filled),
        "act": "LIMIT" if order.kind.has_price else "MARKET",
        "tp": number(order.trigger),
        "p": number(order.price),
        "V": "EXPIRE_MAKER",
        "wt": "CONTRACT_PRICE",
        "pm": "NONE",
        "cp": False,
        "pP": False,
        "R": order.reduce_only,
        "tt": order.triggered or 0,
        "gtd": 0,
        "rm": order.text if order.status in (OrderStatus.REJECTED, OrderStatus.EXPIRED) else "",
    }
    return {"e": "ALGO_UPDATE", "T": order.updated, "E": product.now_ms, "o": row, "st": 1}
