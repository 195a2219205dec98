"""What a frame leaves for the next one is drawn in the end, and the picture is then the one that is drawn at once."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QWidget

from app.loop import Loop
from app.markets import Feed
from app.settings import Settings
from app.terminal import Terminal
from connectors.catalogue import load
from connectors.contract import Environment
from connectors.model import BookDelta, Level, Side, Trade
from connectors.practice.server import PracticeServer
from connectors.practice.terms import NewOrder
from tests.waiting import until
from ui.clock import AT_ONCE_MS, FrameClock
from ui.panels import ladder, tape
from ui.panels.ladder import Ladder
from ui.panels.tape import Tape
from ui.theme import Theme

D = Decimal
ACCOUNT = "binance:paper"


def on_a_still_market(loop: Loop, home: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[..., None]) -> None:
    """Call `act(feed, terminal)` with a live book, from 99 to 101, that nobody but the caller moves."""
    monkeypatch.setenv("FATHOM_HOME", str(home))

    async def run() -> None:
        server = PracticeServer(load("binance"), crowd=False)
        await server.start()
        server.fund("street")
        server.exchange.deposit("street", "LTC", D(10))
        for side, price in ((Side.SELL, "101"), (Side.BUY, "99")):
            server.exchange.place("street", NewOrder(key="spot:LTC-USDT", side=side, amount=D(1), price=D(price)))
        settings = Settings()
        settings.preferences.accounts = [ACCOUNT]
        terminal = Terminal(settings=settings)
        terminal.accounts.hosts["binance"] = server.hosts
        await terminal.start()
        try:
            feed = None

            def opened() -> bool:
                nonlocal feed
                feed = feed or terminal.markets.open("binance:spot:LTC-USDT", Environment.PAPER)
                return feed is not None and feed.sync.live and feed.book.mid == 100

            await until(opened, "the book")
            act(feed, terminal)
        finally:
            await terminal.stop()
            await server.stop()

    loop.run_until_complete(run())


def picture(panel: Ladder | Tape) -> QImage:
    return panel.grab().toImage()


def test_a_ladder_that_draws_a_few_rows_a_frame_ends_with_the_picture_of_one_that_draws_all(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given random changes of the book, trades, scrolling and recentring, after the frames that are left both are equal."""
    monkeypatch.setattr(ladder, "AT_ONCE", 3)
    rng = random.Random(7)

    def act(feed: Feed, terminal: Terminal) -> None:
        panel = Ladder(Theme("dark"), terminal.desk)
        panel.resize(360, 700)
        panel.set_feed(feed)
        now, behind = 1000.0, 0
        middle = 100.0
        panel.frame(now)
        assert panel.rows is not None
        for turn in range(60):
            if turn % 10 == 9:
                middle += rng.choice((-0.2, -0.05, 0.05, 0.2))
            levels = {
                round(middle + tick * 0.01, 2): rng.randint(0, 40) / 10 for tick in rng.sample(range(-14, 15), 20)
            }
            bids = {price: size for price, size in levels.items() if price < middle}
            asks = {price: size for price, size in levels.items() if price > middle}
            gone = [price for price in feed.book.bids if price >= middle], [p for p in feed.book.asks if p <= middle]
            feed.book.apply(
                BookDelta(
                    wire=feed.instrument.wire,
                    bids=[Level(price, size) for price, size in (dict.fromkeys(gone[0], 0.0) | bids).items()],
                    asks=[Level(price, size) for price, size in (dict.fromkeys(gone[1], 0.0) | asks).items()],
                )
            )
            side = rng.choice((Side.BUY, Side.SELL))
            price = round(middle + rng.randint(-9, 9) * 0.01, 2)
            feed.take(Trade(wire=feed.instrument.wire, price=price, amount=1.5, side=side, id=str(turn), time=turn))
            if turn % 7 == 3:
                panel.rows.scroll(rng.choice((-3, 3)))
            now += 0.016
            panel.frame(now)
            best = feed.book.best_bid
            row = panel.rows.row_of(best[0]) if best else None
            assert [index for index, line in enumerate(panel._content) if line and line.telling.is_bid] == (
                [] if row is None else [row]
            )
            behind += panel._behind
            if turn % 5 == 4:
                for _ in range(40):
                    now += 0.016
                    panel.frame(now)
                assert not panel._behind
                panel._place = ()
                panel._draw_rows()  # traded volumes are summed up five times a second
                for _ in range(20):
                    panel._draw_rows()
                found = picture(panel)
                monkeypatch.setattr(ladder, "AT_ONCE", 1000)
                panel._forget()
                panel._draw_rows()
                assert found == picture(panel), f"turn {turn}"
                monkeypatch.setattr(ladder, "AT_ONCE", 3)
        assert behind > 20

    on_a_still_market(loop, tmp_path, monkeypatch, act)


