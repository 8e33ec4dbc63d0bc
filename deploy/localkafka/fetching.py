"""Answer Fetch and ListOffsets."""

import asyncio
from typing import Any, Final

from deploy.localkafka.errors import Code, Refused
from deploy.localkafka.log import PartitionLog
from deploy.localkafka.node import Client, Node
from deploy.localkafka.wire import Fields, each_partition

_LATEST: Final = -1
_EARLIEST: Final = -2
_UNKNOWN: Final = -1
# Clients ask for up to 50 MiB at a time. Smaller answers keep the memory of the process low.
_MOST_BYTES: Final = 4 * 1024 * 1024
_LONGEST_WAIT_SECONDS: Final = 60.0


async def fetch(node: Node, _: Client, request: Fields) -> Fields:
    """Answer when there are ``min_bytes``, an error to report, or no time left.

    The request allows ``max_wait_time`` milliseconds.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + min(request["max_wait_time"] / 1000, _LONGEST_WAIT_SECONDS)
    while True:
        topics, size, refused = _collect(node, request)
        left = deadline - loop.time()
        if size >= request["min_bytes"] or refused or left <= 0:
            return {
                "throttle_time_ms": 0,
                "error_code": Code.NONE,
                "session_id": 0,
                "topics": topics,
            }
        await _news(_logs(node, request), left)


async def list_offsets(node: Node, _: Client, request: Fields) -> Fields:
    topics = each_partition(request, lambda topic, part: _listed(node, topic, part))
    return {"throttle_time_ms": 0, "topics": topics}


def _collect(node: Node, request: Fields) -> tuple[list[Fields], int, bool]:
    budget, size, refused = min(max(request["max_bytes"], 0), _MOST_BYTES), 0, False
    topics: list[Fields] = []
    for topic in request["topics"]:
        parts = []
        for part in topic["partitions"]:
            entry = _read(node, topic["topic"], part, budget - size, first=not size)
            size += len(entry["message_set"])
            refused = refused or entry["error_code"] != Code.NONE
            parts.append(entry)
        topics.append({"topics": topic["topic"], "partitions": parts})
    return topics, size, refused


def _read(node: Node, topic: str, part: Fields, budget: int, *, first: bool) -> dict[str, Any]:
    """Read one partition, within the budget.

    The first partition that has data gives at least one batch, whatever its size: otherwise a
    client could get stuck in front of a large batch (KIP-74).
    """
    try:
        log = node.topics.log(topic, part["partition"])
        allowed = min(part["max_bytes"], budget)
        data = log.read(part["offset"], max(allowed, 0)) if first or allowed > 0 else b""
        return _entry(part, Code.NONE, log.high_watermark, log.start_offset, data)
    except Refused as refused:
        return _entry(part, refused.code, _UNKNOWN, _UNKNOWN, b"")


def _entry(part: Fields, code: Code, end: int, start: int, data: bytes) -> dict[str, Any]:
    return {
        "partition": part["partition"],
        "error_code": code,
        "highwater_offset": end,
        "last_stable_offset": end,
        "log_start_offset": start,
        "aborted_transactions": None,
        "preferred_read_replica": -1,
        "message_set": data,
    }


def _logs(node: Node, request: Fields) -> list[PartitionLog]:
    return [
        node.topics.log(topic["topic"], part["partition"])
        for topic in request["topics"]
        for part in topic["partitions"]
    ]


async def _news(logs: list[PartitionLog], seconds: float) -> None:
    waiter = asyncio.get_running_loop().create_future()
    for log in logs:
        log.waiters.add(waiter)
    try:
        await asyncio.wait((waiter,), timeout=seconds)
    finally:
        waiter.cancel()
        for log in logs:
            log.waiters.discard(waiter)


def _listed(node: Node, topic: str, part: Fields) -> Fields:
    entry = {
        "partition": part["partition"],
        "error_code": Code.NONE,
        "timestamp": _UNKNOWN,
        "offset": _UNKNOWN,
    }
    try:
        log = node.topics.log(topic, part["partition"])
    except Refused as refused:
        return entry | {"error_code": refused.code}
    if part["timestamp"] == _LATEST:
        return entry | {"offset": log.high_watermark}
    if part["timestamp"] == _EARLIEST:
        return entry | {"offset": log.start_offset}
    found = log.find_time(part["timestamp"])
    return entry if found is None else entry | {"offset": found[0], "timestamp": found[1]}
