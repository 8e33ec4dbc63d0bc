"""Finish a consent: the provider sent the browser back."""

from __future__ import annotations

from typing import Final

import structlog

from services.auth.connect.identity import identified
from services.auth.connect.messages import CALLBACK_ERRORS, problem
from services.auth.connect.save import save_connection
from services.auth.connect.view import get_flow
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
from services.auth.store import flows
from services.auth.store.flows import FlowRow
from shared.contracts.auth import Callback, CallbackResult, ErrorBody
from shared.crypto import hash_token, same

FINISH_S: Final = 60.0
"""How long a spent flow may stay pending: longer than all calls to the provider together."""
_LONGEST_STATE: Final = 1024
log = structlog.get_logger()


class _Failed(Exception):
    def __init__(self, error: ErrorBody, flow: FlowRow | None = None) -> None:
        super().__init__(error.code)
        self.error = error
        self.flow = flow


async def finish_flow(callback: Callback, *, context: AuthContext) -> CallbackResult:
    """Never raises for what browser or provider did: ``error`` says it.

    A state is checked against provider and cookie before it is spent, so that nobody without the cookie can end another
    person's consent; it is spent before its code is exchanged, so that of many replays one goes on.
    """
    flow: FlowRow | None = None
    try:
        flow = await _take(callback, context)
        endpoint = context.endpoint(flow.provider)
        grant, who = await _consented(callback, flow, endpoint, context)
        async with context.database.write() as db:
            connection, kind = await save_connection(db, flow, grant, who, endpoint=endpoint, context=context)
            await flows.succeed(db, flow.id, connection.id)
    except _Failed as failed:
        return await _failure(failed.error, flow, context)
    log.info("connected", connection=connection.id, provider=flow.provider, kind=kind, generation=connection.generation)
    return CallbackResult(flow=await get_flow(flow.id, context=context), connection=connection, event=kind)


async def _failure(error: ErrorBody, flow: FlowRow | None, context: AuthContext) -> CallbackResult:
    """A flow that was not taken is not shown: whoever called may not be its owner."""
    if flow is None:
        return CallbackResult(flow=None, error=error)
    async with context.database.write() as db:
        await flows.fail(db, flow.id, error)
    return CallbackResult(flow=await get_flow(flow.id, context=context), error=error)


async def _take(callback: Callback, context: AuthContext) -> FlowRow:
    digest = hash_token(callback.params.get("state", "")[: _LONGEST_STATE + 1])
    now = context.clock()
    async with context.database.write() as db:
        flow = await flows.by_state(db, digest)
        if flow is None or not same(flow.state_hash, digest) or flow.provider != callback.provider:
            raise _Failed(problem("state_invalid"))
        cookie = callback.cookies.get(flow.id, "")
        if flow.nonce_hash is None or not same(flow.nonce_hash, hash_token(cookie)):
            log.warning("flow_mismatch", flow=flow.id, provider=flow.provider, cookie_present=bool(cookie))
            raise _Failed(problem("flow_mismatch"))
        if not await flows.spend(db, flow, now=now, finish_by=now + FINISH_S):
            too_late = not flow.used and flow.expires_at <= now
            raise _Failed(problem("flow_expired" if too_late else "state_invalid"))
    return flow


async def _consented(
    callback: Callback, flow: FlowRow, endpoint: TokenEndpoint, context: AuthContext
) -> tuple[Grant, Identified]:
    name = endpoint.provider.name
    if error := callback.params.get("error"):
        log.info("consent_refused", flow=flow.id, provider=flow.provider, error_code=error[:64])
        raise _Failed(problem(CALLBACK_ERRORS.get(error, "provider_refused"), name))
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
            flow=flow.id,
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