def test_a_burst_of_trades_is_drawn_in_several_frames_and_shown_as_a_whole(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given bursts of up to 60 trades, what is shown has all of a burst or none of it, and equals a picture drawn at once."""
    rng = random.Random(11)

    def act(feed: Feed, terminal: Terminal) -> None:
        panel = Tape(Theme("dark"))
        panel.resize(260, 640)
        panel.set_feed(feed)
        number, now, most = 0, 1000.0, 0
        for burst in (1, 40, 3, 60, 8, 9, 25, 2, 17):
            before = picture(panel)
            for _ in range(burst):
                number += 1
                feed.take(
                    Trade(
                        wire=feed.instrument.wire,
                        price=100 + rng.randint(-50, 50) / 100,
                        amount=rng.randint(1, 900) / 100,
                        side=rng.choice((Side.BUY, Side.SELL)),
                        id=str(number),
                        time=1_700_000_000_000 + number * 700,
                    )
                )
            frames = 0
            while frames == 0 or panel._coming:
                shown = picture(panel)
                if frames:
                    assert rows_of(shown) == rows_of(before)
                panel.frame(now)
                now += 0.033
                frames += 1
                assert frames < 12
            most = max(most, frames)
            found = rows_of(picture(panel))
            panel._layout = ()
            assert found == rows_of(picture(panel))
            assert found != rows_of(before)
            assert len(panel._rows) == min(number, 400)
        assert most == 4  # 27 rows, eight a frame

    def rows_of(image: QImage) -> QImage:
        return image.copy(0, tape.HEAD, image.width(), image.height() - tape.HEAD - tape.FOOT)

    on_a_still_market(loop, tmp_path, monkeypatch, act)


def test_what_a_frame_has_no_time_for_comes_first_in_the_next(
    qapp: QApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = 0.0
    monkeypatch.setattr("ui.clock.time.monotonic", lambda: time)

    class Slow(QWidget):
        every = 1
        phase = 0
        unpainted = False

        def __init__(self, name: str, cost_ms: float, *, heavy: bool = False) -> None:
            super().__init__()
            self.heavy = heavy
            self.name = name
            self.cost_ms = cost_ms
            self.show()

        def frame(self, now: float) -> None:
            nonlocal time
            time += self.cost_ms / 1000
            drawn.append(self.name)

    drawn: list[str] = []
    clock = FrameClock()
    panels = [Slow("a", AT_ONCE_MS * 0.6), Slow("b", AT_ONCE_MS * 0.6), Slow("c", 1.0), Slow("d", 1.0)]
    for panel in panels:
        clock.register(panel)
    for _ in range(4):
        clock._tick()
        time += 0.016
        drawn.append("|")
    # each frame ends when its time is over, what it left comes first in the next, nobody is drawn twice in one
    assert "".join(drawn) == "ab|cda|ba|cda|"
    clock.unregister(panels[2])
    del drawn[:]
    clock._tick()
    assert "c" not in drawn
    clock = FrameClock()
    for panel in (Slow("x", 0.1, heavy=True), Slow("y", 0.1), Slow("z", 0.1, heavy=True)):
        clock.register(panel)
    del drawn[:]
    for _ in range(4):
        clock._tick()
        time += 0.016
        drawn.append("|")
    assert "".join(drawn) == "xy|zy|xy|zy|"  # what is heavy to paint takes turns


def test_a_frame_waits_until_the_last_one_is_painted_but_not_for_ever(qapp: QApplication) -> None:
    class Busy(QWidget):
        every = 1
        phase = 0
        heavy = False
        unpainted = False
        drawn = 0

        def frame(self, now: float) -> None:
            self.drawn += 1
            self.unpainted = True

    clock, panel = FrameClock(), Busy()
    panel.show()
    clock.register(panel)
    for _ in range(3):
        clock._tick()
    assert panel.drawn == 1
    clock._tick()
    assert panel.drawn == 2  # nobody ever painted it
    panel.unpainted = False
    clock._tick()
    assert panel.drawn == 3


def test_a_panel_that_was_moved_from_under_the_pointer_is_not_pointed_at(
    qapp: QApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = Tape(Theme("dark"))
    panel.resize(200, 200)
    panel.setAttribute(Qt.WidgetAttribute.WA_UnderMouse)  # what a layout leaves behind that nobody told of

    class Pointer:
        at = QPoint(100, 100)

        @classmethod
        def pos(cls) -> QPoint:
            return panel.mapToGlobal(cls.at)

    monkeypatch.setattr("ui.panel.QCursor", Pointer)
    assert panel.pointed_at
    Pointer.at = QPoint(500, 500)
    assert not panel.pointed_at
