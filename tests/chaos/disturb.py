"""Apply the faults of a plan to a stack that several loads share."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from tests.chaos.chance import Step
from tests.chaos.load import PAGES
from tests.chaos.modes import BlackHole, Drop, HalfClose, Mode, Pass, Reset, Truncate
from tests.chaos.stack import Stack

APART_S = 3.0
MODES: Mapping[str, Mode] = {
    "delay": Pass(delay_s=0.05, jitter_s=0.1),
    "drop": Drop(),
    "reset": Reset(),
    "black hole": BlackHole(),
    "truncate": Truncate(after=2000),
    "half-close": HalfClose(),
}
PROVIDER: Mapping[str, Mapping[str, Any]] = {
    "429": {
        "status": 429,
        "headers": {"Retry-After": "1"},
        "body": {"status": "error", "policyName": "SECONDLY"},
    },
    "500": {"status": 500, "body": {"status": "error", "message": "internal"}},
    "503": {"status": 503, "body": "<html>away</html>"},
    "401": {"status": 401, "body": {"status": "error", "category": "EXPIRED_AUTHENTICATION"}},
    "cut before": {"drop": "request"},
    "cut after": {"drop": "answer"},
    "slow": {"delay_ms": 700},
}


class Disturber:
    """Apply faults; only one seed at a time may hold a process or a proxy.

    The same goes for the provider's list of faults.
    """

    def __init__(self, stack: Stack, provider: str = "hubspot") -> None:
        self._stack, self._provider = stack, provider
        self._locks = {
            name: threading.Lock() for name in (*stack.children, *stack.proxies, "provider")
        }
        self._unauthorized_at = -APART_S
        self._network = {name: threading.Lock() for name in stack.proxies}

    def run(self, steps: list[Step], *, since: float) -> None:
        """Run each step at its time after ``since`` (monotonic), then repair what it broke."""
        for step in steps:
            time.sleep(max(0.0, since + step.at - time.monotonic()))
            match step.action:
                case "kill":
                    self._kill(**step.options)
                case "pause":
                    self._pause(**step.options)
                case "cut":
                    self._stack.proxies[step.options["name"]].cut()
                case "network":
                    self._spoil(**step.options)
                case _:
                    self._provider_fails(**step.options)

    def _kill(self, name: str, gone_s: float) -> None:
        with self._locks[name]:
            child = self._stack[name]
            child.kill()
            time.sleep(gone_s)
            child.start()

    def _pause(self, name: str, for_s: float) -> None:
        with self._locks[name]:
            self._stack[name].pause()
            time.sleep(for_s)
            self._stack[name].resume()

    def _spoil(self, name: str, mode: str, for_s: float) -> None:
        with self._network[name], self._stack.proxies[name].being(MODES[mode]):
            time.sleep(for_s)

    def _provider_fails(self, fault: str, times: int) -> None:
        ordered = {
            "match": {"method": "GET", "path": f"{PAGES[self._provider]}*"},
            "times": times,
            **PROVIDER[fault],
        }
        with self._locks["provider"]:
            if fault == "401":
                # Twice in a row would not be an accident: the product would rightly conclude that
                # the grant has ended.
                time.sleep(max(0.0, self._unauthorized_at + APART_S - time.monotonic()))
                self._unauthorized_at, times = time.monotonic(), 1
            path = f"{self._provider}/faults"
            left = self._stack.client.control("GET", path)
            self._stack.client.control("PUT", path, json=[*left, ordered])
