"""Run the sandbox on its own: ``python -m deploy.sandbox``, on loopback unless told otherwise."""

from __future__ import annotations

import argparse
import errno
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import uvicorn

from deploy.sandbox.clients import sandbox_clients
from deploy.sandbox.providers import SandboxModule, load_sandboxes
from deploy.sandbox.server.app import create_app
from shared import clock
from shared.exit_codes import Misuse, exit_code
from shared.telemetry import configure_logging


def listen(port: int, host: str = "127.0.0.1") -> socket.socket:
    """Return a socket that listens on ``port``; 0 takes a free port.

    Raises:
        Misuse: the port is busy.
    """
    listener = socket.socket(
        socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )  # named: asyncio sets TCP_NODELAY
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise Misuse(
            f"port {port} is busy: stop what uses it, or choose another with --port"
        ) from None
    listener.listen(512)
    return listener


def main(arguments: list[str], modules: Mapping[str, SandboxModule] | None = None) -> int:
    """Serve ``modules`` (None: all of them) until a signal arrives, and return the exit code."""
    parser = argparse.ArgumentParser("python -m deploy.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=8003, help="0 takes a free one (default: 8003)")
    parser.add_argument(
        "--data-dir", type=Path, default=Path(".tributary"), help="default: .tributary"
    )
    parser.add_argument(
        "--public-url", default="http://localhost:8000", help="where the product's callbacks are"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="the IPv4 address to listen on (default: 127.0.0.1)"
    )
    parser.add_argument(
        "--name", action="append", default=[], help="a host name it is reached by, beside localhost"
    )
    parser.add_argument(
        "--return-origins",
        default="",
        help="comma-separated: where the callback may send a browser on to",
    )
    given = parser.parse_args(arguments)
    configure_logging("warning")
    clock.arm_clock(os.environ.get(clock.VARIABLE, ""))
    clock.warn_if_movable()
    return exit_code(lambda: _serve(given, load_sandboxes() if modules is None else modules))


def _serve(given: argparse.Namespace, served: Mapping[str, SandboxModule]) -> None:
    """Serve until a signal arrives; print the URL as the first line once the server answers."""
    origins = tuple(one.strip() for one in given.return_origins.split(",") if one.strip())
    listener = listen(given.port, given.host)
    app = create_app(
        given.data_dir,
        sandbox_clients(given.data_dir, given.public_url, served, return_origins=origins),
        served,
        names=given.name,
    )
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        app,
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=3,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
