"""BookSync against an exchange that keeps the truth for every sequence number."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.book import OrderBook
from connectors.catalogue import load, slugs
from connectors.contract import BookRule, Join, Link, Repair, Source
from connectors.model import BookDelta, BookSnapshot, Level
from connectors.sync import BookState, BookSync


def checksum(book: OrderBook) -> int:
    return hash(tuple(map(tuple, book.top(1000)))) & 0xFFFFFFFF


SPOT = BookRule(source=Source.CALL, link=Link.RANGE, join=Join.NEXT)
FUTURES = BookRule(source=Source.CALL, link=Link.PREV, join=Join.WITHIN)
STREAM = BookRule(source=Source.STREAM, link=Link.RANGE, repair=(Repair.RESUBSCRIBE, Repair.RECONNECT))
SUMMED = BookRule(source=Source.STREAM, link=Link.NONE, checksum=checksum, repair=(Repair.RESUBSCRIBE,), cut=50)

_BACK = (Repair.RESUBSCRIBE, Repair.RECONNECT)
# Every sound pairing of where the image comes from, how it is joined and how updates follow.
SHAPES = {
    "call range next": SPOT,
    "call range link": BookRule(source=Source.CALL, link=Link.RANGE),
    "call prev within": FUTURES,
    "call prev link": BookRule(source=Source.CALL, link=Link.PREV),
    "call prev next": BookRule(source=Source.CALL, link=Link.PREV, join=Join.NEXT),
    "ask range next": BookRule(source=Source.ASK, link=Link.RANGE, join=Join.NEXT),
    "ask prev link": BookRule(source=Source.ASK, link=Link.PREV),
    "stream range link": STREAM,
    "stream range next": BookRule(source=Source.STREAM, link=Link.RANGE, join=Join.NEXT, repair=_BACK),
    "stream prev link": BookRule(source=Source.STREAM, link=Link.PREV, repair=_BACK),
    "stream mono after": BookRule(source=Source.STREAM, link=Link.MONO, join=Join.AFTER, repair=_BACK),
    "stream none": BookRule(source=Source.STREAM, link=Link.NONE, repair=_BACK),
    "stream none, checksum": BookRule(source=Source.STREAM, link=Link.NONE, checksum=checksum, repair=_BACK),
    "stream none after, checksum": BookRule(
        source=Source.STREAM, link=Link.NONE, join=Join.AFTER, checksum=checksum, repair=_BACK
    ),
    "call none after, checksum": BookRule(source=Source.CALL, link=Link.NONE, join=Join.AFTER, checksum=checksum),
}


def shape(rule: BookRule) -> tuple[Source, Link, Join, bool]:
    return (rule.source, rule.link, rule.join, rule.checksum is not None)


def test_every_venues_rule_has_one_of_the_shapes_that_are_proven_below() -> None:
    proven = {shape(rule) for rule in SHAPES.values()}
    for slug in slugs():
        for family in load(slug).families:
            assert shape(family.book) in proven, (slug, family.name)


@dataclass
class Truth:
    """An exchange's own book. Ids jump where `sparse`, as on engines whose counter is global."""

    seed: int
    sparse: bool = False
    summed: bool = False
    id: int = 100
    book: OrderBook = field(default_factory=OrderBook)
    history: dict[int, tuple[list[tuple[float, float]], list[tuple[float, float]]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        rows = [Level(100 - tick / 2, 1.0 + tick) for tick in range(1, 21)]
        asks = [Level(100 + tick / 2, 1.0 + tick) for tick in range(1, 21)]
        self.book.load(BookSnapshot(wire="X", bids=rows, asks=asks))
        self.history[self.id] = self.book.top(1000)

    def step(self) -> BookDelta:
        bids: list[Level] = []
        asks: list[Level] = []
        for _ in range(self.random.randint(1, 4)):
            size = self.random.choice([0.0, 0.0, float(self.random.randint(1, 99))])
            tick = self.random.randint(1, 30) / 2
            bids.append(Level(100 - tick, size)) if self.random.random() < 0.5 else asks.append(Level(100 + tick, size))
        prev = self.id
        first = prev + (self.random.randint(1, 9) if self.sparse else 1)
        self.id = first + self.random.randint(0, 3)
        delta = BookDelta(wire="X", bids=bids, asks=asks, first=first, last=self.id, prev=prev)
        self.book.apply(delta)
        if self.summed:
            delta.checksum = checksum(self.book)
        self.history[self.id] = self.book.top(1000)
        return delta

    def snapshot(self) -> BookSnapshot:
        bids, asks = self.book.top(1000)
        return BookSnapshot(
            wire="X",
            bids=[Level(*row) for row in bids],
            asks=[Level(*row) for row in asks],
            id=self.id,
            checksum=checksum(self.book) if self.summed else None,
        )


def is_true(sync: BookSync, truth: Truth) -> bool:
    return sync.last_id is not None and sync.book.top(1000) == truth.history[sync.last_id]


@pytest.mark.parametrize("name", SHAPES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_live_book_is_always_true_whatever_the_wire_does(name: str, data: st.DataObject) -> None:
    """Frames are dropped, doubled and swapped, snapshots come late: while LIVE the book is the exchange's own.

    Where nothing numbers or sums up the updates, a lost one can't be seen: there the wire only repeats.
    """
    rule = SHAPES[name]
    numbered = rule.link in (Link.RANGE, Link.PREV)
    sparse = rule.link is not Link.RANGE
    fates = "...........ddrsaaa" if numbered or rule.checksum is not None else "...........rraaa"
    truth = Truth(data.draw(st.integers(0, 10_000)), sparse, summed=rule.checksum is not None)
    sync = BookSync(rule, "X")
    now = 0.0
    sync.subscribed(now)
    wire: list[BookDelta | BookSnapshot] = []
    streamed = rule.source is Source.STREAM
    answer: BookSnapshot | None = None
    if streamed:
        wire.append(truth.snapshot())

    def arrive() -> None:
        event = wire.pop(0)
        sync.snapshot(event, now) if isinstance(event, BookSnapshot) else sync.delta(event, now)
        assert not sync.live or is_true(sync, truth)

    def repair() -> BookSnapshot | None:
        wanted = sync.due(now)
        if wanted is None:
            return None
        sync.asked(wanted, now)
        if wanted is not Repair.REFETCH:
            wire.clear()
            sync.subscribed(now)
        if streamed:
            wire.append(truth.snapshot())
            return None
        return truth.snapshot()

    for fate in data.draw(st.lists(st.sampled_from(fates), min_size=20, max_size=80)):
        now += 0.1
        delta = truth.step()
        if fate == "r":
            wire.extend([delta, delta])
        elif fate == "s" and wire:
            wire.insert(len(wire) - 1, delta)
        elif fate != "d":
            wire.append(delta)
        while len(wire) > 1:
            arrive()
        if answer is not None and fate == "a":
            sync.snapshot(answer, now)
            answer = None
            assert not sync.live or is_true(sync, truth)
        answer = repair() or answer

    # the wire recovers: the book must come back by itself
    for _ in range(200):
        now += 1.0
        wire.append(truth.step())
        while wire:
            arrive()
        if answer is not None:
            sync.snapshot(answer, now)
        answer = repair()
        if sync.live and sync.last_id == truth.id:
            break
    assert sync.live
    assert is_true(sync, truth)


def live(rule: BookRule, truth: Truth) -> BookSync:
    sync = BookSync(rule, "X")
    sync.subscribed(0.0)
    sync.snapshot(truth.snapshot(), 0.0)
    assert sync.live
    return sync


def test_a_snapshot_older_than_the_held_updates_is_asked_for_again() -> None:
    truth = Truth(1)
    sync = BookSync(SPOT, "X")
    sync.subscribed(0.0)
    old = truth.snapshot()
    truth.step()
    sync.delta(truth.step(), 0.1)
    assert sync.due(0.1) is Repair.REFETCH
    sync.asked(Repair.REFETCH, 0.1)
    sync.snapshot(old, 0.2)
    assert sync.state is BookState.SYNCING
    assert sync.counters.snapshots_old == 1
    assert sync.due(2.0) is Repair.REFETCH
    sync.asked(Repair.REFETCH, 2.0)
    sync.snapshot(truth.snapshot(), 2.1)
    assert sync.live
    assert is_true(sync, truth)


def test_a_quiet_book_is_fetched_without_waiting_for_an_update() -> None:
    sync = BookSync(SPOT, "X")
    sync.subscribed(0.0)
    assert sync.due(0.5) is None
    assert sync.due(1.0) is Repair.REFETCH


def test_a_hole_breaks_the_book_and_is_counted() -> None:
    truth = Truth(2)
    sync = live(SPOT, truth)
    sync.delta(truth.step(), 0.1)
    truth.step()
    sync.delta(truth.step(), 0.2)
    assert sync.state is BookState.RESYNCING
    assert "missing" in sync.reason
    assert sync.counters.gaps == 1
    assert sync.due(1.0) is Repair.REFETCH
    sync.asked(Repair.REFETCH, 1.0)
    sync.snapshot(truth.snapshot(), 1.1)
    assert sync.live
    assert sync.counters.resyncs == 1


def test_a_wrong_checksum_breaks_the_book() -> None:
    truth = Truth(3, summed=True)
    sync = live(SUMMED, truth)
    sync.delta(truth.step(), 0.1)
    assert sync.counters.checksums_ok == 2
    bad = truth.step()
    bad.checksum = (bad.checksum or 0) ^ 1
    sync.delta(bad, 0.2)
    assert sync.state is BookState.RESYNCING
    assert sync.counters.checksums_failed == 1
    assert sync.due(1.0) is Repair.RESUBSCRIBE


def test_a_lost_level_is_caught_by_the_next_checksum() -> None:
    truth = Truth(4, summed=True)
    sync = live(SUMMED, truth)
    truth.book.apply(BookDelta(wire="X", bids=[Level(99.75, 7.0)], asks=[]))  # never sent
    sync.delta(truth.step(), 0.1)
    assert sync.state is BookState.RESYNCING


def test_silence_makes_a_book_stale_and_life_brings_it_back() -> None:
    truth = Truth(5)
    sync = live(SPOT, truth)
    assert sync.due(29.0) is None
    assert sync.live
    assert sync.due(30.0) is None
    assert sync.state is BookState.STALE
    sync.alive(31.0)
    assert sync.live


def test_a_lost_connection_is_stale_at_once_and_needs_a_new_image() -> None:
    truth = Truth(6)
    sync = live(SPOT, truth)
    version = sync.book.version
    sync.disconnected("the connection was lost", 1.0)
    assert sync.state is BookState.STALE
    assert sync.book.version > version
    sync.delta(truth.step(), 1.1)
    assert not sync.live
    sync.subscribed(2.0)
    assert sync.state is BookState.RESYNCING
    sync.delta(truth.step(), 2.1)
    assert sync.due(2.1) is Repair.REFETCH
    sync.asked(Repair.REFETCH, 2.1)
    sync.snapshot(truth.snapshot(), 2.2)
    assert sync.live
    assert sync.counters.resyncs == 1


def test_repairs_escalate_and_slow_down() -> None:
    truth = Truth(7)
    sync = live(BookRule(source=Source.CALL, link=Link.RANGE, pace=1.0), truth)
    now = 0.0
    done: list[Repair] = []
    times: list[float] = []
    for _ in range(4):
        truth.step()
        sync.delta(truth.step(), now)
        while (repair := sync.due(now)) is None:
            now += 0.25
            assert now < 100
        sync.asked(repair, now)
        done.append(repair)
        times.append(now)
        if repair is not Repair.REFETCH:
            sync.subscribed(now)
        sync.snapshot(truth.snapshot(), now)
    assert done == [Repair.REFETCH, Repair.REFETCH, Repair.RESUBSCRIBE, Repair.RECONNECT]
    assert times[2] - times[1] > times[1] - times[0]


def test_no_first_image_in_time_is_a_failure_that_is_said() -> None:
    sync = BookSync(STREAM, "X")
    sync.subscribed(0.0)
    assert sync.due(9.9) is None
    assert sync.due(10.0) is Repair.RESUBSCRIBE
    assert "no snapshot" in sync.reason


def test_a_crossed_book_is_not_shown_as_live() -> None:
    truth = Truth(8)
    sync = live(STREAM, truth)
    sync.delta(BookDelta(wire="X", bids=[Level(500.0, 1.0)], asks=[], first=101, last=101), 0.1)
    assert sync.state is BookState.RESYNCING
    assert sync.counters.crossed == 1


def test_a_cross_within_its_grace_may_pass() -> None:
    rule = BookRule(source=Source.STREAM, link=Link.NONE, crossed_grace=1.0, repair=(Repair.RESUBSCRIBE,))
    sync = live(rule, Truth(9))
    sync.delta(BookDelta(wire="X", bids=[Level(500.0, 1.0)], asks=[]), 0.1)
    assert sync.live
    sync.delta(BookDelta(wire="X", bids=[Level(500.0, 0.0)], asks=[]), 0.5)
    assert sync.live
    sync.delta(BookDelta(wire="X", bids=[Level(500.0, 1.0)], asks=[]), 1.0)
    sync.due(2.5)
    assert sync.state is BookState.RESYNCING


def test_the_horizon_of_a_cut_snapshot_is_refreshed_while_the_book_stays_live() -> None:
    rule = BookRule(source=Source.CALL, link=Link.RANGE, join=Join.NEXT, horizon=True)
    sync = BookSync(rule, "X")
    sync.subscribed(0.0)
    bids = [Level(100.0 - tick, 1.0) for tick in range(1, 11)]
    asks = [Level(100.0 + tick, 1.0) for tick in range(1, 11)]
    sync.snapshot(BookSnapshot(wire="X", bids=bids, asks=asks, id=10, depth=10), 0.0)
    assert sync.horizon == (90.0, 110.0)
    gone = [Level(100.0 + tick, 0.0) for tick in range(1, 10)]
    risen = [Level(float(price), 1.0) for price in range(100, 109)]
    sync.delta(BookDelta(wire="X", bids=risen, asks=gone, first=11, last=11), 1.0)
    assert sync.live
    assert sync.due(2.0) is Repair.REFETCH
    sync.asked(Repair.REFETCH, 2.0)
    sync.delta(BookDelta(wire="X", bids=[Level(99.0, 9.0)], asks=[], first=12, last=12), 2.1)
    far = [Level(110.0 + tick, 1.0) for tick in range(10)]
    sync.snapshot(BookSnapshot(wire="X", bids=risen, asks=far, id=11, depth=10), 2.2)
    assert sync.live
    assert sync.horizon == (0.0, 119.0)
    assert sync.book.bids[99.0] == 9.0
    assert sync.last_id == 12


def test_with_falling_ids_the_predecessor_counts_before_age() -> None:
    rule = BookRule(source=Source.STREAM, link=Link.PREV, repair=(Repair.RESUBSCRIBE,))
    sync = live(rule, Truth(10))
    sync.delta(BookDelta(wire="X", bids=[Level(99.0, 3.0)], asks=[], last=3, prev=100), 0.1)
    assert sync.live
    assert sync.last_id == 3
    sync.delta(BookDelta(wire="X", bids=[], asks=[], last=3, prev=3), 0.2)
    assert sync.live


def test_a_book_that_was_never_subscribed_has_waited_for_no_time() -> None:
    sync = BookSync(SPOT, "X")
    assert sync.lasting(7811.0) == 0.0
    sync.subscribed(7811.0)
    assert sync.lasting(7814.0) == 3.0
