"""The journal on a real file: durable, unique, readable whatever happened to it."""

from __future__ import annotations

import asyncio
import csv
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from app.journal import MIGRATIONS, FillRecord, Intent, Journal, JournalUnavailable


def intent(number: int, client_id: str | None = None) -> Intent:
    return Intent(
        f"o{number}", "toy:practice", "toy:spot:BTC-USDT", client_id or f"c{number}", number, '{"amount":"1"}'
    )


async def test_an_intent_survives_a_killed_process(tmp_path: Path) -> None:
    """given a process that wrote an intent, when it is killed before it could close anything, then the intent is there."""
    path = tmp_path / "journal.sqlite"
    code = (
        "import asyncio, os, signal, sys\n"
        "from pathlib import Path\n"
        "from app.journal import Intent, Journal\n"
        "async def main() -> None:\n"
        "    await Journal(Path(sys.argv[1])).intent(Intent('o1', 'toy:practice', 'k', 'c1', 1, '{}'))\n"
        "asyncio.run(main())\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -9
    journal = Journal(path)
    records = await journal.unfinished()
    journal.close()
    assert [(record.id, record.client_ids) for record in records] == [("o1", ("c1",))]


async def test_a_client_id_is_never_used_twice(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.intent(intent(1, "same"))
    with pytest.raises(ValueError, match="used before"):
        await journal.intent(intent(2, "same"))
    await journal.intent(intent(3))
    assert {record.id for record in await journal.unfinished()} == {"o1", "o3"}
    journal.close()


async def test_a_refused_line_does_not_take_its_neighbours_with_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    results = await asyncio.gather(
        *(journal.intent(intent(number, "same" if number in (2, 3) else None)) for number in range(1, 6)),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None), type(None), ValueError, type(None), type(None)]
    assert len(await journal.unfinished()) == 4
    journal.close()


async def test_the_life_of_an_order_is_read_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    await journal.intent(intent(1))
    journal.event("o1", 10, "venue", "open", {"filled": "0"}, final=False)
    await journal.client_id("toy:practice", "c1b", "o1", 11)
    journal.event("o1", 12, "venue", "filled", {"filled": "1"}, final=True)
    journal.close()
    again = Journal(path)
    record = await again.order("o1")
    assert record is not None
    assert record.client_ids == ("c1", "c1b")
    assert [(time, what, state) for time, what, state, _ in record.events] == [
        (10, "venue", "open"),
        (12, "venue", "filled"),
    ]
    assert record.final
    assert await again.unfinished() == []
    assert [found.id for found in await again.orders(text="c1b")] == ["o1"]
    again.close()


async def test_a_fill_is_kept_once_and_completed_later(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    for detail in ('{"fee":null}', '{"fee":"0.1"}'):
        journal.fill(FillRecord("toy:practice", "k", "7", None, 5, detail))
    await journal.flush()
    assert await journal.fills("toy:practice") == [FillRecord("toy:practice", "k", "7", None, 5, '{"fee":"0.1"}')]
    assert await journal.last_fill_time("toy:practice", "k") == 5
    journal.close()


async def test_a_second_fathom_may_not_write_the_same_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    first = Journal(path)
    await first.intent(intent(1))
    second = Journal(path)
    assert "another Fathom" in second.problem
    with pytest.raises(JournalUnavailable, match="another Fathom"):
        await second.intent(intent(2))
    second.close()
    await first.intent(intent(3))
    first.close()


async def test_a_damaged_file_is_left_alone_and_said(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"this was a database once" * 400)
    before = path.read_bytes()
    journal = Journal(path)
    assert not journal.writable
    assert "Move it aside" in journal.problem
    with pytest.raises(JournalUnavailable):
        await journal.intent(intent(1))
    journal.close()
    assert path.read_bytes() == before


async def test_a_journal_of_a_newer_fathom_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    Journal(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    journal = Journal(path)
    assert "newer Fathom" in journal.problem
    journal.close()


async def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file is in the way")
    journal = Journal(tmp_path / "folder" / "journal.sqlite")
    assert journal.problem
    with pytest.raises(JournalUnavailable):
        await journal.intent(intent(1))
    with pytest.raises(JournalUnavailable):
        await journal.unfinished()
    journal.close()


async def test_export_writes_every_event(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.intent(intent(1))
    journal.event("o1", 10, "venue", "open", {"filled": "0"}, final=False)
    journal.event("o1", 12, "venue", "filled", {"filled": "1"}, final=True)
    target = tmp_path / "out.csv"
    assert await journal.export_csv(target) == 2
    journal.close()
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["open", "filled"]
    assert rows[0]["client_ids"] == "c1"
