"""The private side: who sees what, and whether the figures are the exchange's own."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from connectors.contract import FillSource, Page
from connectors.errors import AuthenticationFailed, VenueError
from connectors.model import OrderKind, OrderStatus, Side, TimeInForce
from tests.conformance.bench import TAKER, Bench, Client, strange_secrets
from tests.conformance.marks import without_positions
from tests.conformance.scenarios.list import scenario

GROUP = "Account"
D = Decimal


async def agreed(bench: Bench, client: Client) -> None:
    """Balances that are asked for are the exchange's, asset by asset."""
    theirs = bench.totals(client.account)
    told = {row.asset: row.total for _, row in await client.session.balances() if row.total}
    assert told
    assert close(told, theirs)
    instrument = bench.instrument
    wanted = {instrument.base, instrument.quote} if bench.spot else {instrument.settle}
    assert wanted & theirs.keys() <= told.keys()


def close(told: dict[str, Decimal], theirs: dict[str, Decimal]) -> bool:
    """Equal to the eighth decimal, the last one that most venues show, in each asset that is told."""
    return all(abs(total - theirs.get(asset, D(0))) < D("1e-8") for asset, total in told.items())


async def same_positions(bench: Bench, client: Client) -> None:
    """Positions are the exchange's, in the instrument's own unit."""
    told = {}
    for family, row in await client.session.positions():
        instrument = client.session.instrument(family, row.wire)
        assert instrument is not None
        if row.size:
            told[bench.key_of(instrument)] = row
    theirs = {row.key: row for row in bench.exchange.positions(client.account)}
    assert {key: row.size for key, row in told.items()} == {key: row.size for key, row in theirs.items()}
    for key, row in told.items():
        entry = theirs[key].entry
        assert row.entry is not None
        assert entry is not None
        assert abs(row.entry - entry) <= entry * D("0.000001")


@scenario(GROUP, "balances, positions, executions and fees equal the exchange's after 500 random orders")
async def five_hundred_orders(bench: Bench) -> None:
    client = await bench.client(by_http=True)
    chance, able = bench.chance, bench.family.capabilities
    for limits in client.session.driver.limits.values():
        limits._buckets = {}  # the venue's own limits are another scenario's business
    bench.practice.limited = False
    resting = []
    for number in range(500):
        side = Side.BUY if chance.random() < 0.5 else Side.SELL
        sign = 1 if side is Side.BUY else -1
        size = bench.size(chance.uniform(20, 900))
        draw = chance.random()
        if draw < 0.5:
            update = await client.place(side=side, amount=size, price=bench.price(-sign * chance.randint(1, 15)))
            resting.append(client.ref(update))
        elif draw < 0.75 or OrderKind.MARKET not in able.kinds:
            tif = TimeInForce.IOC if "ioc" in able.tifs else TimeInForce.GTC
            await client.place(side=side, amount=size, price=bench.price(sign * chance.randint(2, 15)), tif=tif)
        elif side is Side.SELL or able.market_buy_in_base:
            await client.place(side=side, kind=OrderKind.MARKET, amount=size)
        else:
            await client.place(side=side, kind=OrderKind.MARKET, quote_amount=D(100))
        if number % 3 == 0:
            bench.churn(15)
            bench.seat(TAKER).order(True, bench.middle() + 12 * bench.gap(), bench.lots(3000), tif=TimeInForce.IOC)
            bench.seat(TAKER).order(False, bench.middle() - 12 * bench.gap(), bench.lots(3000), tif=TimeInForce.IOC)
        if number % 5 == 4 and resting:
            try:
                await client.session.cancel(resting.pop(chance.randrange(len(resting))))
            except VenueError:
                pass  # filled meanwhile; nothing here depends on which
        if number % 50 == 0:
            bench.publish(1.0)
    for row in await client.session.open_orders(bench.instrument):
        await client.session.cancel(client.ref(row))
    assert bench.exchange.open_orders("trader") == []
    theirs = bench.exchange.fills("trader", bench.key, limit=10_000)
    assert len(theirs) > 300
    await fills_agree(bench, client, theirs)
    await agreed(bench, client)
    if not bench.spot:
        await same_positions(bench, client)
    await client.session.refresh_account()
    assert close_heard(bench, client)


