"""Orders that the venue takes: every kind, filled, cancelled, changed."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from msgspec import UNSET

from connectors.contract import Amend
from connectors.errors import DuplicateOrder, NothingToChange, OrderNotFound
from connectors.model import OrderKind, OrderStatus, Side, TimeInForce
from tests.conformance.bench import Bench, Client
from tests.conformance.marks import without_amend, without_dead_man, without_leverage, without_unique_ids
from tests.conformance.scenarios.list import scenario

GROUP = "Orders"
D = Decimal


def offered(bench: Bench) -> Iterator[dict[str, Any]]:
    """An order of every kind that the family's capabilities name."""
    able, price, spot = bench.family.capabilities, bench.price, bench.spot
    kinds = able.kinds & bench.instrument.kinds
    if OrderKind.LIMIT in kinds:
        for tif in sorted(able.tifs):
            resting = tif == "gtc"
            yield {"tif": TimeInForce(tif), "price": price(-50 if resting else 5)}
            yield {"tif": TimeInForce(tif), "price": price(50 if resting else -5), "side": Side.SELL}
        if able.post_only:
            yield {"post_only": True, "price": price(-50)}
    if OrderKind.MARKET in kinds:
        yield {"kind": OrderKind.MARKET, "side": Side.SELL}
        if able.market_buy_in_base:
            yield {"kind": OrderKind.MARKET}
        if able.market_buy_in_quote and spot:
            yield {"kind": OrderKind.MARKET, "quote_amount": D(200)}
    for kind in sorted(kinds):
        if kind.has_trigger:
            for side in Side:
                above = (side is Side.BUY) is (kind in (OrderKind.STOP, OrderKind.STOP_LIMIT))
                order: dict[str, Any] = {"kind": kind, "side": side, "trigger": price(80 if above else -80)}
                if kind.has_price:
                    order["price"] = price(82 if above else -82)
                yield order
    if able.reduce_only and not spot:
        yield {"side": Side.BUY, "price": price(5)}  # something to reduce
        yield {"side": Side.SELL, "price": price(50), "reduce_only": True}


@scenario(GROUP, "every kind of order that is offered arrives as it was meant")
async def every_kind(bench: Bench) -> None:
    for client in await bench.ways():
        for fields in offered(bench):
            request = client.request(**fields)
            update = await client.session.place(request)
            assert update.venue_id
            theirs = client.newest()
            told = (theirs.side, theirs.kind, theirs.price, theirs.trigger, theirs.post_only, theirs.reduce_only)
            assert told == (
                request.side,
                request.kind,
                request.price,
                request.trigger,
                request.post_only,
                request.reduce_only,
            ), fields
            assert (theirs.amount, theirs.quote_amount) == (request.amount, request.quote_amount), fields
            if request.kind is OrderKind.LIMIT:
                assert theirs.tif is request.tif
            await known(bench, client, update, request)
        assert bench.exchange.open_orders(client.account)
        for row in await client.session.open_orders(bench.instrument):
            await client.session.cancel(client.ref(row))
        assert bench.exchange.open_orders(client.account) == []
        assert await client.session.open_orders(bench.instrument) == []


async def known(bench: Bench, client: Client, update: Any, request: Any) -> None:
    """What the venue says of an order afterwards is what the exchange holds."""
    theirs = client.newest()
    row = await client.session.order(client.ref(update))
    assert row.venue_id == update.venue_id
    assert row.status is not UNSET
    assert row.status.is_final is theirs.status.is_final
    assert (row.side, row.kind) == (request.side, request.kind)
    if row.filled is not UNSET:
        assert row.filled == theirs.filled
    if theirs.filled and row.average is not UNSET and theirs.average is not None:
        assert abs(row.average - theirs.average) <= theirs.average * D("1e-6")
    if not theirs.status.is_final:
        assert row.amount == request.amount
        for name in ("price", "trigger"):
            if getattr(request, name) is not None:
                assert getattr(row, name) == getattr(request, name)
        wanted = OrderStatus.UNTRIGGERED if request.kind.has_trigger else OrderStatus.OPEN
        assert row.status is wanted
        listed = await client.session.open_orders(bench.instrument)
        assert update.venue_id in {each.venue_id for each in listed}


