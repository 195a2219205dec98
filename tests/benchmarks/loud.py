"""A practice exchange with a loud crowd, in a process of its own: prints where it serves, runs until it is ended."""

from __future__ import annotations

import asyncio
import json
import sys

from connectors.catalogue import load
from connectors.practice.server import PracticeServer


async def main() -> None:
    """Serve."""
    server = PracticeServer(load("binance"), seed=1, rate=float(sys.argv[1]))
    await server.start()
    sys.stdout.write(json.dumps({"hosts": server.hosts, "credentials": server.credentials}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


asyncio.run(main())
