"""Which key a secret holds is told from the secret; a 401 is the key's doing unless the clocks differ."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from connectors.catalogue import load
from connectors.coinbase.signing import ORDER_LIFE, TOKEN_LIFE, private_key, read_json
from connectors.contract import Answer, Ask, Call, Effect, Role, Security, Stamp
from connectors.errors import (
    AuthenticationFailed,
    ClockSkewed,
    OrderNotFound,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
    Refused,
    Unintelligible,
    VenueUnavailable,
)

FAMILY = load("coinbase").families[0]
NAME = "organizations/1/apiKeys/2"
NOW = 1_790_000_000_123


def pem(key: Any, form: Any = serialization.PrivateFormat.PKCS8) -> str:
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


# The same in every process: tests are named by them, and spread over several.
EC = ec.derive_private_key(0x5EED_5EED_5EED, ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SEED, PUBLIC = ED.private_bytes_raw(), ED.public_key().public_bytes_raw()


@pytest.mark.parametrize(
    ("secret", "algorithm"),
    [
        (pem(EC, serialization.PrivateFormat.TraditionalOpenSSL), "ES256"),
        (pem(EC), "ES256"),
        ("  " + pem(EC).replace("\n", "\\n") + " ", "ES256"),
        (pem(ED), "EdDSA"),
        (base64.b64encode(SEED).decode(), "EdDSA"),
        (base64.b64encode(SEED + PUBLIC).decode(), "EdDSA"),
        (
            base64.b64encode(SEED + PUBLIC).decode()[:40] + "\n " + base64.b64encode(SEED + PUBLIC).decode()[40:],
            "EdDSA",
        ),
    ],
)
def test_the_kind_of_key_is_read_from_the_secret(secret: str, algorithm: str) -> None:
    assert private_key(secret)[1] == algorithm


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "not a key",
        base64.b64encode(b"short").decode(),
        base64.b64encode(SEED + bytes(32)).decode(),  # 64 bytes, but no key and its public half
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(rsa.generate_private_key(65537, 2048)),
        "-----BEGIN EC PRIVATE KEY-----\nnonsense\n-----END EC PRIVATE KEY-----",
    ],
)
def test_what_is_no_key_is_refused_without_showing_it(secret: str) -> None:
    with pytest.raises(AuthenticationFailed) as refused:
        private_key(secret)
    assert refused.value.text
    assert not secret or secret not in str(refused.value)


def sealed(step: Any, token: str = "0" * 32, key: str = NAME, secret: str = pem(EC)) -> Any:
    base = FAMILY.url(step.endpoint)
    return FAMILY.signer.seal(step, {"key": key, "secret": secret}, {}, Stamp(NOW, 0, token), base)


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_a_token_names_one_request_and_no_query() -> None:
    call = Call(
        endpoint=Role.REST, method="GET", path="/accounts", params=(("limit", "5"),), read=str, security=Security.SIGNED
    )
    wire = sealed(call)
    found = claims(wire.headers["Authorization"].removeprefix("Bearer "))
    assert wire.path == "/accounts?limit=5"
    assert found["uri"] == "GET api.coinbase.com/api/v3/brokerage/accounts"
    assert found["exp"] - found["nbf"] == TOKEN_LIFE
    assert found["nbf"] == NOW // 1000


def test_what_must_not_be_late_has_a_token_that_is_soon_over() -> None:
    for effect, life in ((Effect.PLACE, ORDER_LIFE), (Effect.AMEND, ORDER_LIFE), (Effect.CANCEL, TOKEN_LIFE)):
        call = Call(
            endpoint=Role.REST, method="POST", path="/orders", read=str, security=Security.SIGNED, effect=effect
        )
        found = claims(sealed(call).headers["Authorization"].removeprefix("Bearer "))
        assert found["exp"] - found["nbf"] == life


def test_each_frame_gets_a_token_of_its_own() -> None:
    ask = Ask(endpoint=Role.ACCOUNT, id="", payload={"type": "subscribe", "channel": "user"}, security=Security.SIGNED)
    tokens = [json.loads(sealed(ask, token).frame)["jwt"] for token in ("a" * 32, "b" * 32)]
    assert tokens[0].split(".")[0] != tokens[1].split(".")[0]  # another nonce
    assert "uri" not in claims(tokens[0])
    plain = Ask(endpoint=Role.MARKET, id="", payload={"type": "subscribe", "channel": "level2"})
    assert "jwt" not in json.loads(sealed(plain).frame)


def test_without_a_key_nothing_private_leaves() -> None:
    call = Call(endpoint=Role.REST, method="GET", path="/accounts", read=str, security=Security.SIGNED)
    for key, secret in (("", ""), (NAME, ""), ("", pem(EC))):
        with pytest.raises(AuthenticationFailed):
            sealed(call, key=key, secret=secret)


def test_a_key_of_the_old_kind_is_named_as_such() -> None:
    call = Call(endpoint=Role.REST, method="GET", path="/accounts", read=str, security=Security.SIGNED)
    with pytest.raises(AuthenticationFailed, match="February 2025"):
        sealed(call, key="AbCdEfGh12345678", secret="abcdefghijklmnopqrstuvwxyz012345")


def answer(status: int, body: Any = b"", **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, raw, {name.replace("_", "-"): value for name, value in headers.items()}, NOW - 50, NOW)


def date(ms: int) -> str:
    return format_datetime(datetime.fromtimestamp(ms / 1000, UTC), usegmt=True)


def test_a_401_is_the_keys_doing_unless_the_clocks_differ() -> None:
    for offset, kind in ((0, AuthenticationFailed), (60_000, ClockSkewed), (-60_000, ClockSkewed)):
        with pytest.raises(AuthenticationFailed) as refused:
            read_json(answer(401, b"Unauthorized\n", date=date(NOW + offset)), Effect.PLACE)
        assert type(refused.value) is kind
    with pytest.raises(AuthenticationFailed) as refused:
        read_json(answer(401, b"Unauthorized\n"), Effect.PLACE)
    assert type(refused.value) is AuthenticationFailed


@pytest.mark.parametrize(
    ("status", "body", "effect", "kind"),
    [
        (500, b"<html>", Effect.PLACE, OutcomeUnknown),
        (503, {"error": "INTERNAL", "message": "busy"}, Effect.CANCEL, OutcomeUnknown),
        (408, b"Request Timeout", Effect.PLACE, OutcomeUnknown),
        (409, {"error": "CONFLICT"}, Effect.PLACE, OutcomeUnknown),
        (503, {"error": "INTERNAL", "message": "busy"}, Effect.READ, VenueUnavailable),
        (403, {"error": "PERMISSION_DENIED", "message": "Missing required scopes"}, Effect.PLACE, PermissionDenied),
        (404, {"errors": [{"id": "not_found", "message": "Not found"}]}, Effect.READ, OrderNotFound),
        (400, {"error": "INVALID_ARGUMENT", "message": "no"}, Effect.PLACE, Refused),
        (429, {"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]}, Effect.PLACE, RateLimited),
        (200, b"<html>", Effect.READ, Unintelligible),
        (200, [], Effect.PLACE, Unintelligible),
    ],
)
def test_what_an_answer_proves(status: int, body: Any, effect: Effect, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        read_json(answer(status, body), effect, OrderNotFound)


def test_how_long_to_wait_is_told_by_a_header() -> None:
    body = {"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]}
    for headers, expected in (
        ({"retry_after": "7"}, 7.0),
        ({"x_ratelimit_reset": "1"}, 1.0),
        ({"x_ratelimit_reset": "1790000009"}, None),
    ):
        with pytest.raises(RateLimited) as refused:
            read_json(answer(429, body, **headers))
        assert refused.value.retry_after == expected
