"""Public fee rates by venue, for paper accounts whose own rates are not known."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any

from connectors.model import Fees, Instrument, Market


def public_rates(instrument: Instrument) -> tuple[Fees, str]:
    """Rates of the lowest tier, and where they are from."""
    table = _table()
    kind = "spot" if instrument.market is Market.SPOT else "contracts"
    row = table.get(instrument.venue, {})
    if kind not in row:
        row = table["default"]
    rates = row[kind]
    percent = Decimal(100)
    return Fees(maker=Decimal(rates["maker"]) / percent, taker=Decimal(rates["taker"]) / percent), row["source"]


@cache
def _table() -> dict[str, Any]:
    path = resources.files("resources") / "fees.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))
