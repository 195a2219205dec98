"""Kraken's WebSocket v1 of 2021: arrays instead of objects, text instead of numbers, the checksum beside the last side.

`[id, {"as", "bs"}, "book-1000", pair]` is a snapshot, `[id, {"a"|"b", "c"}, ..., pair]` an update; one that changes both sides has
two maps, so name and pair are counted from the end. Levels are cut, and summed, as on v2.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from connectors.catalogue import load
from connectors.contract import Alive, Ask, Event, Stream, Topic, Unknown
from connectors.kraken.market import side_of
from connectors.kraken.names import wire_of
from connectors.model import BookDelta, BookSnapshot, Side, Ticker, Trade


class KrakenV1Stream(Stream):
    def plan(self, active: frozenset[Topic], add: Sequence[Topic], drop: Sequence[Topic]) -> list[Ask]:
        return []

    def receive(self, frame: str | bytes) -> list[Event]:
        body = json.loads(frame)
        if isinstance(body, dict):
            known = body.get("event") in ("systemStatus", "subscriptionStatus", "heartbeat")
            return [Alive()] if known else [Unknown(f"event {body.get('event')}", str(frame))]
        channel, wire = body[-2], wire_of(body[-1])
        if channel.startswith("book-"):
            return [self._book(body[1:-2], wire, int(channel.removeprefix("book-")))]
        if channel == "trade":
            return [
                Trade(
                    wire=wire,
                    price=float(row[0]),
                    amount=float(row[1]),
                    side=Side.BUY if row[3] == "b" else Side.SELL,
                    time=int(float(row[2]) * 1000),
                )
                for row in body[1]
            ]
        if channel == "ticker":
            return [Ticker(wire=wire, bid=float(body[1]["b"][0]), ask=float(body[1]["a"][0]))]
        return [Unknown(f"channel {channel}", str(frame))]

    @staticmethod
    def _book(parts: list[dict[str, Any]], wire: str, depth: int) -> Event:
        whole = {name: rows for part in parts for name, rows in part.items()}
        if "as" in whole:
            bids, bid_digits = side_of([(row[0], row[1]) for row in whole["bs"]])
            asks, ask_digits = side_of([(row[0], row[1]) for row in whole["as"]])
            return BookSnapshot(wire=wire, bids=bids, asks=asks, depth=depth, text=(bid_digits, ask_digits))
        bids, bid_digits = side_of([(row[0], row[1]) for row in whole.get("b", [])])
        asks, ask_digits = side_of([(row[0], row[1]) for row in whole.get("a", [])])
        checksum = int(whole["c"])
        return BookDelta(wire=wire, bids=bids, asks=asks, checksum=checksum, text=(bid_digits, ask_digits))


_LIVE = load("kraken")
VENUE = dataclasses.replace(
    _LIVE,
    families=(dataclasses.replace(_LIVE.families[0], market_stream=lambda role: KrakenV1Stream()),),
)
