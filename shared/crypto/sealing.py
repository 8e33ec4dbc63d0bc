"""Seal values with AES-256-GCM.

A sealed value is ``v1.<key id>.<nonce>.<ciphertext>``, in base64url without padding.

  DecryptFailed   altered, truncated, or sealed for another row or column
  UnknownKey      sealed with a key that is not in the ring
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from typing import Final, final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from typing_extensions import override

from shared.errors import TributaryError

_VERSION: Final = "v1"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_CANARY: Final = "tributary"
_CANARY_PLACE: Final = "canary"


class DecryptFailed(TributaryError):
    status = 500
    code = "decrypt_failed"


class UnknownKey(TributaryError):
    status = 500
    code = "unknown_key"


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """Decode strictly.

    Raises ``ValueError`` for padding, foreign characters, and spellings that ``b64`` would not
    give.
    """
    try:
        raw = base64.b64decode(
            text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True
        )
    except binascii.Error as wrong:
        raise ValueError(str(wrong)) from None
    if b64(raw) != text:
        raise ValueError("not the canonical spelling")
    return raw


@final
class KeyRing:
    """Open with any key of the ring, seal with ``writing``. Its representation shows key ids only.

    ``bound_to`` is the associated data, for a column (org, connection, field): a value opens only
    with exactly the strings it was sealed with. Nonces are random: one key is good for 2^32 values
    (NIST SP 800-38D §8.3).
    """

    def __init__(self, keys: Mapping[str, bytes], writing: str) -> None:
        if writing not in keys:
            raise ValueError(f"The writing key {writing!r} is not among the keys.")
        if any(len(key) != _KEY_BYTES for key in keys.values()) or any(
            "." in name for name in keys
        ):
            raise ValueError("A key is 32 bytes, and its id has no dot.")
        self._ciphers = {name: AESGCM(key) for name, key in keys.items()}
        self.writing = writing

    def seal(self, plaintext: str | bytes, *bound_to: str) -> str:
        raw = plaintext.encode() if isinstance(plaintext, str) else plaintext
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[self.writing].encrypt(
            nonce, raw, _associated(self.writing, bound_to)
        )
        return f"{_VERSION}.{self.writing}.{b64(nonce)}.{b64(sealed)}"

    def open(self, sealed: str, *bound_to: str) -> str:
        """Return the text. Raise ``UnknownKey``, or ``DecryptFailed`` (also if it is not UTF-8)."""
        try:
            return self.open_bytes(sealed, *bound_to).decode()
        except UnicodeDecodeError:
            raise DecryptFailed("A sealed value holds bytes where text was expected.") from None

    def open_bytes(self, sealed: str, *bound_to: str) -> bytes:
        """Return the bytes. Raise ``DecryptFailed`` or ``UnknownKey``."""
        version, _, rest = sealed.partition(".")
        key_id, _, payload = rest.partition(".")
        nonce, _, ciphertext = payload.partition(".")
        if version != _VERSION:
            raise DecryptFailed(
                "A sealed value has a format that this version does not write, or it was altered."
            )
        if key_id not in self._ciphers:
            raise UnknownKey(
                f"A value was sealed with the key {key_id[:32]!r}, which is missing here. "
                "Add it to TRIBUTARY_KEYS."
            )
        try:
            return self._ciphers[key_id].decrypt(
                unb64(nonce), unb64(ciphertext), _associated(key_id, bound_to)
            )
        except (InvalidTag, ValueError):
            raise DecryptFailed(
                "A sealed value does not open: it was altered, it belongs to another row, or its "
                "key was replaced."
            ) from None

    @override
    def __repr__(self) -> str:
        return f"KeyRing(writing={self.writing!r}, keys={sorted(self._ciphers)})"


def make_canary(ring: KeyRing) -> str:
    """Return a value to store beside sealed ones.

    It opens later only if the keys are still the same.
    """
    return ring.seal(_CANARY, _CANARY_PLACE)


def check_canary(ring: KeyRing, sealed: str) -> None:
    """Raise ``DecryptFailed`` or ``UnknownKey`` if the keys are not those of the stored data."""
    try:
        ring.open(sealed, _CANARY_PLACE)
    except TributaryError as wrong:
        raise type(wrong)(
            "The keys do not fit the stored data: tokens were sealed with other keys. Start with "
            "those keys (TRIBUTARY_KEYS, or the key file of this data folder), or with an empty "
            "data folder."
        ) from None


def _associated(key_id: str, bound_to: tuple[str, ...]) -> bytes:
    """Return the associated data, with version and key id.

    As JSON, because that keeps ("a", "bc") and ("ab", "c") apart.
    """
    return msgspec.json.encode((_VERSION, key_id, *bound_to))