async def fills_agree(bench: Bench, client: Client, theirs: list[Any]) -> None:
    """Executions of the stream, and the latest ones asked for, are those of the exchange, fees included."""
    wanted = Counter((fill.side, fill.price, fill.size) for fill in theirs)
    how = bench.family.capabilities.fills

    heard = client.ear.executions

    def sums(rows: list[Any], size: str) -> tuple[Decimal, Decimal]:
        return (
            sum((getattr(row, size) for row in rows), D(0)),
            sum((getattr(row, size) * row.price for row in rows), D(0)),
        )

    total = sums(theirs, "size")
    if how is FillSource.CUMULATIVE:
        await bench.until(lambda: sums(heard(), "amount")[0] == total[0], "all executions on the stream", hurry=0.02)
        ours = sums(heard(), "amount")[1]
        assert abs(ours - total[1]) <= total[1] * D("1e-9")
    else:
        await bench.until(lambda: len(heard()) >= len(theirs), "all executions on the stream", hurry=0.02)
        assert Counter((fill.side, fill.price, fill.amount) for fill in heard()) == wanted
    await bench.until(lambda: all(fill.fee is not None for fill in heard()), "every fee", hurry=0.02)
    assert fees_of(heard(), "fee_asset") == fees_of(theirs, "fee_asset")
    asked = await client.session.fills(bench.instrument, Page(limit=50))
    assert asked
    assert sorted(asked, key=lambda fill: fill.time) == asked
    latest = Counter((fill.side, fill.price, fill.size, fill.fee) for fill in theirs[-len(asked) :])
    assert Counter((fill.side, fill.price, fill.amount, fill.fee) for fill in asked) == latest


def fees_of(rows: list[Any], asset: str) -> dict[str, Decimal]:
    """What was paid, by asset."""
    found: dict[str, Decimal] = {}
    for row in rows:
        found[getattr(row, asset)] = found.get(getattr(row, asset), D(0)) + row.fee
    return {name: paid for name, paid in found.items() if paid}


@scenario(GROUP, "fee rates are the account's own")
async def fee_rates(bench: Bench) -> None:
    client = await bench.client()
    for instrument in bench.instruments:
        listing = bench.exchange.listings[bench.key_of(instrument)]
        rates = await client.session.fees(instrument)
        assert (rates.maker, rates.taker) == (listing.maker, listing.taker)


@scenario(GROUP, "two accounts at once trade with each other and see only their own")
async def two_accounts(bench: Bench) -> None:
    seller, buyer = await bench.client("trader"), await bench.client("other")
    size = bench.size(500)
    rested = await seller.place(side=Side.SELL, amount=size, price=bench.price(0))
    await buyer.place(side=Side.BUY, amount=size, price=bench.price(0))
    for client in (seller, buyer):
        theirs = bench.exchange.fills(client.account, bench.key)
        assert sum(fill.size for fill in theirs) == size
        await bench.until(lambda client=client: client.ear.filled() == size, "the fill", hurry=0.02)
        await agreed(bench, client)
    assert {fill.side for fill in seller.ear.fills} == {Side.SELL}
    assert {fill.side for fill in buyer.ear.fills} == {Side.BUY}
    await seller.place(side=Side.SELL)
    assert await buyer.session.open_orders(bench.instrument) == []
    assert len(await seller.session.open_orders(bench.instrument)) == 1
    assert all(order.venue_id != rested.venue_id for order in buyer.ear.orders)


