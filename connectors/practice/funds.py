"""What a practice account has to trade with."""

from __future__ import annotations

from decimal import Decimal

from connectors.practice.exchange import Exchange
from connectors.practice.terms import Wallet

FUNDS = {
    "USDT": Decimal(1_000_000),
    "USD": Decimal(1_000_000),
    "USDC": Decimal(1_000_000),
    "EUR": Decimal(1_000_000),
    "BTC": Decimal(10),
    "ETH": Decimal(100),
    "SOL": Decimal(1000),
    "BNB": Decimal(100),
}


def fund(exchange: Exchange, account: str) -> None:
    """Assets for a practice account, for buying and as collateral."""
    exchange.open_account(account)
    for asset, amount in FUNDS.items():
        exchange.deposit(account, asset, amount)
    exchange.deposit(account, "USDT", Decimal(500_000), Wallet.MARGIN)
    exchange.deposit(account, "BTC", Decimal(10), Wallet.MARGIN)
