"""Kraken's names: BTC/USD on WebSocket v2, XBTUSD, XXBTZUSD or XBT/USD over REST, and XXBT, ZUSD for what an account holds.

Source: AssetPairs and Assets of the REST API. Prefixes are never stripped by rule (XTZ and ZRX are real names): the lists tell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.model import Instrument
from connectors.spelling import split

_TODAY = {"XBT": "BTC", "XDG": "DOGE"}
_OLD = {new: old for old, new in _TODAY.items()}
_OLD_PAIR = re.compile("X([A-Z]{3})[XZ]([A-Z]{3})")  # XXBTZUSD, XETHXXBT: ids of the first years
# Ids of the first years that are not the names of today, one by one; the list of assets tells them too, where it was read.
_OLD_ASSET = re.compile("X(ETC|ETH|ICN|LTC|MLN|REP|XBT|XDG|XLM|XMR|XRP|ZEC)|Z(AUD|CAD|EUR|GBP|JPY|USD)")
_QUOTES = ("USDT", "USDC", "USD", "EUR", "GBP", "AUD", "CAD", "CHF", "JPY", "DAI", "XBT", "ETH")


def today(asset: str) -> str:
    """XBT -> BTC, XDG -> DOGE; every other name is the same everywhere."""
    return _TODAY.get(asset, asset)


def wire_of(wsname: str) -> str:
    """A pair's name on WebSocket v2, of its name on v1: XBT/USD -> BTC/USD."""
    base, _, quote = wsname.partition("/")
    return f"{today(base)}/{today(quote)}"


def rest_pair(instrument: Instrument) -> str:
    """A pair's name over REST: its altname where the list was read, else as altnames are made."""
    found = instrument.extra.get("pair")
    return found or _OLD.get(instrument.base, instrument.base) + _OLD.get(instrument.quote, instrument.quote)


def pair_of(name: str) -> tuple[str, str] | None:
    """Base and quote of a pair's name where no list is at hand: BTC/USD, XBTUSD and XXBTZUSD are BTC, USD."""
    base, mark, quote = name.partition("/")
    found: tuple[str, str] | None = (base, quote) if mark and base and quote and "/" not in quote else None
    if not mark:
        old = _OLD_PAIR.fullmatch(name)
        found = (old[1], old[2]) if old else split(name, _QUOTES)
    return (today(found[0].upper()), today(found[1].upper())) if found else None


def lone_wire(name: str) -> str:
    """A pair's v2 name, of any of its names where no list is at hand; what can't be told stays as it is."""
    found = pair_of(name)
    return "/".join(found) if found else name


@dataclass(frozen=True, slots=True)
class Names:
    """`pairs`: every name that a pair has over REST -> its v2 name. `assets`: an asset's id -> its name of today."""

    pairs: Mapping[str, str] = field(default_factory=dict)
    assets: Mapping[str, str] = field(default_factory=dict)

    def wire(self, name: str) -> str:
        """A pair's v2 name, of whichever of its names an answer uses; one that no list has stays as it is."""
        return self.pairs.get(name) or (wire_of(name) if "/" in name else name)

    def asset(self, name: str) -> str:
        """XXBT -> BTC; what is staked or lent keeps its suffix: XXBT.B -> BTC.B."""
        base, dot, suffix = name.partition(".")
        return today(self.assets.get(base) or (base[1:] if _OLD_ASSET.fullmatch(base) else base)) + dot + suffix


def pairs_of(rows: Mapping[str, Any]) -> dict[str, str]:
    """All REST names of all pairs, of an AssetPairs answer."""
    found = {}
    for name, row in rows.items():
        if row.get("wsname"):
            wire = wire_of(row["wsname"])
            found.update(dict.fromkeys((name, row.get("altname", name), row["wsname"]), wire))
    return found


def assets_of(rows: Mapping[str, Any]) -> dict[str, str]:
    """Ids and altnames, of an Assets answer."""
    return {name: row.get("altname", name) for name, row in rows.items()}
