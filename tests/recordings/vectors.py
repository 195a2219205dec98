"""What every venue's signing vectors share: reading the file, and sealing our own step for a call in plain words."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.catalogue import load, slugs
from connectors.contract import Call, Stamp
from connectors.tools import steps_for
from tests.conftest import SHARED


def entries() -> Iterator[Any]:
    """Every entry of every implemented venue, as (slug, entry)."""
    for slug in slugs():
        path = SHARED / "venues" / slug / "vectors.json"
        for entry in json.loads(path.read_text()) if path.exists() else []:
            yield pytest.param(slug, entry, id=f"{slug}: {entry['name']}")


def sealed(slug: str, entry: dict[str, Any], **facts: Any) -> tuple[Any, Any, str]:
    """Our step, our wire, and the base URL that it goes below."""
    venue, credentials = load(slug), {k: v for k, v in entry["credentials"].items() if v}
    family, step = steps_for(entry["call"], venue)
    if isinstance(step, Call) and entry["expect"]["body"] is None and step.form:
        step = dataclasses.replace(step, form=False)  # this vector puts the parameters into the query
    base = family.url(step.endpoint)
    facts = {name: value for name, value in facts.items() if value is not None}
    if "recv_window" in entry["call"]:
        facts["recv_window"] = entry["call"]["recv_window"]
    wire = family.signer.seal(
        step, credentials, facts, Stamp(entry["timestamp_ms"], entry["timestamp_ms"], "0" * 32), base
    )
    return step, wire, base
