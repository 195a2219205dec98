"""Logging: a ring for the Log panel, a file with rotation, and a filter that takes secrets out of both."""

from __future__ import annotations

import logging
import logging.handlers
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from connectors.runtime.record import Redactor

KEPT = 2000
RAW = ("websockets", "aiohttp", "asyncio")  # at debug level these print frames and headers, signatures included


@dataclass(frozen=True, slots=True)
class Line:
    """One record: unix time, level name, logger, text."""

    time: float
    level: str
    source: str
    text: str


class LogRing(logging.Handler):
    """The latest lines. `version` rises with each."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[Line] = deque(maxlen=KEPT)
        self.version = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.lines.append(Line(record.created, record.levelname.lower(), record.name, record.getMessage()))
        self.version += 1


class _Clean(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()
        self.redact = Redactor(())

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.redact(record.getMessage()), None
        if record.exc_info and record.exc_text is None:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text is not None:  # another handler may have written it out before
            record.exc_text = self.redact(record.exc_text)
        return True


class Logs:
    """Everything that was set up; `hide` adds secrets that must never be written."""

    def __init__(self, folder: Path | None) -> None:
        self.ring = LogRing()
        self._clean = _Clean()
        root = logging.getLogger()
        root.setLevel(logging.INFO)
        for name in RAW:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._handlers: list[logging.Handler] = [self.ring]
        self.problem = ""
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                path = folder / "fathom.log"
                file = logging.handlers.RotatingFileHandler(path, maxBytes=4_000_000, backupCount=3, encoding="utf-8")
                file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
                self._handlers.append(file)
            except OSError as error:
                self.problem = f"The log file cannot be written ({error})."
        for handler in self._handlers:
            handler.addFilter(self._clean)
            root.addHandler(handler)

    def hide(self, secrets: Iterable[str]) -> None:
        """Never write these."""
        self._clean.secrets.update(secrets)
        self._clean.redact = Redactor(self._clean.secrets)

    def close(self) -> None:
        """Let go of the handlers."""
        for handler in self._handlers:
            logging.getLogger().removeHandler(handler)
            handler.close()
