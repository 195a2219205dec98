"""Panels, one file each. A module that offers `PANEL` (a PanelKind) or `PANELS` is found by itself."""

from __future__ import annotations

import importlib
import pkgutil

from ui.panel import PanelKind


def registry() -> dict[str, PanelKind]:
    """Every panel of this program by id, in the order of their titles."""
    kinds: dict[str, PanelKind] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        offered = getattr(module, "PANELS", None) or ([module.PANEL] if hasattr(module, "PANEL") else [])
        for kind in offered:
            kinds[kind.id] = kind
    return dict(sorted(kinds.items(), key=lambda item: item[1].title))
