"""`./dev bench`: every figure is taken beside its reference in the same run; ratios are what counts, not the milliseconds."""

from __future__ import annotations

import argparse
import sys

from tests.benchmarks import feed, screen

BENCHES = {"feed": feed.run, "screen": screen.run}


def main() -> int:
    """Run all, or those named."""
    parser = argparse.ArgumentParser(prog="dev bench", description="Figures as ratios, each beside its reference.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{' or '.join(BENCHES)}; all if left out")
    names = parser.parse_args().names
    if strange := [name for name in names if name not in BENCHES]:
        parser.error(f"no bench is called {strange[0]!r}; there are: {', '.join(BENCHES)}")
    status = 0
    for name in names or BENCHES:
        sys.stdout.write(f"\n== {name}\n")
        status |= BENCHES[name]()
    return status


raise SystemExit(main())
