"""The only way out to other HTTP servers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, final

import httpcore
import httpx
import msgspec
from typing_extensions import override

from shared.http.body import decode_json, read_body
from shared.http.failures import HttpError, TooSlow, Unreachable
from shared.http.outgoing import Pairs, encoded, outgoing
from shared.http.pool import PooledTransport
from shared.http.wire import Deadline, current

BODY_CAP: Final = 32 * 1_048_576


@final
class HttpResponse:
    """A complete response. Its representation shows the status only.

    ``headers`` have lower-case names; repeated ones are joined by ``, ``.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, *, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        """Return the decoded body. Raise ``MalformedBody`` if it is not JSON."""
        return decode_json(self.body, self.headers.get("content-type"))

    @override
    def __repr__(self) -> str:
        return f"HttpResponse(status={self.status})"


@final
class HttpClient:
    """Send requests; one client per provider, for the life of the process.

    It follows no redirects, keeps no cookies, takes no proxy from the environment and logs nothing.
    ``transport`` replaces the network. At most ``connections`` requests run at once; others wait
    their turn within their own time. ``aclose`` ends what is under way.
    """

    def __init__(
        self,
        *,
        connections: int = 64,
        body_cap: int = BODY_CAP,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._turns = asyncio.Semaphore(connections)
        self._cap = body_cap
        self._transport = transport or PooledTransport(connections)
        self._running: dict[asyncio.Task[HttpResponse], Deadline] = {}

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Pairs | None = None,
        json: Any = msgspec.UNSET,
        content: bytes | None = None,
        form: Pairs | None = None,
        timeout_s: float = 60.0,
    ) -> HttpResponse:
        """Return any complete response, whatever its status.

        ``timeout_s`` covers all of it, to the last byte of the body. ``params`` are added to the
        URL's own. Raises ``Unreachable``, ``BodyTooLarge`` or ``BadBody``.
        """
        request = outgoing(method, url, headers, params, encoded(json, content, form))
        deadline = Deadline(timeout_s)
        task = asyncio.get_running_loop().create_task(self._in_turn(request, deadline))
        self._running[task] = deadline
        task.add_done_callback(self._forget)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            deadline.expire()
            raise

    async def aclose(self) -> None:
        for deadline in self._running.values():
            deadline.expire()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._transport.aclose()

    def _forget(self, task: asyncio.Task[HttpResponse]) -> None:
        self._running.pop(task, None)
        if not task.cancelled():
            # asyncio complains about an exception that nobody has looked at.
            task.exception()

    async def _in_turn(self, request: httpx.Request, deadline: Deadline) -> HttpResponse:
        current.set(deadline)
        try:
            await deadline.within(self._turns.acquire(), httpcore.ReadError)
            try:
                return await self._exchange(request)
            finally:
                self._turns.release()
        except (httpcore.TimeoutException, httpx.TimeoutException):
            raise TooSlow(f"{request.url.host} did not answer in time.") from None
        except (httpcore.ConnectError, httpx.ConnectError) as reason:
            raise Unreachable(f"{request.url.host} could not be reached ({reason}).") from None
        except (httpcore.LocalProtocolError, httpx.LocalProtocolError):
            raise HttpError(
                f"The request to {request.url.host} had a header that cannot be sent."
            ) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpx.TransportError):
            raise Unreachable(
                f"{request.url.host} closed the connection or broke the protocol."
            ) from None

    async def _exchange(self, request: httpx.Request) -> HttpResponse:
        answer = await self._transport.handle_async_request(request)
        try:
            stream = answer.stream
            if not isinstance(stream, httpx.AsyncByteStream):
                raise TypeError("The transport answered with a stream that is not asynchronous.")
            headers = _lowered(answer.headers.raw)
            body = await read_body(stream, headers.get("content-encoding", ""), self._cap)
        finally:
            await answer.aclose()
        return HttpResponse(status=answer.status_code, headers=headers, body=body)


def _lowered(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers
