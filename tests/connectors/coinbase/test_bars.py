"""Bars that the venue does not stream, made of what it streams; nothing is told of a bar whose beginning is not known."""

from __future__ import annotations

import json
from typing import Any

from connectors.coinbase.bars import BUCKET, Bar, Buckets, Minutes
from connectors.coinbase.market import CoinbaseMarketStream
from connectors.contract import Channel, Topic
from connectors.model import Candle, Trade

HOUR = 3_600_000
T0 = 1_790_000_000_000 // HOUR * HOUR


def bucket(start: int, *prices: float, volume: float = 1.0) -> Bar:
    return Bar(start, prices[0], max(prices), min(prices), prices[-1], volume)


def test_a_longer_bar_is_its_buckets_together() -> None:
    buckets = Buckets()
    buckets.take([bucket(T0, 10, 12, 11), bucket(T0 + 2 * BUCKET, 11, 15, 9, 10, volume=2)])  # one had no trade
    whole = buckets.bar(T0 + 2 * BUCKET, 900_000)
    assert whole is not None
    assert (whole.start, whole.open, whole.high, whole.low, whole.close, whole.volume) == (T0, 10, 15, 9, 10, 3)
    buckets.take([bucket(T0 + 2 * BUCKET, 11, 16, 9, 13, volume=3)])  # the same bucket later
    newer = buckets.bar(T0 + 2 * BUCKET, 900_000)
    assert newer is not None
    assert (newer.high, newer.close, newer.volume) == (16, 13, 4)


def test_a_bar_whose_beginning_is_not_known_is_not_told() -> None:
    buckets = Buckets()
    buckets.take([bucket(T0 + BUCKET, 10)])
    assert buckets.bar(T0 + BUCKET, 900_000) is None
    assert buckets.bar(T0 + BUCKET, BUCKET) is not None
    buckets.take([bucket(T0 + HOUR, 10)])
    assert buckets.bar(T0 + HOUR, HOUR) is not None


def test_a_minute_is_told_once_trades_reach_back_before_it() -> None:
    minutes = Minutes()
    assert minutes.take([(1, T0 + 10_000, 5.0, 1.0)]) == []  # who knows what traded before
    ((first, over),) = minutes.take([(2, T0 + 61_000, 6.0, 1.0), (3, T0 + 62_000, 4.0, 2.0)])
    assert (first.start, first.open, first.high, first.low, first.close, first.volume) == (T0 + 60_000, 6, 6, 4, 4, 3)
    assert not over
    assert minutes.take([(3, T0 + 62_000, 4.0, 2.0)])[-1][0].volume == 3  # a repeat counts once
    (ended, was_over), (running, _) = minutes.take([(4, T0 + 125_000, 7.0, 1.0)])
    assert (ended.start, was_over, running.start) == (T0 + 60_000, True, T0 + 120_000)


def message(channel: str, number: int, event: dict[str, Any]) -> str:
    body = {"channel": channel, "timestamp": "2026-09-21T14:20:00Z", "sequence_num": number, "events": [event]}
    return json.dumps(body, separators=(",", ":"))


def test_the_stream_tells_the_bars_that_are_wanted() -> None:
    stream = CoinbaseMarketStream()
    wanted = [Topic(Channel.CANDLES, "BTC-USD", interval) for interval in ("1m", "5m", "1h", "1d")]
    asks = stream.plan(frozenset(), wanted, [])
    assert sorted(ask.payload["channel"] for ask in asks) == ["candles", "market_trades"]
    row = {"high": "3", "low": "1", "open": "2", "close": "2", "volume": "1", "product_id": "BTC-USD"}
    rows = [{**row, "start": str(start // 1000)} for start in (T0 + BUCKET, T0)]
    bars = stream.receive(message("candles", 0, {"type": "snapshot", "candles": rows}))
    told = [(bar.interval, bar.start, bar.volume) for bar in bars if isinstance(bar, Candle)]
    assert told == [("1h", T0, 2), ("5m", T0, 1), ("5m", T0 + BUCKET, 1)]

    trade = {"product_id": "BTC-USD", "price": "2", "size": "1", "side": "BUY"}
    trades = [
        {**trade, "trade_id": "8", "time": "2026-09-21T14:20:01Z"},
        {**trade, "trade_id": "7", "time": "2026-09-21T14:19:59Z"},
    ]
    events = stream.receive(message("market_trades", 1, {"type": "snapshot", "trades": trades}))
    assert [(bar.interval, bar.volume, bar.closed) for bar in events if isinstance(bar, Candle)] == [("1m", 1, False)]
    assert not any(isinstance(event, Trade) for event in events)  # nobody asked for them
