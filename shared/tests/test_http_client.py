import asyncio
import contextlib
import datetime as dt
import gzip
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.http import BadBody, BodyTooLarge, HttpClient, HttpError, TooSlow, Unreachable
from shared.http import pool as http_pool
from tests.support.waiting import PATIENCE_S, turns, until

Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]
SMALL_CAP = 1 << 20
CONNECTIONS = 16


class Server:
    """Answer every request on a connection with what ``answer`` writes.

    It counts connections and keeps the heads of requests.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.heads: list[str] = []
        self.asked = asyncio.Event()
        self.connections = 0
        self.url = ""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                self.asked.set()
                await self._answer(head, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(answer)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(server.talk(reader, writer))
        tasks.add(task)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    server.url = f"{'https' if tls else 'http'}://localhost:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await turns()  # an aborted transport closes its socket in the next turn of the loop


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    made = HttpClient(body_cap=SMALL_CAP, connections=CONNECTIONS)
    yield made
    await made.aclose()


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers])
    return head.encode() + b"\r\n\r\n" + body


async def good(_head: str, writer: asyncio.StreamWriter) -> None:
    writer.write(http(b'{"ok":true}', "Content-Type: application/json"))


async def drip(_head: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def drip_or_good(head: str, writer: asyncio.StreamWriter) -> None:
    await (drip if head.startswith("GET /slow") else good)(head, writer)


def count_of(server: Server, start: str) -> int:
    return sum(head.startswith(start) for head in server.heads)


def answering(raw: bytes, *, then_close: bool = False) -> Answer:
    async def answer(_head: str, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        if then_close:
            writer.close()

    return answer


async def test_an_answer_is_status_lower_case_headers_and_body(client: HttpClient) -> None:
    async with serving(answering(http(b"{}", "X-Odd: a", "x-odd: b", status="418 Odd"))) as server:
        response = await client.request("GET", server.url)
    assert (response.status, response.headers["x-odd"], response.body) == (418, "a, b", b"{}")
    assert repr(response) == "HttpResponse(status=418)"


async def test_connections_are_kept_and_used_again(client: HttpClient) -> None:
    async with serving(good) as server:
        for _ in range(5):
            assert (await client.request("GET", server.url)).json() == {"ok": True}
        assert server.connections == 1


async def test_a_connection_the_server_closed_meanwhile_is_not_used_again(
    client: HttpClient,
) -> None:
    async with serving(answering(http(b"{}"), then_close=True)) as server:
        for _ in range(10):
            assert (await client.request("GET", server.url)).status == 200


async def test_params_join_those_of_the_url_and_bodies_carry_their_type(client: HttpClient) -> None:
    async with serving(good) as server:
        await client.request("GET", f"{server.url}/a?x=1", params=[("f[]", "ü"), ("f[]", "2")])
        await client.request(
            "POST", server.url, form={"code": "a b"}, headers={"Authorization": "Basic x"}
        )
    assert server.heads[0].startswith("GET /a?x=1&f%5B%5D=%C3%BC&f%5B%5D=2 ")
    assert "accept-encoding: gzip\r\n" in server.heads[0]
    assert "content-type: application/x-www-form-urlencoded\r\n" in server.heads[1]
    assert "authorization: Basic x\r\n" in server.heads[1]
    assert "content-length: 8\r\n" in server.heads[1].lower()


async def test_cookies_are_not_kept_for_the_next_account(client: HttpClient) -> None:
    async with serving(answering(http(b"{}", "Set-Cookie: who=first; Path=/"))) as server:
        await client.request("GET", server.url)
        await client.request("GET", server.url)
    assert "cookie" not in server.heads[1].lower()


async def test_redirects_are_answers_and_never_followed(client: HttpClient) -> None:
    async with serving(good) as elsewhere:
        redirect = answering(http(b"", f"Location: {elsewhere.url}", status="302 Found"))
        async with serving(redirect) as server:
            response = await client.request("GET", server.url)
        assert (response.status, elsewhere.connections) == (302, 0)


async def test_proxies_of_the_environment_are_ignored(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with serving(good) as server:
        assert (
            await client.request("GET", server.url.replace("localhost", "127.0.0.1"))
        ).status == 200


async def test_a_slow_body_ends_with_the_total_time_of_the_request(client: HttpClient) -> None:
    """The body would go on for ever."""
    async with serving(drip) as server:
        started = time.monotonic()
        with pytest.raises(Unreachable, match="did not answer in time"):
            await client.request("GET", server.url, timeout_s=0.3)
        assert time.monotonic() - started > 0.25


@pytest.mark.parametrize(
    "start", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"], ids=["head", "body"]
)
async def test_a_server_that_falls_silent_ends_with_the_total_time(
    client: HttpClient, start: bytes
) -> None:
    async with serving(answering(start)) as server, asyncio.timeout(PATIENCE_S):
        with pytest.raises(Unreachable, match="in time"):
            await client.request("GET", server.url, timeout_s=0.1)


async def test_slow_headers_end_with_the_total_time_of_the_request(client: HttpClient) -> None:
    async def slow_head(_head: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        await drip("", writer)

    async with serving(slow_head) as server:
        with pytest.raises(Unreachable):
            await client.request("GET", server.url, timeout_s=0.2)


async def test_a_good_request_works_at_once_after_a_hundred_slow_bodies(client: HttpClient) -> None:
    async with serving(drip_or_good) as server:
        slow = [client.request("GET", f"{server.url}/slow", timeout_s=0.4) for _ in range(100)]
        outcomes = await asyncio.gather(*slow, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {TooSlow}
        assert (await client.request("GET", server.url)).status == 200


async def test_a_good_request_works_at_once_after_cancellations_at_every_moment(
    client: HttpClient,
) -> None:
    async with serving(drip_or_good) as server:
        for turn in range(120):
            path = "slow" if turn % 2 else "good"
            task = asyncio.create_task(client.request("GET", f"{server.url}/{path}", timeout_s=30))
            await turns(turn % 30)
            task.cancel()
            await asyncio.wait([task])
        slow = [client.request("GET", f"{server.url}/slow/held") for _ in range(CONNECTIONS)]
        held = asyncio.gather(*slow, return_exceptions=True)
        # No connection and no turn was lost. Cancelled requests may still arrive meanwhile.
        await until(lambda: count_of(server, "GET /slow/held ") == CONNECTIONS)
        held.cancel()
        await asyncio.wait([held])
        together = [client.request("GET", server.url) for _ in range(32)]
        assert {response.status for response in await asyncio.gather(*together)} == {200}


async def test_a_cancelled_request_leaves_no_task_behind(client: HttpClient) -> None:
    async with serving(drip) as server:
        before = asyncio.all_tasks()
        task = asyncio.create_task(client.request("GET", server.url, timeout_s=30))
        await server.asked.wait()
        task.cancel()
        await asyncio.wait([task])

        def left() -> set[asyncio.Task[object]]:
            new = asyncio.all_tasks() - before
            return {one for one in new if "Server.talk" not in repr(one)}

        await until(lambda: not left())


async def test_closing_ends_what_is_under_way() -> None:
    async with serving(drip) as server:
        client = HttpClient()
        task = asyncio.create_task(client.request("GET", server.url, timeout_s=30))
        await server.asked.wait()
        async with asyncio.timeout(PATIENCE_S):
            await client.aclose()
        with pytest.raises(Unreachable):
            await task


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        http(gzip.compress(b"x" * 5000)[:-12], "Content-Encoding: gzip"),
        b"",
        b"garbage\r\n\r\n",
    ],
    ids=["wrong content length", "cut off chunks", "truncated gzip", "no answer", "no HTTP"],
)
async def test_an_answer_that_is_cut_off_is_never_half_read(client: HttpClient, raw: bytes) -> None:
    async with serving(answering(raw, then_close=True)) as server:
        with pytest.raises(Unreachable) as failure:
            await client.request("GET", server.url, timeout_s=PATIENCE_S)
    assert failure.value.retriable


async def test_a_reset_in_the_middle_of_a_body_is_a_typed_failure(client: HttpClient) -> None:
    async def reset(_head: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        writer.transport.abort()

    async with serving(reset) as server:
        with pytest.raises(Unreachable):
            await client.request("GET", server.url, timeout_s=PATIENCE_S)


async def test_a_server_that_does_not_listen_is_unreachable(client: HttpClient) -> None:
    async with serving(good) as server:
        url = server.url
    with pytest.raises(Unreachable, match="could not be reached"):
        await client.request("GET", f"{url}/path?code=sesame", timeout_s=PATIENCE_S)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "/relative", "http://", "http://a\n/"])
async def test_what_is_no_http_url_is_refused(client: HttpClient, url: str) -> None:
    with pytest.raises(HttpError, match="no http or https URL"):
        await client.request("GET", url)


async def test_T18_an_endless_body_stops_at_the_cap(client: HttpClient) -> None:
    async def endless(_head: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            await writer.drain()

    async with serving(endless) as server:
        with pytest.raises(BodyTooLarge):
            await client.request("GET", server.url, timeout_s=PATIENCE_S)


async def test_T20_a_gzip_bomb_stops_at_the_cap(client: HttpClient) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    async with serving(answering(http(bomb, "Content-Encoding: gzip"))) as server:
        with pytest.raises(BodyTooLarge):
            await client.request("GET", server.url, timeout_s=PATIENCE_S)


async def test_gzip_is_inflated_over_several_members(client: HttpClient) -> None:
    packed = gzip.compress(b'{"a"') + gzip.compress(b":1}")
    async with serving(answering(http(packed, "Content-Encoding: GZIP"))) as server:
        assert (await client.request("GET", server.url)).json() == {"a": 1}


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "identity, gzip"])
async def test_T20_other_and_nested_encodings_are_refused(
    client: HttpClient, encoding: str
) -> None:
    packed = gzip.compress(gzip.compress(b"{}"))
    async with serving(answering(http(packed, f"Content-Encoding: {encoding}"))) as server:
        with pytest.raises(BadBody):
            await client.request("GET", server.url)


async def test_what_is_not_gzip_is_a_bad_body(client: HttpClient) -> None:
    async with serving(answering(http(b"plain", "Content-Encoding: gzip"))) as server:
        with pytest.raises(BadBody):
            await client.request("GET", server.url)


async def test_a_swapped_transport_fails_in_the_same_words() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no", request=request)

    client = HttpClient(transport=httpx.MockTransport(refuse))
    with pytest.raises(Unreachable, match="could not be reached"):
        await client.request("GET", "http://provider.test/x?code=sesame")
    await client.aclose()


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    )
    builder = builder.serial_number(1).not_valid_before(now - dt.timedelta(1))
    builder = builder.not_valid_after(now + dt.timedelta(1))
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    crt, pem = folder / "crt.pem", folder / "key.pem"
    crt.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return crt, pem


async def test_tls_works_with_a_trusted_certificate_and_only_then(tmp_path: Path) -> None:
    crt, pem = _certificate(tmp_path)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(crt, pem)
    async with serving(drip_or_good, theirs) as server:
        distrusting = HttpClient()
        with pytest.raises(Unreachable, match="SSLCertVerificationError"):
            await distrusting.request("GET", server.url, timeout_s=PATIENCE_S)
        await distrusting.aclose()
        trusting = HttpClient(
            transport=http_pool.PooledTransport(4, tls=ssl.create_default_context(cafile=crt))
        )
        for _ in range(3):
            with pytest.raises(Unreachable, match="in time"):
                await trusting.request("GET", f"{server.url}/slow", timeout_s=0.2)
            assert (await trusting.request("GET", server.url, timeout_s=PATIENCE_S)).json() == {
                "ok": True
            }
        await trusting.aclose()
