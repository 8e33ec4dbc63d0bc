"""Make a password once, and keep it beside the data that it opens."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def kept_password(file: Path) -> str:
    """Return the password in ``file``, which is made if missing, for its owner only. URL-safe."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file.read_text("ascii").strip()
    with os.fdopen(handle, "w", encoding="ascii") as new:
        new.write(secrets.token_urlsafe(24))
    return file.read_text("ascii").strip()
