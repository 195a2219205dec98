"""Shared live data: one subscription an instrument however many panels look at it, released when the last one leaves.

A `Feed` is data to look at, not a source of signals: panels compare `version` at frame time and take the trades since their
last look. Events arrive by plain calls from the session's loop.
"""

from __future__ import annotations

import time
from bisect import insort
from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QObject, Signal

from connectors.contract import Channel, Environment, Event, Page
from connectors.errors import NotSupported, VenueError
from connectors.model import Candle, Instrument, InstrumentStatus, MarkPrice, Side, Ticker, Trade

if TYPE_CHECKING:
    from app.accounts import Account, Accounts
    from connectors.book import OrderBook
    from connectors.sync import BookSync

TRADES_KEPT = 5000
PRICES_KEPT = 20_000
SHOWN = (Channel.BOOK, Channel.TRADES, Channel.TICKER)


class TradeRing:
    """The latest trades. `after` gives what came since a look; `lost` counts those that a slow looker missed."""

    def __init__(self) -> None:
        self._ring: deque[Trade] = deque(maxlen=TRADES_KEPT)
        self.total = 0
        self.lost = 0

    def add(self, trade: Trade) -> None:
        """One more."""
        self._ring.append(trade)
        self.total += 1

    def after(self, seen: int) -> tuple[list[Trade], int]:
        """Trades with a number above `seen`, oldest first, and the number to ask with next time."""
        new = self.total - seen
        if new <= 0:
            return [], self.total
        if new > len(self._ring):
            self.lost += new - len(self._ring)
            new = len(self._ring)
        return [self._ring[index] for index in range(len(self._ring) - new, len(self._ring))], self.total

    def latest(self) -> list[Trade]:
        """All that are kept, oldest first."""
        return list(self._ring)

    def last(self) -> Trade | None:
        """The newest."""
        return self._ring[-1] if self._ring else None


class TradedVolume:
    """How much was traded at each price since the feed began. `prices` are sorted: what is in sight is found by halving.

    Of more than `PRICES_KEPT` those that are furthest from the last trade are forgotten.
    """

    def __init__(self) -> None:
        self.prices: list[float] = []
        self.sizes: dict[float, float] = {}

    def add(self, trade: Trade) -> None:
        """One more."""
        known = self.sizes.get(trade.price)
        if known is None:
            prices = self.prices
            insort(prices, trade.price)
            known = 0.0
            if len(prices) > PRICES_KEPT:
                del self.sizes[prices.pop(0 if trade.price - prices[0] > prices[-1] - trade.price else -1)]
        self.sizes[trade.price] = known + trade.amount


