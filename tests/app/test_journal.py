"""The journal on a real file: durable, unique, readable whatever happened to it."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import closing
from pathlib import Path

import pytest

from app.export import BATCH, Cancelled, export
from app.journal import Journal, JournalUnavailable
from app.journal_file import MIGRATIONS
from app.journal_rows import COLUMNS, FillRecord, Intent, Note
from tests.waiting import PATIENCE, until


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
        "from app.journal import Journal\n"
        "from app.journal_rows import Intent\n"
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


async def test_lines_that_the_disk_refuses_are_kept_told_and_written_later(tmp_path: Path) -> None:
    """given a disk that is full, then events wait in memory, intents are refused, and all is on disk when there is room."""
    resource = pytest.importorskip("resource")
    journal = Journal(tmp_path / "journal.sqlite")
    said: list[tuple[str, str]] = []
    journal.listen(lambda level, text: said.append((level, text)))
    await journal.intent(intent(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    full = (tmp_path / "journal.sqlite-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (full, hard))  # no file grows beyond what this one holds now
    try:
        journal.event("o1", 10, "venue", "open", {"filled": "0"}, final=False)
        with pytest.raises(JournalUnavailable, match="could not be written"):
            await journal.intent(intent(2))
        journal.event("o1", 12, "venue", "filled", {"filled": "1"}, final=True)
        with pytest.raises(JournalUnavailable):
            await journal.flush()
        assert not journal.writable
        assert journal.unwritten == 2
        assert [level for level, _ in said] == ["danger"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await until(lambda: journal.writable, "the disk")
    await journal.flush()
    record = await journal.order("o1")
    assert record is not None
    assert [(time, state) for time, _, state, _ in record.events] == [(10, "open"), (12, "filled")]
    assert record.final
    assert [level for level, _ in said] == ["danger", "info"]
    await journal.intent(intent(2))
    assert journal.close() == 0


async def test_a_lock_of_another_program_delays_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    await journal.intent(intent(1))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    journal.event("o1", 10, "venue", "open", {}, final=False)
    with pytest.raises(JournalUnavailable, match="locked"):
        await journal.flush()
    other.execute("COMMIT")
    other.close()
    await until(lambda: journal.writable, "the disk")
    record = await journal.order("o1")
    assert record is not None
    assert len(record.events) == 1
    journal.close()


async def test_what_could_not_be_written_until_the_end_is_kept_beside_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    await journal.intent(intent(1))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    journal.event("o1", 10, "venue", "filled", {"filled": "1"}, final=True)
    assert journal.close() == 1
    other.close()
    kept = [json.loads(line) for line in (tmp_path / "journal.sqlite.unwritten.jsonl").read_text().splitlines()]
    assert kept == [["insert_event", "o1", 10, "venue", "filled", '{"filled":"1"}', True]]
    again = Journal(path)
    assert [record.id for record in await again.unfinished()] == ["o1"]  # so its venue is asked
    assert again.left_over.startswith("1 lines of an earlier run could not be written")
    (tmp_path / "journal.sqlite.unwritten.jsonl").unlink()
    assert again.left_over == ""
    again.close()


async def test_whoever_waits_for_a_line_may_give_up_and_the_journal_goes_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    task = asyncio.ensure_future(journal.client_id("toy:practice", "c1b", "o1", 1))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await journal.intent(intent(1))
    assert [record.id for record in await journal.unfinished()] == ["o1"]
    journal.close()


async def test_a_line_that_can_never_be_written_is_told_and_holds_up_no_other(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    said: list[str] = []
    journal.listen(lambda level, text: said.append(level))
    await journal.intent(intent(1))
    journal.event("never written down", 10, "venue", "open", {}, final=False)
    journal.event("o1", 2**80, "venue", "open", {}, final=False)  # no time that the file could hold
    journal.event("o1", 11, "venue", "open", {}, final=False)
    record = await journal.order("o1")
    assert record is not None
    assert [time for time, *_ in record.events] == [11]
    await until(lambda: said == ["danger", "danger"], "both complaints")
    journal.close()


async def test_a_second_fathom_reads_what_the_first_one_writes(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    first = Journal(path)
    await first.intent(intent(1))
    second = Journal(path)
    assert [record.id for record in await second.unfinished()] == ["o1"]
    await first.intent(intent(2))
    assert [record.id for record in await second.unfinished()] == ["o1", "o2"]
    second.close()
    first.close()
    third = Journal(path)
    assert third.writable
    third.close()


READ_ONLY = """
import asyncio, os, sys
from pathlib import Path
from app.journal import Journal, JournalUnavailable
from app.journal_rows import Intent
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
async def main() -> None:
    journal = Journal(Path(sys.argv[1]))
    print(journal.problem)
    try:
        await journal.intent(Intent('o9', 'a', 'k', 'c9', 1, '{}'))
    except JournalUnavailable:
        print('refused')
    journal.event('o1', 5, 'venue', 'open', {}, final=False)
    print([record.id for record in await journal.unfinished()])
    journal.close()
