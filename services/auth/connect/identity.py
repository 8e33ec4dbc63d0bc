"""Find out which account a new grant opens."""

from __future__ import annotations

import asyncio

import structlog

from services.auth.oauth_client import Away, Grant, Identified, ProviderFailure, TokenEndpoint
from services.auth.oauth_client.token_response import identify, needs_introspection

log = structlog.get_logger()


async def identified(grant: Grant, *, endpoint: TokenEndpoint) -> Identified | None:
    """None when the provider did not say which account. Raises ``ProviderFailure``, for the identity call only."""
    reply, introspected = await asyncio.gather(_identity(grant, endpoint), _introspection(grant, endpoint))
    return identify(endpoint.provider.oauth.identity, grant, reply=reply, introspected=introspected)


async def _identity(grant: Grant, endpoint: TokenEndpoint) -> object:
    """Once more after a failure of theirs: the code is spent, and the person would have to consent again."""
    try:
        return await endpoint.identity(grant.pair.access)
    except Away:
        return await endpoint.identity(grant.pair.access)


async def _introspection(grant: Grant, endpoint: TokenEndpoint) -> object:
    """A better name is not worth a failed consent: whatever goes wrong, the next path is taken."""
    if not needs_introspection(endpoint.provider.oauth.identity, grant):
        return None
    try:
        return await endpoint.introspection(grant.pair.access)
    except ProviderFailure as failure:
        log.warning(
            "introspection_failed",
            provider=endpoint.provider.slug,
            failure=type(failure).__name__,
            status=failure.status,
            error_code=failure.code,
        )
        return None
