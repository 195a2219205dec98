"""The real window, the real connector, the practice server over real sockets: what a trader does on the first day."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.accounts import AccountState
from app.loop import Loop
from app.orders import OrderState
from app.terminal import Terminal
from connectors.contract import Environment
from connectors.model import Side
from connectors.sync import BookState
from tests.end_to_end.stage import ladder_point, nothing_runs, play, ready, stand_still, until
from ui.window import Window


def test_first_start_click_fill_and_cancel(loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """given a first start, when the ladder is clicked, then orders are acknowledged, filled, cancelled and shown."""

    async def scenario(terminal: Terminal, window: Window) -> None:
        account = await ready(terminal, window)
        assert window.strip.badge.text().startswith("PRACTICE")
        feed = window.feed
        assert feed is not None
        assert feed.instrument.key == "binance:spot:BTC-USDT"
        before = feed.book.version
        await until(lambda: feed.book.version > before + 5, "depth that moves")
        ladder, desk = window.ladder, terminal.desk
        server = await stand_still(window, account)  # a crowd could fill what is to be cancelled
        QTest.keyClick(ladder, Qt.Key.Key_Space)

        # disarmed: a click fills the ticket and sends nothing
        row = ladder.rows.count - 4  # ty: ignore[missing-union-attribute] - ready saw the rows
        price = ladder.rows.price(row)  # ty: ignore[missing-union-attribute] - as above
        QTest.mouseClick(ladder, Qt.MouseButton.LeftButton, pos=ladder_point(window, row, Side.BUY))
        assert window.ticket.price.value == price
        assert not desk.orders

        # armed: a click in the bid column rests a limit order at that price
        window.toggle_armed()
        assert desk.armed(Environment.PRACTICE)
        QTest.mouseClick(ladder, Qt.MouseButton.LeftButton, pos=ladder_point(window, row, Side.BUY))
        assert len(desk.orders) == 1
        order = next(iter(desk.orders.values()))
        assert (order.side, order.price) == (Side.BUY, price)
        await until(lambda: order.state is OrderState.OPEN, "the acknowledgement")
        assert order.venue_id
        await until(lambda: order in window.orders.table.rows.rows, "the order in the table")

        # a click on it cancels it
        again = ladder.rows.row_of(float(price), Side.BUY)  # ty: ignore[missing-union-attribute] - as above
        assert again is not None
        QTest.mouseClick(ladder, Qt.MouseButton.LeftButton, pos=ladder_point(window, again, Side.BUY))
        await until(lambda: order.state is OrderState.CANCELLED, "the cancel")

        # a large order through the touch is filled in part, the rest cancelled: IOC from the ticket
        window.ticket.set_side(Side.BUY)
        ask = feed.book.best_ask
        assert ask is not None
        window.ticket.price.set(Decimal(repr(ask[0])))
        window.ticket.amount.set(Decimal("1.5"))
        window.ticket.refresh()
        QTest.mouseClick(window.ticket.send, Qt.MouseButton.LeftButton)
        big = await until(lambda: next((o for o in desk.orders.values() if o.id != order.id), None), "the second order")
        await until(lambda: big.filled > 0, "a fill")
        await until(lambda: big.state in (OrderState.PARTLY_FILLED, OrderState.FILLED), "part filled")
        if not big.is_final:
            desk.cancel(big.id)
        await until(lambda: big.is_final, "the end")
        # an answer may tell what is filled before the private stream tells the executions
        await until(
            lambda: sum(own.fill.amount for own in desk.fills if own.order == big.id) == big.filled, "all fills"
        )
        await until(lambda: big.fee is not None, "the fee")

        # journal, desk and exchange agree
        await desk.journal.flush()
        records = {record.id: record for record in await desk.journal.orders()}
        exchange = server.exchange
        for ours in desk.orders.values():
            theirs = exchange.order("trader", int(ours.venue_id))
            assert theirs.filled == ours.filled
            assert theirs.client_id == ours.client_id
            assert records[ours.id].final
            assert records[ours.id].client_ids == (ours.client_id,)

    play(loop, tmp_path, monkeypatch, scenario)


def test_a_click_counts_only_where_it_was_pressed(loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(terminal: Terminal, window: Window) -> None:
        await ready(terminal, window)
        window.toggle_armed()
        ladder = window.ladder
        first, second = ladder_point(window, 10, Side.SELL), ladder_point(window, 11, Side.SELL)
        QTest.mousePress(ladder, Qt.MouseButton.LeftButton, pos=first)
        QTest.mouseRelease(ladder, Qt.MouseButton.LeftButton, pos=second)
        assert "nothing sent" in ladder.said
        QTest.mousePress(ladder, Qt.MouseButton.LeftButton, pos=first)
        assert ladder.rows is not None
        ladder.rows.scroll(3)  # the price under the pointer changes while the button is down
        QTest.mouseRelease(ladder, Qt.MouseButton.LeftButton, pos=first)
        assert "changed" in ladder.said
        assert not terminal.desk.orders

    play(loop, tmp_path, monkeypatch, scenario)


class Late(random.Random):
    """Jitter that lets pass as much time as it may, so that what comes before the next attempt is there to be seen."""

    def uniform(self, a: float, b: float) -> float:
        """The longest pause."""
        return b


def test_cut_sockets_make_the_book_stale_and_it_comes_back(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(terminal: Terminal, window: Window) -> None:
        await ready(terminal, window)
        feed, account = window.feed, terminal.accounts.focus
        assert feed is not None
        assert account is not None
        assert account.server is not None
        window.toggle_armed()
        for link in account.session.feeds.links:
            link._chance = Late()
        await account.server.cut()
        await until(lambda: feed.sync.state is BookState.STALE, "a stale book")
        # while it is stale nothing leaves
        QTest.mouseClick(window.ladder, Qt.MouseButton.LeftButton, pos=ladder_point(window, 5, Side.SELL))
        assert "not sent" in window.ladder.said
        assert not terminal.desk.orders
        await until(lambda: feed.sync.live, "the book to be live again")
        await until(lambda: account.state is AccountState.READY, "the account to be back")
        assert feed.sync.counters.resyncs == 1
        theirs = account.server.exchange
        await until(lambda: same_top(feed, theirs), "a book equal to the exchange's own")

    play(loop, tmp_path, monkeypatch, scenario)


def same_top(feed: Any, exchange: Any) -> bool:
    image = exchange.book("spot:BTC-USDT", 20)
    if feed.sync.last_id != image.sequence:
        return False
    bids, asks = feed.book.top(20)
    expected = (
        [(float(row.price), float(row.size)) for row in image.bids],
        [(float(row.price), float(row.size)) for row in image.asks],
    )
    return (bids, asks) == expected


def test_an_order_whose_answer_is_lost_is_unknown_and_then_found(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given a venue that accepts an order and loses the answer, then the order is amber, asked for, and never sent again."""

    async def scenario(terminal: Terminal, window: Window) -> None:
        account = await ready(terminal, window)
        for link in list(account.session.private.trade_links.values()):
            await link.stop()  # orders then leave by HTTP, where the answer can be lost
        server = await stand_still(window, account)  # a crowd could fill the order before it is seen to stand
        server.faults.lose_next.append("cut")
        states: list[OrderState] = []
        terminal.desk.order_changed.connect(lambda key: states.append(terminal.desk.orders[key].state))
        window.toggle_armed()
        row = window.ladder.rows.count - 3  # ty: ignore[missing-union-attribute] - ready saw the rows
        QTest.mouseClick(window.ladder, Qt.MouseButton.LeftButton, pos=ladder_point(window, row, Side.BUY))
        order = next(iter(terminal.desk.orders.values()))
        await until(lambda: OrderState.UNKNOWN in states or order.state is OrderState.OPEN, "doubt or the event")
        await until(lambda: order.state is OrderState.OPEN, "the truth")
        assert order.venue_id
        assert len(server.exchange.open_orders("trader")) == 1
        terminal.desk.cancel(order.id)
        await until(lambda: order.state is OrderState.CANCELLED, "the cancel")

    play(loop, tmp_path, monkeypatch, scenario)