class CandleSeries:
    """Bars of one interval, oldest first. `rows` has columns start, open, high, low, close, volume (float64)."""

    def __init__(self, interval: str) -> None:
        self.interval = interval
        self.version = 0
        self.problem = ""
        self._bars: list[Candle] = []

    def load(self, bars: list[Candle]) -> None:
        """History, as read; live bars that are newer stay."""
        newest = bars[-1].start if bars else 0
        self._bars = bars + [bar for bar in self._bars if bar.start > newest]
        self.version += 1

    def take(self, bar: Candle) -> None:
        """The running bar, or the next one."""
        if self._bars and self._bars[-1].start == bar.start:
            self._bars[-1] = bar
        elif not self._bars or bar.start > self._bars[-1].start:
            self._bars.append(bar)
            del self._bars[:-5000]
        self.version += 1

    @property
    def last(self) -> Candle | None:
        """The running bar."""
        return self._bars[-1] if self._bars else None

    @property
    def rows(self) -> np.ndarray:
        """Shape (n, 6), see the class."""
        return np.array(
            [(bar.start, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in self._bars]
        ).reshape(-1, 6)


class Feed(QObject):
    """Live data of one instrument in one environment. `version` rises on anything new."""

    def __init__(self, instrument: Instrument, account: Account) -> None:
        super().__init__()
        self.instrument = instrument
        self.account = account
        self.environment: Environment = account.environment
        self.ticker: Ticker | None = None
        self.mark: MarkPrice | None = None
        self.trades = TradeRing()
        self.traded = TradedVolume()
        self.version = 0
        self.users = 0
        self.last_event = 0.0
        self._candles: dict[str, CandleSeries] = {}
        self._sync: BookSync | None = None
        self._session: object = None  # the one that was asked for data; an account that starts again has another

    def ask(self) -> None:
        """Ask the account's session for everything that is shown, once a session; the book is old while there is none."""
        session = self.account.session
        if session is self._session:
            return
        self._session = session
        if session is None:
            if self._sync is not None:
                self._sync.disconnected("the account is not connected", time.monotonic())
            return
        found = session.instruments.get(self.instrument.key)
        if found is None:
            self._session = None  # its lists are still being read
            return
        self.instrument = found
        for channel in SHOWN:
            session.subscribe(channel, found)
        for interval in self._candles:
            session.subscribe(Channel.CANDLES, found, interval)

    def release(self) -> None:
        """Nobody looks any more."""
        session, self._session = self._session, None
        if session is None or session is not self.account.session:
            return
        for channel in SHOWN:
            self.account.session.unsubscribe(channel, self.instrument)
        for interval in self._candles:
            self.account.session.unsubscribe(Channel.CANDLES, self.instrument, interval)

    @property
    def sync(self) -> BookSync:
        """How far the book is proven."""
        found = self.account.session.sync(self.instrument) if self.account.session is not None else None
        if found is None and self._sync is None:
            from connectors.sync import BookSync

            self._sync = BookSync(self.account.venue.family(self.instrument.family).book, self.instrument.wire)
        if found is not None:
            self._sync = found
        assert self._sync is not None  # noqa: S101 - set just above
        return self._sync

    @property
    def book(self) -> OrderBook:
        """The book, as far as `sync` says that it can be trusted."""
        return self.sync.book

    def age(self, now: float) -> float | None:
        """Seconds (monotonic) since the connection that carries the book last said anything."""
        heard = self.account.session.last_heard(self.instrument) if self.account.session is not None else None
        return None if heard is None else max(0.0, now - heard)

    async def candles(self, interval: str, limit: int = 500) -> CandleSeries:
        """Bars with history, kept live from now on. What could not be read stands in `problem`."""
        series = self._candles.get(interval)
        if series is not None:
            return series
        series = self._candles[interval] = CandleSeries(interval)
        session = self.account.session
        if session is None:
            series.problem = "not connected"
            return series
        session.subscribe(Channel.CANDLES, self.instrument, interval)
        try:
            series.load(await session.candles(self.instrument, interval, Page(limit=limit)))
        except (VenueError, NotSupported) as error:
            series.problem = str(error)
        return series

    def take(self, event: Event) -> None:
        """A market event of this instrument."""
        self.version += 1
        self.last_event = time.monotonic()
        if isinstance(event, Trade):
            self.trades.add(event)
            self.traded.add(event)
        elif isinstance(event, Ticker):
            self._merge(event)
        elif isinstance(event, Candle):
            series = self._candles.get(event.interval)
            if series is not None:
                series.take(event)
        elif isinstance(event, MarkPrice):
            self.mark = event

    def _merge(self, event: Ticker) -> None:
        if self.ticker is None:
            self.ticker = event
            return
        for name in Ticker.__struct_fields__:
            value = getattr(event, name)
            if value is not None:
                setattr(self.ticker, name, value)


class Markets(QObject):
    """Feeds by instrument and environment, counted. `instruments_changed` when an account brought or lost some."""

    instruments_changed = Signal()

    def __init__(self, accounts: Accounts) -> None:
        super().__init__()
        self._accounts = accounts
        self._feeds: dict[tuple[str, str], Feed] = {}
        accounts.changed.connect(self._account_changed)

    def _account_changed(self, account_id: str) -> None:
        """An account that was started again gets the subscriptions of all who still look."""
        for feed in self._feeds.values():
            if feed.account.id == account_id:
                feed.ask()
        self.instruments_changed.emit()

    def instruments(self) -> list[Instrument]:
        """Everything tradable of all running accounts."""
        return [
            instrument
            for account in self._accounts.accounts.values()
            for instrument in account.instruments.values()
            if instrument.status is InstrumentStatus.TRADING
        ]

    def find(self, key: str) -> Instrument | None:
        """By key, in whichever account has it."""
        for account in self._accounts.accounts.values():
            if key in account.instruments:
                return account.instruments[key]
        return None

    @property
    def feeds(self) -> list[Feed]:
        """Everything that somebody looks at."""
        return list(self._feeds.values())

    def search(self, text: str) -> list[tuple[Account, Instrument]]:
        """Instruments whose name, symbol, venue or environment contain every word, best matches first, with their accounts."""
        words = text.upper().replace("/", "-").split()
        scored = []
        for number, account in enumerate(self._accounts.accounts.values()):
            for instrument in account.instruments.values():
                if instrument.status is not InstrumentStatus.TRADING:
                    continue
                hay = f"{instrument.symbol} {instrument.wire} {account.name} {instrument.market}".upper()
                if all(word in hay for word in words):
                    starts = not words or instrument.symbol.startswith(words[0])
                    scored.append(((not starts, instrument.symbol, number), account, instrument))
        return [(account, instrument) for _, account, instrument in sorted(scored, key=lambda row: row[0])]

    def open(self, instrument_key: str, environment: Environment) -> Feed | None:
        """A feed to look at; each `open` needs its `close`. None if no account has the instrument there."""
        feed = self._feeds.get((instrument_key, environment))
        if feed is None:
            account = self._account(instrument_key, environment)
            if account is None or account.session is None:
                return None
            feed = self._feeds[instrument_key, environment] = Feed(account.instruments[instrument_key], account)
            feed.ask()
        feed.users += 1
        return feed

    def close(self, feed: Feed) -> None:
        """The looker leaves."""
        feed.users -= 1
        if feed.users > 0:
            return
        self._feeds.pop((feed.instrument.key, feed.environment), None)
        feed.release()

    def market(self, event: Event, instrument: Instrument, environment: Environment) -> None:
        """From an account's session."""
        feed = self._feeds.get((instrument.key, environment))
        if feed is not None:
            feed.take(event)

    def _account(self, key: str, environment: Environment) -> Account | None:
        for account in self._accounts.accounts.values():
            if account.environment is environment and key in account.instruments:
                return account
        return None


__all__ = ["CandleSeries", "Feed", "Markets", "Side", "TradeRing"]
