"""What is refused: caught here before it is sent, and understood when the venue says it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec import UNSET

from app.guard import Limits, Situation, check
from app.orders import Draft
from connectors.errors import BadNotional, BadPrice, BadSize, InsufficientFunds, MarketClosed, Refused, WouldTake
from connectors.model import InstrumentStatus, OrderRequest
from tests.conformance.bench import Bench
from tests.conformance.scenarios.list import scenario

GROUP = "Refusals"
D = Decimal


async def refused(bench: Bench, rule: str, kind: type[Refused], **fields: Any) -> None:
    """The guard names `rule` before anything is sent; sent all the same, the venue's answer is `kind`. Nothing changes."""
    clients = await bench.ways()
    sync = await clients[0].book()
    before = bench.exchange.balances("trader")
    for client in clients:
        request = client.request(**fields)
        available = {
            row.asset: row.available for _, row in await client.session.balances() if row.available is not None
        }
        limits = Limits(max_notional=None, collar=None)
        situation = Situation(
            capabilities=bench.family.capabilities, limits=limits, sync=sync, available=available, armed=True
        )
        assert rule in {problem.rule for problem in check(draft_of(request), situation)}
        with pytest.raises(Refused) as answer:
            await client.session.place(request)
        assert type(answer.value) is kind, answer.value
        assert answer.value.text
        await bench.until(lambda: sync.live, "a proven book")
        allowed = check(draft_of(client.request()), situation)
        assert allowed == [], "a good order passes the same guard"
    assert bench.exchange.open_orders("trader") == []
    assert bench.exchange.balances("trader") == before


def draft_of(request: OrderRequest) -> Draft:
    """The draft of a request."""
    return Draft(
        account="x",
        instrument=request.instrument,
        side=request.side,
        kind=request.kind,
        amount=request.amount,
        price=request.price,
    )


@scenario(GROUP, "a price off the tick")
async def off_tick(bench: Bench) -> None:
    await refused(bench, "tick", BadPrice, price=bench.price(-60) + bench.instrument.tick / 2)


@scenario(GROUP, "an amount off the lot")
async def off_lot(bench: Bench) -> None:
    await refused(bench, "lot", BadSize, amount=bench.size(300) + bench.instrument.size.step / 2)


@scenario(GROUP, "a value below the minimum")
async def below_minimum(bench: Bench) -> None:
    instrument = bench.instrument
    least, step, price = instrument.min_notional, instrument.size.step, bench.price(-60)
    smallest = max(instrument.size.minimum, step)
    if not least:
        assert smallest > step, "a minimum of value or of size"
        await refused(bench, "minimum", BadSize, amount=step)
    elif instrument.notional(price, smallest) < least:
        await refused(bench, "notional", BadNotional, amount=smallest)
    else:  # the smallest lot is worth more, unless it is bid for far below
        low = least / smallest / instrument.multiplier / 2 // instrument.tick * instrument.tick
        await refused(bench, "notional", BadNotional, amount=smallest, price=low)


@scenario(GROUP, "more than there is")
async def beyond_funds(bench: Bench) -> None:
    value = 2_000_000 if bench.spot else 60_000_000
    most = bench.instrument.size.maximum
    amount = bench.size(value) if most is None else min(most, bench.size(value))
    await refused(bench, "funds", InsufficientFunds, amount=amount)


@scenario(GROUP, "a post-only order that would take")
async def would_take(bench: Bench) -> None:
    for client in await bench.ways():
        already = len(bench.exchange.fills("trader"))
        try:
            placed = await client.place(post_only=True, price=bench.price(5))
        except WouldTake:
            pass
        else:  # some venues take it and end it at once
            row = await client.session.order(client.ref(placed))
            assert row.status is not UNSET
            assert row.status.is_final
            assert not row.filled
        assert bench.exchange.open_orders("trader") == []
        assert len(bench.exchange.fills("trader")) == already


@scenario(GROUP, "an instrument that does not trade now")
async def closed_market(bench: Bench) -> None:
    clients = await bench.ways()
    bench.exchange.set_status(bench.key, InstrumentStatus.CLOSED)
    for client in clients:
        with pytest.raises(MarketClosed):
            await client.place()
    fresh = await bench.client(keyed=False)
    assert fresh.session.instruments[bench.instrument.key].status is not InstrumentStatus.TRADING
