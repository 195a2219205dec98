"""Whatever arrives on KuCoin's sockets, `receive` answers with events and never raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.contract import Stream
from connectors.kucoin.account import FuturesAccountStream, SpotAccountStream
from connectors.kucoin.market import KucoinMarketStream
from tests.conftest import SHARED

PATH = SHARED / "venues" / "kucoin" / "samples.jsonl"
STREAMS = {
    "spot market": lambda: KucoinMarketStream(futures=False),
    "futures market": lambda: KucoinMarketStream(futures=True),
    "spot account": SpotAccountStream,
    "futures account": FuturesAccountStream,
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.just([]),
    st.just({}),
    st.just("NaN"),
    st.just("-1"),
    st.just("1e400"),
)


def shapes() -> list[Any]:
    rows = [json.loads(line) for line in PATH.read_text().splitlines()] if PATH.exists() else []
    made = [
        {
            "type": "message",
            "topic": "/market/level2:BTC-USDT",
            "subject": "trade.l2update",
            "data": {
                "changes": {"asks": [["1", "2", "3"], ["0", "0", "4"]], "bids": [["1", "0", "5"]]},
                "sequenceStart": 3,
                "sequenceEnd": 5,
                "symbol": "BTC-USDT",
                "time": 1,
            },
        },
        {"id": "1", "type": "error", "code": 404, "data": "topic does not exist"},
    ]
    return made + [row["data"] for row in rows if row["kind"].startswith("ws.")]


def wounded(draw: Any, value: Any) -> Any:
    """A copy with one part replaced, left out or added somewhere."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(value)))
        how = draw(st.integers(0, 3))
        if how == 0:
            return {name: part for name, part in value.items() if name != key}
        if how == 1:
            return {**value, key: draw(ODD)}
        return {**value, key: wounded(draw, value[key])}
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        index = draw(st.integers(0, len(value) - 1))
        return [*value[:index], wounded(draw, value[index]), *value[index + 1 :]]
    return draw(ODD)


def receive(stream: Stream, frame: str | bytes) -> None:
    assert isinstance(stream.receive(frame), list)


@pytest.mark.parametrize("name", STREAMS)
@given(frame=st.one_of(st.text(max_size=300), st.binary(max_size=300)))
@settings(max_examples=150)
def test_any_text_and_bytes(name: str, frame: str | bytes) -> None:
    receive(STREAMS[name](), frame)


@pytest.mark.parametrize("name", STREAMS)
@given(data=st.data())
@settings(max_examples=400)
def test_samples_with_a_wound(name: str, data: st.DataObject) -> None:
    stream = STREAMS[name]()
    for _ in range(3):
        shape = wounded(data.draw, data.draw(st.sampled_from(shapes_once)))
        receive(stream, json.dumps(shape))
        receive(stream, json.dumps(shape).encode())


shapes_once = shapes()
