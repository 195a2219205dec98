"""What happens to a USD-M account, as Binance tells it: orders, conditional orders, balances and positions."""

from __future__ import annotations

from typing import Any

from connectors.binance.practice_terms import STATUS
from connectors.binance.practice_usdm_market import NAMES
from connectors.binance.practice_usdm_orders import UsdmOrders, algo_status, working_type
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
        if order.triggered is None:
            return found
    fill: Execution | None = event.fill
    execution = {
        Happening.ACCEPTED: "NEW",
        Happening.TRIGGERED: "NEW",
        Happening.FILLED: "TRADE",
        Happening.AMENDED: "AMENDMENT",
        Happening.ENDED: STATUS[order.status],
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
        "x": execution,
        "X": "NEW" if event.what is Happening.ACCEPTED else STATUS[order.status],
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
        "er": "0",
    }
    found.insert(0, {"e": "ORDER_TRADE_UPDATE", "T": order.updated, "E": product.now_ms, "o": row, "st": 1})
    return found


def _algo_event(product: UsdmOrders, order: Order) -> dict[str, Any]:
    number = product.number
    row = {
        "caid": order.client_id,
        "aid": order.id,
        "at": "CONDITIONAL",
        "o": NAMES[order.kind],
        "s": product.symbol(order.key),
        "S": order.side.upper(),
        "ps": "BOTH",
        "f": order.tif.upper(),
        "q": number(order.amount),
        "X": algo_status(order),
        "ai": str(order.id) if order.triggered is not None else "",
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
        "rm": order.text,
    }
    return {"e": "ALGO_UPDATE", "T": order.updated, "E": product.now_ms, "o": row, "st": 1}
