"""The partition's log by itself: it stores, refuses, repairs and trims."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from deploy.localkafka.errors import Code, Refused
from deploy.localkafka.log import PartitionLog
from deploy.localkafka.reservation import AHEAD
from deploy.localkafka.tests.harness import batch, contents, open_log, values
from deploy.localkafka.upkeep import trim

DAY = 24 * 3600 * 1000


@contextmanager
def refused(code: Code) -> Iterator[None]:
    with pytest.raises(Refused) as caught:
        yield
    assert caught.value.code is code


def append(log: PartitionLog, *data: bytes) -> None:
    for each in data:
        log.append(each)
    log.sync_now()


def reopened(log: PartitionLog, **configs: str) -> PartitionLog:
    log.close()
    return open_log(log.directory, **configs)


def test_only_what_is_on_the_disk_can_be_read(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    assert log.append(batch((b"k", b"1"), (b"k", b"2"))) == 0
    assert (log.high_watermark, log.end_offset, contents(log)) == (0, 2, [])
    log.sync_now()
    assert log.high_watermark == 2
    assert contents(log) == [(0, b"k", b"1"), (1, b"k", b"2")]


def test_what_is_appended_during_a_sync_is_not_shown_by_it(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(batch((b"k", b"1")))
    syncing = log.flush_point()
    log.append(batch((b"k", b"2")))
    assert syncing is not None
    os.fsync(syncing.fd)
    os.close(syncing.fd)
    syncing.done()
    assert (values(log), log.high_watermark) == ([b"1"], 1)


def test_offsets_outside_the_log_are_refused(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    append(log, batch((b"k", b"1")))
    assert log.read(1, 100) == b""
    for offset in (-1, 2):
        with refused(Code.OFFSET_OUT_OF_RANGE):
            log.read(offset, 100)


def test_a_read_starts_in_the_batch_that_holds_the_offset_across_segments(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_bytes="20000")
    append(log, *(batch((b"k", b"%d" % number), (b"k", b"x" * 100)) for number in range(400)))
    assert len(log.segments) > 3
    log = reopened(log, segment_bytes="20000")
    for offset in range(0, 800, 7):
        assert int.from_bytes(log.read(offset, 1)[:8]) == offset - offset % 2
    assert [value for _, _, value in contents(log)][::2] == [
        b"%d" % number for number in range(400)
    ]


@pytest.mark.parametrize(
    "garbage", [b"\0" * 5, b"\0" * 500, b"rubbish" * 50, batch((b"k", b"torn"))[:-3]]
)
def test_a_torn_tail_is_cut_off_when_the_log_is_opened(tmp_path: Path, garbage: bytes) -> None:
    log = open_log(tmp_path)
    append(log, batch((b"k", b"1")), batch((b"k", b"2")))
    log.close()
    with log.segments[-1].path.open("ab") as file:
        file.write(garbage)
    log = open_log(tmp_path)
    assert (contents(log), log.end_offset) == ([(0, b"k", b"1"), (1, b"k", b"2")], 2)
    append(log, batch((b"k", b"3")))
    # Nobody can tell whether what was cut off had been read: its offset is not given out again.
    assert contents(log)[2:] == [(AHEAD + 1, b"k", b"3")]


def test_a_tail_with_a_wrong_checksum_is_cut_off_when_the_log_is_opened(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    append(log, batch((b"k", b"1")), batch((b"k", b"2")))
    log.close()
    path = log.segments[-1].path
    path.write_bytes(path.read_bytes()[:-2] + b"?" + path.read_bytes()[-1:])
    assert values(open_log(tmp_path)) == [b"1"]


def test_batches_that_are_not_what_they_say_are_refused(tmp_path: Path) -> None:
    log = open_log(tmp_path, max_message_bytes="1000")
    good = batch((b"k", b"value"))
    for bad, code in {
        good[:-2] + b"?" + good[-1:]: Code.CORRUPT_MESSAGE,
        good[:-1]: Code.CORRUPT_MESSAGE,
        good + good: Code.CORRUPT_MESSAGE,
        b"": Code.CORRUPT_MESSAGE,
        good[:16] + b"\1" + good[17:]: Code.UNSUPPORTED_FOR_MESSAGE_FORMAT,
        batch((b"k", b"x" * 1000)): Code.MESSAGE_TOO_LARGE,
    }.items():
        with refused(code):
            log.append(bad)
    assert log.end_offset == 0


def test_a_repeated_batch_is_stored_once_also_after_a_restart(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    append(log, *(batch((b"k", b"%d" % n), producer=7, sequence=n) for n in range(3)))
    for _ in range(2):
        assert log.append(batch((b"k", b"1"), producer=7, sequence=1)) == 1
        log = reopened(log)
    assert values(log) == [b"0", b"1", b"2"]


def test_a_batch_out_of_sequence_is_refused(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    append(log, *(batch((b"k", b"v"), producer=7, sequence=n) for n in range(8)))
    for log_again in (log, reopened(log)):
        with refused(Code.OUT_OF_ORDER_SEQUENCE_NUMBER):
            log_again.append(batch((b"k", b"v"), producer=7, sequence=9))
        with refused(Code.DUPLICATE_SEQUENCE_NUMBER):
            log_again.append(batch((b"k", b"v"), producer=7, sequence=1))


def test_old_records_are_trimmed_by_age(tmp_path: Path) -> None:
    log = open_log(tmp_path, retention_ms=str(7 * DAY), segment_ms=str(DAY))
    append(log, batch((b"k", b"old"), time_ms=DAY))
    trim(log, now_ms=DAY + DAY // 2)
    append(log, batch((b"k", b"same segment"), time_ms=DAY + DAY // 2))
    trim(log, now_ms=3 * DAY)
    append(log, batch((b"k", b"young"), time_ms=3 * DAY))
    trim(log, now_ms=8 * DAY)
    assert values(log) == [b"old", b"same segment", b"young"]
    trim(log, now_ms=9 * DAY)
    assert contents(log) == [(2, b"k", b"young")]
    assert (log.start_offset, reopened(log).start_offset) == (2, 2)


def test_old_records_are_trimmed_by_size(tmp_path: Path) -> None:
    log = open_log(tmp_path, retention_bytes="3000", segment_bytes="1000")
    append(log, *(batch((b"k", b"%d" % number + b"x" * 400), time_ms=DAY) for number in range(20)))
    trim(log, now_ms=DAY)
    kept = sum(path.stat().st_size for path in tmp_path.glob("*.log"))
    assert 3000 <= kept < 4000
    assert log.end_offset == 20


def test_the_next_offset_and_the_producers_outlive_what_is_trimmed(tmp_path: Path) -> None:
    log = open_log(tmp_path, retention_ms="1")
    append(log, *(batch((b"k", b"v"), producer=7, sequence=n) for n in range(3)))
    trim(log, now_ms=DAY)
    trim(log, now_ms=DAY)
    log = reopened(log, retention_ms="1")
    assert (log.start_offset, log.end_offset, contents(log)) == (3, 3, [])
    assert log.append(batch((b"k", b"v"), producer=7, sequence=2)) == 2
    assert log.append(batch((b"k", b"v"), producer=7, sequence=3)) == 3


def test_a_log_that_the_disk_refused_takes_no_more(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    append(log, batch((b"k", b"1")))
    log.fail()
    with refused(Code.KAFKA_STORAGE_ERROR):
        log.append(batch((b"k", b"2")))
    assert values(log) == [b"1"]


def test_a_batch_that_did_not_fit_on_the_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    append(log, batch((b"k", b"1")))
    size = log.segments[-1].path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, limits[1]))
        with capture_logs(), refused(Code.KAFKA_STORAGE_ERROR):
            log.append(batch((b"k", b"2")))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert log.segments[-1].path.stat().st_size == size
    append(log, batch((b"k", b"3")))
    assert contents(log) == [(0, b"k", b"1"), (1, b"k", b"3")]
