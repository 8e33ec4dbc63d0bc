"""Each kind of error ends a process with one exit code and one sentence."""

from __future__ import annotations

import errno
import sqlite3
from typing import NoReturn

import pytest
from aiokafka.errors import KafkaConnectionError
from sqlalchemy.exc import OperationalError

from shared.errors import Conflict
from shared.exit_codes import Misuse, Refusal, exit_code
from shared.kafka import ClusterUnsuitable
from shared.layout import StoreUnusable
from shared.serve import PortBusy, StartFailed
from shared.settings import SettingsError

BUSY = PortBusy((8000, "gateway", "TRIBUTARY_GATEWAY_PORT"))
ALL_BUSY = PortBusy(
    (9092, "Kafka", "A_PORT"), (8001, "auth", "B_PORT"), (8002, "fetcher", "C_PORT")
)
LOST = OperationalError(
    "SELECT secret", {"password": "hunter2"}, Exception("the connection was lost")
)


def of_sqlite(message: str, code: int) -> OperationalError:
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return OperationalError("SELECT 1", {}, error)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (SettingsError(["TRIBUTARY_HOST is no address."]), 2, "TRIBUTARY_HOST is no address."),
        (Misuse("Choose another folder."), 2, "Choose another folder."),
        (BUSY, 2, "Port 8000 (gateway) is busy"),
        (ALL_BUSY, 2, "Ports 9092 (Kafka), 8001 (auth) and 8002 (fetcher) are busy"),
        (ALL_BUSY, 2, "choose others with A_PORT, B_PORT and C_PORT."),
        (Refusal("It ended."), 1, "It ended."),
        (StartFailed("auth did not start: the keys do not fit."), 1, "the keys do not fit."),
        (Conflict("It is paused."), 1, "It is paused."),
        (ClusterUnsuitable("Kafka has no topic plums."), 1, "Kafka has no topic plums."),
        (
            LOST,
            1,
            "The orchard does not answer (OperationalError: (builtins.Exception) the connection",
        ),
        (KafkaConnectionError("no broker"), 1, "The orchard does not answer (KafkaConnectionError"),
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
            1,
            "The orchard does not answer (ConnectionRefused",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/data/keys"),
            1,
            "/data/keys cannot be used: Permission denied. Check whose it is",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "/data/logs"),
            1,
            "/data/logs cannot be used: No space left on device. Make room on that disk.",
        ),
        (OSError(errno.EMFILE, "Too many open files", "/data/x"), 1, "(ulimit -n)."),
        (OSError(errno.ENFILE, "Too many open files", "/data/x"), 1, "(fs.file-max)."),
        (
            of_sqlite("disk I/O error", sqlite3.SQLITE_IOERR_WRITE),
            1,
            "A database file cannot be used (disk I/O error). Check its disk",
        ),
        (
            of_sqlite("database is locked", sqlite3.SQLITE_BUSY),
            1,
            "The orchard does not answer (OperationalError: (sqlite3.OperationalError) database is",
        ),
        (StoreUnusable("The database x", "it is full"), 1, "The database x cannot be used (it is"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_that_a_person_can_act_on_is_a_sentence_and_a_code(
    capsys: pytest.CaptureFixture[str], error: Exception, code: int, said: str
) -> None:
    def fails() -> NoReturn:
        raise error

    assert exit_code(fails, needs="The orchard") == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert (shown.out, "hunter2" in shown.err, "Traceback" in shown.err) == ("", False, False)


def test_what_ends_well_is_0_or_what_it_says_itself() -> None:
    assert exit_code(lambda: None) == 0
    assert exit_code(lambda: 1) == 1


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    def fails() -> NoReturn:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        exit_code(fails)
