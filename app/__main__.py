"""`fathom`: the door. Arguments, the qasync loop, crash handling; the only place in app that imports ui."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from app.cli import parse, run_command
from connectors.catalogue import VenueUnknown, load
from connectors.contract import Environment

if TYPE_CHECKING:
    from app.practice_process import PracticeProcesses
    from app.settings import Settings

# what the first account and its first curve need: loaded once the window is there, while the exchange is still being filled
SOON = ("aiohttp", "websockets.asyncio.client", "pyqtgraph.functions")

_log = logging.getLogger("fathom")


def main() -> int:
    """Run a command, or open the window."""
    arguments = parse(sys.argv[1:])
    if arguments.command is not None and not (arguments.command == "replay" and not arguments.headless):
        return run_command(arguments)
    return open_window(arguments)


def open_window(arguments: Any) -> int:
    """The terminal with its window, until the window is closed."""
    from app.practice_process import PracticeProcesses
    from app.settings import Settings
    from app.terminal import wanted_accounts

    problem = _obstacle(arguments)
    if problem:
        sys.stderr.write(f"fathom: {problem}\n")
        return 2
    settings = Settings()
    wanted = [] if arguments.replay else wanted_accounts(settings)
    # begun before anything of Qt is loaded: the exchange is filled while the window opens
    practice = PracticeProcesses(slug for slug, environment in wanted if environment is Environment.PRACTICE)
    try:
        return _show_window(arguments, settings, practice)
    finally:
        practice.end()


def _obstacle(arguments: Any) -> str:
    """Why no window can open, while it can still be said in a sentence: without a screen Qt ends the program."""
    if arguments.replay and not Path(arguments.replay).is_file():
        return f"there is no file {arguments.replay}"
    if arguments.venue:
        try:
            load(arguments.venue)
        except VenueUnknown as error:
            return str(error)
    asked = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in asked):
        return "there is no screen here (no DISPLAY and no WAYLAND_DISPLAY). Try: fathom doctor"
    return ""


def _show_window(arguments: Any, settings: Settings, practice: PracticeProcesses) -> int:
    from PySide6.QtWidgets import QApplication

    from app.loop import Loop
    from app.terminal import Terminal
    from ui.garbage import Collector
    from ui.window import Window

    application = QApplication.instance() or QApplication(sys.argv[:1])
    if not isinstance(application, QApplication):
        return 2
    application.setApplicationName("Fathom")
    application.setQuitOnLastWindowClosed(False)
    collector = Collector()
    loop = Loop(application)
    asyncio.set_event_loop(loop)
    loop.set_exception_handler(_loop_failure)
    sys.excepthook = _failure
    replay = Path(arguments.replay) if arguments.replay else None
    terminal = Terminal(replay=replay, venue=arguments.venue or "", speed=arguments.speed or 1.0, settings=settings)
    terminal.accounts.practice = practice
    closed = asyncio.Event()
    window = Window(terminal)
    window.closing.connect(closed.set)

    async def live() -> int:
        status = 0
        window.show()
        for turn, name in enumerate(SOON, 1):
            loop.call_later(turn * 0.05, importlib.import_module, name)
        try:
            await terminal.start()
            if arguments.screenshot:
                await _picture(window, Path(arguments.screenshot), arguments.after, arguments.workspace)
            else:
                await closed.wait()
        except (OSError, ValueError) as error:
            sys.stderr.write(f"fathom: {error}\n")
            status = 2
        window.save_layout()
        await terminal.stop()
        return status

    with loop:
        status = loop.run_until_complete(live())
    collector.collect()
    return status


async def _picture(window: Any, path: Path, after: float, workspace: str) -> None:
    """Save a picture of the window after a while, for documentation. Raises OSError, ValueError."""
    from ui.workspaces import WORKSPACES

    if workspace and workspace not in WORKSPACES:
        raise ValueError(f"no workspace is called {workspace!r}; there are: {', '.join(WORKSPACES)}")
    if workspace:
        window.show_workspace(workspace)
    await asyncio.sleep(after)
    if not window.grab().save(str(path)):
        raise OSError(f"the picture could not be written to {path}")


def _loop_failure(loop: Any, context: dict[str, Any]) -> None:
    error = context.get("exception")
    _log.error("%s", context.get("message", "an error in the loop"), exc_info=error)


def _failure(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    _log.critical("an error that nothing caught", exc_info=(kind, error, trace))
    # Its own words may hold a secret, and only the log takes those out.
    sys.stderr.write(
        f"fathom: an error that nothing caught ({kind.__name__}). The log has the whole of it; please report it.\n"
    )


if __name__ == "__main__":
    raise SystemExit(main())
