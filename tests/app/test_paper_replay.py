"""Paper orders over recorded traffic: the books and trades of a day, and orders that it would have filled."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.paper import FUNDS, PaperSession
from app.paper_fees import public_rates
from app.paper_store import PaperStore
from connectors.catalogue import load
from connectors.contract import Event, Page
from connectors.errors import VenueUnavailable
from connectors.model import Balance, Fill, Instrument, OrderKind, OrderRef, OrderRequest, OrderStatus, Side, Trade
from connectors.runtime.clock import Clock
from connectors.runtime.replay import ReplaySource
from tests.waiting import until

D = Decimal


class Ear:
    """Hears what the session tells."""

    def __init__(self) -> None:
        self.sold: list[Trade] = []
        self.fills: list[Fill] = []
        self.balances: dict[str, Balance] = {}

    def market(self, event: Event, instrument: Instrument) -> None:
        if isinstance(event, Trade) and event.side is Side.SELL:
            self.sold.append(event)

    def account(self, event: Any, family: str) -> None:
        if isinstance(event, Fill):
            self.fills.append(event)
        elif isinstance(event, Balance):
            self.balances[event.asset] = event

    def ready(self, family: str) -> None: ...

    def lost(self, family: str, why: str) -> None: ...

    def declined(self, text: str) -> None: ...


def test_a_recorded_market_fills_what_it_would_have_filled(venues_dir: Path) -> None:
    """given a recording, when 200 are bought at market and 5 bid at the best price, then the one pays the book's prices and the
    other gets no more than was sold at its price or below, while it stood."""
    ear = Ear()
    sources: list[ReplaySource] = []
    path = venues_dir / "binance" / "session-usdm-2021-07-22.jsonl.gz"

    def play(listener: Any) -> ReplaySource:
        sources.append(ReplaySource(path, load("binance"), listener=listener, speed=1e9))
        return sources[0]

    def wall() -> float:
        return sources[0]._replay.last_frame if sources else 1.0

    async def run() -> None:
        session = PaperSession(
            load("binance"),
            play,
            listener=ear,
            store=PaperStore(None),
            rates=lambda instrument: public_rates(instrument)[0],
            clock=Clock(wall=wall),
        )
        await session.start()
        instrument = session.instruments["binance:perp:SUSHI-USDT"]
        sync = session.sync(instrument)
        assert sync is not None
        while not sync.live:  # noqa: ASYNC110 - the recording is read by a task of its own
            await asyncio.sleep(0)
        asks = sync.book.top(50)[1]
        bought = await session.place(request(instrument, "m", OrderKind.MARKET, "200"))
        assert bought.status is OrderStatus.FILLED
        assert bought.average == walk(asks, D(200))
        bid = sync.book.best_bid
        assert bid is not None
        price, began = D(repr(bid[0])), len(ear.sold)
        rests = await session.place(request(instrument, "r", OrderKind.LIMIT, "5", price))
        assert rests.status is OrderStatus.OPEN
        lowest_ask = price * 2
        while sources[0].progress < 1:
            await asyncio.sleep(0)
            lowest_ask = min(lowest_ask, D(repr(sync.book.best_ask[0])) if sync.book.best_ask else lowest_ask)
        await until(lambda: sum(fill.amount for fill in ear.fills) == 205, "news of all that fills")
        found = await session.order(OrderRef(instrument=instrument, client_id="r"))
        mine = [trade for trade in ear.sold[began:] if trade.wire == instrument.wire]
        sold = sum((D(repr(trade.amount)) for trade in mine if D(repr(trade.price)) <= price), D(0))
        fills = await session.fills(instrument, Page())
        resting = [fill for fill in fills if fill.client_id == "r"]
        assert all(fill.maker and fill.price == price for fill in resting)
        assert sum((fill.amount for fill in resting), D(0)) == found.filled == 5
        assert sold >= 5
        assert lowest_ask > price  # so every fill came from the tape
        assert ear.fills == fills
        (position,) = [row for _, row in await session.positions()]
        assert position.size == 205
        paid = sum((fill.fee or D(0) for fill in fills), D(0))
        assert ear.balances["USDT"].total == FUNDS["USDT"] - paid
        await session.stop()
        with pytest.raises(VenueUnavailable):
            await session.open_orders()

    asyncio.run(run())
    assert len(ear.sold) > 10


def request(
    instrument: Instrument, client_id: str, kind: OrderKind, amount: str, price: Decimal | None = None
) -> OrderRequest:
    return OrderRequest(
        client_id=client_id, instrument=instrument, side=Side.BUY, kind=kind, amount=D(amount), price=price
    )


def walk(levels: list[tuple[float, float]], amount: Decimal) -> Decimal:
    """What this amount costs a unit, taken from levels."""
    left, cost = amount, D(0)
    for price, size in levels:
        take = min(left, D(repr(size)))
        left, cost = left - take, cost + take * D(repr(price))
    assert not left
    return cost / amount
