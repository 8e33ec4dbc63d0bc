"""Read a provider's ``tests/recorded`` and ``tests/conformance.json``."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from shared.connector import Bucket, Response

Meaning = Literal["success", "RetryLater", "Restart", "Reauthorize", "Reject"]


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hold one answer in the provider's own shape, and what it means.

    ``html`` is a body that is not JSON. Of the last six fields, only those given are compared.
    """

    case: str
    status: int
    means: Meaning
    headers: dict[str, str] = {}
    body: Any = None
    html: str | None = None
    code: str | UnsetType = UNSET
    after_s: float | UnsetType | None = UNSET
    limit: bool | UnsetType = UNSET
    bucket: str | UnsetType | None = UNSET
    scope: str | UnsetType | None = UNSET
    limits: list[Bucket] | UnsetType = UNSET

    def response(self) -> Response:
        """Return the answer as a connector gets it: a body that is not JSON is None."""
        lowered = {name.lower(): value for name, value in self.headers.items()}
        return Response(status=self.status, headers=lowered, body=None if self.html else self.body)


class Exchange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hold one call and its answer.

    ``request`` is method and path without the query: ``GET /v1/companies``.
    """

    request: str
    status: int = 200
    headers: dict[str, str] = {}
    body: Any


class RecordedItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hold the item that a recorded object becomes; a field left out is null."""

    id: str
    name: str
    parent_id: str | None = None
    url: str | None = None
    created_at: str | None = None
    modified_at: str | None = None


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hold a whole walk over a resource: the exchanges, and the items that come of them.

    ``rejected`` holds the JSON pointers of the objects that must be set aside.
    """

    case: str
    resource: str
    exchanges: list[Exchange]
    items: list[RecordedItem]
    rejected: list[str] = []


class Declared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hold a provider's exceptions, each with its reason.

    ``not_simulated``: what its sandbox cannot show (``sandbox``: there is none at all).
    ``parts_overlap``: resources whose items may be found in several parts of a walk.
    """

    not_simulated: dict[str, str] = {}
    parts_overlap: dict[str, str] = {}
