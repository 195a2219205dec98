"""The journal panel over a real journal: browsing, lives, filters, exports, and what goes wrong with them."""

from __future__ import annotations

import asyncio
import csv
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.blotter import now_ms
from app.journal_rows import Intent, Note
from app.loop import Loop
from app.orders import Draft
from app.settings import Settings
from app.terminal import Terminal
from connectors.model import Side
from tests.instruments import spot
from tests.waiting import PATIENCE
from ui.panels.journal import NOTES, JournalPanel
from ui.theme import Theme

D = Decimal
INSTRUMENT = spot(venue="binance")


class Scene:
    """A panel with a clock of its own."""

    def __init__(self, terminal: Terminal, panel: JournalPanel) -> None:
        self.terminal = terminal
        self.panel = panel
        self.now = 0.0

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        """Draw frames until it is so."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"never came: {what}; it says {self.panel.words.text()!r}"
            self.now += 0.5
            self.panel.frame(self.now)
            await asyncio.sleep(0.01)

    def ids(self) -> list[str]:
        """Orders shown."""
        return [entry.record.id for entry in self.panel.orders.rows.rows]


async def fill_in(terminal: Terminal) -> None:
    """Three orders: one that filled after a change, one that was refused, one of somebody else that stands."""
    journal, now = terminal.journal, now_ms()
    for number, external in ((1, False), (2, False), (3, True)):
        draft = Draft(
            account="binance:practice",
            instrument=INSTRUMENT,
            side=Side.SELL if external else Side.BUY,
            amount=D("0.5"),
            price=D(62000),
        )
        request = msgspec.json.encode(draft).decode()
        await journal.intent(
            Intent(
                f"o{number}", draft.account, INSTRUMENT.key, f"fa-{number}", now + number, request, external=external
            )
        )
    venue = {"status": "open", "filled": "0", "venue_id": "77", "client_id": "fa-1", "price": "62000", "amount": "0.5"}
    journal.event("o1", now + 10, "venue", "open", venue, final=False)
    await journal.replacement("binance:practice", "fa-1b", "o1", now + 20, replaced())
    journal.event(
        "o1", now + 30, "fill", "filled", {"id": "9", "price": "61999", "amount": "0.5", "filled": "0.5"}, final=True
    )
    journal.event(
        "o2", now + 40, "rejected", "rejected", {"text": "refused: balance is insufficient (-2010)"}, final=True
    )
    journal.event("o3", now + 50, "venue", "open", venue | {"client_id": "fa-3", "venue_id": "78"}, final=False)
    journal.note(Note(now + 60, "binance:practice", "compared", "nothing was missed"))
    await journal.flush()


def replaced() -> dict[str, str]:
    return {"client_id": "fa-1b", "amount": "0.5", "price": "61999", "carried": "0"}


@pytest.fixture
def play(loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Scene], Any]], None]:
    monkeypatch.setenv("FATHOM_HOME", str(tmp_path))

    def run(scenario: Callable[[Scene], Any]) -> None:
        async def whole() -> None:
            terminal = Terminal(settings=Settings())
            await fill_in(terminal)
            panel = JournalPanel(Theme("dark"), terminal)
            panel.resize(1200, 300)
            panel.show()
            try:
                await scenario(Scene(terminal, panel))
            finally:
                await terminal.stop()
                panel.close()

        loop.run_until_complete(whole())

    return run


def test_an_orders_whole_life_is_shown_with_times_and_the_raw_reasons(play: Callable[..., None]) -> None:
    async def scenario(scene: Scene) -> None:
        panel = scene.panel
        await scene.until(lambda: scene.ids() == ["o3", "o2", "o1"], "the orders, newest first")
        panel.orders.choose(lambda entry: entry.record.id == "o1")
        steps = panel.life.rows.rows
        assert [step.what for step in steps] == ["intent", "venue", "replaced", "fill"]
        assert [step.time for step in steps] == sorted(step.time for step in steps)
        assert "goes on as fa-1b" in steps[2].text
        assert "0.5 at 61999, execution 9" in steps[3].text
        panel.orders.choose(lambda entry: entry.record.id == "o2")
        assert "balance is insufficient (-2010)" in panel.life.rows.rows[1].text
        texts = [panel.orders.rows.index(2, column).data() for column in range(9)]
        assert texts[-1] == "fa-1 fa-1b"
        assert texts[2] == "Filled"
        assert texts[6] == "61 999.00" or "999" in texts[6]

    play(scenario)


def test_the_filter_finds_by_reason_id_and_kind(play: Callable[..., None]) -> None:
    async def scenario(scene: Scene) -> None:
        panel = scene.panel
        panel.filter.setText("insufficient")
        await scene.until(lambda: scene.ids() == ["o2"], "the refused one")
        panel.filter.setText("fa-1b")
        await scene.until(lambda: scene.ids() == ["o1"], "the changed one")
        panel.filter.clear()
        panel.which.setCurrentText("Placed elsewhere")
        await scene.until(lambda: scene.ids() == ["o3"], "the external one")
        panel.filter.setText("nothing like it")
        await scene.until(lambda: "No order fits" in panel.words.text(), "what to do")
        panel.filter.clear()
        panel.which.setCurrentText(NOTES)
        await scene.until(lambda: any(step.what == "compared" for step in panel.life.rows.rows), "the notes")
        panel.choose("o2")
        await scene.until(lambda: scene.ids() == ["o2"] and panel.orders.isVisible(), "one order, from elsewhere")

    play(scenario)


def test_an_export_tells_its_end_and_its_errors_in_the_panel(play: Callable[..., None], tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        panel = scene.panel
        for ending in ("csv", "parquet"):
            target = tmp_path / f"out.{ending}"
            panel.export_to(target)
            assert panel.stop.isVisible()
            await scene.until(
                lambda name=target.name: f"lines are in {tmp_path / name}" in panel.words.text(), "its end"
            )
            assert not panel.stop.isVisible()
            assert target.stat().st_size > 0
        with (tmp_path / "out.csv").open(newline="") as file:
            assert {"o1", "o2", "o3"} <= {row["order_id"] for row in csv.DictReader(file)}
        panel.export_to(tmp_path / "missing" / "out.csv")
        await scene.until(lambda: "Not exported" in panel.words.text(), "the error")
        assert "No such file" in panel.words.text()

    play(scenario)


def test_an_export_can_be_stopped(play: Callable[..., None], tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        panel = scene.panel
        panel.export_to(tmp_path / "out.csv")
        panel.stop_export()
        await scene.until(lambda: "Stopped; no file was written." in panel.words.text(), "its end")
        assert not (tmp_path / "out.csv").exists()
        assert panel.csv.isEnabled()

    play(scenario)


def test_a_journal_that_cannot_be_written_is_said_in_the_panel(play: Callable[..., None]) -> None:
    async def scenario(scene: Scene) -> None:
        journal = scene.terminal.journal

        def said() -> bool:
            journal.problem = "The order journal is in use by another Fathom."  # again: it finds out that it is not so
            return "another Fathom" in scene.panel.words.text()

        await scene.until(said, "the problem")
        journal.problem = ""
        await scene.until(lambda: scene.ids() == ["o3", "o2", "o1"], "the orders all the same")

    play(scenario)
