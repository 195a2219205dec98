"""Which venues this program can speak to: the folders of this package, and the entry-point group `fathom.venues`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points

import connectors
from connectors.contract import Venue

GROUP = "fathom.venues"
_ROOMS = {"runtime", "practice"}


class VenueUnknown(LookupError):
    """No connector has this slug; the text names those that have."""


@cache
def slugs() -> tuple[str, ...]:
    """Slugs of all connectors, sorted."""
    own = {module.name for module in pkgutil.iter_modules(connectors.__path__) if module.ispkg} - _ROOMS
    return tuple(sorted(own | {point.name for point in entry_points(group=GROUP)}))


@cache
def load(slug: str) -> Venue:
    """The venue called `slug`. Raises VenueUnknown."""
    if slug not in slugs():
        raise VenueUnknown(f"no connector is called {slug!r}; there are: {', '.join(slugs())}")
    for point in entry_points(group=GROUP):
        if point.name == slug:
            return point.load()
    return importlib.import_module(f"connectors.{slug}").VENUE
