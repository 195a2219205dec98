"""Exchanges, types, tiers, maintainers, signup codes and links, by quarter; beside them, what is known of each venue today.

A quarter is a data file and is never changed by what happened later. Later quarters come as Markdown tables of the same
five columns; what is imported lies in the user's data folder.
"""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from pathlib import Path

import msgspec
from msgspec import Struct

from connectors import catalogue as connectors
from connectors.contract import Capabilities, Venue

TIERS = ("Gold", "Silver", "Bronze")
_QUARTER = re.compile(r"Q[1-4] 20\d\d")
TIER_TEXT = {
    "Gold": "Most votes of HBOT holders in the quarter's poll. Maintained by Hummingbot Foundation, a template for the rest.",
    "Silver": "Next in the poll. Maintained by Hummingbot Foundation.",
    "Bronze": "In the code base; maintained by a community member, if there is one.",
}
POLL_TEXT = (
    "Each quarter a poll of token holders sorts the exchanges into tiers. New ones come through New Connector Proposals. "
    "Signup links are referral links: who signs up with a code shares trading fees with Hummingbot Foundation. Fathom works "
    "the same without one."
)


class ImportFailed(ValueError):
    """A Markdown table that is not one of exchanges; the text names the line and what is wrong with it."""


class Signup(Struct, frozen=True, omit_defaults=True):
    """A referral: a code and/or a link. `label` names the link where a venue has several."""

    url: str
    code: str = ""
    label: str = ""


class ExchangeRow(Struct, frozen=True, omit_defaults=True):
    """One line of a quarter's table."""

    slug: str
    name: str
    type: str
    tier: str
    maintainer: str = ""
    maintainer_url: str = ""
    signup: tuple[Signup, ...] = ()


class Quarter(Struct, frozen=True):
    """A table and the quarter that it holds for."""

    quarter: str
    exchange: tuple[ExchangeRow, ...]


class Today(Struct, frozen=True):
    """What is known of a venue now: status live or closed (`since`), markets, a remark, documentation, and the source."""

    status: str = "unknown"
    since: str = ""
    markets: str = ""
    note: str = ""
    docs: str = ""
    source: str = ""


class Entry(Struct, frozen=True):
    """A line of the browser: the quarter's row, today's knowledge, and what this build can do."""

    row: ExchangeRow
    today: Today
    implemented: bool

    @property
    def venue(self) -> Venue | None:
        """The connector, if this build has it. It is loaded when somebody asks, not for a line of a list."""
        return connectors.load(self.row.slug) if self.implemented else None

    @property
    def capabilities(self) -> dict[str, Capabilities]:
        """What each family of the connector can do."""
        return {family.name: family.capabilities for family in self.venue.families} if self.venue is not None else {}

    @property
    def has_testnet(self) -> bool:
        """Whether the venue has one."""
        return self.venue is not None and self.venue.has_testnet

    @property
    def fees(self) -> str:
        """Address of the venue's fees."""
        return self.venue.fees if self.venue is not None else ""

    @property
    def live(self) -> bool:
        """Whether the venue is known to take orders today."""
        return self.today.status == "live"

    @property
    def closed(self) -> bool:
        """Whether the venue takes no orders any more."""
        return self.today.status == "closed"


class Catalogue:
    """All quarters that are known. `current` is the newest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.problems: list[str] = []
        self._quarters: dict[str, Quarter] = {}
        self._shipped: frozenset[str] = frozenset()
        shipped = resources.files("resources") / "catalogue"
        for file in shipped.iterdir():
            if file.name.endswith(".toml") and file.name != "today.toml":
                self._add(file.read_text(encoding="utf-8"), file.name)
        self._shipped = frozenset(self._quarters)
        for path in sorted(folder.glob("*.toml")) if folder.is_dir() else []:
            try:
                self._add(path.read_text(encoding="utf-8"), path.name)
            except (OSError, UnicodeDecodeError) as error:
                self.problems.append(f"{path.name} was not read: {error}")
        known = tomllib.loads((shipped / "today.toml").read_text(encoding="utf-8"))
        self.as_of: str = known.pop("as_of")
        self._today = {slug: msgspec.convert(fields, Today) for slug, fields in known.items()}

    @property
    def quarters(self) -> list[str]:
        """Oldest first."""
        return sorted(self._quarters, key=_age)

    @property
    def current(self) -> str:
        """The newest quarter."""
        return self.quarters[-1]

    def rows(self, quarter: str = "") -> list[ExchangeRow]:
        """A quarter's rows in the table's own order. Raises KeyError."""
        return list(self._quarters[quarter or self.current].exchange)

    def entries(self, quarter: str = "") -> list[Entry]:
        """The same, joined with today and with what is implemented."""
        return [self.entry(row) for row in self.rows(quarter)]

    def entry(self, row: ExchangeRow) -> Entry:
        """One row, joined."""
        return Entry(row, self.today(row.slug), implemented=row.slug in connectors.slugs())

    def today(self, slug: str) -> Today:
        """What is known of a venue now."""
        return self._today.get(slug, Today())

    def import_markdown(self, text: str, quarter: str) -> Quarter:
        """Take a later quarter's table and keep it. Raises ImportFailed; nothing is kept then."""
        if not _QUARTER.fullmatch(quarter):
            raise ImportFailed(f'a quarter is written like "Q4 2023", not {quarter!r}')
        if quarter in self._shipped:
            raise ImportFailed(
                f"the table of {quarter} is part of Fathom and stays as it is; which quarter is this one of?"
            )
        found = Quarter(quarter, tuple(_read_table(text, self._names())))
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{quarter[3:]}-{quarter[:2]}.toml"
        partial = path.with_suffix(".partial")
        partial.write_text(_to_toml(found), encoding="utf-8")
        partial.replace(path)
        self._quarters[quarter] = found
        return found

    def _names(self) -> dict[str, str]:
        return {_plain(row.name): row.slug for quarter in self._quarters.values() for row in quarter.exchange}

    def _add(self, text: str, name: str) -> None:
        try:
            quarter = msgspec.convert(tomllib.loads(text), Quarter)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            self.problems.append(f"{name} was not read: {error}")
            return
        strange = [row.tier for row in quarter.exchange if row.tier not in TIERS]
        if strange or not quarter.exchange or not _QUARTER.fullmatch(quarter.quarter):
            what = (
                f"the tier {strange[0]!r}" if strange else f"{len(quarter.exchange)} exchanges for {quarter.quarter!r}"
            )
            self.problems.append(f"{name} was not read: it has {what}")
        elif quarter.quarter not in self._shipped:
            self._quarters[quarter.quarter] = quarter


