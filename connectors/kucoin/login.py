"""What a KuCoin key may do, asked at its start: the account's mode and the key's own record, for both products."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from connectors.contract import Cost, Flow
from connectors.errors import AuthenticationFailed, NoSuchAccount, PermissionDenied, Refused
from connectors.kucoin.signing import MANAGEMENT, signed
from connectors.model import KeyInfo

ACCOUNTS = "rest.accounts"  # the host of account questions; the futures family has it as a second one


def login(wanted: str, endpoint: str) -> Flow[dict[str, Any]]:
    """GET account/mode, then the key's own record. Raises PermissionDenied for an account of the unified kind, NoSuchAccount
    for a key that was made for the other product.
    """
    try:
        mode = yield signed(
            "GET",
            "/api/ua/v1/account/mode",
            Cost(MANAGEMENT, 5),
            lambda data: str(data.get("selfAccountMode", "")),
            endpoint=endpoint,
        )
    except AuthenticationFailed:
        raise
    except Refused:
        mode = ""  # classic accounts need not know this question
    if mode == "UNIFIED":
        raise PermissionDenied(
            "this key belongs to a Unified Trading Account, which Fathom does not trade on yet. "
            "Switch the account back to classic, or use another one."
        )
    row: Any = yield signed("GET", "/api/v1/user/api-key", Cost(MANAGEMENT, 20), dict, endpoint=endpoint)
    may = {word.strip().lower() for word in str(row.get("permission", "")).split(",")}
    expiry = row.get("expiredAt")
    if wanted.lower() not in may and may & {"spot", "futures"}:
        raise NoSuchAccount(f"this key has no permission for {wanted}")
    key = KeyInfo(
        can_trade=wanted.lower() in may or "trade" in may,
        can_withdraw=any(word.startswith("withdraw") for word in may),
        note=f"This key expires at {_day(int(expiry))}." if expiry else "",
    )
    facts: dict[str, Any] = {"key": key}
    if str(row.get("apiVersion", "")) in ("2", "3"):
        facts["key_version"] = str(row["apiVersion"])
    if row.get("siteType") not in (None, "", "global"):
        facts["site"] = row["siteType"]
    return facts


def _day(time: int) -> str:
    return datetime.fromtimestamp(time / 1000, UTC).date().isoformat()
