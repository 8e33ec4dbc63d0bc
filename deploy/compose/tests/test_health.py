import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socket import create_server

import pytest
from typing_extensions import override

from deploy.health import health, main
from tests.support.waiting import PATIENCE_S

ROOT = Path(__file__).parents[3]


@contextmanager
def answering(status: int) -> Iterator[str]:
    """Run a server that answers everything with ``status`` and its path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"saw {self.path}".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_an_answer_of_200_is_healthy() -> None:
    with answering(200) as url:
        assert main([f"{url}/health/ready"]) == 0


def test_another_answer_is_not_and_its_reason_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(503) as url:
        assert main([f"{url}/health/ready"]) == 1
    assert "answered 503: saw /health/ready" in capsys.readouterr().err


def test_a_server_that_is_not_there_is_not_healthy() -> None:
    with create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert "does not answer" in (health(f"http://127.0.0.1:{port}/") or "")


def test_a_server_that_says_nothing_is_given_up_on() -> None:
    with create_server(("127.0.0.1", 0)) as silent:
        assert "does not answer" in (
            health(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout=0.2) or ""
        )


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "127.0.0.1:8000", "http:///health"])
def test_what_is_no_address_is_not_healthy(url: str) -> None:
    assert (
        health(url)
        == f"{url} is no http:// address. Write one like http://127.0.0.1:8000/health/ready"
    )


def test_the_exit_status_is_what_a_container_sees() -> None:
    with answering(200) as url:
        command = [sys.executable, "-m", "deploy.health", url]
        assert (
            subprocess.run(
                command, cwd=ROOT, timeout=PATIENCE_S, check=False, capture_output=True
            ).returncode
            == 0
        )
