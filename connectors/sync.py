"""BookSync: joins snapshot and deltas, proves the book whole, or says why it is not.

Theory of operation. A venue states a `BookRule`; this file does the rest for all venues. At any time a book either has
its *image* (a snapshot was loaded and every delta since is known to follow) or waits for one:

    waiting, Source.CALL/ASK   deltas are held back. The snapshot is asked for once the first delta is there, or after a
                               second without any (a quiet book). It must *join* the held deltas (`BookRule.join`).
    waiting, Source.STREAM     deltas are dropped, the venue sends the snapshot.
    image                      each delta must *link* to the one before (`BookRule.link`); old ones are dropped, a hole, a
                               wrong checksum or a crossed book breaks the book: it waits for an image again.

Join and link are two rules, because a venue may join by range and chain by predecessor. With Link.PREV the predecessor
is tested before "old": some venues let their ids fall.

What the trader sees is `state`:

    SYNCING     no image yet                             RESYNCING   proof was lost, a repair is under way
    LIVE        image, and the connection lives          STALE       connection lost, or silent for too long

Nothing here waits or reads a clock. Callers give `now` (monotonic seconds), look at `due(now)` after each event and
about four times a second, do what it says, and report it with `asked`. Repairs escalate along `BookRule.repair`, at least
`pace` seconds apart and doubling, until the book has been live for a while.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from connectors.book import OrderBook
from connectors.contract import Join, Link, Repair, Source

if TYPE_CHECKING:
    from connectors.contract import BookRule
    from connectors.model import BookCheck, BookDelta, BookSnapshot

_FIRST_DELTA_WAIT = 1.0  # seconds after which a snapshot is asked for although no delta came
_CALM_AFTER = 30.0  # seconds of LIVE after which escalation starts anew
_SLOWEST_PACE = 30.0


class BookState(StrEnum):
    """How far a book can be trusted."""

    SYNCING = "syncing"
    LIVE = "live"
    STALE = "stale"
    RESYNCING = "resyncing"


@dataclass(slots=True)
class BookCounters:
    """What happened to one book since it was first subscribed.

    frames: deltas seen; applied; dropped: older than the image or before it; held: held back at some time;
    duplicates: already applied; gaps: holes found; snapshots: images loaded; snapshots_old: snapshots that could not
    join; resyncs: times the book came back after proof was lost; crossed: times best bid reached best ask.
    """

    frames: int = 0
    applied: int = 0
    dropped: int = 0
    held: int = 0
    duplicates: int = 0
    gaps: int = 0
    snapshots: int = 0
    snapshots_old: int = 0
    resyncs: int = 0
    checksums_ok: int = 0
    checksums_failed: int = 0
    crossed: int = 0
    malformed: int = 0


class BookSync:
    """One book of one instrument on its way to being, and staying, proven whole.

    `horizon` is (lowest bid, highest ask) of a snapshot that was cut at its depth: beyond it the book is unknown until
    levels there change. `reason` is a sentence for the trader whenever the state is not LIVE. `need` is the repair that
    is wanted; `due` says when it may be done.
    """

    def __init__(self, rule: BookRule, wire: str, book: OrderBook | None = None) -> None:
        self.rule = rule
        self.wire = wire
        self.book = book if book is not None else OrderBook()
        self.counters = BookCounters()
        self.state = BookState.SYNCING
        self.reason = "waiting for the subscription"
        self.since = 0.0
        self.need: Repair | None = None
        self.last_id: int | None = None
        self.horizon: tuple[float, float] | None = None
        self.event_time: int | None = None
        self.last_checksum: int | None = None  # the latest that was equal to ours, and when
        self.checked_at = 0.0
        self._image = False
        self._joined = False
        self._refreshing = False
        self._lost_proof = False
        self._held: list[BookDelta] = []
        self._subscribed_at: float | None = None
        self._asked_at = float("-inf")
        self._initial = False  # the next ask is the ordinary first one of a subscription, not a repair
        self._attempts = 0
        self._life_at = 0.0
        self._crossed_since: float | None = None
        self._snapshot_mid = 0.0
        self._cut = rule.cut

    # -----------------------------------------------------------------------------------------------------------------
    # What the connection tells

    def subscribed(self, now: float) -> None:
        """The subscription was sent on a connection that is open. Everything starts from a new image."""
        self._forget_image()
        self._subscribed_at = now
        self._asked_at = now
        self._life_at = now
        self._initial = True
        self.need = Repair.REFETCH if self.rule.source is Source.ASK else None
        if self._lost_proof or self.counters.snapshots:
            self._lost_proof = True
            self._enter(BookState.RESYNCING, "waiting for a new snapshot", now)
        else:
            self._enter(BookState.SYNCING, "waiting for the first snapshot", now)

    def disconnected(self, why: str, now: float) -> None:
        """The connection is gone: what is shown is old from this moment."""
        self._forget_image()
        self._subscribed_at = None
        self.need = None
        self._lost_proof = self._lost_proof or self.counters.snapshots > 0
        self._enter(BookState.STALE, why, now)

    def alive(self, now: float) -> None:
        """Any sign of life of the connection that carries this book."""
        self._life_at = now
        if self.state is BookState.STALE and self._image:
            self._enter(BookState.LIVE, "", now)

    def broken(self, why: str, now: float) -> None:
        """Proof is lost for a reason that the stream saw itself, or that one of the checks below found."""
        self._forget_image()
        self._lost_proof = True
        self._enter(BookState.RESYNCING, why, now)
        self.need = self._next_repair()

    def hole(self, why: str, now: float) -> None:
        """The stream itself saw that something is missing (rows by id, a number that counts the whole connection)."""
        self.counters.gaps += 1
        self.broken(why, now)

    # -----------------------------------------------------------------------------------------------------------------
    # What arrives

    def snapshot(self, event: BookSnapshot, now: float) -> None:
        """A whole book, from the stream or as the answer to what `due` asked for."""
        self.alive(now)
        if self.rule.source is Source.STREAM:
            self._held.clear()
            self._load(event, [], now)
            return
        if self._image and not self._refreshing:
            self.counters.dropped += 1  # a second answer to a question that was settled
            return
        held = [delta for delta in self._held if not self._old_for(delta, event.id)]
        if held and not self._joins(held[0], event.id):
            self.counters.snapshots_old += 1
            self.need = Repair.REFETCH
            if not self._image:
                self.reason = "the snapshot was older than the updates, asking again"
            return
        if (
            self._refreshing
            and event.id is not None
            and self.last_id is not None
            and not held
            and event.id < self.last_id
        ):
            self.need = Repair.REFETCH  # older than what we already have, with nothing held to bridge it
            return
        self.counters.dropped += 0 if self._image else len(self._held) - len(held)
        self._held = []
        self._load(event, held, now)

    def delta(self, event: BookDelta, now: float) -> None:
        """Changed levels."""
        counters = self.counters
        counters.frames += 1
        self._life_at = now
        if not self._image:
            self._hold_or_drop(event, now)
            return
        if self.state is BookState.STALE:
            self._enter(BookState.LIVE, "", now)
        if self._refreshing:
            self._held.append(event)
            if len(self._held) > self.rule.hold:
                self.failed("the snapshot did not come in time", now)
        self._follow(event, now)

    def check(self, event: BookCheck, now: float) -> None:
        """A checksum that arrived by itself and speaks of the book as it is."""
        if self._image:
            self._verify(event.checksum, now)

    # -----------------------------------------------------------------------------------------------------------------
    # What has to be done

    def due(self, now: float) -> Repair | None:
        """The repair to do now, if any. Also notices silence, missing images and a horizon that came too near."""
        if self._subscribed_at is None:
            return None
        if self._image:
            self._watch(now)
        elif self.need is None:
            waited = now - self._asked_at
            if self.rule.source is Source.CALL and self._initial and waited >= _FIRST_DELTA_WAIT:
                self.need = Repair.REFETCH
            elif waited >= self.rule.first_within:
                self._lost_proof = True
                self._enter(BookState.RESYNCING, f"no snapshot within {self.rule.first_within:g} s, trying again", now)
                self.need = self._next_repair()
        if self.need is None:
            return None
        pace = 0.0 if self._initial else min(_SLOWEST_PACE, self.rule.pace * 2 ** min(self._attempts, 8))
        return self.need if now - self._asked_at >= pace else None

    def asked(self, repair: Repair, now: float) -> None:
        """`repair` was started. The answer arrives by `snapshot`, `subscribed` or `disconnected`."""
        self.need = None
        self._asked_at = now
        if self._image:
            self._refreshing = repair is Repair.REFETCH
            self._held = []
        elif not self._initial:
            self._attempts += 1
        self._initial = False

    def failed(self, why: str, now: float) -> None:
        """What was asked for could not be had (a refused or lost snapshot request)."""
        if self._image:
            self._refreshing = False
            self._held = []
            return
        self._enter(self.state, why, now)
        self.need = self._next_repair()

    @property
    def live(self) -> bool:
        """Whether the book is proven whole at this moment."""
        return self.state is BookState.LIVE

    # -----------------------------------------------------------------------------------------------------------------

    def lasting(self, now: float) -> float:
        """Seconds since its state began; none before the first subscription."""
        return max(0.0, now - self.since) if self.since else 0.0

    def _enter(self, state: BookState, reason: str, now: float) -> None:
        if state is not self.state or not self.since:
            self.since = now
            self.book.version += 1  # panels look at versions, and a changed state must be drawn
        self.state = state
        self.reason = reason

    def _forget_image(self) -> None:
        self._image = False
        self._joined = False
        self._refreshing = False
        self._crossed_since = None
        self._held = []
        self.last_id = None

    def _next_repair(self) -> Repair:
        return self.rule.repair[min(self._attempts, len(self.rule.repair) - 1)]

    def _hold_or_drop(self, event: BookDelta, now: float) -> None:
        if self.rule.source is Source.STREAM:
            self.counters.dropped += 1
            return
        if len(self._held) >= self.rule.hold:
            self.counters.dropped += len(self._held)
            self._held = []
            self.need = Repair.REFETCH
        self._held.append(event)
        self.counters.held += 1
        if self.need is None and self._initial:
            self.need = Repair.REFETCH

    def _old_for(self, delta: BookDelta, snapshot_id: int | None) -> bool:
        if snapshot_id is None or delta.last is None:
            return False
        return delta.last < snapshot_id if self.rule.join is Join.WITHIN else delta.last <= snapshot_id

    def _joins(self, delta: BookDelta, snapshot_id: int | None) -> bool:
        """Whether `delta`, not old, may be the first to follow a snapshot with this id."""
        if snapshot_id is None or self.rule.join is Join.AFTER:
            return True
        first = delta.first if delta.first is not None else delta.last
        if self.rule.join is not Join.WITHIN and self.rule.link is not Link.PREV:
            return first is not None and first <= snapshot_id + 1
        if delta.prev is not None and delta.prev <= snapshot_id:
            return True  # the delta names a predecessor that the snapshot contains
        return first is not None and first <= snapshot_id

    def _load(self, event: BookSnapshot, held: list[BookDelta], now: float) -> None:
        try:
            self.book.load(event)
        except ValueError as error:
            self.counters.malformed += 1
            self.broken(str(error), now)
            return
        was_live = self._image
        self.counters.snapshots += 1
        self._image = True
        self._joined = self.rule.join is Join.LINK
        self._initial = False
        self._refreshing = False
        self.last_id = event.id
        self.event_time = event.time
        self.need = None
        self._note_horizon(event)
        if self.rule.cut is not None:
            self._cut = event.depth or self.rule.cut
            self.book.cut(self._cut)
        if event.checksum is not None and not self._verify(event.checksum, now):
            return
        for delta in held:
            self._follow(delta, now, count=not was_live)
            if not self._image:
                return
        if self._crossed(now):
            return
        if self._lost_proof:
            self._lost_proof = False
            self.counters.resyncs += 1
        self._enter(BookState.LIVE, "", now)

    def _note_horizon(self, event: BookSnapshot) -> None:
        self.horizon = None
        if not self.rule.horizon or event.depth is None or not self.book.bid_prices or not self.book.ask_prices:
            return
        low = self.book.bid_prices[0] if len(event.bids) >= event.depth else 0.0
        high = self.book.ask_prices[-1] if len(event.asks) >= event.depth else float("inf")
        if low > 0.0 or high < float("inf"):
            self.horizon = (low, high)
            self._snapshot_mid = self.book.mid or 0.0

    def _follow(self, event: BookDelta, now: float, *, count: bool = True) -> None:
        """Apply a delta if it is the next one; drop an old one; break on a hole. `count` False: seen before."""
        if not self._joined:
            if self._old_for(event, self.last_id):
                self.counters.dropped += count
                return
            follows = self._joins(event, self.last_id)
        else:
            follows = self._links(event)
            if follows is None:
                self.counters.duplicates += count
                self.counters.dropped += count
                return
        if not follows:
            self.counters.gaps += 1
            expected = self.last_id
            self.broken(f"an update is missing: after {expected} came {event.first or event.prev or event.last}", now)
            if self.rule.source is not Source.STREAM:
                self._held = [event]
            return
        self._joined = True
        try:
            self.book.apply(event)
        except ValueError as error:
            self.counters.malformed += 1
            self.broken(str(error), now)
            return
        if event.last is not None:
            self.last_id = event.last
        self.event_time = event.time
        self.counters.applied += count
        if self._cut is not None:
            self.book.cut(self._cut)
        if event.checksum is not None and not self._verify(event.checksum, now):
            return
        self._crossed(now)

    def _links(self, event: BookDelta) -> bool | None:
        """True: the next one. None: already known. False: something is missing."""
        last = self.last_id
        match self.rule.link:
            case Link.NONE:
                return True
            case Link.PREV:
                if last is None or event.prev == last:
                    return True
                return None if event.last is not None and event.last <= last else False
            case Link.MONO:
                return None if last is not None and event.last is not None and event.last < last else True
            case Link.RANGE:
                if last is None or event.last is None:
                    return True
                if event.last <= last:
                    return None
                first = event.first if event.first is not None else event.last
                return first <= last + 1

    def _verify(self, checksum: int, now: float) -> bool:
        if self.rule.checksum is None:
            return True
        ours = self.rule.checksum(self.book)
        if ours == checksum:
            self.counters.checksums_ok += 1
            self.last_checksum, self.checked_at = checksum, now
            return True
        self.counters.checksums_failed += 1
        self.broken("the exchange's checksum did not match", now)
        return False

    def _crossed(self, now: float) -> bool:
        """Whether a crossed book just broke this one."""
        if not self.book.crossed:
            self._crossed_since = None
            return False
        if self._crossed_since is None:
            self._crossed_since = now
            self.counters.crossed += 1
        if now - self._crossed_since < self.rule.crossed_grace:
            return False
        self.broken("best bid and ask crossed", now)
        return True

    def _watch(self, now: float) -> None:
        """Silence, a cross that lasts, calm, and a horizon that came near, while there is an image."""
        if self.state is BookState.LIVE:
            silent = now - self._life_at
            if silent >= self.rule.quiet_after:
                self._enter(BookState.STALE, f"nothing heard for {silent:.0f} s", now)
            elif self._attempts and now - self.since >= _CALM_AFTER:
                self._attempts = 0
        if self._crossed_since is not None and self._crossed(now):
            return
        if self.horizon is not None and not self._refreshing and self.need is None and self.book.mid is not None:
            low, high = self.horizon
            mid, start = self.book.mid, self._snapshot_mid
            if mid < (start + low) / 2 or (high < float("inf") and mid > (start + high) / 2):
                self.need = Repair.REFETCH
