"""What goes wrong between here and there: lost answers, limits, clocks, and things nobody has documented."""

from __future__ import annotations

import json

import pytest

from connectors.contract import Answer, Channel, Found, Wire
from connectors.errors import OutcomeUnknown, RateLimited, VenueUnavailable
from connectors.model import OrderStatus, Side
from connectors.practice.faults import Faults
from connectors.runtime.http import Http
from tests.conformance.bench import Bench, Client
from tests.conformance.scenarios.list import scenario

GROUP = "Trouble"


class Hasty(Http):
    """Gives up early on the request whose answer is to be lost, over connections that are there; on no other one."""

    def __init__(self, plain: Http, faults: Faults) -> None:
        super().__init__()
        self.plain = plain
        self.faults = faults

    async def send(self, base: str, wire: Wire, timeout: float) -> Answer:
        return await self.plain.send(base, wire, 0.25 if self.faults.lose_next else timeout)

    async def close(self) -> None:
        await self.plain.close()


async def found_again(bench: Bench, client: Client, loss: str) -> None:
    """An order whose answer is lost is in doubt, and the search settles it as what it is."""
    bench.server.faults.lose_next.append(loss)
    request = client.request()
    with pytest.raises(OutcomeUnknown):
        await client.session.place(request)
    await bench.until(lambda: client.ear.readied, "the private stream", hurry=0.02)
    settled = await client.session.search(request)
    assert settled.found is Found.FOUND
    assert settled.order is not None
    assert settled.order.status is OrderStatus.OPEN
    (theirs,) = bench.exchange.open_orders("trader")
    assert (settled.order.amount, settled.order.price) == (theirs.amount, theirs.price)
    await client.session.cancel(client.ref(settled.order))
    assert bench.exchange.open_orders("trader") == []
    never = await client.session.search(client.request())
    assert never.found in (Found.NOT_YET, Found.ABSENT)


@scenario(GROUP, "5xx after the order was accepted: in doubt, then found")
async def lost_5xx(bench: Bench) -> None:
    await found_again(bench, await bench.client(by_http=True), "503")


@scenario(GROUP, "the connection breaks after the order was accepted: in doubt, then found")
async def lost_cut(bench: Bench) -> None:
    for client in await bench.ways():
        await found_again(bench, client, "cut")


@scenario(GROUP, "no answer in time after the order was accepted: in doubt, then found")
async def lost_timeout(bench: Bench) -> None:
    client = await bench.client(by_http=True)
    driver = client.session.driver
    driver.http = Hasty(driver.http, bench.server.faults)
    await found_again(bench, client, "hang")


@scenario(GROUP, "a market order whose answer is lost is found as filled")
async def lost_filled(bench: Bench) -> None:
    client = await bench.client(by_http=True)
    bench.server.faults.lose_next.append("cut")
    request = client.request(price=bench.price(5))
    with pytest.raises(OutcomeUnknown):
        await client.session.place(request)
    settled = await client.session.search(request)
    assert settled.found is Found.FOUND
    assert settled.order is not None
    assert (settled.order.status, settled.order.filled) == (OrderStatus.FILLED, request.amount)


@scenario(GROUP, "a request that never left is no doubt")
async def never_left(bench: Bench) -> None:
    client = await bench.client(by_http=True)
    await bench.server.stop()
    with pytest.raises(VenueUnavailable):
        await client.place()
    assert bench.exchange.open_orders("trader") == []


@scenario(GROUP, "a rate limit is understood and respected")
async def rate_limit(bench: Bench) -> None:
    client = await bench.client(by_http=True)
    faults, session, now = bench.server.faults, client.session, bench.time.monotonic
    began = now()
    faults.refuse_next.append(bench.practice.too_many(3))
    assert await session.balances()
    assert now() - began >= 1, "a read waits and asks again by itself"
    faults.refuse_next.append(bench.practice.too_many(3))
    began = now()
    with pytest.raises(RateLimited) as answer:
        await client.place()
    assert bench.exchange.open_orders("trader") == []
    await client.place()
    assert now() - began >= (answer.value.retry_after or 1), "the next order waits as long as the venue said"
    assert len(bench.exchange.open_orders("trader")) == 1


