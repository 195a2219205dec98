"""Columns of the table, and what a column cannot have or cannot see, each with its reason. Nothing is skipped without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from connectors.catalogue import load, slugs
from connectors.contract import Amend, Family, FillSource, Proof, Source, Venue
from connectors.model import Market


@dataclass(frozen=True)
class Column:
    """One family of one venue."""

    slug: str
    family_name: str

    @property
    def name(self) -> str:
        """As the table and the tests' ids show it."""
        return f"{self.slug} {self.family_name}"

    @cached_property
    def venue(self) -> Venue:
        """The venue with this family alone, so that nothing else runs beside it."""
        whole = load(self.slug)
        return replace(whole, families=(whole.family(self.family_name),))

    @property
    def family(self) -> Family:
        """The family itself."""
        return self.venue.families[0]


def columns() -> list[Column]:
    """Every family of every implemented venue."""
    return [Column(slug, family.name) for slug in slugs() for family in load(slug).families]


@dataclass(frozen=True)
class Scenario:
    """One row of the table. `unless` says why a column cannot have it, "" if it can."""

    name: str
    title: str
    group: str
    run: Callable[..., Any]
    unless: Callable[[Column], str]
    options: dict[str, Any] = field(default_factory=dict)


# (column or venue, scenario): why the venue cannot have it.
CANNOT: dict[tuple[str, str], str] = {
    ("binance spot", "login_expires"): "the signed subscription lives as long as its socket; nothing expires",
    ("bitmex", "login_expires"): "a login lives as long as its socket; nothing expires",
    ("bitmex", "below_minimum"): "the lot is the least that can be ordered, and there is no least value",
    (
        "bitmex",
        "update_dropped",
    ): "nothing is numbered: a lost message shows only when a row names an id that is not there",
    ("coinbase", "login_expires"): "a token is looked at when its message arrives; a subscription outlives it",
    ("kucoin futures", "below_minimum"): "the smallest order is one lot, and there is no minimum of value",
    ("kraken", "login_expires"): "a token expires only before its use, then it lives as long as its socket",
}

# (column or venue, scenario): the fault is harmless or invisible there, the book is equal all the same, nothing is counted.
UNSEEN: dict[tuple[str, str], str] = {
    (
        "bitmex",
        "updates_reordered",
    ): "what goes, changes and comes in one moment are different levels: any order makes one book",
    ("coinbase", "update_duplicated"): "a message whose number was seen is dropped before it reaches a book",
    ("kraken", "update_duplicated"): "sizes are absolute and nothing is numbered: what comes twice is the same book",
}


def cannot(column: Column, scenario: Scenario) -> str:
    """Why `column` cannot have `scenario`; "" if it can."""
    return _mark(CANNOT, column, scenario.name) or scenario.unless(column)


def unseen(column: Column, name: str) -> str:
    """Why a fault is not noticed by `column`; "" if it is."""
    return _mark(UNSEEN, column, name)


def _mark(table: dict[tuple[str, str], str], column: Column, name: str) -> str:
    return table.get((column.name, name)) or table.get((column.slug, name)) or ""


# Reasons that follow from what a family says of itself.


def never(column: Column) -> str:
    """Every venue can have this."""
    return ""


def without_checksum(column: Column) -> str:
    """Only books with a checksum."""
    return "" if column.family.book.checksum is not None else "the venue sends no checksum of its book"


def without_proof(column: Column) -> str:
    """Only books whose losses can be noticed."""
    proven = column.family.book.proof is not Proof.TRANSPORT
    return "" if proven else "updates carry neither number nor checksum: a lost one cannot be noticed"


def without_calls_for_books(column: Column) -> str:
    """Only books whose image comes by a request."""
    return "the snapshot comes in the stream, in its order" if column.family.book.source is Source.STREAM else ""


def without_positions(column: Column) -> str:
    """Only margin."""
    return "spot has no positions" if column.family.markets == {Market.SPOT} else ""


def without_unique_ids(column: Column) -> str:
    """Only venues that refuse, or repeat the answer for, a client id that is taken."""
    family = column.family
    return "" if family.ids.unique or family.capabilities.idempotent_place else "client ids are not checked here"


def without_amend(column: Column) -> str:
    """Only families that can change an order."""
    return "orders cannot be changed here" if column.family.capabilities.amend is Amend.NONE else ""


def without_leverage(column: Column) -> str:
    """Only families with a leverage to set."""
    return "" if column.family.capabilities.leverage else "there is no leverage to set"


def without_dead_man(column: Column) -> str:
    """Only families with a switch of their own."""
    return "" if column.family.capabilities.dead_man else "the venue has no dead man's switch"


def without_fill_events(column: Column) -> str:
    """Only streams that tell executions one by one."""
    told = column.family.capabilities.fills is not FillSource.CUMULATIVE
    return "" if told else "the stream tells cumulative figures, not executions"
