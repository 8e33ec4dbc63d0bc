"""Keep secrets in the data folder: created on the first start, readable by the owner only."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from shared.crypto.sealing import KeyRing
from shared.errors import TributaryError
from shared.settings import SecretStr

_MODE: Final = 0o600


class SecretFileRefused(TributaryError):
    """A key or secret file is unsafe or damaged; ``detail`` says what to do."""

    code = "secret_file_refused"


def load_keyring(keys: Sequence[tuple[str, SecretStr]], path: Path) -> KeyRing:
    """Return the ring of ``keys`` (id, base64 of 32 bytes), or of the file at ``path`` if empty.

    The file is created if missing. It holds one ``id:base64`` per line; the first line writes.
    Raises ``SecretFileRefused``.
    """
    if not keys:
        lines = _read_or_make(path, _new_key_line).split()
        keys = [_parsed(line) for line in lines]
    try:
        return KeyRing({name: _key(encoded.reveal()) for name, encoded in keys}, writing=keys[0][0])
    except (ValueError, IndexError):
        raise SecretFileRefused(
            f"{path} holds no usable keys. Restore it from a backup: a new key cannot open what "
            "the old one sealed."
        ) from None


def load_or_make_secret(path: Path) -> SecretStr:
    """Return the secret in the file at ``path``.

    If it is missing, 32 random bytes are written there. Raises ``SecretFileRefused``.
    """
    found = _read_or_make(path, lambda: secrets.token_urlsafe(32)).strip()
    if len(found) < 32:
        raise SecretFileRefused(
            f"{path} is empty or too short for a secret. Delete it: the next start makes a new one."
        )
    return SecretStr(found)


def _parsed(line: str) -> tuple[str, SecretStr]:
    name, _, encoded = line.partition(":")
    return name, SecretStr(encoded)


def _new_key_line() -> str:
    return f"k{secrets.token_hex(4)}:{base64.b64encode(secrets.token_bytes(32)).decode()}"


def _key(encoded: str) -> bytes:
    standard = encoded.rstrip("=").translate(str.maketrans("-_", "+/"))
    return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)


def _read_or_make(path: Path, make: Callable[[], str]) -> str:
    try:
        return _read(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_new(path, make() + "\n")
        return _read(path)


def _read(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(path, os.fstat(descriptor).st_mode)
        with os.fdopen(descriptor, encoding="utf-8", errors="replace", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def _check(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise SecretFileRefused(
            f"{path} is not a file. Move it away: the next start makes a new one."
        )
    if stat.S_IMODE(mode) & 0o077:
        raise SecretFileRefused(
            f"Other users of this machine can read or write {path}. Run: chmod 600 {path}"
        )


def _write_new(path: Path, text: str) -> None:
    """Create the file, complete or not at all, even if the power fails.

    If two processes do this at once, both use the first one's file.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
