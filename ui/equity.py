"""What an account is worth, as far as prices are known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ui.panels.ladder import CURRENCIES
from ui.widgets.figures import figure

if TYPE_CHECKING:
    from app.accounts import Account
    from app.markets import Feed

DOLLARS = ("USD", "USDT", "USDC")


def prices_of(feeds: Iterable[Feed]) -> dict[str, float]:
    """Price of an asset by the first of these markets that quotes it in money."""
    prices: dict[str, float] = {}
    for feed in feeds:
        mid = feed.book.mid
        if mid and feed.instrument.quote in CURRENCIES:
            prices.setdefault(feed.instrument.base, mid)
    return prices | dict.fromkeys(DOLLARS, 1.0)


def equity(account: Account, prices: Mapping[str, float]) -> float:
    """Balances and what open positions have won or lost; what has no price counts nothing."""
    total = 0.0
    for (_, asset), balance in account.balances.items():
        total += float(balance.total or 0) * prices.get(asset, 0.0)
    for key, position in account.positions.items():
        instrument = account.instruments.get(key)
        settle = instrument.settle if instrument is not None else ""
        total += float(position.unrealised or 0) * prices.get(settle, 0.0)
    return total


def equity_text(feed: Feed | None, watched: Iterable[Feed]) -> str:
    """Of the account in use, in the quote of what is shown; empty while nothing is known of it."""
    if feed is None or not feed.account.balances:
        return ""
    unit = feed.instrument.quote if feed.instrument.quote in CURRENCIES else "USD"
    return f"Equity  {figure(equity(feed.account, prices_of(watched)), 2)} {unit}"
