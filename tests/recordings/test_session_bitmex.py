"""The recording of 2021: its own best prices and its own arithmetic are witnesses for the books and the instruments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from connectors.bitmex import rows
from connectors.bitmex.market import BitmexMarketStream
from connectors.catalogue import load
from connectors.contract import Event
from connectors.model import BookDelta, Instrument, Ticker, Unit
from connectors.runtime.record import read
from connectors.runtime.replay import Replay

NAME = "session-20210722.jsonl.gz"


class Quotes:
    """Keeps the last quote of each instrument."""

    def __init__(self) -> None:
        self.last: dict[str, Ticker] = {}

    def market(self, event: Event, instrument: Instrument) -> None:
        if isinstance(event, Ticker):
            self.last[event.wire] = event

    def account(self, event: object, family: str) -> None:
        raise AssertionError("there is no account in it")

    def ready(self, family: str) -> None:
        raise AssertionError("there is no account in it")

    def lost(self, family: str, why: str) -> None:
        raise AssertionError("nothing is lost in a replay")

    def declined(self, text: str) -> None:
        raise AssertionError(text)


def replayed(path: Path) -> tuple[Replay, Quotes]:
    quotes = Quotes()
    run = Replay(load("bitmex"), quotes)
    for row in read(path):
        run.feed(row)
    return run, quotes


def tables(path: Path, name: str) -> Iterator[Any]:
    for row in read(path):
        if row.dir == "in" and f'"table":"{name}"' in row.data:
            yield json.loads(row.data)


def test_the_books_end_where_the_venues_last_quotes_say(venues_dir: Path) -> None:
    """Nine of ten to the last contract; the quote of the tenth had not come yet, and is one tick away."""
    run, quotes = replayed(venues_dir / "bitmex" / NAME)
    equal, apart = 0, []
    for (_, wire), book in run.books.items():
        told, best = quotes.last[wire], book.sync.book
        if (best.best_bid, best.best_ask) == ((told.bid, told.bid_size), (told.ask, told.ask_size)):
            equal += 1
        else:
            assert best.best_bid is not None
            assert best.best_ask is not None
            assert told.bid is not None
            assert told.ask is not None
            tick = float(book.instrument.tick)
            apart.append(round(max(abs(best.best_bid[0] - told.bid), abs(best.best_ask[0] - told.ask)) / tick, 6))
    assert (equal, apart) == (9, [1.0])


def test_prices_are_taken_from_the_image_and_agree_with_the_ids_of_that_time(venues_dir: Path) -> None:
    """Until 2023 an id was 8800000000 less a hundred times the price of XBTUSD: updates and deletes name it alone."""
    checked, alone = 0, BitmexMarketStream()
    for message in tables(venues_dir / "bitmex" / NAME, "orderBookL2"):
        for row in message["data"]:
            if row["symbol"] == "XBTUSD" and "price" in row:
                assert row["id"] == 8_800_000_000 - round(row["price"] * 100)
                checked += 1
                nameless = {"table": "orderBookL2", "action": "delete", "data": [{**row, "price": None}]}
                (event,) = alone.read_alone(json.dumps(nameless))
                assert isinstance(event, BookDelta)
                assert [level.price for level in (*event.bids, *event.asks)] == [row["price"]]
            assert ("price" in row) is (message["action"] in ("partial", "insert"))
    assert checked > 9000


def test_every_recorded_trade_is_worth_what_its_instrument_says(venues_dir: Path) -> None:
    """`grossValue` of each trade, in XBt, from the contract's own row: inverse, quanto and futures on XBT alike."""
    run, _ = replayed(venues_dir / "bitmex" / NAME)
    instruments = {row.wire: row for row in run.instruments.values()}
    kinds = set()
    for message in tables(venues_dir / "bitmex" / NAME, "trade"):
        for row in message["data"]:
            instrument = instruments[row["symbol"]]
            price, size = rows.money(row["price"]), rows.money(row["size"])
            # the venue rounds the value of one lot, and multiplies that
            lot = round(instrument.notional(price, instrument.size.step) * 10**8)
            assert lot * size / instrument.size.step == row["grossValue"], row
            kinds.add(instrument.unit)
    assert kinds == {Unit.INVERSE, Unit.QUANTO, Unit.LINEAR}
