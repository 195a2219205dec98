"""Balances and positions as they are shown: collateral, margin in use, profit at the mark, distance to liquidation."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from connectors.model import Unit
from connectors.practice.grid import ATOMS, from_atoms
from connectors.practice.ledger import Account
from connectors.practice.market import ListedMarket
from connectors.practice.terms import AssetBalance, PositionImage, Wallet


class MarginState(NamedTuple):
    """One account's collateral in one asset, in atoms."""

    total: int
    unrealised: int
    held: int
    maintenance: int

    @property
    def equity(self) -> int:
        """What would be left if everything were closed at the mark."""
        return self.total + self.unrealised


def margin_state(account: Account, asset: str, markets: Mapping[str, ListedMarket]) -> MarginState:
    """Collateral of an account in `asset`, over all contracts that settle in it."""
    purse = account.purses[Wallet.MARGIN].get(asset)
    unrealised = held = maintenance = 0
    for key, holding in account.holdings.items():
        market = markets[key]
        if market.listing.settle != asset or market.mark is None:
            continue
        mark = market.mark.ticks
        held += holding.margin(mark)
        if holding.lots:
            unrealised += holding.unrealised(mark)
            maintenance += holding.maintenance(mark)
    return MarginState(purse.total if purse is not None else 0, unrealised, held, maintenance)


def balance_image(account: Account, wallet: Wallet, asset: str, markets: Mapping[str, ListedMarket]) -> AssetBalance:
    """One asset in one wallet."""
    if wallet is Wallet.SPOT:
        purse = account.purses[wallet].get(asset)
        total, held = (purse.total, purse.held) if purse is not None else (0, 0)
        available, unrealised = total - held, 0
    else:
        state = margin_state(account, asset, markets)
        total, held, unrealised = state.total, state.held, state.unrealised
        available = max(0, state.equity - held)
    return AssetBalance(
        account=account.name,
        wallet=wallet,
        asset=asset,
        total=from_atoms(total),
        available=from_atoms(available),
        held=from_atoms(held),
        unrealised=from_atoms(unrealised),
    )


def position_image(account: Account, market: ListedMarket, markets: Mapping[str, ListedMarket]) -> PositionImage:
    """One contract position, flat or not."""
    holding, grid = account.holding(market.grid), market.grid
    mark = market.mark.ticks if market.mark is not None else market.tape.last
    return PositionImage(
        account=account.name,
        key=market.key,
        size=grid.size(holding.lots),
        entry=grid.entry(holding.lots, holding.cost),
        mark=grid.price(mark),
        unrealised=from_atoms(holding.unrealised(mark)),
        realised=from_atoms(holding.realised),
        margin=from_atoms(holding.position_margin(mark)),
        maintenance=from_atoms(holding.maintenance(mark)),
        leverage=holding.leverage,
        liquidation=_liquidation_price(account, market, markets),
    )


def _liquidation_price(account: Account, market: ListedMarket, markets: Mapping[str, ListedMarket]) -> Decimal | None:
    """Mark at which equity meets maintenance while all other positions stay as they are."""
    holding, listing = account.holding(market.grid), market.listing
    entry = market.grid.entry(holding.lots, holding.cost)
    if entry is None or market.mark is None or not entry or account.rules.house:
        return None
    state = margin_state(account, listing.settle, markets)
    mark = market.mark.ticks
    others = state.equity - holding.unrealised(mark) - (state.maintenance - holding.maintenance(mark))
    cushion = Fraction(others, ATOMS)
    rate = Fraction(listing.maintenance) if listing.maintenance else Fraction(1, 2 * listing.max_leverage)
    size = Fraction(market.grid.size(holding.lots)) * Fraction(listing.multiplier)
    at = Fraction(entry)
    if listing.unit is Unit.INVERSE:
        below = cushion + size / at
        price = (size + rate * abs(size)) / below if below else Fraction(0)
    else:
        price = (size * at - cushion) / (size - rate * abs(size))
    return market.grid.fractional_price(price / Fraction(listing.tick)) if price > 0 else None
