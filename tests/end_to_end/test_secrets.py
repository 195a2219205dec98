"""Nothing that is secret is ever written: every implemented venue is run with keys, refusals, cuts and crashes; then all is searched."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import logging
import re
import sys
import traceback
import zlib
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus

import msgspec
import pytest

from app.__main__ import _failure, _loop_failure
from app.accounts import Account, AccountState
from app.export import export
from app.orders import Draft
from app.settings import Settings
from app.terminal import Terminal
from connectors.catalogue import load, slugs
from connectors.contract import Ask, Call, Environment, Lifecycle, Security, Signer, Stamp, Step, Wire
from connectors.errors import VenueError
from connectors.model import Instrument, Market, OrderKind, OrderRequest, Side
from connectors.practice.server import PracticeServer
from connectors.runtime.record import read
from tests.end_to_end.rig import demonstrated
from tests.waiting import until

SHORTEST = 16  # of what a signer adds or a venue hands out: shorter parts are numbers, times and words


_HARMLESS = re.compile(r"[{\[/]|application/|http|\d+$|\d{4}-\d\d-\d\dT")  # structures, addresses, numbers, times


class Needles:
    """What must not be found, by what it is."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def add(self, what: str, value: str) -> None:
        """A secret, in every spelling that it may be written in."""
        raw = value.encode()
        lines = [line for line in value.splitlines() if len(line) >= SHORTEST and not line.startswith("-----")]
        for spelling in (
            value,
            quote(value, safe=""),
            quote_plus(value),
            json.dumps(value)[1:-1],
            base64.b64encode(raw).decode().rstrip("="),
            base64.urlsafe_b64encode(raw).decode().rstrip("="),
            raw.hex(),
            *lines,
        ):
            if len(spelling) >= 4:
                self.known[spelling] = what

    def search(self, name: str, content: bytes) -> list[str]:
        """Which secrets stand in `content`."""
        return [f"{what} in {name}" for value, what in self.known.items() if value.encode() in content]


def leaves(value: Any) -> Iterator[str]:
    """All texts in a structure, those in nested JSON too."""
    if isinstance(value, str):
        yield value
        if value[:1] in "{[":
            try:
                yield from leaves(json.loads(value))
            except ValueError:
                return
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from leaves(key)
            yield from leaves(each)
    elif isinstance(value, Iterable) and not isinstance(value, bytes):
        for each in value:
            yield from leaves(each)


def plain(step: Step) -> set[str]:
    """Every text of a request before it was signed."""
    content = step.payload if isinstance(step, Ask) else step.body
    found = set(leaves(json.loads(msgspec.json.encode(content))))
    if isinstance(step, Call):
        found |= set(leaves([*step.params, *step.headers, step.path.split("/"), step.path]))
    return found


def sent(wire: Wire) -> set[str]:
    """Every text of a request as it leaves."""
    found = {value for _, value in parse_qsl(wire.path.partition("?")[2])} | set(wire.headers.values())
    for part in (wire.body, wire.frame):
        text = part.decode(errors="replace") if isinstance(part, bytes) else part or ""
        found |= set(leaves(text)) | {value for _, value in parse_qsl(text)}
    return found


