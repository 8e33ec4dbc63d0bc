"""Be a customer of a product whose parts keep dying: repeat whatever was not answered."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import httpx
from typing_extensions import override

from tests.support.client import Client
from tests.support.waiting import PATIENCE_S

T = TypeVar("T")
PAUSE_S: Final = 0.2
AWAY: Final = frozenset({500, 502, 503, 504})


class Away(Exception):
    """Fail because no answer came, or one that says to come back later."""


class Customer(Client):
    """Act as ``Client``, but retry: that is harmless for any client of an API that may be down."""

    @override
    def connect(
        self, provider: str, *, account: str | None = None, user: str = "demo", org: str = "demo"
    ) -> dict[str, Any]:
        """Connect an account; repeat a consent that was cut off."""

        def once() -> dict[str, Any]:
            try:
                return super(Customer, self).connect(provider, account=account, user=user, org=org)
            except (AssertionError, httpx.TransportError) as error:
                raise Away(str(error)) from error

        return patiently(once)

    @override
    def api(self, method: str, path: str, **options: Any) -> Any:
        return self._asked(method, self.url + path, **options)

    @override
    def control(self, method: str, path: str, **options: Any) -> Any:
        return self._asked(method, f"{self.sandbox}/_sandbox/{path}", **options)

    def _asked(self, method: str, url: str, **options: Any) -> Any:
        def once() -> httpx.Response:
            try:
                answer = self.http.request(method, url, **options)
            except httpx.TransportError as error:
                raise Away(f"{method} {url}: {error!r}") from error
            if answer.status_code in AWAY:
                raise Away(f"{method} {url}: {answer.status_code} {answer.text}")
            return answer

        answer = patiently(once)
        assert answer.is_success, f"{method} {url}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None


def patiently(ask: Callable[[], T]) -> T:
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return ask()
        except Away:
            if time.monotonic() > end:
                raise
            time.sleep(PAUSE_S)
