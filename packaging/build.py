"""Builds what can be installed: the wheel and the source distribution, into dist/. Run by `./dev package`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Build both with hatchling; returns its exit status."""
    target = ROOT / "dist"
    status = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(target)], cwd=ROOT, check=False
    ).returncode
    if status == 0:
        for path in sorted(target.glob("fathom-*")):
            print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1024:.0f} KiB")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
