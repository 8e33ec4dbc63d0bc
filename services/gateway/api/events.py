"""The topics' documentation: AsyncAPI 3.0 out of the contracts, and the same as a plain page."""

from __future__ import annotations

from litestar import get
from litestar.di import NamedDependency

from services.gateway.api.asyncapi import asyncapi_document
from services.gateway.hub import Hub


@get("/events/asyncapi.json", include_in_schema=False)
async def events_json(hub: NamedDependency[Hub]) -> dict[str, object]:
    return asyncapi_document(hub.settings.bootstrap)


HANDLERS = [events_json]
