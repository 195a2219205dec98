"""Coinbase's Exchange (Pro) feed of 2021: whole books, then `l2update` rows with absolute sizes and no number at all.

`side` of a match is the maker's, of a ticker the taker's; `last_match` and the first ticker of a product are history.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from connectors.catalogue import load
from connectors.coinbase import rows
from connectors.coinbase.frames import milliseconds
from connectors.coinbase.trading import CoinbaseTrading
from connectors.contract import Active, Ask, Call, Endpoint, Event, Flow, Role, Stream, Topic, Unknown, once
from connectors.model import BookDelta, BookSnapshot, Instrument, Level, Side, Ticker, Trade


class ExchangeStream(Stream):
    def plan(self, active: frozenset[Topic], add: Sequence[Topic], drop: Sequence[Topic]) -> list[Ask]:
        return []

    def receive(self, frame: str | bytes) -> list[Event]:
        row = json.loads(frame)
        match row["type"]:
            case "snapshot":
                return [BookSnapshot(wire=row["product_id"], bids=levels(row["bids"]), asks=levels(row["asks"]))]
            case "l2update":
                sides: dict[str, list[Level]] = {"buy": [], "sell": []}
                for side, price, size in row["changes"]:
                    sides[side].append(Level(float(price), float(size)))
                time = milliseconds(row["time"])
                return [BookDelta(wire=row["product_id"], bids=sides["buy"], asks=sides["sell"], time=time)]
            case "ticker":
                return [
                    Ticker(
                        wire=row["product_id"],
                        bid=float(row["best_bid"]),
                        ask=float(row["best_ask"]),
                        last=float(row["price"]),
                        time=milliseconds(row["time"]),
                    )
                ]
            case "match":
                return [
                    Trade(
                        wire=row["product_id"],
                        price=float(row["price"]),
                        amount=float(row["size"]),
                        side=Side(row["side"]).opposite,
                        time=milliseconds(row["time"]) or 0,
                        id=str(row["trade_id"]),
                    )
                ]
            case "last_match":
                return []
            case "subscriptions":
                return [Active(())]
        return [Unknown(f"type {row['type']}", str(frame))]


def levels(pairs: list[list[str]]) -> list[Level]:
    return [Level(float(price), float(size)) for price, size in pairs]


class ExchangeTrading(CoinbaseTrading):
    def instruments(self) -> Flow[list[Instrument]]:
        def read(answer: Any) -> list[Instrument]:
            return [
                rows.instrument(
                    {
                        **row,
                        "product_id": row["id"],
                        "base_currency_id": row["base_currency"],
                        "quote_currency_id": row["quote_currency"],
                    }
                )
                for row in json.loads(answer.body)
            ]

        return once(Call(endpoint=Role.REST, method="GET", path="/products", read=read))


_LIVE = load("coinbase")
VENUE = dataclasses.replace(
    _LIVE,
    families=(
        dataclasses.replace(
            _LIVE.families[0],
            endpoints=(
                Endpoint(Role.REST, "https://api.pro.coinbase.com"),
                Endpoint(Role.MARKET, "wss://ws-feed.pro.coinbase.com"),
            ),
            trading=ExchangeTrading(),
            market_stream=lambda role: ExchangeStream(),
        ),
    ),
)
