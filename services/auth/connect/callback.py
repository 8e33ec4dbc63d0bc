"""Finish a consent: the provider sent the browser back, and it becomes a connection.

Take the flow once, exchange the code for a grant, ask which account it opens, and save everything
in one transaction.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.auth import credentials, store
from services.auth.connect.flow import get_flow, problem
from services.auth.context import AuthContext
from services.auth.oauth_client import (
    Away,
    BadClient,
    DeadGrant,
    Grant,
    Identified,
    Lost,
    ProviderFailure,
    Refused,
    TokenEndpoint,
)
from services.auth.oauth_client.endpoint import granted_resources, identify, needs_introspection
from services.auth.store import FlowRow
from shared.contracts.auth import Callback, CallbackResult, ErrorBody
from shared.contracts.connections import Account, Connection
from shared.contracts.envelope import new_id, timestamp
from shared.crypto import hash_token, same
from shared.settings import configured_for

FINISH_S: Final = 60.0
"""The longest a spent flow stays pending, in seconds. All calls to the provider together take
less."""
# Ours has 43 characters. Anything longer is cut before it is hashed, and then matches nothing.
_LONGEST_STATE: Final = 1024
# RFC 6749 §4.1.2.1, with the codes that OpenID Connect and other extensions add.
_CALLBACK_ERRORS: Final = {
    "access_denied": "access_denied",
    "consent_required": "access_denied",
    "interaction_required": "access_denied",
    "login_required": "access_denied",
    "invalid_client": "provider_config",
    "invalid_request": "provider_config",
    "invalid_scope": "provider_config",
    "redirect_uri_mismatch": "provider_config",
    "server_error": "provider_unavailable",
    "temporarily_unavailable": "provider_unavailable",
    "unauthorized_client": "provider_config",
    "unsupported_response_type": "provider_config",
}
log = structlog.get_logger()


class _Failed(Exception):
    """Carry what to answer; ``spent`` is the flow if its own browser has come back to it."""

    def __init__(self, error: ErrorBody, *, spent: FlowRow | None = None) -> None:
        super().__init__(error.code)
        self.error = error
        self.spent = spent


async def finish_flow(callback: Callback, *, context: AuthContext) -> CallbackResult:
    """Finish the flow of a callback. What the browser or provider did wrong is in ``error``."""
    # The state is checked against provider and cookie before it is spent, or somebody without the
    # cookie could end another person's consent. It is spent before its code is exchanged, so that
    # only one of many replays goes on.
    flow: FlowRow | None = None
    try:
        flow = await _take(callback, context)
        endpoint = configured_for(flow.provider, context.endpoints)
        grant, who = await _consented(callback, flow, endpoint, context)
        async with context.database.write() as db:
            connection, kind = await save_connection(
                db, flow, grant, who, endpoint=endpoint, context=context
            )
            await store.complete_flow(db, flow.id, connection.id)
    except _Failed as failed:
        if failed.spent is not None:
            shown = await get_flow(failed.spent.id, context=context)
            return CallbackResult(flow=shown, error=failed.error)
        return await _failure(failed.error, flow, context)
    log.info(
        "connected",
        connection_id=connection.id,
        provider=flow.provider,
        kind=kind,
        generation=connection.generation,
    )
    return CallbackResult(
        flow=await get_flow(flow.id, context=context), connection=connection, event=kind
    )


async def _failure(error: ErrorBody, flow: FlowRow | None, context: AuthContext) -> CallbackResult:
    """Record the error, and show the flow only when it was taken."""
    # Until then, whoever called may not be its owner.
    if flow is None:
        return CallbackResult(flow=None, error=error)
    async with context.database.write() as db:
        await store.fail_flow(db, flow.id, error)
    return CallbackResult(flow=await get_flow(flow.id, context=context), error=error)


async def _take(callback: Callback, context: AuthContext) -> FlowRow:
    digest = hash_token(callback.params.get("state", "")[: _LONGEST_STATE + 1])
    now = context.clock()
    async with context.database.write() as db:
        flow = await store.flow_by_state(db, digest)
        # Compared once more in constant time: the index lookup may tell by its time.
        if flow is None or not same(flow.state_hash, digest) or flow.provider != callback.provider:
            raise _Failed(problem("state_invalid"))
        cookie = callback.cookies.get(flow.id, "")
        if flow.nonce_hash is None or not same(flow.nonce_hash, hash_token(cookie)):
            log.warning(
                "flow_mismatch",
                flow_id=flow.id,
                provider=flow.provider,
                cookie_present=bool(cookie),
            )
            raise _Failed(problem("flow_mismatch"))
        if not await store.spend_flow(db, flow, now=now, finish_by=now + FINISH_S):
            too_late = not flow.used and flow.expires_at <= now
            code = "flow_expired" if too_late else "state_invalid"
            raise _Failed(problem(code), spent=await _to_show(db, flow))
    return flow


async def _to_show(db: AsyncConnection, flow: FlowRow) -> FlowRow | None:
    """Return a spent flow if it is being finished, or has led to a connection that is still there.

    None stands for any other.
    """
    if flow.connection_id is None:
        return flow if flow.used and flow.status == "pending" else None
    connection = await store.get_connection(db, flow.connection_id)
    gone = connection is None or connection.status == "disconnected"
    return None if gone else flow


async def _consented(
    callback: Callback, flow: FlowRow, endpoint: TokenEndpoint, context: AuthContext
) -> tuple[Grant, Identified]:
    name = endpoint.provider.name
    error = callback.params.get("error")
    if error:
        log.info("consent_refused", flow_id=flow.id, provider=flow.provider, error_code=error[:64])
        raise _Failed(problem(_CALLBACK_ERRORS.get(error, "provider_refused"), name))
    code = callback.params.get("code")
    if not code:
        raise _Failed(problem("code_missing", name))
    verifier = None
    if endpoint.provider.oauth.pkce:
        verifier = context.keyring.open(flow.verifier_sealed, flow.org_id, flow.id, "verifier")
    try:
        grant = await endpoint.exchange(code, redirect_uri=flow.redirect_uri, verifier=verifier)
        who = await identified(grant, endpoint=endpoint)
    except ProviderFailure as failure:
        log.warning(
            "exchange_failed",
            flow_id=flow.id,
            provider=flow.provider,
            failure=type(failure).__name__,
            status=failure.status,
            error_code=failure.code,
        )
        raise _Failed(problem(_code_of(failure), name)) from None
    if who is None:
        raise _Failed(problem("identity_missing", name))
    return grant, who


def _code_of(failure: ProviderFailure) -> str:
    match failure:
        case DeadGrant():
            return "code_expired"
        case BadClient():
            return "provider_config"
        case Away() | Lost():
            return "provider_unavailable"
        case Refused() | ProviderFailure():
            return "provider_refused"


async def identified(grant: Grant, *, endpoint: TokenEndpoint) -> Identified | None:
    """Return the account and grantee, None when the provider does not say which account it is.

    Raises:
        ProviderFailure: the identity call failed.
    """
    reply, introspected = await asyncio.gather(
        _identity(grant, endpoint), _introspection(grant, endpoint)
    )
    return identify(endpoint.provider.oauth.identity, grant, reply=reply, introspected=introspected)


async def _identity(grant: Grant, endpoint: TokenEndpoint) -> object:
    """Make the identity call, twice when the provider is away."""
    # The code is spent: to give up here would send the person through the consent again.
    try:
        return await endpoint.identity(grant.pair.access)
    except Away:
        return await endpoint.identity(grant.pair.access)


async def _introspection(grant: Grant, endpoint: TokenEndpoint) -> object:
    """Return what introspection says of the new token, None when it is not needed or fails."""
    # It only gives a better name, and that is not worth a failed consent.
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


async def save_connection(
    db: AsyncConnection,
    flow: FlowRow,
    grant: Grant,
    who: Identified,
    *,
    endpoint: TokenEndpoint,
    context: AuthContext,
) -> tuple[Connection, str]:
    """Write connection, tokens and event; return the snapshot and the kind of its event."""
    fresh = _fresh(flow, grant, who, endpoint, timestamp(context.clock()))
    old = await store.connection_by_identity(db, fresh)
    connection, kind = (fresh, "Connected") if old is None else _again(old, fresh)
    await store.publish(db, connection, kind)
    credential = credentials.sealed(connection, grant.pair, context.keyring)
    await credentials.put(db, msgspec.structs.replace(credential, last_used_at=context.clock()))
    return connection, kind


def _fresh(
    flow: FlowRow, grant: Grant, who: Identified, endpoint: TokenEndpoint, now: str
) -> Connection:
    scopes = endpoint.runtime.scopes if grant.scopes is None else grant.scopes
    return Connection(
        id=new_id(),
        version=1,
        generation=1,
        org_id=flow.org_id,
        user_id=flow.user_id,
        provider=flow.provider,
        client_id=endpoint.runtime.client_id,
        account=Account(id=who.account_id, name=who.account_name),
        grantee=who.grantee,
        metered=who.metered,
        status="active",
        scopes=scopes,
        resources=granted_resources(endpoint.provider, scopes),
        token_version=1,
        sync_id=new_id(),
        created_at=now,
        updated_at=now,
    )


def _again(old: Connection, fresh: Connection) -> tuple[Connection, str]:
    """Return ``old`` as consented to again, and the kind of its event."""
    # Token versions never repeat, or a token cached before a disconnect would pass for the new one.
    returned = old.status == "disconnected"
    connection = msgspec.structs.replace(
        fresh,
        id=old.id,
        version=old.version + 1,
        generation=old.generation + returned,
        token_version=old.token_version + 1,
        created_at=old.created_at,
    )
    return connection, "Connected" if returned else "Recovered"