def test_a_recording_is_shown_like_live_data(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, venues_dir: Path
) -> None:
    async def scenario(terminal: Terminal, window: Window) -> None:
        await until(lambda: window.feed is not None and window.feed.sync.live, "a live book from the recording")
        source = terminal.accounts.focus.session  # ty: ignore[missing-union-attribute] - a feed has an account
        await until(lambda: source.progress == 1.0, "the end of the recording")
        report = source.report
        assert sum(book.gaps for book in report.books.values()) == 0
        assert report.not_understood == 0
        assert window.strip.badge.text().startswith("REPLAY")
        assert not terminal.accounts.focus.can_trade  # ty: ignore[missing-union-attribute] - as above

    path = venues_dir / "binance" / "session-spot-2021-10-12.jsonl.gz"
    play(loop, tmp_path, monkeypatch, scenario, replay=path, speed=1e9)


def test_a_recording_that_is_opened_as_another_venues_says_that_nothing_of_it_can_be_shown(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, venues_dir: Path
) -> None:
    told: list[str] = []

    async def scenario(terminal: Terminal, window: Window) -> None:
        assert told == [f"{path.name} names no address of Kraken: nothing in it can be shown as Kraken's."]

    def listen(terminal: Terminal) -> None:
        terminal.desk.message.connect(lambda notice: told.append(notice.text))

    path = venues_dir / "binance" / "session-spot-2021-10-12.jsonl.gz"
    play(loop, tmp_path, monkeypatch, scenario, prepare=listen, replay=path, venue="kraken")


