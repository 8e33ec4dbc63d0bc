"""Send GETs on kept connections.

Usage: ``python -m benchmarks.reader PORT SECONDS RATE CONNECTIONS < FILE``. FILE holds one request
target per line; they are requested in a shuffled order that is the same in
every run. RATE 0 asks as fast as answers come. Otherwise requests are due at fixed times, and a
latency counts from when its request was due, so that waiting behind a slow answer is included.
Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import time
from collections.abc import Iterator
from typing import cast

import msgspec
from typing_extensions import override

HEAD_END = b"\r\n\r\n"


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the results; ``latencies_ms`` are sorted."""

    requests: int
    seconds: float
    latencies_ms: list[float]

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    def percentile_ms(self, share: float) -> float:
        return self.latencies_ms[
            min(len(self.latencies_ms) - 1, int(len(self.latencies_ms) * share))
        ]


class Answers(asyncio.Protocol):
    """Send one request at a time; read each answer to its announced length and discard it."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._answered: asyncio.Future[None] | None = None
        self._head = b""
        self._missing = 0

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def connection_lost(self, error: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error or ConnectionResetError("the server hung up"))

    @override
    def data_received(self, data: bytes) -> None:
        if self._missing == 0:
            self._head += data
            if HEAD_END not in self._head:
                return
            head, _, rest = self._head.partition(HEAD_END)
            self._head, self._missing = b"", _length(head) - len(rest)
        else:
            self._missing -= len(data)
        if self._missing == 0 and self._answered is not None:
            self._answered.set_result(None)

    async def get(self, request: bytes) -> None:
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        await self._answered

    def close(self) -> None:
        self._transport.abort()


def _length(head: bytes) -> int:
    status, *headers = head.lower().split(b"\r\n")
    if b" 200 " not in status + b" ":
        raise RuntimeError(f"answered {status.decode('latin-1')}")
    return next(int(line.split(b":")[1]) for line in headers if line.startswith(b"content-length:"))


async def read(
    port: int, targets: list[str], *, seconds: float, rate: float, connections: int
) -> Reading:
    loop = asyncio.get_running_loop()
    requests = [
        f"GET {target} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode() for target in targets
    ]
    random.Random(1).shuffle(requests)  # an order, no secret
    latencies: list[float] = []
    started = time.perf_counter()
    moments = itertools.count(started, 1 / rate) if rate else iter(time.perf_counter, None)

    async def one(turn: Iterator[bytes]) -> None:
        _, wire = await loop.create_connection(Answers, "127.0.0.1", port)
        try:
            while (begins := next(moments)) < started + seconds:
                if rate:
                    await asyncio.sleep(max(0.0, begins - time.perf_counter()))
                await wire.get(next(turn))
                latencies.append((time.perf_counter() - begins) * 1000)
        finally:
            wire.close()

    turn = itertools.cycle(requests)
    await asyncio.gather(*(one(turn) for _ in range(connections)))
    return Reading(
        requests=len(latencies),
        seconds=time.perf_counter() - started,
        latencies_ms=sorted(latencies),
    )


if __name__ == "__main__":
    port, seconds, rate, connections = sys.argv[1:]
    given = sys.stdin.read().split()
    found = asyncio.run(
        read(
            int(port), given, seconds=float(seconds), rate=float(rate), connections=int(connections)
        )
    )
    sys.stdout.write(msgspec.json.encode(found).decode())
