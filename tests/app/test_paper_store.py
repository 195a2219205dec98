"""The file of a paper account: one Fathom has it, damage is kept aside, and a lock is no damage."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest

from app.accounts import AccountState
from app.paper_store import PaperStore, Purse
from connectors.contract import Environment
from connectors.practice.terms import Wallet
from tests.app.test_desk import terminal_at
from tests.end_to_end.rig import exchange_of, until


def store_with(path: Path, purses: int) -> PaperStore:
    """A store that has written so many assets."""
    store = PaperStore(path)
    rows = [Purse(wallet=Wallet.SPOT, asset=f"ASSET{number}", total=Decimal(number)) for number in range(purses)]
    store.write(purses=rows)
    return store


def test_a_file_that_another_program_has_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "toy.sqlite"
    first = store_with(path, 3)
    with pytest.raises(OSError, match="in use by another program"):
        PaperStore(path)
    assert [each.name for each in tmp_path.glob("*.broken.*")] == []
    first.close()
    second = PaperStore(path)
    assert (len(second.load().purses), second.problem) == (3, "")
    second.close()


def test_damage_in_the_middle_of_the_file_is_noticed_and_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "toy.sqlite"
    store_with(path, 2000).close()
    whole = bytearray(path.read_bytes())
    whole[3 * 4096 : -4096] = b"\xff" * (len(whole) - 4 * 4096)
    path.write_bytes(whole)
    store = PaperStore(path)
    assert "toy.broken.sqlite" in store.problem
    assert store.load().fresh
    store.close()
    assert path.with_suffix(".broken.sqlite").read_bytes() == bytes(whole)


def test_what_a_full_disk_did_not_take_goes_with_the_next_write(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "toy.sqlite"
    store = store_with(path, 3)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max(each.stat().st_size for each in tmp_path.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        many = [Purse(wallet=Wallet.MARGIN, asset=f"ASSET{number}", total=Decimal(1)) for number in range(2000)]
        store.write(purses=many)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "lives in memory until it can" in store.problem
    store.write(purses=[Purse(wallet=Wallet.MARGIN, asset="ASSET0", total=Decimal(7))])
    assert store.problem == ""
    store.close()
    again = PaperStore(path)
    kept = {(row.wallet, row.asset): row.total for row in again.load().purses}
    assert len(kept) == 2003
    assert kept[Wallet.MARGIN, "ASSET0"] == 7
    again.close()


async def test_an_account_whose_file_is_in_use_says_so_and_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "data" / "paper" / "binance.sqlite"
    path.parent.mkdir(parents=True)
    held = sqlite3.connect(path)
    held.execute("CREATE TABLE other (id)")
    held.execute("BEGIN EXCLUSIVE")
    async with exchange_of("binance") as server, terminal_at(server, tmp_path, accounts=("none:none",)) as scene:
        scene.terminal.accounts.hosts["binance"] = server.hosts
        account = scene.terminal.accounts.add("binance", Environment.PAPER)
        await account.start()
        assert account.state is AccountState.FAILED
        assert "in use by another program" in account.text
        assert account.again_in is not None
        held.rollback()
        held.close()
        await account.start()
        await until(lambda: account.state is AccountState.READY, "the account")
        assert account.text == ""
