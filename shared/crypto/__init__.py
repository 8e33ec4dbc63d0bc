"""Seal stored values, sign what clients carry, and keep the data folder's secret files."""

from shared.crypto.keyfiles import SecretFileRefused, load_keyring, load_or_make_secret
from shared.crypto.sealing import DecryptFailed, KeyRing, UnknownKey, check_canary, make_canary
from shared.crypto.signing import BadToken, Signer, hash_token, same

__all__ = [
    "BadToken",
    "DecryptFailed",
    "KeyRing",
    "SecretFileRefused",
    "Signer",
    "UnknownKey",
    "check_canary",
    "hash_token",
    "load_keyring",
    "load_or_make_secret",
    "make_canary",
    "same",
]
