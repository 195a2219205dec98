"""The command line as a person or a script uses it: real processes, stdout that can be piped, errors with status 2."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[2]


def fathom(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"FATHOM_HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "app", *words]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False, timeout=PATIENCE, cwd=home
    )


def test_venues_joins_the_catalogue_with_what_is_implemented(tmp_path: Path) -> None:
    rows = json.loads(fathom("venues", "--json", home=tmp_path).stdout)
    assert len(rows) == 23
    binance = rows[0]
    assert set(binance) == {
        "slug", "name", "type", "tier", "maintainer", "signup", "status", "markets", "capabilities", "implemented",
    }  # fmt: skip
    assert binance["implemented"]
    assert binance["capabilities"]["spot"]["post_only"]
    assert {row["slug"] for row in rows if row["status"]["state"] == "closed"} == {
        "ascend_ex", "altmarkets", "bit_com", "bitmart", "bitmex", "bittrex", "hotbit",
    }  # fmt: skip


def test_headless_replay_reports_each_book(tmp_path: Path, venues_dir: Path) -> None:
    path = venues_dir / "binance" / "session-spot-2021-10-12.jsonl.gz"
    report = json.loads(fathom("replay", str(path), "--venue", "binance", "--headless", "--json", home=tmp_path).stdout)
    assert report["not_understood"] == 0
    assert sum(book["gaps"] for book in report["books"].values()) == 0
    assert sum(book["applied"] for book in report["books"].values()) == 172
    told = fathom("replay", str(path), "--headless", home=tmp_path).stdout
    assert "binance:spot:NKN-USDT" in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("practice", "nosuch"), "there are: "),
        (("practice", "binance", "--port", "99999"), "no port"),
        (("practice", "binance", "--port", "65535"), "cannot listen on port 65535"),
        (("decode", "nosuch"), "there are: "),
        (("replay", "nofile.gz"), "no file"),
        (("--replay", str(ROOT / "README.md"), "--venue", "nosuch"), "there are: "),
        (("replay", "nofile.gz", "--headless"), "no file"),
        (("replay", "x", "--speed", "minus"), "no speed"),
        (("replay", "x", "--speed", "nan"), "above zero"),
        (("--after", "nan"), "seconds"),
        (("dance",), "fathom --help"),
    ],
)
def test_errors_go_to_stderr_with_status_2_and_say_what_to_do(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = fathom(*words, home=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert not done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is a screen without being told")
def test_without_a_screen_it_is_said_in_a_sentence(tmp_path: Path) -> None:
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    environment = {name: value for name, value in os.environ.items() if name not in screens}
    environment |= {"FATHOM_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "app"], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no screen" in done.stderr


@pytest.mark.parametrize("command", ["decode", "sign"])
def test_input_of_which_no_line_can_be_read_ends_with_status_2_after_each_line_was_answered(
    command: str, tmp_path: Path
) -> None:
    environment = os.environ | {"FATHOM_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "app", command, "kraken"]
    done = subprocess.run(
        words, input="not json\n[]\n", capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert done.returncode == 2
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr.count("\n") == 1
    assert "JSON object" in done.stderr


def test_a_file_that_is_no_recording_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "not.jsonl"
    path.write_text('{"ts": 1}\n')
    done = fathom("replay", str(path), "--venue", "binance", "--headless", home=tmp_path)
    assert done.returncode == 2
    assert "line 1" in done.stderr


def test_a_recording_that_cannot_be_read_at_all_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    rows = [
        {"ts": 1.0, "conn": "a", "dir": "open", "url": "wss://old.kraken.com", "data": ""},
        {"ts": 2.0, "conn": "a", "dir": "in", "url": "wss://old.kraken.com", "data": "{}"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = fathom("replay", str(path), "--venue", "kraken", "--headless", "--json", home=tmp_path)
    assert done.returncode == 2
    assert "old.kraken.com" in done.stderr
    assert "nothing in this recording" in json.loads(done.stdout)["problem"]


def test_doctor_tells_versions_folders_and_the_keyring(tmp_path: Path) -> None:
    found = json.loads(fathom("doctor", "--json", home=tmp_path).stdout)
    assert found["versions"]["PySide6-Essentials"].startswith("6.1")
    assert found["folders"]["data"]["writable"]
    assert set(found["keyring"]) == {"backend", "persistent"}


def test_doctor_says_that_a_place_where_nothing_can_be_kept_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    environment = os.environ | {"FATHOM_HOME": str(tmp_path / "file" / "home"), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "app", "doctor", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=PATIENCE, check=False)
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert not any(folder["writable"] for folder in found["folders"].values())
    assert "FATHOM_HOME" in found["trouble"][0]


def test_doctor_asks_qt_itself_for_the_platform(tmp_path: Path) -> None:
    done = fathom("doctor", "--json", home=tmp_path)
    found = json.loads(done.stdout)
    if os.environ.get("DISPLAY"):
        assert found["qt_platform"] == "xcb"
        assert done.returncode == 0
    environment = os.environ | {"FATHOM_HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "DISPLAY": ":4242"}
    environment.pop("WAYLAND_DISPLAY", None)
    lost = subprocess.run(
        [sys.executable, "-m", "app", "doctor", "--json"], capture_output=True, text=True, env=environment, check=False
    )
    assert lost.returncode == 1
    assert any("cannot open a window" in line for line in json.loads(lost.stdout)["trouble"])


def test_practice_says_in_one_line_where_it_serves(tmp_path: Path) -> None:
    environment = os.environ | {"FATHOM_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "app", "practice", "binance", "--json", "--seed", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    assert said["venue"] == "binance"
    assert said["hosts"]["https://api.binance.com"].startswith("http://127.0.0.1:")
    assert said["hosts"]["wss://stream.binance.com:9443"].startswith("ws://127.0.0.1:")
    assert set(said["credentials"]) == {"key", "secret"}


def test_decode_and_sign_answer_each_line_and_go_on(tmp_path: Path) -> None:
    environment = os.environ | {"FATHOM_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}

    def ask(command: str, *lines: str) -> list[dict[str, Any]]:
        words = [sys.executable, "-m", "app", command, "binance"]
        done = subprocess.run(
            words, input="\n".join(lines), capture_output=True, text=True, env=environment, timeout=PATIENCE, check=True
        )
        assert done.stderr == ""
        return [json.loads(line) for line in done.stdout.splitlines()]

    frame = {"e": "aggTrade", "E": 1, "s": "BTCUSDT", "a": 5, "p": "1.5", "q": "2", "T": 3, "m": True}
    trade = json.dumps({"frame": json.dumps(frame)})
    first, second, third = ask("decode", trade, "nonsense", trade)
    assert first["events"] == [
        {"kind": "trade", "symbol": "BTC-USDT", "price": 1.5, "amount": 2.0, "side": "sell", "id": "5", "time": 3}
    ]
    assert (second["line"], second["events"][0]["kind"]) == (2, "error")
    assert third == first | {"line": 3}

    call = '{"call":{"op":"balances"},"credentials":{"key":"k","secret":"s3cr3t"},"timestamp_ms":1700000000000}'
    signed, refused, keyless = ask("sign", call, '{"call":{"op":"dance"},"timestamp_ms":1}', call.replace("s3cr3t", ""))
    assert (signed["line"], signed["method"], signed["headers"]["X-MBX-APIKEY"]) == (1, "GET", "k")
    assert signed["url"].startswith("https://api.binance.com/api/v3/account?")
    assert "s3cr3t" not in json.dumps(signed)
    assert "dance" in refused["error"]
    assert "secret" in keyless["error"]
