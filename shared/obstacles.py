"""Say in one sentence what keeps a process from using a file or a database file of its own."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
from pathlib import Path
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


UNUSABLE: Final = {
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}
"""The results (https://sqlite.org/rescode.html) that an SQLite file or its disk is to blame for.
"""


def blames_file(error: BaseException | None) -> bool:
    """Return whether an error of SQLite says that its file cannot be used."""
    code = getattr(error, "sqlite_errorcode", None)
    # The lowest byte is the result, the others say more of it.
    return isinstance(error, sqlite3.Error) and code is not None and code & 0xFF in UNUSABLE


def obstacle(error: BaseException) -> str | None:
    """Return what stands in the way and what to do, None for an error that no file is to blame for.

    A network that fails names no file, so it has no sentence here.
    """
    if isinstance(error, DBAPIError) and blames_file(error.orig):
        return f"A database file cannot be used ({error.orig}). Check its disk and who may use it."
    if not isinstance(error, OSError):
        return None
    if error.errno == errno.ENFILE:
        return "The whole system has too many files open. Allow more of them (fs.file-max)."
    if error.errno == errno.EMFILE:
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return (
            f"This process has as many files and connections open as it may, {allowed}. Allow "
            f"{max(ENOUGH_FILES, 4 * allowed)} (ulimit -n)."
        )
    if not isinstance(error.filename, str):
        return None
    remedy = REMEDIES.get(error.errno or 0, "")
    return f"{error.filename} cannot be used: {error.strerror}. {remedy}".rstrip()


def too_full(folder: Path, *, least: int) -> str:
    """Return a sentence if fewer than ``least`` bytes are free at ``folder``, else nothing."""
    there = os.statvfs(folder)
    free = there.f_bavail * there.f_frsize
    if free >= least:
        return ""
    return (
        f"only {free >> 20} MiB are free at {folder}, and a minute of work may take "
        f"{least >> 20} MiB. Make room on that disk."
    )
