"""Recordings that are not whole."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path

import pytest

from connectors.catalogue import load
from connectors.runtime.record import read
from connectors.runtime.replay import replay

ROWS = [
    {"ts": float(number), "conn": "a", "dir": "in", "url": "wss://stream.binance.com:9443/ws", "data": "{}"}
    for number in range(100)
]
WHOLE = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


@pytest.mark.parametrize("name", ["plain.jsonl", "packed.jsonl.gz"])
def test_a_file_that_was_cut_is_read_up_to_there_and_it_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    path = tmp_path / name
    content = gzip.compress(WHOLE, mtime=0) if name.endswith("gz") else WHOLE
    path.write_bytes(content[: len(content) * 2 // 3])
    with caplog.at_level(logging.WARNING):
        rows = list(read(path))
    assert len(rows) < 100
    assert [row.ts for row in rows] == [float(number) for number in range(len(rows))]
    assert caplog.messages == [f"{name} is cut off after row {len(rows)}: what came before is read"]


def test_a_whole_file_is_read_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "whole.jsonl"
    path.write_bytes(WHOLE)
    with caplog.at_level(logging.WARNING):
        assert len(list(read(path))) == 100
    assert not caplog.messages


@pytest.mark.parametrize(
    "content", [b"", b'{"ts": 1.0, "conn"', gzip.compress(WHOLE, mtime=0)[:20]], ids=["empty", "half a row", "packed"]
)
def test_a_file_without_one_whole_row_is_a_problem_and_no_empty_report(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "none.jsonl"
    path.write_bytes(content)
    assert "is empty, or was cut off" in replay(path, load("binance")).problem
