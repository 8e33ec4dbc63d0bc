"""Make files and their names survive a power failure."""

import os
from pathlib import Path

# macOS has no fdatasync.
sync_data = getattr(os, "fdatasync", os.fsync)


def sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace_durably(path: Path, data: bytes) -> None:
    """Replace the content, so that after a crash the file holds either all old or all new."""
    draft = path.with_name(path.name + ".draft")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_directory(path.parent)
