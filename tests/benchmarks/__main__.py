"""`./dev bench`: every figure is taken beside its reference in the same run; ratios are what counts, not the milliseconds."""

from __future__ import annotations

import sys

from tests.benchmarks import feed, screen


def main() -> int:
    """Run all, or those named."""
    wanted = sys.argv[1:] or ["feed", "screen"]
    status = 0
    for name in wanted:
        sys.stdout.write(f"\n== {name}\n")
        status |= {"feed": feed.run, "screen": screen.run}[name]()
    return status


raise SystemExit(main())