@scenario(GROUP, "a conditional order is triggered by the market and told as it goes")
async def triggered(bench: Bench) -> None:
    client = await bench.client()
    kinds = bench.family.capabilities.kinds & bench.instrument.kinds
    kind = OrderKind.STOP if OrderKind.STOP in kinds else OrderKind.STOP_LIMIT
    fields: dict[str, Any] = {"kind": kind, "trigger": bench.price(6)}
    if kind.has_price:
        fields["price"] = bench.price(20)
    await client.place(**fields)
    assert client.newest().status is OrderStatus.UNTRIGGERED
    bench.seat("house-taker").order(True, bench.middle() + 8 * bench.gap(), bench.lots(40_000), tif=TimeInForce.IOC)
    bench.publish(1.5)
    theirs = await bench.until(
        lambda: (order := client.newest()).status is OrderStatus.FILLED and order, "the trigger", hurry=0.05
    )
    await bench.until(lambda: client.ear.filled() == theirs.filled, "the fill on the stream", hurry=0.02)


@scenario(GROUP, "a part fills, the rest is cancelled, nothing is lost")
async def part_then_cancel(bench: Bench) -> None:
    for client in await bench.ways():
        seat = bench.seat()
        best = bench.middle() - bench.gap() // 2 if bench.gap() > 1 else bench.middle()
        seat.order(False, best, bench.lots(200))
        part = bench.lots(200)
        amount = bench.size(1000)
        placed = await client.place(amount=amount, price=seat.grid.price(best))
        theirs = client.newest()
        assert theirs.status is OrderStatus.PARTLY_FILLED
        assert theirs.filled == seat.grid.size(part)
        await bench.until(
            lambda client=client, placed=placed, theirs=theirs: client.ear.filled(placed.venue_id) == theirs.filled,
            "the part on the stream",
            hurry=0.02,
        )
        row = await client.session.order(client.ref(placed))
        assert (row.status, row.filled) == (OrderStatus.PARTLY_FILLED, theirs.filled)
        await client.session.cancel(client.ref(placed))
        row = await client.session.order(client.ref(placed))
        assert (row.status, row.filled) == (OrderStatus.CANCELLED, theirs.filled)
        assert client.newest().status is OrderStatus.CANCELLED
        await bench.until(
            lambda client=client, placed=placed: any(
                order.venue_id == placed.venue_id and order.status is OrderStatus.CANCELLED
                for order in client.ear.orders
            ),
            "the cancel on the stream",
            hurry=0.02,
        )


OTHER = str.maketrans("0123456789abcdefABCDEFGHIJKLMNOPQRSTUVWXYZ", "9876543210bcdefaBCDEFGHIJKLMNOPQRSTUVWXYZA")


def other_id(name: str) -> str:
    """An id of the same form that was never given: every digit and every letter differs, for some ids hold no digit."""
    return name[:1] + name[1:].translate(OTHER) if len(name) > 1 else name.translate(OTHER)


@scenario(GROUP, "cancelling what is filled or unknown is refused as not found")
async def cancel_too_late(bench: Bench) -> None:
    for client in await bench.ways():
        filled = await client.place(price=bench.price(5))
        assert client.newest().status is OrderStatus.FILLED
        with pytest.raises(OrderNotFound):
            await client.session.cancel(client.ref(filled))
        assert (await client.session.order(client.ref(filled))).status is OrderStatus.FILLED
        unknown = client.ref(filled)
        unknown = type(unknown)(instrument=unknown.instrument, venue_id=other_id(unknown.venue_id), side=Side.BUY)
        with pytest.raises(OrderNotFound):
            await client.session.cancel(unknown)
        with pytest.raises(OrderNotFound):
            await client.session.order(unknown)