@scenario(GROUP, "private news that comes twice has the same ids twice, and counts once")
async def private_twice(bench: Bench) -> None:
    bench.server.faults.duplicate_private = 1.0
    client = await bench.client(by_http=True)
    for number in range(5):
        await client.place(price=bench.price(5), amount=bench.size(100 + 10 * number))
    theirs = bench.exchange.fills("trader", bench.key)
    assert len(theirs) >= 5
    total = sum(fill.size for fill in theirs)

    counted = client.ear.filled
    await bench.until(lambda: counted() >= total, "all executions", hurry=0.02)
    placed = await client.place()
    await bench.until(
        lambda: any(order.venue_id == placed.venue_id for order in client.ear.orders), "news behind them", hurry=0.02
    )
    assert counted() == total
    await bench.until(lambda: close_heard(bench, client), "balances as the exchange has them", hurry=0.02)


def close_heard(bench: Bench, client: Client) -> bool:
    """Whether the balances that were told are the exchange's."""
    told = {asset: row.total for (_, asset), row in client.ear.balances.items() if row.total}
    return close(told, bench.totals("trader"))


@scenario(GROUP, "positions follow what is bought and sold", unless=without_positions)
async def positions_follow(bench: Bench) -> None:
    client = await bench.client()
    for instrument in bench.instruments:
        for side, value in ((Side.BUY, 900), (Side.SELL, 2500), (Side.BUY, 700)):
            crossing = bench.price(8 if side is Side.BUY else -8, instrument)
            await client.place(instrument=instrument, side=side, amount=bench.size(value, instrument), price=crossing)
            await same_positions(bench, client)
            theirs = bench.exchange.position("trader", bench.key_of(instrument))
            await bench.until(
                lambda wire=instrument.wire, theirs=theirs: (
                    wire in client.ear.positions and client.ear.positions[wire].size == theirs.size
                ),
                "the position on the stream",
                hurry=0.02,
            )


@scenario(GROUP, "a wrong secret is refused, named as the reason, and market data goes on")
async def wrong_key(bench: Bench) -> None:
    shown = {field.name for field in bench.venue.secrets if not field.secret}
    known = bench.practice.credentials
    secrets = {name: known[name] if name in shown else value for name, value in strange_secrets(bench.column).items()}
    client = await bench.client(secrets=secrets, wait=False)
    with pytest.raises(AuthenticationFailed) as refused:
        await client.session.balances()
    with pytest.raises(AuthenticationFailed):
        await client.place()
    assert all(value not in str(refused.value) for value in secrets.values())
    assert client.ear.readied == []
    await client.book()
    assert bench.exchange.open_orders("trader") == []


@scenario(GROUP, "a login, token or listen key that expires is renewed")
async def login_expires(bench: Bench) -> None:
    client = await bench.client()
    assert bench.practice.expire()
    bench.server.flush()
    await bench.until(lambda: client.ear.losses, "the loss", hurry=0.02)
    await bench.until(lambda: len(client.ear.readied) == 2, "the private stream again", hurry=0.02)
    heard = len(client.ear.orders)
    await client.place()
    await bench.until(lambda: len(client.ear.orders) > heard, "news on the new stream", hurry=0.02)


@scenario(GROUP, "an order that fills while the private socket is cut is known afterwards")
async def filled_while_away(bench: Bench) -> None:
    client = await bench.client(by_http=True)
    price = bench.price(-2)
    placed = await client.place(price=price)
    await bench.server.cut(private=True)
    await bench.until(lambda: client.ear.losses, "the loss")
    away = bench.seat(TAKER)
    best = away.book.side(True).best()
    assert best is not None
    away.order(False, bench.middle() - 3 * bench.gap(), bench.lots(9000), tif=TimeInForce.IOC)
    await bench.until(lambda: len(client.ear.readied) == 2, "the private stream again", hurry=0.02)
    theirs = client.newest()
    assert theirs.status is OrderStatus.FILLED
    known = await client.session.order(client.ref(placed))
    assert (known.status, known.filled) == (OrderStatus.FILLED, theirs.filled)
    rows = await client.session.fills(bench.instrument, Page(limit=50))
    assert sum(fill.amount for fill in rows) == theirs.filled
    await agreed(bench, client)
