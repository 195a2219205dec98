"""What every test shares: deterministic hypothesis, the way to the recorded traffic beside the repository, the loop of a window."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from PySide6.QtWidgets import QApplication

from app.loop import Loop

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("FATHOM_SHARED", ROOT.parent / "shared"))

pytest.register_assert_rewrite("tests.conformance.bench", "tests.conformance.scenarios")
pytest_plugins = ["tests.conformance.table"]

settings.register_profile(
    "fathom", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("fathom")


@pytest.fixture(scope="session")
def venues_dir() -> Path:
    """The folder of dossiers, recordings, samples and vectors; the test is skipped where it is absent."""
    folder = SHARED / "venues"
    if not folder.is_dir():
        pytest.skip(f"no recorded traffic at {folder}; set FATHOM_SHARED to the folder that holds venues/")
    return folder


@pytest.fixture(autouse=True)
def collect_in_this_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """As the program does: widgets in cycles go in the thread that may destroy them, never in one of the journal's."""
    if "qapp" not in request.fixturenames:
        yield
        return
    gc.disable()
    yield
    gc.collect()
    gc.enable()


@pytest.fixture
def loop(qapp: QApplication) -> Iterator[Loop]:
    """The loop of Qt and asyncio, for one test."""
    found = Loop(qapp)
    asyncio.set_event_loop(found)
    yield found
    found.close()
    asyncio.set_event_loop(None)
