"""`fathom practice VENUE`: serve a practice exchange alone, for any client, until interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import sys
import threading

from connectors.catalogue import load
from connectors.practice.faults import Faults
from connectors.practice.server import PracticeServer


def run(
    slug: str,
    *,
    port: int = 0,
    as_json: bool = False,
    seed: int | None = None,
    faults: Faults | None = None,
    until_stdin_ends: bool = False,
) -> int:
    """Serve `slug`; with `as_json` print one line that says where, and with which credentials.

    Raises VenueUnknown, and OSError where the ports are not to be had.

    `until_stdin_ends`: end when the standard input does, so that nothing is left over by a parent that was killed.
    """
    venue = load(slug)

    async def serve() -> None:
        gc.disable()  # tens of thousands of orders are made, and none of them is garbage
        server = PracticeServer(venue, seed=seed, faults=faults)
        try:
            await server.start(port)
        except (OSError, OverflowError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            where = f"on port {port} and those after it" if port else "on any port"
            raise OSError(f"cannot listen {where} ({why}). Choose another with --port, or leave it out") from error
        gc.freeze()
        gc.enable()
        stop = asyncio.Event()  # before anything is said: whoever reads the line may end us at once
        with contextlib.suppress(NotImplementedError):  # Windows
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
        if until_stdin_ends:
            loop = asyncio.get_running_loop()

            def follow() -> None:
                while os.read(sys.stdin.fileno(), 4096):  # not through a buffer, whose lock would be held at the end
                    pass
                with contextlib.suppress(RuntimeError):  # the loop has ended already
                    loop.call_soon_threadsafe(stop.set)

            threading.Thread(target=follow, daemon=True).start()
        said = {"venue": slug, "hosts": server.hosts, "credentials": server.credentials}
        if as_json:
            sys.stdout.write(json.dumps(said) + "\n")
        else:
            lines = [
                f"{venue.name}, practice exchange",
                *(f"  {real} -> {local}" for real, local in server.hosts.items()),
            ]
            lines += [f"  {name}: {value}" for name, value in server.credentials.items()]
            sys.stdout.write("\n".join(lines) + "\nCtrl+C ends it.\n")
        sys.stdout.flush()
        await stop.wait()
        await server.stop()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve())
    return 0
