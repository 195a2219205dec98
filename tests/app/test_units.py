"""Money is counted alike on both sides: what an instrument says of its contracts is what its venue's exchange books for them."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal

import pytest

from app.paper_engine import OWNER, PaperEngine, View
from app.paper_fees import public_rates
from connectors.book import OrderBook
from connectors.catalogue import load, slugs
from connectors.contract import Environment
from connectors.model import BookSnapshot, Instrument, Level, Market, Side, Unit
from connectors.practice.grid import from_atoms
from connectors.practice.server import PracticeServer
from connectors.practice.terms import NewOrder, Refusal, Wallet
from connectors.runtime.session import Session

D = Decimal
EIGHTH = D("1e-8")


async def listed(slug: str) -> tuple[list[Instrument], PracticeServer]:
    """What the connector makes of the practice exchange's list, and the exchange."""
    server = PracticeServer(load(slug), crowd=False)
    await server.start()
    session = Session(load(slug), Environment.PRACTICE, hosts=server.hosts)
    try:
        await session.start()
        return list(session.instruments.values()), server
    finally:
        await session.stop()
        await server.stop()


@pytest.mark.parametrize("slug", slugs())
def test_an_order_is_worth_to_the_guard_what_it_is_worth_to_the_exchange(slug: str) -> None:
    """given any price and size on the grid, then notional, quote value and the exchange's own value agree."""
    instruments, server = asyncio.run(listed(slug))
    chance = random.Random(slug)
    compared = 0
    for instrument in instruments:
        listing = server.exchange.listings.get(f"{instrument.market}:{instrument.symbol}")
        if listing is None or instrument.unit is Unit.QUANTO:
            continue
        grid = server.exchange.seat(_somebody(server), listing.key).grid
        for _ in range(20):
            price = listing.tick * chance.randint(1, 10**6)
            lots = chance.randint(1, 10**5)
            size = instrument.size.step * lots
            booked = from_atoms(grid.value(int(price / listing.tick), int(size / listing.step)))
            assert abs(instrument.notional(price, size) - booked) <= EIGHTH, instrument.key
            worth = instrument.quote_value(price, size)
            if instrument.unit is Unit.INVERSE:
                assert abs(worth / price - booked) <= EIGHTH, instrument.key
            else:
                assert worth == booked, instrument.key
            assert abs(instrument.size_worth(price, worth) - size) <= size * D("1e-20")
            compared += 1
    assert compared


def _somebody(server: PracticeServer) -> str:
    server.exchange.open_account("somebody")
    return "somebody"


@pytest.mark.parametrize("slug", slugs())
def test_paper_books_what_the_instrument_says(slug: str) -> None:
    """given a book of one level a side, when a contract or coin is bought, then the account pays its notional and fee, or owes it."""
    instruments, server = asyncio.run(listed(slug))
    bought = 0
    for instrument in instruments:
        listing = server.exchange.listings.get(f"{instrument.market}:{instrument.symbol}")
        if listing is None:
            continue
        book = OrderBook()
        engine = PaperEngine(lambda key, book=book: View(book), start_ms=1_700_000_000_000)
        rates, _ = public_rates(instrument)
        engine.open_instrument(instrument, rates, listing.reference)
        price = (listing.reference / instrument.tick).to_integral_value() * instrument.tick
        size = max(instrument.size.minimum, instrument.size.step)
        size = max(size, (instrument.size_worth(price, max(instrument.min_notional * 2, D(100))) // size + 1) * size)
        book.load(
            BookSnapshot(
                wire=instrument.wire,
                bids=[Level(float(price - instrument.tick), float(size) * 10)],
                asks=[Level(float(price), float(size) * 10)],
            )
        )
        spot = instrument.market is Market.SPOT
        wallet, asset = (Wallet.SPOT, instrument.quote) if spot else (Wallet.MARGIN, instrument.settle)
        engine.deposit_exactly(wallet, asset, D(10**9))
        try:
            order = engine.enter(
                NewOrder(key=instrument.key, side=Side.BUY, amount=size, price=price), 1_700_000_000_001
            )
        except Refusal as refusal:
            raise AssertionError(f"{instrument.key}: {refusal}") from refusal
        assert order.filled == size
        value = instrument.notional(price, size)
        left = engine.balance(OWNER, asset, wallet).total
        paid = value if spot else value * rates.taker
        assert abs(D(10**9) - left - paid) <= EIGHTH * 2, instrument.key
        if not spot:
            position = engine.position(OWNER, instrument.key)
            assert position.size == size
            assert position.entry is not None
            assert abs(position.entry / price - 1) < D("1e-5"), instrument.key  # inverse values have eight decimals
        bought += 1
    assert bought
