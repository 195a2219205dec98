"""`fathom doctor`: what Fathom finds on this machine, for a person or for a report."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from importlib import metadata

PACKAGES = (
    "PySide6-Essentials",
    "PySide6-QtAds",
    "qasync",
    "websockets",
    "aiohttp",
    "pyqtgraph",
    "numpy",
    "msgspec",
    "keyring",
)


def examine(*, as_json: bool) -> int:
    """Print it; status 1 if something keeps Fathom from running here. What only deserves a look is told with status 0."""
    from app.settings import Settings
    from app.vault import Vault

    settings = Settings()
    vault = Vault(settings.data)
    platform_name, screen = _platform()
    folders = {"config": settings.config, "data": settings.data, "logs": settings.logs}
    found: dict[str, object] = {
        "versions": {
            "fathom": _version("fathom"),
            "python": platform.python_version(),
            **{name: _version(name) for name in PACKAGES},
        },
        "system": platform.platform(),
        "qt_platform": platform_name,
        "screen": screen,
        "keyring": {"backend": vault.backend, "persistent": vault.persistent},
        "clock": _clock(),
        "folders": {name: {"path": str(path), "writable": _writable(path)} for name, path in folders.items()},
        "settings": settings.notice or "fine",
    }
    trouble: list[str] = []
    if not vault.persistent:
        trouble.append(f"{vault.text} On Linux install and unlock gnome-keyring or KWallet.")
    stops = [
        f"The folder {path} cannot be written. Mend its rights, or name another place in FATHOM_HOME."
        for path in folders.values()
        if not _writable(path)
    ]
    if platform_name == "none":
        stops.append(f"Qt cannot open a window here: {screen}. `./dev run` brings what it needs, and a virtual screen.")
    trouble = stops + trouble
    found["trouble"] = trouble
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        for name, value in found.items():
            if isinstance(value, dict):
                sys.stdout.write(f"{name}\n" + "".join(f"  {key:20}{part}\n" for key, part in value.items()))
            elif isinstance(value, list):
                sys.stdout.write("".join(f"! {line}\n" for line in value) or "Nothing needs attention.\n")
            else:
                sys.stdout.write(f"{name:22}{value}\n")
    return 1 if stops else 0


_ASK_QT = "from PySide6.QtGui import QGuiApplication as A; a = A([]); print(a.platformName(), a.primaryScreen().name())"


def _platform() -> tuple[str, str]:
    """Qt's platform plug-in and the screen: tried in another process, because Qt aborts where it finds none."""
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not screen and os.environ.get("QT_QPA_PLATFORM") != "offscreen":
        return "none", "no DISPLAY and no WAYLAND_DISPLAY"
    if getattr(sys, "frozen", False):  # a package has no interpreter to ask
        return os.environ.get("QT_QPA_PLATFORM") or "as built", "found"
    try:
        told = subprocess.run(  # noqa: S603 - fixed words
            [sys.executable, "-c", _ASK_QT], capture_output=True, text=True, check=False, timeout=30
        )
    except subprocess.TimeoutExpired:
        return "none", "Qt did not answer within 30 s"
    if told.returncode:
        lines = told.stderr.strip().splitlines()
        return "none", lines[0] if lines else f"Qt ended with status {told.returncode}"
    name, _, where = told.stdout.strip().partition(" ")
    return name, where or "found"


def _clock() -> dict[str, object]:
    """The clock against the system's own idea of time keeping; venues are compared when they are connected."""
    wall, monotonic = time.time(), time.monotonic()
    synchronised = "not told"
    if shutil.which("timedatectl"):
        command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
        told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)  # noqa: S603 - fixed words
        synchronised = told.stdout.strip() or "not told"
    return {
        "synchronised": synchronised,
        "utc": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(wall)),
        "resolution_us": round(time.get_clock_info("time").resolution * 1e6, 3),
        "uptime_s": round(monotonic),
        "note": "the offset to a venue is measured when it is connected and shown under Health",
    }


def _writable(path: object) -> bool:
    from pathlib import Path

    folder = Path(str(path))
    while not folder.exists() and folder.parent != folder:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(
            dir=folder
        ):  # rights alone do not tell: it may be a file, or a disk that takes nothing
            return True
    except OSError:
        return False


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "from source" if name == "fathom" else "missing"
