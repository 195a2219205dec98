"""Keys of Coinbase's practice accounts, of both kinds, and the verification of the tokens that they sign."""

from __future__ import annotations

import base64
import secrets
import uuid
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature


class Owner(msgspec.Struct, frozen=True):
    """Whose key it is, and its public half."""

    account: str
    public: Any
    can_trade: bool = True


def ecdsa_key() -> dict[str, str]:
    """A fresh key of the kind that signs with ES256."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return {"key": f"organizations/{uuid.uuid4()}/apiKeys/{uuid.uuid4()}", "secret": pem.decode()}


def ed25519_key() -> dict[str, str]:
    """A fresh key of the kind that signs with EdDSA."""
    seed = secrets.token_bytes(32)
    public = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return {"key": str(uuid.uuid4()), "secret": base64.b64encode(seed + public).decode()}


def public_half(secret: str) -> Any:
    """What verifies signatures of a secret."""
    if "PRIVATE KEY" in secret:
        return serialization.load_pem_private_key(secret.replace("\\n", "\n").encode(), password=None).public_key()
    return ed25519.Ed25519PrivateKey.from_private_bytes(base64.b64decode(secret)[:32]).public_key()


def unpad(text: str) -> bytes:
    """The bytes of a token's part."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def part_of(text: str) -> dict[str, Any]:
    """A token's part as an object."""
    return msgspec.json.decode(unpad(text), type=dict[str, Any])


def verify(public: Any, algorithm: str, payload: bytes, signature: bytes) -> None:
    """Raises InvalidSignature. ES256 signatures are r and s, 32 bytes each."""
    if isinstance(public, ec.EllipticCurvePublicKey) and algorithm == "ES256" and len(signature) == 64:
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        public.verify(encode_dss_signature(r, s), payload, ec.ECDSA(hashes.SHA256()))
    elif isinstance(public, ed25519.Ed25519PublicKey) and algorithm == "EdDSA":
        public.verify(signature, payload)
    else:
        raise InvalidSignature
