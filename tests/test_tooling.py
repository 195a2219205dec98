"""Rules of the house that no linter knows, and the traps of our dependencies."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QObject

ROOT = Path(__file__).resolve().parent.parent
SHARED_ROOMS = {"runtime", "practice"}
NO_IO = {"asyncio", "socket", "ssl", "time", "logging", "aiohttp", "websockets", "threading", "subprocess", "secrets"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_app_knows_no_widgets() -> None:
    for path in (ROOT / "app").glob("**/*.py"):
        if path.name == "__main__.py":
            continue  # the door: it opens the window
        wrong = [name for name in imports(path) if name.startswith(("PySide6.QtGui", "PySide6.QtWidgets", "ui"))]
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_a_venue_does_no_input_or_output() -> None:
    for folder in (ROOT / "connectors").iterdir():
        if not (folder / "__init__.py").exists() or folder.name in SHARED_ROOMS:
            continue
        for path in folder.glob("*.py"):
            allowed = (
                {"secrets"} if path.name.startswith("practice") else set()
            )  # the venue's end hands out keys and ids
            wrong = [name for name in imports(path) if name.split(".")[0] in NO_IO - allowed]
            wrong += [name for name in imports(path) if name.startswith("connectors.runtime")]
            assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


@pytest.mark.usefixtures("qapp")
def test_qt_calls_do_not_lose_references_to_none() -> None:
    """PySide6 6.12.0 on Python 3.11 lost one in each call that returns nothing, and aborted within seconds."""
    assert QCoreApplication.instance() is not None
    timer = QObject()
    before = sys.getrefcount(None)
    for _ in range(1000):
        timer.killTimer(timer.startTimer(1000))
    assert sys.getrefcount(None) > before - 100


def test_requirement_files_are_hashed_and_hold_no_address() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert not re.search(r"https?://|--index|--find-links", text)
        pinned = re.findall(r"^[A-Za-z0-9_.\-\[\]]+==\S+", text, re.MULTILINE)
        assert len(pinned) > 10
        assert text.count("--hash=sha256:") >= len(pinned)
