"""Recording: every raw frame and response as zstd JSON lines, with secrets taken out before they are written.

One object a line: `ts` (unix seconds), `conn`, `dir` (open, out, in, http), `url`, `data`; `b64` true for binary frames. Request
headers are never written. A file that ends in the middle (a crash) is readable up to the last flushed frame.
"""

from __future__ import annotations

import base64
import gzip
import io
import logging
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from connectors.contract import Answer, Wire

FLUSH_EVERY = 256  # lines
CUT = "%s is cut off after row %d: what came before is read"
LIMIT = 512 * 2**20  # bytes of one file; recording stops there and says so

_log = logging.getLogger(__name__)
_NAMED = re.compile(
    r'("?(?:signature|sign|api[-_]?key|apiKey|passphrase|token|listenKey|jwt|secret|API-Sign|otp)"?\s*[=:]\s*"?)([^"&\s,}]+)',
    re.IGNORECASE,
)
_LOGIN = re.compile(
    r'("op"\s*:\s*"(?:auth|login)\w*"\s*,\s*"args"\s*:\s*\[)[^\]]*', re.IGNORECASE
)  # by place, without names


class Row(msgspec.Struct, omit_defaults=True):
    """One line of a recording. `headers` only where the recorder kept a response's."""

    ts: float
    conn: str
    dir: str
    url: str
    data: str
    b64: bool = False
    headers: dict[str, str] | None = None

    @property
    def frame(self) -> str | bytes:
        """The frame as it came, text or binary."""
        return base64.b64decode(self.data) if self.b64 else self.data


class Redactor:
    """Replaces secrets by `***`: the values that it was told, and whatever stands behind a telling name."""

    def __init__(self, secrets: Iterable[str]) -> None:
        values = sorted({value for value in secrets if len(value) >= 4}, key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, values))) if values else None

    def __call__(self, text: str) -> str:
        """`text` without secrets."""
        if self._values is not None:
            text = self._values.sub("***", text)
        return _LOGIN.sub(r'\1"***"', _NAMED.sub(r"\1***", text))


class Recorder:
    """Writes one file. `full` becomes true when the size limit was reached and nothing more is written."""

    def __init__(self, path: Path, secrets: Iterable[str] = (), limit: int = LIMIT) -> None:
        import zstandard

        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.full = False
        self._secrets = set(secrets)
        self._redact = Redactor(self._secrets)
        self._limit = limit
        self._file: IO[bytes] | None = path.open("wb")
        self._out = zstandard.ZstdCompressor(level=3).stream_writer(self._file, closefd=False)
        self._encode = msgspec.json.Encoder().encode
        self._lines = 0

    def hide(self, secrets: Iterable[str]) -> None:
        """More that must not be written: tokens that were handed out since."""
        new = set(secrets) - self._secrets
        if new:
            self._secrets |= new
            self._redact = Redactor(self._secrets)

    def frame(self, conn: str, direction: str, url: str, frame: str | bytes) -> None:
        """One frame of a socket. A frame that was signed is not for writing: give what it was before."""
        if isinstance(frame, bytes):
            self._write(
                Row(time.time(), conn, direction, self._redact(url), base64.b64encode(frame).decode(), b64=True)
            )
        else:
            self._write(Row(time.time(), conn, direction, self._redact(url), self._redact(frame)))

    def http(self, url: str, wire: Wire, answer: Answer) -> None:
        """One answer; the request is only its address."""
        body = answer.body.decode("utf-8", "replace")
        self._write(Row(time.time(), "http", "http", self._redact(url), self._redact(body)))

    def close(self) -> None:
        """Finish the file."""
        if self._file is not None:
            self._out.close()
            self._file.close()
            self._file = None

    def _write(self, row: Row) -> None:
        import zstandard

        if self._file is None or self.full:
            return
        self._out.write(self._encode(row) + b"\n")
        self._lines += 1
        if self._lines % FLUSH_EVERY == 0:
            self._out.flush(zstandard.FLUSH_FRAME)
            self._file.flush()
            self.full = self._file.tell() >= self._limit


def read(path: Path) -> Iterator[Row]:
    """The rows of a recording, `.zst` or `.gz` or plain. Ends where a crash cut the file, with a warning in the log.

    Raises OSError if it can't be opened and ValueError with the line's number if a line is no row.
    """
    decode = msgspec.json.Decoder(Row).decode
    with _open(path) as lines:
        number = 0
        while True:
            try:
                line = lines.readline()
            except (EOFError, OSError, ValueError):
                _log.warning(CUT, path.name, number)
                return  # the last frame of a file that a crash cut short
            if not line:
                return
            number += 1
            if not line.endswith(b"\n") and not line.rstrip().endswith(b"}"):
                _log.warning(CUT, path.name, number - 1)
                return
            try:
                yield decode(line)
            except msgspec.DecodeError as error:
                raise ValueError(f"{path.name}, line {number}: this is no row of a recording ({error})") from None


def _open(path: Path) -> io.BufferedReader:
    with path.open("rb") as file:
        magic = file.read(4)
    if magic[:2] == b"\x1f\x8b":
        return io.BufferedReader(gzip.open(path, "rb"))
    if magic == b"\x28\xb5\x2f\xfd":
        import zstandard

        reader = zstandard.ZstdDecompressor().stream_reader(path.open("rb"), read_across_frames=True, closefd=True)
        return io.BufferedReader(reader)
    return path.open("rb")
