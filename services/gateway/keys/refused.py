"""Why a caller is not let in.

HubError
├── Unauthorized      401   no key, or none that is good: which of it, nobody is told
└── TooManyFailures   429   wrong keys came from there, or for that prefix; wait
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.errors import HubError

NO_KEY: Final = (
    "This needs an API key: send a header `Authorization: Bearer trb_…`. "
    "A key that is missing, unknown, expired or revoked gets this same answer."
)


class Unauthorized(HubError):
    status = 401
    code = "unauthorized"
    headers: Mapping[str, str] = {"www-authenticate": 'Bearer realm="tributary"'}

    def __init__(self, detail: str = NO_KEY) -> None:
        super().__init__(detail)


class TooManyFailures(HubError):
    status = 429
    code = "too_many_failures"

    def __init__(self, wait_s: int) -> None:
        unit = "second" if wait_s == 1 else "seconds"
        super().__init__(f"Too many wrong keys were tried. Try again in {wait_s} {unit}.")
        self.headers = {"retry-after": str(wait_s)}
