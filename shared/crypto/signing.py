"""Sign what clients hand back, and compare tokens by their digests."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, final

from shared.crypto.sealing import b64, unb64
from shared.errors import TributaryError
from shared.settings import SecretStr

_MAC_BYTES: Final = 32
_LONGEST: Final = 8_192


class BadToken(TributaryError):
    status = 400
    code = "bad_token"


def hash_token(token: str) -> str:
    """Return the SHA-256 in hex.

    That is enough for a token with 128 random bits or more, never for a password.
    """
    return hashlib.sha256(token.encode()).hexdigest()


def same(left: str | bytes, right: str | bytes) -> bool:
    """Compare in a time that does not depend on where the two differ."""
    return hmac.compare_digest(_raw(left), _raw(right))


@final
class Signer:
    """Sign what a client hands back.

    ``context`` says what it is for (org, route, filters) and does not travel. ``purpose`` gives
    independent keys to signers that share a secret. The client can read the payload.
    """

    def __init__(self, secret: SecretStr, purpose: str = "page token") -> None:
        self._key = hmac.digest(
            secret.reveal().encode(), b"tributary " + purpose.encode(), "sha256"
        )

    def sign(self, payload: bytes, context: str) -> str:
        return b64(self._mac(payload, context) + payload)

    def verify(self, token: str, context: str) -> bytes:
        """Return the payload. Raise ``BadToken`` unless ``sign`` made it for this context."""
        try:
            raw = unb64(token) if len(token) <= _LONGEST else b""
        except ValueError:
            raw = b""
        mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(payload, context)):
            raise BadToken(
                "This token was not made for this request. Repeat the request without it."
            )
        return payload

    def _mac(self, payload: bytes, context: str) -> bytes:
        bound = context.encode()
        return hmac.digest(self._key, len(bound).to_bytes(8, "big") + bound + payload, "sha256")


def _raw(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
