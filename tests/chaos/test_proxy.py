"""The proxy does to a connection what it says, as seen from both ends."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.chaos.modes import BlackHole, Drop, HalfClose, Pass, Reset, Truncate
from tests.chaos.proxy import Network, Proxy


class Echo:
    """Answer what was heard, and remember how each connection ended."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.ends: list[str] = []
        self.heard = bytearray()
        self.ended = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                one, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(one,), daemon=True))
            self._threads[-1].start()

    def _serve(self, one: socket.socket) -> None:
        with one:
            try:
                while data := one.recv(65536):
                    self.heard += data
                    one.sendall(data)
                self.ends.append("FIN")
                self.ended.set()
                one.sendall(b"goodbye")
            except OSError as error:
                self.ends.append(type(error).__name__)
                self.ended.set()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    network = Network()
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        yield network.proxy(reserved.getsockname()[1], echo.port)
        network.close()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with connected(proxy) as one:
        assert said(one, b"hello") == b"hello"
        yield one


def connected(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def said(one: socket.socket, words: bytes) -> bytes:
    one.sendall(words)
    return one.recv(len(words))


def test_everything_passes_in_order_whatever_its_size(proxy: Proxy, client: socket.socket) -> None:
    sent = bytes(range(256)) * 8000
    writing = threading.Thread(target=client.sendall, args=(sent,))
    writing.start()
    got = bytearray()
    while len(got) < len(sent):
        got += client.recv(65536)
    writing.join()
    assert got == sent


def test_a_delay_holds_each_way_and_keeps_the_order(proxy: Proxy, client: socket.socket) -> None:
    proxy.switch(Pass(delay_s=0.1, jitter_s=0.05))
    started = time.monotonic()
    assert said(client, b"one") == b"one"
    assert time.monotonic() - started >= 0.2
    proxy.switch(to_client=Pass(delay_s=0.1))
    for number in range(20):
        client.sendall(b"%d;" % number)
    got = b""
    while got.count(b";") < 20:
        got += client.recv(1000)
    assert got == b"".join(b"%d;" % number for number in range(20))


def test_drop_ends_old_and_new_connections_until_it_is_over(
    proxy: Proxy, client: socket.socket
) -> None:
    with proxy.being(Drop()):
        assert client.recv(10) == b""
        with connected(proxy) as another:
            assert another.recv(10) == b""
    with connected(proxy) as another:
        assert said(another, b"back") == b"back"


def test_reset_is_a_rst_for_both_ends(proxy: Proxy, client: socket.socket, echo: Echo) -> None:
    with proxy.being(Reset()):
        with pytest.raises(ConnectionResetError):
            client.recv(10)
        assert echo.ended.wait(5)
        assert echo.ends == ["ConnectionResetError"]
        with pytest.raises(ConnectionResetError), connected(proxy) as another:
            another.recv(10)
    with connected(proxy) as another:
        assert said(another, b"back") == b"back"


def test_cut_resets_what_is_there_and_lets_new_ones_through(
    proxy: Proxy, client: socket.socket
) -> None:
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        client.recv(10)
    with connected(proxy) as another:
        assert said(another, b"new") == b"new"


def test_half_close_ends_one_way_and_leaves_the_other(
    proxy: Proxy, client: socket.socket, echo: Echo
) -> None:
    proxy.switch(to_server=HalfClose())
    assert client.recv(100) == b"goodbye", "the server heard the FIN and its answer still came"
    assert echo.ends == ["FIN"]


def test_a_black_hole_takes_everything_and_gives_nothing(
    proxy: Proxy, client: socket.socket, echo: Echo
) -> None:
    with proxy.being(BlackHole()):
        client.sendall(b"lost")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(10)
        with connected(proxy) as another:
            another.sendall(b"lost too")
            another.settimeout(0.3)
            with pytest.raises(TimeoutError):
                another.recv(10)
        assert bytes(echo.heard) == b"hello"
    client.settimeout(5)
    with pytest.raises(ConnectionResetError):
        client.recv(10)  # a stream with a gap in it must not go on


def test_a_black_hole_one_way_loses_only_the_answers(
    proxy: Proxy, client: socket.socket, echo: Echo
) -> None:
    proxy.switch(to_client=BlackHole())
    client.sendall(b"heard")
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.recv(10)
    assert bytes(echo.heard) == b"helloheard"


def test_truncate_cuts_in_the_middle(proxy: Proxy, client: socket.socket) -> None:
    proxy.switch(to_client=Truncate(after=3))
    client.sendall(b"answer")
    assert client.recv(100) == b"ans"
    assert client.recv(100) == b""


def test_a_target_that_is_not_there_resets_and_may_come_later() -> None:
    network = Network()
    with socket.socket() as absent, socket.socket() as reserved:
        for one in (absent, reserved):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", 0))
        proxy = network.proxy(reserved.getsockname()[1], absent.getsockname()[1])
        with pytest.raises(ConnectionResetError), connected(proxy) as one:
            one.recv(10)
        with socket.socket() as late:
            late.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            late.bind(absent.getsockname())
            late.listen()
            with connected(proxy) as one:
                served, _ = late.accept()
                with served:
                    served.sendall(b"here")
                    assert one.recv(10) == b"here"
        network.close()
