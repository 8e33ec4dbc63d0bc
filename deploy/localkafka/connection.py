"""Serve one client's connection.

Requests are started in the order in which they arrive, and answered in that order.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from deploy.localkafka import coordinating, describing, fetching, producing, wire
from deploy.localkafka.errors import Malformed
from deploy.localkafka.node import Client, Node
from deploy.localkafka.wire import Fields, Key, Request

_logger = structlog.get_logger()
_LARGEST_REQUEST: Final = 64 * 1024 * 1024
_PIPELINED_REQUESTS: Final = 32
_LENGTH: Final = struct.Struct(">i")

Handler = Callable[[Node, Client, Fields], Awaitable[Fields | None]]
_Answers = asyncio.Queue[asyncio.Task[bytes | None]]

_HANDLERS: Final[dict[Key, Handler]] = {
    Key.PRODUCE: producing.produce,
    Key.INIT_PRODUCER_ID: producing.init_producer_id,
    Key.FETCH: fetching.fetch,
    Key.LIST_OFFSETS: fetching.list_offsets,
    Key.METADATA: describing.metadata,
    Key.CREATE_TOPICS: describing.create_topics,
    Key.DELETE_TOPICS: describing.delete_topics,
    Key.DESCRIBE_CONFIGS: describing.describe_configs,
    Key.FIND_COORDINATOR: coordinating.find_coordinator,
    Key.JOIN_GROUP: coordinating.join_group,
    Key.SYNC_GROUP: coordinating.sync_group,
    Key.HEARTBEAT: coordinating.heartbeat,
    Key.LEAVE_GROUP: coordinating.leave_group,
    Key.OFFSET_COMMIT: coordinating.offset_commit,
    Key.OFFSET_FETCH: coordinating.offset_fetch,
    Key.LIST_GROUPS: coordinating.list_groups,
    Key.DESCRIBE_GROUPS: coordinating.describe_groups,
}
_HTTP: Final = frozenset({b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"PATC"})
"""The first bytes of a client that takes the port for an HTTP server's."""


async def serve(node: Node, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve until the client is gone or sends something that is no request.

    The writer is closed then.
    """
    answers: _Answers = asyncio.Queue(_PIPELINED_REQUESTS)
    receiving = asyncio.create_task(_receive(node, reader, _peer(writer), answers))
    answering = asyncio.create_task(_answer(answers, writer))
    try:
        await asyncio.wait((receiving, answering), return_when=asyncio.FIRST_COMPLETED)
    finally:
        tasks: list[asyncio.Task[Any]] = [receiving, answering]
        while not answers.empty():
            tasks.append(answers.get_nowait())
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        writer.close()
    for error in results:
        _report(error)


async def _receive(node: Node, reader: asyncio.StreamReader, host: str, answers: _Answers) -> None:
    while True:
        start = await reader.readexactly(_LENGTH.size)
        if start in _HTTP:
            raise Malformed("HTTP was sent to the Kafka port")
        (length,) = _LENGTH.unpack(start)
        if not 0 <= length <= _LARGEST_REQUEST:
            raise Malformed(f"a request of {length} bytes; the limit is {_LARGEST_REQUEST}")
        request = wire.decoded(await reader.readexactly(length))
        handling = asyncio.create_task(_handle(node, Client(request.client_id, host), request))
        try:
            await answers.put(handling)
        except asyncio.CancelledError:
            handling.cancel()
            raise


async def _answer(answers: _Answers, writer: asyncio.StreamWriter) -> None:
    while True:
        answer = await (await answers.get())
        if answer is not None:
            writer.write(answer)
            await writer.drain()


async def _handle(node: Node, client: Client, request: Request) -> bytes | None:
    if request.key is Key.API_VERSIONS:
        return wire.api_versions(request)
    answer = await _HANDLERS[request.key](node, client, request.fields)
    return None if answer is None else wire.encoded(request, answer)


def _peer(writer: asyncio.StreamWriter) -> str:
    address = writer.get_extra_info("peername")
    return str(address[0]) if address else ""


def _report(error: object) -> None:
    if isinstance(error, Malformed):
        _logger.warning("local_broker_refused_bytes", reason=str(error))
    elif isinstance(error, Exception) and not isinstance(error, (EOFError, OSError)):
        _logger.error("local_broker_request_failed", exc_info=error)
