"""The product and the sandbox, each in a process of its own, and what the kernel says of what they used."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from tests.product import ROOT, Product, eventually

PRODUCT: tuple[str, ...] = ("-m", "deploy.local")
READY_S = 60.0


class Pair:
    """One product and its sandbox while they run."""

    def __init__(self, product: Product, *, pids: tuple[int, int]) -> None:
        self.product = product
        self._product, self._sandbox = (psutil.Process(pid) for pid in pids)

    def cpu_s(self) -> tuple[float, float]:
        """Used since they were started: by the product, by the sandbox."""
        return _cpu_s(self._product), _cpu_s(self._sandbox)

    def peak_mb(self) -> float:
        """The most memory that the product has ever held (MB of 10^6 bytes)."""
        status = Path(f"/proc/{self._product.pid}/status").read_text("ascii")
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
        if found is None:
            raise RuntimeError("this kernel keeps no record of a process's peak memory")
        return int(found[1]) * 1024 / 1e6


@contextmanager
def running(folder: Path, command: Sequence[str] = PRODUCT) -> Iterator[Pair]:
    """Both answer while the context is open. ``command`` is the product, as arguments of the interpreter."""
    product = Product(folder)
    child = _environment(folder, product)
    sandbox_log = folder / "sandbox.log"
    with sandbox_log.open("wb") as log:
        sandbox = subprocess.Popen(_sandbox(product), cwd=folder, env=child, stdout=log, stderr=log)
    try:
        eventually(lambda: _answers(f"{product.sandbox}/health/ready", sandbox, sandbox_log), within=READY_S)
        with product.log.open("w") as log:
            product.process = subprocess.Popen(
                [sys.executable, *command, "--no-sandbox"], cwd=folder, env=child, stdout=log, stderr=log, text=True
            )
        eventually(lambda: _answers(f"{product.url}/health/ready", product.process, product.log), within=READY_S)
        yield Pair(product, pids=(product.process.pid, sandbox.pid))
    finally:
        product.close()
        sandbox.terminate()
        sandbox.wait(timeout=20)


def _environment(folder: Path, product: Product) -> dict[str, str]:
    """Both run in ``folder``, so that the settings of the checkout's .env do not count either."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TRIBUTARY_")}
    return {**inherited, **product.settings, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}


def _sandbox(product: Product) -> list[str]:
    data, port = product.settings["TRIBUTARY_DATA_DIR"], str(product.ports["SANDBOX"])
    options = ["--port", port, "--data-dir", data, "--public-url", product.url]
    return [sys.executable, "-m", "deploy.sandbox", *options]


def _answers(url: str, process: subprocess.Popen[bytes] | subprocess.Popen[str] | None, log: Path) -> bool:
    if process is not None and process.poll() is not None:
        said = log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"what should answer at {url} has ended with status {process.returncode}; it said: {said}")
    with suppress(httpx.TransportError):
        return httpx.get(url, trust_env=False).status_code == 200
    return False


def _cpu_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)
