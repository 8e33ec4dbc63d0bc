"""Compact and trim partitions while they are read and written."""

import asyncio
from pathlib import Path
from weakref import WeakKeyDictionary

import structlog

from deploy.localkafka import compaction
from deploy.localkafka.compaction import Survey
from deploy.localkafka.files import sync_directory
from deploy.localkafka.log import PartitionLog
from deploy.localkafka.segment import Segment
from shared import clock

_logger = structlog.get_logger()


class Upkeep:
    """Tend one partition at a time.

    ``stop`` ends running work at its next batch, with ``compaction.Stopped``.
    """

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()
        # The records of a partition, and the stale ones among them, when it was last surveyed.
        self._seen: WeakKeyDictionary[PartitionLog, tuple[int, int]] = WeakKeyDictionary()
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    async def tend(self, log: PartitionLog, *, thorough: bool = False) -> None:
        """Compact or trim as the topic's policy says.

        ``thorough`` compacts whatever is stale; otherwise only when over half is.
        """
        async with self._one_at_a_time:
            if log.failed or self._stopped:
                return
            if log.policy.compacted:
                await self._compact(log, thorough=thorough)
            else:
                trim(log, now_ms=int(clock.now() * 1000))

    async def _compact(self, log: PartitionLog, *, thorough: bool) -> None:
        records = sum(segment.records for segment in log.segments)
        known_records, known_stale = self._seen.get(log, (0, 0))
        possibly_stale = known_stale + records - known_records
        if not records or not (thorough or possibly_stale * 2 > records):
            return
        found = await self._survey(log)
        self._seen[log] = (found.records, found.stale)
        if not found.stale or not (thorough or found.stale * 2 > found.records):
            return
        log.roll()
        log.producers.save(log.end_offset)
        sealed = log.segments[:-1]
        for group in compaction.groups(sealed, log.policy.segment_bytes):
            if len(group) > 1 or group[0].path in found.stale_in:
                await self._replace(log, group, found)
        left = sum(segment.records for segment in log.segments)
        self._seen[log] = (left, 0)
        _logger.debug(
            "local_broker_compacted", partition=str(log.directory), records=found.records, left=left
        )

    async def _survey(self, log: PartitionLog) -> Survey:
        files = [(segment.path, segment.durable) for segment in log.segments]
        horizon = int(clock.now() * 1000) - log.policy.delete_retention_ms
        end = log.high_watermark
        return await asyncio.to_thread(
            compaction.survey, files, end=end, horizon=horizon, go_on=self._going
        )

    async def _replace(self, log: PartitionLog, group: list[Segment], found: Survey) -> None:
        """Replace a group of segments by one without its stale records.

        In this order a crash leaves either the old files, or the new one and old ones that recovery
        drops or may keep.
        """
        cleaned = await asyncio.to_thread(compaction.rewrite, group, found, self._going)
        first = log.segments.index(group[0])
        cleaned.path = cleaned.path.replace(group[0].path)
        log.segments[first : first + len(group)] = [cleaned]
        await asyncio.to_thread(_forget, log.directory, [segment.path for segment in group[1:]])

    def _going(self) -> bool:
        return not self._stopped


def trim(log: PartitionLog, *, now_ms: int) -> None:
    """Remove whole segments from the start that are too old, or too many bytes.

    The active segment is sealed when it is old enough.
    """
    policy, active = log.policy, log.segments[-1]
    if active.size and now_ms - active.first_timestamp > policy.segment_ms:
        log.roll()
    excess = sum(segment.size for segment in log.segments) - policy.retention_bytes
    gone = 0
    for segment in log.segments[:-1]:
        too_old = 0 <= policy.retention_ms < now_ms - segment.max_timestamp
        too_much = policy.retention_bytes >= 0 and excess >= segment.size
        if not (too_old or too_much):
            break
        excess -= segment.size
        gone += 1
    if gone:
        log.sync_now()
        log.producers.save(log.end_offset)
        removed, log.segments[:gone] = log.segments[:gone], []
        _forget(log.directory, [segment.path for segment in removed])


def _forget(directory: Path, paths: list[Path]) -> None:
    sync_directory(directory)  # makes the rename that replaced these files durable first
    for path in paths:
        path.unlink(missing_ok=True)