# ---------------------------------------------------------------------------------------------------------------------

_COLUMNS = ("exchange", "type", "tier", "maintainer", "signup code")
_LINK = re.compile(r"\[([^\]]*)\]\((https?://[^)\s]+)\)")


def _read_table(text: str, known: dict[str, str]) -> list[ExchangeRow]:
    """Rows of the first table that has the five columns."""
    order: list[int] | None = None
    found: list[ExchangeRow] = []
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if "|" not in line:
            if found:
                break
            continue
        if order is None:
            names = [_plain(cell) for cell in cells]
            wanted = [_plain(column) for column in _COLUMNS]
            if all(name in names for name in wanted):
                order = [names.index(name) for name in wanted]
            continue
        if all(re.fullmatch(r":?-{1,}:?", cell) for cell in cells):
            continue
        if len(cells) <= max(order):
            raise ImportFailed(f"line {number}: {len(cells)} columns, but the heading has more")
        found.append(_read_row(number, [cells[index] for index in order], known))
    if order is None:
        raise ImportFailed("no table with the columns Exchange, Type, Tier, Maintainer, Signup code")
    if not found:
        raise ImportFailed("the table has no rows")
    doubled = {row.slug for row in found if sum(other.slug == row.slug for other in found) > 1}
    if doubled:
        raise ImportFailed(f"named twice: {', '.join(sorted(doubled))}")
    return found


def _read_row(number: int, cells: list[str], known: dict[str, str]) -> ExchangeRow:
    name, kind, tier, maintainer, signup = cells
    name = _words(name)
    if not name:
        raise ImportFailed(f"line {number}: no name of an exchange")
    tier = next((word for word in TIERS if word.lower() in _words(tier).lower()), "")
    if not tier:
        raise ImportFailed(f"line {number}: {name} has the tier {cells[2]!r}; it is one of {', '.join(TIERS)}")
    if not _words(kind):
        raise ImportFailed(f"line {number}: {name} has no type")
    who = _LINK.search(maintainer)
    links = _LINK.findall(signup)
    codes = tuple(
        Signup(
            url=url,
            code="" if " " in label.strip() or not label.strip() else label.strip(" `*"),
            label=label.strip() if " " in label.strip() else "",
        )
        for label, url in links
    )
    if not codes and _words(signup) not in ("", "-", "–", "—", "N/A", "None"):
        raise ImportFailed(f"line {number}: {name} has a signup code without a link")
    return ExchangeRow(
        slug=known.get(_plain(name), re.sub(r"\W+", "_", name.lower()).strip("_")),
        name=name,
        type=_words(kind),
        tier=tier,
        maintainer="" if _words(maintainer) in ("-", "–", "—", "N/A", "None") else _words(maintainer),
        maintainer_url=who.group(2) if who else "",
        signup=codes,
    )


def _words(cell: str) -> str:
    """A cell without links, emphasis and images."""
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", cell)
    text = _LINK.sub(r"\1", text)
    text = re.sub(r":[a-z_]+:|[*`_]{1,2}(?=\S)|(?<=\S)[*`_]{1,2}", "", text)
    return "".join(letter for letter in text if ord(letter) < 0x2190 or ord(letter) > 0x1FFFF).strip()


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", _words(text).lower())


def _age(quarter: str) -> tuple[str, str]:
    return quarter[3:], quarter[:2]


def _to_toml(quarter: Quarter) -> str:
    lines = [f"quarter = {_quoted(quarter.quarter)}"]
    for row in quarter.exchange:
        lines += ["", "[[exchange]]"]
        fields = msgspec.to_builtins(row)
        signup = fields.pop("signup", ())
        lines += [f"{name} = {_quoted(value)}" for name, value in fields.items()]
        if signup:
            parts = (
                "{ " + ", ".join(f"{name} = {_quoted(value)}" for name, value in part.items()) + " }" for part in signup
            )
            lines.append(f"signup = [{', '.join(parts)}]")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()  # a JSON string is a TOML basic string
