"""The loop of Qt and asyncio that the end-to-end tests run in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from PySide6.QtWidgets import QApplication

from app.loop import Loop


@pytest.fixture
def loop(qapp: QApplication) -> Iterator[Loop]:
    """Ours for one test."""
    found = Loop(qapp)
    asyncio.set_event_loop(found)
    yield found
    found.close()
    asyncio.set_event_loop(None)
