"""Damage to a partition's files costs what is damaged and nothing else, and is never hidden."""

from __future__ import annotations

import random
from pathlib import Path
from shutil import copytree

import pytest
from structlog.testing import capture_logs

from deploy.localkafka.batches import HEADER_SIZE, header_at
from deploy.localkafka.log import PartitionLog
from deploy.localkafka.reservation import AHEAD
from deploy.localkafka.salvage import DAMAGED
from deploy.localkafka.tests.harness import batch, contents, open_log, values
from deploy.localkafka.topics import Topics

NUMBERS = [b"%d" % number for number in range(6)]


def filled(folder: Path, **configs: str) -> PartitionLog:
    """Return a log with a batch for each number, closed."""
    log = open_log(folder, **configs)
    for number in NUMBERS:
        log.append(batch((b"k" + number, number)))
    log.sync_now()
    log.close()
    return log


def starts(path: Path) -> list[int]:
    """Return the positions at which the batches of a file begin."""
    data, found = path.read_bytes(), [0]
    while found[-1] + HEADER_SIZE <= len(data):
        found.append(found[-1] + header_at(data, found[-1]).size)
    return found[:-1]


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data)


def after(log: PartitionLog) -> list[tuple[int, bytes]]:
    """Return offset and value of everything, after one more record."""
    log.append(batch((b"new", b"new")))
    log.sync_now()
    return [(offset, value or b"") for offset, _, value in contents(log)]


@pytest.mark.parametrize("at", range(5))
def test_a_flipped_byte_costs_one_batch_and_no_other(tmp_path: Path, at: int) -> None:
    path = filled(tmp_path).segments[-1].path
    before = path.read_bytes()
    flip(path, starts(path)[at] + HEADER_SIZE + 3)
    damaged = path.read_bytes()
    with capture_logs() as logs:
        log = open_log(tmp_path)
    kept = path.with_suffix(DAMAGED)
    assert values(log) == [number for n, number in enumerate(NUMBERS) if n != at]
    assert kept.read_bytes() == damaged != before
    (said,) = [line for line in logs if line["event"] == "local_broker_segment_damaged"]
    assert (said["kept"], said["unreadable_bytes"]) == (str(kept), len(before) // len(NUMBERS))


def test_after_damage_offsets_go_on_above_all_that_may_have_been_given_out(tmp_path: Path) -> None:
    path = filled(tmp_path).segments[-1].path
    flip(path, starts(path)[-1] + HEADER_SIZE + 3)
    log = open_log(tmp_path)
    assert log.end_offset == len(NUMBERS) - 1, "a reader can still reach the end"
    log.close()
    # What is to come is not forgotten if it is opened once more before anything is written.
    log = open_log(tmp_path)
    assert log.end_offset == len(NUMBERS) - 1
    (offset, value) = after(log)[-1]
    assert value == b"new"
    assert offset >= AHEAD
    log.close()
    log = open_log(tmp_path)
    assert after(log)[-1] == (offset + 1, b"new")


def test_a_log_that_was_damaged_once_is_not_mended_at_each_start(tmp_path: Path) -> None:
    path = filled(tmp_path).segments[-1].path
    flip(path, starts(path)[2] + HEADER_SIZE + 3)
    open_log(tmp_path).close()
    with capture_logs() as logs:
        log = open_log(tmp_path)
    assert [line for line in logs if line["log_level"] == "error"] == []
    assert len(values(log)) == len(NUMBERS) - 1
    assert [one.name for one in tmp_path.rglob(f"*{DAMAGED}*")] == [path.with_suffix(DAMAGED).name]


def test_a_second_damage_keeps_both_files(tmp_path: Path) -> None:
    path = filled(tmp_path).segments[-1].path
    for at in (1, 2):
        flip(path, starts(path)[at] + HEADER_SIZE + 3)
        open_log(tmp_path).close()
    assert values(open_log(tmp_path)) == [NUMBERS[0], NUMBERS[2], *NUMBERS[4:]]
    assert len(list(tmp_path.rglob(f"*{DAMAGED}*"))) == 2


@pytest.mark.parametrize("at", [0, 2, 5])
def test_a_damaged_offset_is_put_right_where_nothing_was_compacted(tmp_path: Path, at: int) -> None:
    """The checksum of a batch does not cover its offset."""
    path = filled(tmp_path).segments[-1].path
    flip(path, starts(path)[at] + 7)
    log = open_log(tmp_path)
    assert [(offset, value) for offset, _, value in contents(log)] == list(enumerate(NUMBERS))


def test_a_damaged_segment_that_is_closed_loses_only_what_is_damaged(tmp_path: Path) -> None:
    log = filled(tmp_path, **{"segment.bytes": "150"})
    assert len(log.segments) > 2
    path = log.segments[0].path
    flip(path, starts(path)[-1] + HEADER_SIZE + 3)
    reopened = open_log(tmp_path, **{"segment.bytes": "150"})
    lost = len(starts(path.with_suffix(DAMAGED))) - 1
    assert values(reopened) == [number for n, number in enumerate(NUMBERS) if n != lost]
    assert after(reopened)[-1] == (len(NUMBERS), b"new"), "the end was not damaged"


def test_fifty_flipped_bytes_each_cost_at_most_one_batch(
    tmp_path: Path, chance: random.Random
) -> None:
    whole = filled(tmp_path / "whole").segments[-1].path
    for n in range(50):
        folder = copytree(tmp_path / "whole", tmp_path / str(n))
        flip(folder / whole.relative_to(tmp_path / "whole"), chance.randrange(whole.stat().st_size))
        found = values(open_log(folder))
        assert set(found) <= set(NUMBERS)
        assert len(found) >= len(NUMBERS) - 1, n


def test_a_topic_that_lost_records_is_another_topic_for_its_readers(tmp_path: Path) -> None:
    topics = Topics(tmp_path)
    topics.create("t", topics.check_new("t", 2, {}))
    for number in NUMBERS:
        topics.log("t", 1).append(batch((b"k", number)))
    topics.log("t", 1).sync_now()
    before, path = topics.get("t").id, topics.log("t", 1).segments[-1].path
    topics.close()

    flip(path, starts(path)[2] + HEADER_SIZE + 3)
    topics = Topics(tmp_path)
    after = topics.get("t").id
    topics.close()
    assert after != before
    topics = Topics(tmp_path)
    assert topics.get("t").id == after, "once for each damage"
    topics.close()


def test_it_is_another_topic_even_after_a_crash_in_the_middle_of_saving_it(tmp_path: Path) -> None:
    """The records are saved, but the topic has no new identity yet."""
    topics = Topics(tmp_path)
    topics.create("t", topics.check_new("t", 1, {}))
    for number in NUMBERS:
        topics.log("t", 0).append(batch((b"k", number)))
    topics.log("t", 0).sync_now()
    before, log = topics.get("t").id, topics.log("t", 0)
    topics.close()
    path = log.segments[-1].path
    flip(path, starts(path)[2] + HEADER_SIZE + 3)
    PartitionLog(log.directory, log.policy).close()

    topics = Topics(tmp_path)
    assert topics.get("t").id != before
    topics.close()
