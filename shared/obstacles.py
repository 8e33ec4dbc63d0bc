"""Say in one sentence what keeps a process from using a file or a database file of its own."""

from __future__ import annotations

import errno
import resource
import sqlite3
from typing import Final

from sqlalchemy.exc import DBAPIError

ENOUGH_FILES: Final = 1024
REMEDIES: Final = {
    errno.EACCES: "Check whose it is and who may use it.",
    errno.EPERM: "Check whose it is and who may use it.",
    errno.EROFS: "Make it writable, or choose another folder with TRIBUTARY_DATA_DIR.",
    errno.ENOSPC: "Make room on that disk.",
    errno.EDQUOT: "Make room on that disk.",
    errno.EFBIG: "Allow larger files (ulimit -f).",
    errno.EISDIR: "Move that folder away.",
    errno.ENOTDIR: "Move the file away that is in its place.",
    errno.EEXIST: "Move away what is in its place.",
    errno.EIO: "Check the disk.",
}


def obstacle(error: BaseException) -> str | None:
    """Return what stands in the way and what to do, None for an error that no file is to blame for.

    A network that fails names no file, so it has no sentence here.
    """
    if isinstance(error, DBAPIError) and isinstance(error.orig, sqlite3.Error):
        return f"A database file cannot be used ({error.orig}). Check its disk and who may use it."
    if not isinstance(error, OSError):
        return None
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return (
            f"Too many files and connections are open: this process may have {allowed}. Allow "
            f"{ENOUGH_FILES} or more (ulimit -n)."
        )
    if not isinstance(error.filename, str):
        return None
    remedy = REMEDIES.get(error.errno or 0, "")
    return f"{error.filename} cannot be used: {error.strerror}. {remedy}".rstrip()
