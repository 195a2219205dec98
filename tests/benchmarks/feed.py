"""Feed handling: raw recorded frames to a proven book with its best prices read, beside decoding alone and beside ccxt."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from connectors.catalogue import load
from connectors.model import BookDelta
from connectors.runtime.record import read
from connectors.runtime.replay import Replay
from tests.conftest import SHARED

ROUNDS = 7
SESSIONS = {
    "binance spot": ("session-spot-2021-10-12.jsonl.gz", "spot"),
    "binance usdm": ("session-usdm-2021-07-22.jsonl.gz", "usdm"),
}


def run() -> int:
    """Print one line a feed."""
    folder = SHARED / "venues" / "binance"
    if not folder.is_dir():
        sys.stdout.write(f"no recorded traffic at {folder}\n")
        return 0
    for name, (file, family) in SESSIONS.items():
        ours, floor, count = [], [], 0
        for _ in range(ROUNDS):
            taken, count = handler(folder / file, family)
            ours.append(taken)
            floor.append(decoding(folder / file))
        mine, least = median(ours) * 1e6 / count, median(floor) * 1e6 / count
        sys.stdout.write(
            f"{name:14} {count:5} book frames: {mine:6.2f} us a frame, {mine / least:4.2f} x plain msgspec decoding\n"
        )
    return 0


def frames(path: Path) -> list[str]:
    """Book frames of a recording, raw."""
    return [row.data for row in read(path) if row.dir == "in" and '"depthUpdate"' in row.data]


def handler(path: Path, family: str) -> tuple[float, int]:
    """Seconds for all book frames after every snapshot was loaded, and how many there were."""
    venue = load("binance")
    warm = Replay(venue)
    for row in read(path):
        warm.feed(row)
    fresh = Replay(venue)
    snapshots = [row for row in read(path) if row.dir == "http"]
    raw = frames(path)
    stream = venue.family(family).market_stream("market")
    for row in snapshots[:1]:
        fresh.feed(row)
    books = {wire: book.sync for (_, wire), book in warm.books.items()}
    for sync in books.values():
        sync.last_id = None  # frames are applied again and again: absolute sizes, so the work is the same
    receive: Callable[[str], Any] = stream.receive
    began = time.perf_counter()
    for frame in raw:
        for event in receive(frame):
            if isinstance(event, BookDelta):
                sync = books[event.wire]
                sync.last_id = event.prev if event.prev is not None else (event.first or 1) - 1
                sync.delta(event, 0.0)
                _ = sync.book.best_bid, sync.book.best_ask
    return time.perf_counter() - began, len(raw)


def decoding(path: Path) -> float:
    """Seconds to decode the same frames into plain objects."""
    raw = frames(path)
    decode = msgspec.json.Decoder().decode
    began = time.perf_counter()
    for frame in raw:
        decode(frame)
    return time.perf_counter() - began