asyncio.run(main())
"""


@pytest.mark.parametrize("folder_too", [False, True])
async def test_a_read_only_file_is_shown_and_takes_no_order(folder_too: bool) -> None:
    """given a journal whose file (and folder) may not be written, then it says so, and can still be read."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "journal.sqlite"
        journal = Journal(path)
        await journal.intent(intent(1))
        journal.close()
        modes = [(path.with_name("journal.sqlite.lock"), 0o444 if folder_too else 0o666), (path, 0o444)]
        modes.append((path.parent, 0o555 if folder_too else 0o777))
        for place, mode in modes:
            place.chmod(mode)
        before = path.read_bytes()
        run = [sys.executable, "-c", READ_ONLY, str(path)]
        done = await asyncio.to_thread(subprocess.run, run, capture_output=True, text=True, check=False)
        path.parent.chmod(0o755)
        problem, *rest = str(done.stdout).splitlines() or [str(done.stderr)]
        assert "cannot be written" in problem, done.stderr
        assert rest == ["refused", "['o1']"], done.stderr
        assert path.read_bytes() == before


def test_written_migrations_never_change() -> None:
    """A file out there was made by them; a new schema is a new script at the end."""
    digests = [hashlib.sha256(script.encode()).hexdigest()[:16] for script in MIGRATIONS]
    assert digests == ["d50f786bf0afffe6", "da8d16a312fe2c55"]


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
async def test_each_earlier_schema_is_brought_up_and_a_copy_kept(tmp_path: Path, version: int) -> None:
    path = tmp_path / "journal.sqlite"
    db = sqlite3.connect(path)
    for script in MIGRATIONS[:version]:
        db.executescript(script)
    db.execute(f"PRAGMA user_version = {version}")
    db.execute("INSERT INTO orders VALUES ('o1', 'toy:practice', 'toy:spot:BTC-USDT', 5, 0, '{}', 0)")
    db.execute("INSERT INTO client_ids VALUES ('toy:practice', 'c1', 'o1', 5)")
    db.execute("INSERT INTO events (order_id, time, what, state, detail) VALUES ('o1', 6, 'venue', 'open', '{}')")
    db.execute("INSERT INTO fills VALUES ('toy:practice', 'toy:spot:BTC-USDT', '7', 'o1', 7, '{}')")
    db.commit()
    db.close()
    journal = Journal(path)
    assert journal.writable, journal.problem
    (record,) = await journal.unfinished()
    assert (record.id, record.client_ids, record.events) == ("o1", ("c1",), ((6, "venue", "open", "{}"),))
    assert await journal.fill_keys() == {("toy:practice", "toy:spot:BTC-USDT", "7")}
    assert await journal.traded("toy:practice", 0, 10) == ["toy:spot:BTC-USDT"]
    with pytest.raises(ValueError, match="used before"):
        await journal.intent(intent(2, "c1"))
    journal.note(Note(9, "toy:practice", "compared", "nothing was missed"))
    assert (await journal.notes())[0].text == "nothing was missed"
    journal.close()
    copy = sqlite3.connect(tmp_path / f"journal.v{version}.sqlite")
    assert copy.execute("PRAGMA user_version").fetchone() == (version,)
    assert copy.execute("SELECT id FROM orders").fetchall() == [("o1",)]
    copy.close()


