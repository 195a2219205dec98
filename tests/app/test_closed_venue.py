"""A venue that has closed: nothing dials it, whatever is asked for, and a sentence says why."""

from __future__ import annotations

import pytest

from app.accounts import Accounts, AccountState
from app.vault import Vault
from connectors.contract import Environment


@pytest.mark.parametrize("environment", [Environment.LIVE, Environment.TESTNET])
async def test_a_closed_venue_does_not_start(environment: Environment) -> None:
    accounts = Accounts(Vault())
    account = accounts.add("bitmex", environment)
    await account.start()
    assert account.state is AccountState.FAILED
    assert "BitMEX closed 2026-09-23" in account.text
    assert "practice exchange only" in account.text
    assert account.session is None
    await accounts.stop()


async def test_its_practice_exchange_runs() -> None:
    accounts = Accounts(Vault())
    account = accounts.add("bitmex", Environment.PRACTICE)
    await account.start()
    assert "bitmex:perp:BTC-USD" in account.instruments
    await accounts.stop()
