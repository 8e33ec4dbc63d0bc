"""Let one installation at a time work on a data folder, in one process or in many."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TextIO

from shared.exit_codes import Misuse


class AlreadyRunning(Misuse):
    """Another Tributary uses the data folder."""


def locked(data_dir: Path) -> TextIO:
    """Hold the data folder while the returned file is open.

    The kernel releases it when the process is killed. Raises ``AlreadyRunning``.
    """
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    return hold(
        data_dir / "lock",
        f"Another Tributary is running on {data_dir}. Stop it, or choose another folder with "
        "TRIBUTARY_DATA_DIR.",
    )


def hold(path: Path, refusal: str) -> TextIO:
    """Hold the lock file at ``path`` as ``locked`` does.

    Raises ``AlreadyRunning`` with ``refusal``.
    """
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise AlreadyRunning(refusal) from None
    return file
