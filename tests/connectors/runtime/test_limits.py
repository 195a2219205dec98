"""Budgets on a clock that the test turns."""

from __future__ import annotations

from connectors.contract import Bucket, Cost, Effect
from connectors.runtime.limits import Limits
from connectors.runtime.record import Redactor


class Time:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept = 0.0

    def read(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.now += seconds


def limits(time: Time) -> Limits:
    return Limits([Bucket("weight", 100, 10)], time.read, time.sleep)


async def test_requests_wait_when_the_bucket_is_full_and_no_longer() -> None:
    time = Time()
    budget = limits(time)
    for _ in range(9):
        await budget.take((Cost("weight", 10),), Effect.READ)
    assert time.slept == 0
    await budget.take((Cost("weight", 10),), Effect.READ)
    assert 0.9 < time.slept < 1.1  # ten units drain in a second


async def test_cancels_may_use_the_last_tenth() -> None:
    time = Time()
    budget = limits(time)
    await budget.take((Cost("weight", 90),), Effect.READ)
    await budget.take((Cost("weight", 10),), Effect.CANCEL)
    assert time.slept == 0


async def test_what_the_venue_says_counts_more_than_what_we_think() -> None:
    time = Time()
    budget = limits(time)
    budget.told("weight", 95)
    await budget.take((Cost("weight", 10),), Effect.READ)
    assert time.slept > 1
    assert budget.used()["weight"][1] == 100


async def test_a_refusal_closes_the_bucket_and_a_ban_everything() -> None:
    time = Time()
    budget = Limits([Bucket("a", 100, 10), Bucket("b", 100, 10)], time.read, time.sleep)
    budget.refused((Cost("a"),), 30, banned=False)
    await budget.take((Cost("b"),), Effect.READ)
    assert time.slept == 0
    await budget.take((Cost("a"),), Effect.READ)
    assert time.slept == 30
    budget.refused((Cost("a"),), 120, banned=True)
    await budget.take((Cost("b"),), Effect.CANCEL)
    assert time.slept == 150


def test_secrets_are_taken_out_wherever_they_stand() -> None:
    clean = Redactor(["TOPSECRETVALUE"])
    assert clean("https://x/y?listenKey=abcdef&symbol=BTC") == "https://x/y?listenKey=***&symbol=BTC"
    assert (
        clean('{"apiKey":"k123456","signature":"00ff","price":"1"}') == '{"apiKey":"***","signature":"***","price":"1"}'
    )
    assert "TOPSECRETVALUE" not in clean("a line with TOPSECRETVALUE in it")


def test_a_login_whose_secrets_have_no_names_is_taken_out_whole() -> None:
    clean = Redactor([])
    frame = '{"op":"authKeyExpires","args":["KEY",1700000005,"00ff"]}'
    assert clean(frame) == '{"op":"authKeyExpires","args":["***"]}'
    assert clean(f'{{"success":true,"request":{frame}}}').count("***") == 1
    assert clean('{"op":"subscribe","args":["trade:XBTUSD"]}') == '{"op":"subscribe","args":["trade:XBTUSD"]}'
