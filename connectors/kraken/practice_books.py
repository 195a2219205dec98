"""Kraken's books from the venue's side: windows of every depth, what changes in them, and the checksum.

The renderer owns the digits: what is summed is the very text that is sent. A level that falls out of a subscriber's depth is
never deleted by a message, one that comes back into it is sent again in full.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, insort
from decimal import Decimal

from connectors.kraken.practice_orders import iso
from connectors.kraken.practice_pairs import Pair, size
from connectors.practice.exchange import Exchange
from connectors.practice.terms import BookLevel


class BookSide:
    """One side as text: every level that the exchange has, and prices in order (best first by `sign`)."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[Decimal] = []
        self.texts: dict[Decimal, tuple[str, str]] = {}

    def set(self, level: BookLevel, pair: Pair) -> None:
        """Put a level, or take it out at size zero."""
        key = level.price * self.sign
        if level.size:
            if key not in self.texts:
                insort(self.keys, key)
            self.texts[key] = (pair.price(level.price), size(level.size))
        elif key in self.texts:
            del self.texts[key]
            del self.keys[bisect_left(self.keys, key)]


class Book:
    """What has been told of one pair's book, for subscribers of every depth."""

    def __init__(self, exchange: Exchange, pair: Pair) -> None:
        self.exchange = exchange
        self.pair = pair
        image = exchange.book(pair.key)
        self.sequence = image.sequence
        self.time = image.time
        self.bids, self.asks = BookSide(-1), BookSide(1)
        for side, levels in ((self.bids, image.bids), (self.asks, image.asks)):
            for level in levels:
                side.set(level, pair)

    @property
    def checksum(self) -> int:
        """CRC32 over ten asks, then ten bids: price and size without points and leading zeros."""
        text = ""
        for side in (self.asks, self.bids):
            for key in side.keys[:10]:
                for part in side.texts[key]:
                    text += part.replace(".", "").lstrip("0")
        return zlib.crc32(text.encode())

    def snapshot(self, depth: int) -> str:
        """The window of a depth."""
        bids, asks = ([_level(*side.texts[key]) for key in side.keys[:depth]] for side in (self.bids, self.asks))
        return self._frame("snapshot", bids, asks)

    def advance(self, depths: set[int]) -> dict[int, str]:
        """Catch up with the exchange; the update for each depth that sees a change."""
        changes = self.exchange.book_changes(self.pair.key, self.sequence)
        if changes is None:
            raise LookupError("the exchange no longer keeps so old a change")
        if changes.last == self.sequence:
            return {}
        old = {(side, depth): side.keys[:depth] for side in (self.bids, self.asks) for depth in depths}
        for side, levels in ((self.bids, changes.bids), (self.asks, changes.asks)):
            for level in levels:
                side.set(level, self.pair)
        self.sequence, self.time = changes.last, changes.time
        found = {}
        for depth in depths:
            bids = self._changed(self.bids, changes.bids, old[self.bids, depth], depth)
            asks = self._changed(self.asks, changes.asks, old[self.asks, depth], depth)
            if bids or asks:
                found[depth] = self._frame("update", bids, asks)
        return found

    def _changed(self, side: BookSide, levels: list[BookLevel], before: list[Decimal], depth: int) -> list[str]:
        """Levels to send: deleted ones that were seen, changed ones that are seen, and those that came into view."""
        window = side.keys[:depth]
        seen, shown = set(before), set(window)
        rows = []
        for level in levels:
            key = level.price * side.sign
            if key in side.texts:
                if key in shown:
                    rows.append(_level(*side.texts[key]))
            elif key in seen:
                rows.append(_level(self.pair.price(level.price), size(Decimal(0))))
        if len(before) == depth:
            changed = {level.price * side.sign for level in levels}
            entered = window[bisect_left(window, before[-1]) :]
            rows += [_level(*side.texts[key]) for key in entered if key not in seen and key not in changed]
        return rows

    def _frame(self, kind: str, bids: list[str], asks: list[str]) -> str:
        return (
            f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{self.pair.wire}","bids":[{",".join(bids)}],'
            f'"asks":[{",".join(asks)}],"checksum":{self.checksum},"timestamp":"{iso(self.time)}"}}]}}'
        )


def _level(price: str, qty: str) -> str:
    return f'{{"price":{price},"qty":{qty}}}'