def test_the_browser_shows_the_quarters_table_exactly(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(terminal: Terminal, window: Window) -> None:
        window.show_workspace("Connectors")
        rows = [entry.row for entry in window.browser.table.rows.rows]
        assert len(rows) == 23
        assert [row.name for row in rows[:5]] == ["Binance", "Kucoin", "Gate.io", "AscendEx", "AltMarkets"]
        assert [row.name for row in rows[-4:]] == ["MEXC", "NDAX", "OKX", "Phemex"]
        assert [row.tier for row in rows].count("Bronze") == 19
        window.browser.choose("ndax")
        assert window.browser.detail.entry is not None
        assert window.browser.detail.entry.row.maintainer == "CoinAlpha"
        asked: list[str] = []
        window.browser.link_asked.disconnect(window.open_link)
        window.browser.link_asked.connect(asked.append)
        window.browser.choose("okx")
        index = window.browser.table.currentIndex().siblingAtColumn(4)
        window.browser._clicked(index)
        assert asked == ["https://www.okx.com/join/1931920"]
        window.browser.filter.setText("silver-nothing")
        assert not window.browser.table.rows.rows

    play(loop, tmp_path, monkeypatch, scenario, settings=nothing_runs(tmp_path, monkeypatch))


def test_a_recording_without_a_list_of_instruments_is_shown_with_the_decimals_of_its_books(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, venues_dir: Path
) -> None:
    """given a recording that is played before anybody looks, then its books are on the screen, in rows that hold them."""
    path = venues_dir / "kraken" / "session-v2-20260816.jsonl.gz"

    async def scenario(terminal: Terminal, window: Window) -> None:
        await until(lambda: window.feed is not None and window.feed.sync.live, "a book of the recording")
        assert [row.feed.instrument.symbol for row in window.watchlist.rows] == ["BTC-USD", "MINA-GBP"]
        feed = window.feed
        assert feed is not None
        await until(lambda: feed.book.best_bid is not None and feed.book.best_bid[0] == 62802.5, "the last price")
        await until(lambda: window.ladder.rows is not None and window.ladder.rows.top is not None, "rows in the ladder")
        assert feed.instrument.price_digits == 1
        assert any(window.ladder.rows.sizes(feed.book)[0])  # ty: ignore[missing-union-attribute] - as above

    play(loop, tmp_path, monkeypatch, scenario, replay=path, speed=1e9)
