"""``python -m deploy.compose.password FILE``: write a random password to FILE unless it exists.

PostgreSQL takes it when it initialises its volume, the services when they connect; so it lives as
long as that volume.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import sys
from pathlib import Path
from typing import Final

MODE: Final = 0o440
"""The group may read it: PostgreSQL's container runs as another user of that group."""


def make_password(path: Path) -> bool:
    """Write the password; return True if it did not exist before.

    The file is complete or absent, even if the power fails. If two processes do this at once, both
    use the first one's.
    """
    if path.exists():
        return False
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            os.fchmod(descriptor, MODE)
            file.write(secrets.token_urlsafe(32))
            file.flush()
            os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
            return True
        return False
    finally:
        draft.unlink()
        _settle(path.parent)


def _settle(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m deploy.compose.password", description=__doc__)
    parser.add_argument("file", type=Path)
    made = make_password(parser.parse_args(arguments).file)
    print("Made the database's password." if made else "The database's password exists.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