@scenario(GROUP, "another account's order cannot be cancelled")
async def cancel_anothers(bench: Bench) -> None:
    other = await bench.client("other")
    theirs = await other.place()
    for client in await bench.ways():
        with pytest.raises(OrderNotFound):
            await client.session.cancel(client.ref(theirs))
    assert other.newest().status is OrderStatus.OPEN
    assert (await other.session.order(other.ref(theirs))).status is OrderStatus.OPEN


@scenario(GROUP, "a client id that is taken makes no second order", unless=without_unique_ids)
async def duplicate_id(bench: Bench) -> None:
    for client in await bench.ways():
        request = client.request()
        first = await client.session.place(request)
        if bench.family.capabilities.idempotent_place:
            again = await client.session.place(request)
            assert again.venue_id == first.venue_id
        else:
            with pytest.raises(DuplicateOrder):
                await client.session.place(request)
        assert len(bench.exchange.open_orders(client.account)) == 1
        await client.session.cancel(client.ref(first))


@scenario(GROUP, "every open order is cancelled at once")
async def cancel_all(bench: Bench) -> None:
    client = await bench.client()
    for side in (Side.BUY, Side.SELL, Side.BUY):
        await client.place(side=side)
    if bench.family.capabilities.cancel_all:
        await client.session.cancel_all(bench.instrument)
    else:
        for row in await client.session.open_orders(bench.instrument):
            await client.session.cancel(client.ref(row))
    assert bench.exchange.open_orders("trader") == []
    await bench.until(
        lambda: len({o.venue_id for o in client.ear.orders if o.status is OrderStatus.CANCELLED}) == 3,
        "the cancels on the stream",
        hurry=0.02,
    )
    if bench.family.capabilities.cancel_all:
        try:
            assert await client.session.cancel_all(bench.instrument) == []
        except NothingToChange:
            pass  # some venues say so


@scenario(GROUP, "an order is changed as the venue allows", unless=without_amend)
async def amended(bench: Bench) -> None:
    client, how = await bench.client(), bench.family.capabilities.amend
    placed = await client.place(amount=bench.size(900))
    made = bench.family.ids.make(client.session.stamp(bench.family.name))
    price = None if how is Amend.REDUCE_ONLY else bench.price(-61)
    await client.session.amend(client.ref(placed), price=price, amount=bench.size(600), client_id=made)
    (theirs,) = bench.exchange.open_orders("trader")
    assert theirs.remaining == bench.size(600)
    assert theirs.price == (price if price is not None else bench.price(-60))
    (row,) = await client.session.open_orders(bench.instrument)
    assert (row.amount, row.price) == (theirs.amount, theirs.price)
    if how is not Amend.NEW_ID:
        assert row.venue_id == placed.venue_id
    await client.session.cancel(client.ref(row))
    assert bench.exchange.open_orders("trader") == []


@scenario(GROUP, "leverage is set", unless=without_leverage)
async def leverage_set(bench: Bench) -> None:
    client = await bench.client()
    await client.session.set_leverage(bench.instrument, 7)
    await client.place()  # where margin is isolated, the leverage goes with the order
    assert bench.exchange.leverage("trader", bench.key) == 7


@scenario(GROUP, "the dead man's switch cancels when it is not renewed", unless=without_dead_man)
async def dead_man(bench: Bench) -> None:
    client = await bench.client()
    await client.place()
    await client.session.dead_man(bench.instrument, 30, bench.family)
    bench.publish(20)
    assert len(bench.exchange.open_orders("trader")) == 1
    await client.session.dead_man(bench.instrument, 30, bench.family)
    bench.publish(20)
    assert len(bench.exchange.open_orders("trader")) == 1
    await client.session.dead_man(bench.instrument, 0, bench.family)
    bench.publish(40)
    assert len(bench.exchange.open_orders("trader")) == 1
    await client.session.dead_man(bench.instrument, 30, bench.family)
    bench.publish(31)
    assert bench.exchange.open_orders("trader") == []