def watch_signer(signer: Signer, needles: Needles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that signing adds to a request is a secret from now on."""
    original = type(signer).seal

    def seal(
        self: Signer, step: Step, secrets: Mapping[str, str], facts: Mapping[str, Any], stamp: Stamp, base_url: str
    ) -> Wire:
        wire = original(self, step, secrets, facts, stamp, base_url)
        if step.security is not Security.NONE:
            for value in sent(wire) - plain(step):
                if len(value) >= SHORTEST and not _HARMLESS.match(value):
                    needles.add("what a signature is made of", value)
        return wire

    monkeypatch.setattr(type(signer), "seal", seal)


async def open_account(terminal: Terminal, slug: str) -> tuple[Account, PracticeServer]:
    """An account with a key: LIVE with the key from the vault where the venue lives, else practice."""
    venue = load(slug)
    if venue.standing.lifecycle is Lifecycle.CLOSED:
        terminal.accounts.exchange = lambda venue: PracticeServer(venue, seed=3, crowd=demonstrated(venue))
        account = terminal.accounts.add(slug, Environment.PRACTICE)
        await account.start()
        assert account.server is not None
        return account, account.server
    server = PracticeServer(venue, seed=3, crowd=demonstrated(venue))
    await server.start()
    terminal.accounts.hosts[slug] = server.hosts
    terminal.vault.save(slug, Environment.LIVE, server.credentials)
    account = terminal.accounts.add(slug, Environment.LIVE)
    await account.start()
    return account, server


def choose(account: Account) -> Instrument:
    """The first demonstration symbol."""
    wanted = account.venue.demo_symbols
    rows = [row for row in account.instruments.values() if row.symbol in wanted] or list(account.instruments.values())
    return min(rows, key=lambda row: (row.market is not Market.SPOT, row.key))


async def trade(terminal: Terminal, account: Account) -> list[str]:
    """Orders that rest, fill and are refused; returns the texts of all errors met."""
    said: list[str] = []
    instrument = choose(account)
    feed = terminal.markets.open(instrument.key, account.environment)
    assert feed is not None
    await until(lambda: feed.sync.live and feed.book.mid, "a live book")
    mid = Decimal(repr(feed.book.mid))
    price = (mid * Decimal("0.97") / instrument.tick).to_integral_value() * instrument.tick
    step = instrument.size.step or Decimal("0.001")
    value = max(instrument.min_notional * 3, Decimal(50))
    amount = max((instrument.size_worth(price, value) / step).to_integral_value() * step, instrument.size.minimum)
    draft = Draft(account=account.id, instrument=instrument, side=Side.BUY, amount=amount, price=price)
    resting = terminal.desk.orders[terminal.desk.place(draft)]
    market = msgspec.structs.replace(draft, kind=OrderKind.MARKET, price=None, side=Side.SELL)
    if OrderKind.MARKET in account.venue.family(instrument.family).capabilities.kinds:
        filled = terminal.desk.orders[terminal.desk.place(market)]
        await until(lambda: filled.is_final, "the market order to end")
    await until(lambda: resting.venue_id, f"the resting order: {resting.text}")
    family = account.venue.family(instrument.family)
    wild = OrderRequest(
        client_id=family.ids.make(account.session.stamp(family.name)),
        instrument=instrument,
        side=Side.BUY,
        kind=OrderKind.LIMIT,
        amount=amount * 10**9,
        price=price,
    )
    try:
        await account.session.place(wild)
    except VenueError as error:
        said += texts(error)
    terminal.desk.cancel(resting.id)
    await until(lambda: resting.is_final, "the cancel")
    for order in terminal.desk.orders.values():
        said += [order.text, *(moment.text for moment in order.history)]
    return said


def texts(error: BaseException) -> list[str]:
    """Everything that an error would print."""
    return [str(error), repr(error), "".join(traceback.format_exception(error))]


async def wrong_key(slug: str, server: PracticeServer, needles: Needles) -> list[str]:
    """A key that the venue does not know, of the right form."""
    from connectors.runtime.session import Session

    venue = load(slug)
    stranger = PracticeServer(venue, crowd=False).credentials
    for name, value in stranger.items():
        needles.add(f"strange {name}", value)
    session = Session(venue, Environment.LIVE, hosts=server.hosts, secrets=stranger)
    await session.start()
    said = []
    try:
        for family in venue.families:
            try:
                await session.run(family.trading.balances({}), family)
            except Exception as error:  # noqa: BLE001 - whatever it is, its words are looked at
                said += texts(error)
    finally:
        await session.stop()
    return said


def malformed_keys(slug: str) -> list[str]:
    """What signers say of secrets that are no keys at all."""
    said = []
    for family in load(slug).families:
        for broken in (
            "garbage-SECRET-0123456789abcdef",
            "-----BEGIN PRIVATE KEY-----\nSECRET0123456789\n-----END PRIVATE KEY-----",
        ):
            secrets = {field.name: broken for field in load(slug).secrets}
            step = Call(
                endpoint=family.endpoints[0].role,
                method="GET",
                path="/x",
                read=lambda answer: answer,
                security=Security.SIGNED,
            )
            try:
                family.signer.seal(step, secrets, {}, Stamp(1, 1, "0" * 32), family.endpoints[0].url)
            except Exception as error:  # noqa: BLE001 - as above
                said += texts(error)
    return said


def crash(needles: Needles, secret: str) -> None:
    """The worst case: a bug whose text carries the secret, through every door for crashes."""
    try:
        raise RuntimeError(f"a bug that prints its key {secret}")
    except RuntimeError as error:
        _failure(type(error), error, error.__traceback__)
        _loop_failure(None, {"message": f"in the loop {secret}", "exception": error})
        logging.getLogger("somewhere").error("a line with %s", secret)


def unpacked(content: bytes) -> bytes:
    """What a binary frame holds, if it is packed."""
    for unpack in (gzip.decompress, zlib.decompress, lambda raw: zlib.decompress(raw, -15)):
        try:
            return unpack(content)
        except (OSError, zlib.error, EOFError):
            continue
    return content


def written(home: Path) -> Iterator[tuple[str, bytes]]:
    """Every file, and what is inside of packed ones."""
    for path in sorted(home.rglob("*")):
        if not path.is_file():
            continue
        yield str(path.relative_to(home)), path.read_bytes()
        if path.name.endswith(".zst"):
            for row in read(path):
                frame = row.frame
                inside = frame.encode() if isinstance(frame, str) else frame + b"\n" + unpacked(frame)
                yield path.name, row.url.encode() + b"\n" + inside


@pytest.mark.parametrize("slug", slugs())
def test_no_secret_is_written_anywhere(
    slug: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("FATHOM_HOME", str(tmp_path))
    monkeypatch.setattr("app.vault._sealed_backend", lambda: None)
    needles = Needles()
    for family in load(slug).families:
        watch_signer(family.signer, needles, monkeypatch)
    said: list[str] = []

    async def run() -> None:
        settings = Settings()
        settings.preferences.accounts = ["none:none"]
        settings.preferences.recording = True
        terminal = Terminal(settings=settings)
        caplog.set_level(logging.DEBUG)
        await terminal.start()
        terminal.desk.message.connect(lambda notice: said.append(notice.text))
        account, server = await open_account(terminal, slug)
        try:
            for name, value in server.credentials.items():
                needles.add(name, value)
            await until(lambda: account.state is AccountState.READY, account.text or "the account")
            await until(lambda: not terminal.desk._not_ready(account), "the comparison")
            said.extend(await trade(terminal, account))
            lost: list[AccountState] = []
            account.changed.connect(lambda: lost.append(account.state) if not account.can_trade else None)
            await server.cut()
            await until(lambda: lost, "the cut")
            await until(lambda: not terminal.desk._not_ready(account), "the account again")
            said.extend(await wrong_key(slug, server, needles))
            for row in account.health():
                said.extend([row.url, row.text])
            for family in account.venue.families:
                for name, value in account.session.facts(family.name).items():
                    if isinstance(value, str) and re.search("token|listen|jwt|session", name, re.IGNORECASE):
                        needles.add(f"a {name}", value)
            crash(needles, next(iter(server.credentials.values())))
            crash(needles, list(server.credentials.values())[-1])
            await terminal.desk.journal.flush()
            await export(terminal.desk.journal, tmp_path / "orders.csv")
            terminal.settings.save()
            said.extend([repr(vars(account)), repr(terminal.vault), repr(account.session)])
            said.extend(f"{line.source} {line.text}" for line in terminal.logs.ring.lines)
        finally:
            await terminal.stop()
            await server.stop()

    asyncio.run(run())
    said.extend(malformed_keys(slug))
    captured = capfd.readouterr()
    found: list[str] = []
    recorded = 0
    for name, content in written(tmp_path):
        recorded += name.endswith(".zst")
        found += needles.search(name, content)
    assert recorded > 10, "the recording is empty, so nothing was proven"
    found += needles.search("the output", captured.out.encode() + captured.err.encode())
    found += needles.search("texts for the trader", "\n".join(said).encode())
    if sys.platform == "linux":
        for process in (path for path in Path("/proc").iterdir() if path.name.isdigit()):
            try:
                found += needles.search(f"the arguments of process {process.name}", (process / "cmdline").read_bytes())
            except OSError:
                continue
    assert len(needles.known) > 10
    assert not found, sorted(set(found))


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    """given a secret in every spelling, then each is found; else the test above would prove nothing."""
    needles = Needles()
    needles.add("secret", "abc/DEF+123=xyz~")
    for text in ("abc/DEF+123=xyz~", "abc%2FDEF%2B123%3Dxyz~", base64.b64encode(b"abc/DEF+123=xyz~").decode()):
        assert needles.search("here", f"before {text} after".encode())
    assert not needles.search("here", b"abc/DEF+123")
