"""Answer Produce and InitProducerId."""

import secrets
from typing import Any, Final

from deploy.localkafka.errors import Code, Refused
from deploy.localkafka.log import PartitionLog
from deploy.localkafka.node import Client, Node
from deploy.localkafka.wire import Fields, each_partition

_NO_OFFSET: Final = -1


async def produce(node: Node, _: Client, request: Fields) -> Fields | None:
    """Append the batches, and answer when they are durable.

    All appends happen before the first await, so that batches keep their order.
    """
    written: list[tuple[dict[str, Any], PartitionLog]] = []

    def append(topic: str, part: Fields) -> Fields:
        return _append(node, topic, part, written)

    topics = each_partition(request, append)
    flushed = node.flusher.request(log for _, log in written) if written else None
    if request["required_acks"] == 0:
        return None
    if flushed is not None:
        await flushed
    for entry, log in written:
        if log.failed:
            entry.update(error_code=Code.KAFKA_STORAGE_ERROR, offset=_NO_OFFSET)
    return {"topics": topics, "throttle_time_ms": 0}


async def init_producer_id(_: Node, __: Client, request: Fields) -> Fields:
    """Draw an id at random, so that none is ever given twice, even after a restart."""
    if request["transactional_id"] is not None:
        return _producer(Code.INVALID_REQUEST, -1, -1)
    return _producer(Code.NONE, secrets.randbits(62), 0)


def _producer(code: Code, producer_id: int, epoch: int) -> Fields:
    return {
        "throttle_time_ms": 0,
        "error_code": code,
        "producer_id": producer_id,
        "producer_epoch": epoch,
    }


def _append(
    node: Node, topic: str, part: Fields, written: list[tuple[dict[str, Any], PartitionLog]]
) -> Fields:
    entry = {
        "partition": part["partition"],
        "error_code": Code.NONE,
        "offset": _NO_OFFSET,
        "timestamp": -1,
    }
    try:
        log = node.topics.log(topic, part["partition"])
        entry["offset"] = log.append(part["messages"] or b"")
        entry["log_start_offset"] = log.start_offset
        written.append((entry, log))
    except Refused as refused:
        entry.update(error_code=refused.code, log_start_offset=_NO_OFFSET)
    return entry
