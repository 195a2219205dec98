"""Fees that no event tells: one look at the list after a burst, again for what was not in it yet, and never for ever."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from connectors.errors import VenueUnavailable
from connectors.model import Fill, Side
from connectors.runtime import fees
from connectors.runtime.fees import LateFees

D = Decimal


def fill(number: int, fee: str | None = None, time: int = 1_000_000, order: str = "order") -> Fill:
    return Fill(
        wire="BTC-USDT",
        family="spot",
        id=str(number),
        venue_id=order,
        client_id="",
        side=Side.BUY,
        price=D(1),
        amount=D(1),
        time=time,
        fee=None if fee is None else D(fee),
        fee_asset="" if fee is None else "USDT",
    )


class Venue:
    """A list of fills, and who asked for it."""

    def __init__(self) -> None:
        self.rows: list[Fill] = []
        self.later: list[Fill] = []  # in the list after the second question
        self.asked: list[tuple[str, int]] = []
        self.down = 0
        self.told: list[Fill] = []
        self.late = LateFees(self.read, self.told.append)

    async def read(self, wire: str, start: int) -> list[Fill]:
        self.asked.append((wire, start))
        if self.down:
            self.down -= 1
            raise VenueUnavailable("down")
        found = list(self.rows)
        if len(self.asked) == 2:
            self.rows += self.later
        return found


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch) -> Venue:
    monkeypatch.setattr(fees, "CALM", 0.01)
    monkeypatch.setattr(fees, "PAUSES", (0.01, 0.01, 0.01))
    return Venue()


async def settled(venue: Venue) -> None:
    while tasks := list(venue.late._tasks.values()):
        done, _ = await asyncio.wait(tasks, timeout=20)
        assert done
        await asyncio.sleep(0)  # they take themselves off the list


async def test_a_burst_of_executions_is_one_question(venue: Venue) -> None:
    for number in range(30):
        venue.late.heard(fill(number, time=5_000_000 + number))
        venue.rows.append(fill(number, "0.1"))
    await settled(venue)
    assert venue.asked == [("BTC-USDT", 5_000_000 - fees.OVERLAP)]
    assert [(row.id, row.fee) for row in venue.told] == [(str(number), D("0.1")) for number in range(30)]
    assert venue.late.missing == 0


async def test_what_is_not_in_the_list_yet_is_asked_for_again(venue: Venue) -> None:
    venue.late.heard(fill(1))
    venue.late.heard(fill(2))
    venue.rows.append(fill(1, "0.1"))
    venue.later.append(fill(2, "0.2"))
    await settled(venue)
    assert ([row.id for row in venue.told], len(venue.asked)) == (["1", "2"], 3)


async def test_a_list_that_cannot_be_read_is_asked_for_again(venue: Venue) -> None:
    venue.down = 2
    venue.rows.append(fill(1, "0.1"))
    venue.late.heard(fill(1))
    await settled(venue)
    assert (len(venue.asked), [row.id for row in venue.told]) == (3, ["1"])


async def test_a_fee_that_never_comes_is_given_up(venue: Venue) -> None:
    venue.late.heard(fill(1))
    await settled(venue)
    assert len(venue.asked) == 1 + len(fees.PAUSES)
    assert (venue.told, venue.late.missing) == ([], 0)
    venue.rows.append(fill(2, "0.2"))
    venue.late.heard(fill(2))
    await settled(venue)
    assert [row.id for row in venue.told] == ["2"]


async def test_an_execution_with_its_fee_asks_nothing(venue: Venue) -> None:
    venue.late.heard(fill(1, "0.1"))
    await settled(venue)
    assert venue.asked == []


async def test_a_row_of_another_order_is_not_mistaken(venue: Venue) -> None:
    venue.rows.append(fill(1, "9", order="another"))
    venue.late.heard(fill(1))
    await settled(venue)
    assert venue.told == []


async def test_it_ends_when_told(venue: Venue) -> None:
    venue.late.heard(fill(1))
    await venue.late.stop()
    assert not venue.late._tasks