@scenario(GROUP, "a clock that is an hour slow, or fast, is corrected")
async def clock_skewed(bench: Bench) -> None:
    for hours in (1, -1):
        client = await bench.client(slow=3600.0 * hours)
        session = client.session
        clock = session.driver.clock
        assert await session.balances()
        placed = await client.place()
        if clock.error != float("inf"):  # the venue tells its time
            assert abs(session.clock_offset_ms - 3_600_000 * hours) < 2000
            clock.offset, clock.error = 0.0, 0.0  # wrong again
        assert await session.balances()
        await session.cancel(client.ref(placed))
        assert bench.exchange.open_orders("trader") == []


SURPRISES = [
    {"somethingNew": 1},
    {"type": "surprise", "event": "surprise", "e": "surprise", "channel": "surprise", "table": "surprise"},
    {"channel": "surprise", "type": "update", "data": [{"a": 1}], "events": [{"type": "x"}]},
    {"topic": "/surprise:BTC", "type": "message", "subject": "surprise", "data": {"a": 1}},
    {"stream": "btcusdt@surprise", "data": {"e": "surprise", "s": "BTCUSDT"}},
]


async def survives(bench: Bench, frames: list[str | bytes], *, counted: bool) -> None:
    """Frames that mean nothing leave books, orders and the private stream as they were, or back where they were."""
    client = await bench.client()
    sync = await client.book()
    for frame in frames:
        assert bench.server.say(frame) >= 2
        await bench.move(5)
    if counted:
        await bench.until(lambda: client.connection("market").unknown >= 1, "the frames to be counted")
        await bench.until(lambda: client.connection("account").unknown >= 1, "those of the private stream too")
    await bench.move()
    await bench.equal(sync)
    lost, heard = len(client.ear.losses), len(client.ear.orders)
    await bench.until(lambda: len(client.ear.readied) == lost + 1, "the private stream", hurry=0.02)
    placed = await client.place()
    await bench.until(lambda: len(client.ear.orders) > heard, "news of an order", hurry=0.02)
    await client.session.cancel(client.ref(placed))
    assert bench.exchange.open_orders("trader") == []


@scenario(GROUP, "message types that nobody knows are counted and change nothing")
async def unknown_types(bench: Bench) -> None:
    await survives(bench, [json.dumps(value) for value in SURPRISES], counted=True)


@scenario(GROUP, "garbage frames are counted and change nothing")
async def garbage(bench: Bench) -> None:
    noise = bytes(bench.chance.randrange(256) for _ in range(200))
    texts = [
        "",
        " ",
        "null",
        "[]",
        "{}",
        "0",
        '"',
        "{",
        '{"a":',
        "[[[[",
        "pong?",
        "é\u0000\U0001f600",
        "[" * 3000,
        "1e999",
        "[null]",
    ]
    frames: list[str | bytes] = [*texts, noise, b"", b"\x1f\x8b\x08\x00", b"\xff\xfe", '{"data":[{"id":"x"}]}']
    await survives(bench, frames, counted=True)


@scenario(GROUP, "fields that nobody knows change nothing")
async def unknown_fields(bench: Bench) -> None:
    bench.server.faults.surplus = True
    client = await bench.client()
    client.session.subscribe(Channel.TRADES, bench.instrument)
    sync = await client.book()
    for _ in range(5):
        await bench.move()
    await bench.equal(sync)
    assert sync.counters.resyncs == 0
    await bench.moving(lambda: client.ear.trades, "trades")
    placed = await client.place(side=Side.SELL)
    assert [row.venue_id for row in await client.session.open_orders(bench.instrument)] == [placed.venue_id]
    await client.session.cancel(client.ref(placed))
    filled = await client.place(price=bench.price(5))
    await bench.until(lambda: client.ear.filled() == client.newest().filled, "the fill", hurry=0.02)
    assert (await client.session.order(client.ref(filled))).status is OrderStatus.FILLED
    assert await client.session.balances()
    assert all(row.unknown == 0 for row in client.session.health)