async def test_a_disk_that_is_full_while_an_earlier_schema_is_copied_leaves_no_half_of_a_copy(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path, copy = tmp_path / "journal.sqlite", tmp_path / "journal.v1.sqlite"
    db = sqlite3.connect(path)
    db.executescript(MIGRATIONS[0])
    db.execute("PRAGMA user_version = 1")
    for number in range(500):
        db.execute("INSERT INTO orders VALUES (?, 'toy:practice', 'BTC', 5, 0, ?, 1)", (f"o{number}", "x" * 1000))
    db.commit()
    db.close()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size // 2, hard))
    try:
        journal = Journal(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not journal.writable
    assert len(await journal.orders(limit=1000)) == 500
    journal.close()
    assert not copy.exists()
    journal = Journal(path)
    assert journal.writable, journal.problem
    journal.close()
    with closing(sqlite3.connect(copy)) as kept:
        assert kept.execute("PRAGMA user_version").fetchone() == (1,)
        assert kept.execute("SELECT count(*) FROM orders").fetchone() == (500,)


async def test_a_replacement_is_durable_with_its_terms_or_not_at_all(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.intent(intent(1))
    await journal.replacement("toy:practice", "c2", "o1", 5, {"carried": "0.5"})
    with pytest.raises(ValueError, match="used before"):
        await journal.replacement("toy:practice", "c1", "o1", 6, {"carried": "0.7"})
    record = await journal.order("o1")
    assert record is not None
    assert record.client_ids == ("c1", "c2")
    assert [(what, json.loads(detail)) for _, what, _, detail in record.events] == [("replaced", {"carried": "0.5"})]
    journal.close()


async def test_browsing_filters_by_words_time_and_state(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    for number in (1, 2, 3):
        await journal.intent(intent(number))
    journal.event("o2", 10, "venue", "rejected", {"reason": "balance is insufficient"}, final=True)
    assert [record.id for record in await journal.orders()] == ["o3", "o2", "o1"]
    assert [record.id for record in await journal.orders(text="insufficient")] == ["o2"]
    assert [record.id for record in await journal.orders(unfinished=True, since=2)] == ["o3"]
    assert await journal.orders(external=True) == []
    journal.close()


async def full_journal(path: Path, orders: int) -> Journal:
    journal = Journal(path)
    await asyncio.gather(*(journal.intent(intent(number)) for number in range(1, orders + 1)))
    for number in range(1, orders + 1):
        journal.event(f"o{number}", 10, "venue", "open", {"filled": "0", "reason": 'a "word", or two'}, final=False)
        journal.event(f"o{number}", 12, "venue", "filled", {"filled": "1"}, final=True)
    journal.fill(FillRecord("toy:practice", "k", "7", None, 5, '{"price":"1"}'))
    await journal.flush()
    return journal


async def test_export_writes_every_line_as_csv(tmp_path: Path) -> None:
    journal = await full_journal(tmp_path / "journal.sqlite", 2)
    target = tmp_path / "out.csv"
    assert await export(journal, target) == 2 + 4 + 1 + 1  # intents, events, a fill of nobody, the start
    journal.close()
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows if row["order_id"] == "o1"] == ["pending", "open", "filled"]
    assert json.loads(rows[2]["detail"])["reason"] == 'a "word", or two'
    assert {row["client_ids"] for row in rows if row["order_id"] == "o2"} == {"c2"}


async def test_export_as_parquet_holds_the_same_rows(tmp_path: Path) -> None:
    from arro3.io import read_parquet

    journal = await full_journal(tmp_path / "journal.sqlite", BATCH)
    heard: list[tuple[int, int]] = []
    number = await export(journal, tmp_path / "out.parquet", progress=lambda *part: heard.append(part))
    await export(journal, tmp_path / "out.csv")
    journal.close()
    with (tmp_path / "out.parquet").open("rb") as file:
        table = read_parquet(file).read_all()
    assert table.num_rows == number == 3 * BATCH + 2
    assert heard[0] == (0, number)
    assert heard[-1] == (number, number)
    assert len(heard) > 3
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in COLUMNS:
        values = table.column(name).to_pylist()
        if name == "time":
            values = [str(round(value.timestamp() * 1000)) for value in values]
        elif name == "external":
            values = [str(int(value)) for value in values]
        assert values == [row[name] for row in rows], name


@pytest.mark.parametrize("ending", ["csv", "parquet"])
async def test_an_export_that_is_stopped_leaves_nothing_behind(tmp_path: Path, ending: str) -> None:
    journal = await full_journal(tmp_path / "journal.sqlite", BATCH)
    stop = threading.Event()
    target = tmp_path / "exports" / f"out.{ending}"
    target.parent.mkdir()
    target.write_text("an earlier one")
    with pytest.raises(Cancelled):
        await export(journal, target, progress=lambda done, whole: stop.set() if done else None, stop=stop)
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert target.read_text() == "an earlier one"
    journal.close()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
async def test_an_export_to_nowhere_says_why(tmp_path: Path, ending: str) -> None:
    journal = await full_journal(tmp_path / "journal.sqlite", 2)
    with pytest.raises(OSError, match="No such file"):
        await export(journal, tmp_path / "missing" / f"out.{ending}")
    journal.close()


async def test_orders_are_written_down_while_a_long_export_runs(tmp_path: Path) -> None:
    """given an export that is held up in the middle, when an order is placed, then it is durable at once."""
    journal = await full_journal(tmp_path / "journal.sqlite", BATCH)
    go_on, reached = threading.Event(), threading.Event()

    def hold(done: int, whole: int) -> None:
        if done:
            reached.set()
            assert go_on.wait(PATIENCE)

    task = asyncio.ensure_future(export(journal, tmp_path / "out.csv", progress=hold))
    await until(reached.is_set, "the middle of the export")
    await journal.intent(intent(BATCH + 1))
    assert not task.done()
    go_on.set()
    assert await task >= 3 * BATCH + 2
    journal.close()
