"""Start a consent, hand it to a browser, and show how it stands.

``callback`` finishes it.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Final

from services.auth import store
from services.auth.context import AuthContext
from services.auth.store import FlowRow
from shared.contracts.auth import ErrorBody, Flow, OpenedFlow, StartFlow
from shared.contracts.envelope import new_id, timestamp
from shared.crypto import hash_token
from shared.errors import BadRequest, NotFound, TributaryError
from shared.settings import configured_for

# Ten minutes: time to sign in at the provider and read its consent page.
LIFETIME_S: Final = 600
_LONGEST: Final = 256
_MESSAGES: Final = {
    "state_invalid": (
        "This link was used already, or Tributary did not issue it. Start connecting again."
    ),
    "flow_mismatch": (
        "This consent was started in another browser, or this browser blocks cookies. "
        "Start connecting again and stay in one browser window."
    ),
    "flow_expired": "This link has expired: links last for 10 minutes. Start connecting again.",
    "code_missing": "{name} sent you back without saying yes or no. Start connecting again.",
    "access_denied": ("Access was declined at {name}. Start again if you change your mind."),
    "code_expired": (
        "{name} no longer accepts this consent: it is too old or was used already. "
        "Start connecting again."
    ),
    "provider_config": (
        "{name} does not accept this installation's settings. Ask whoever runs it to check the "
        "client id, client secret, scopes and redirect URI."
    ),
    "provider_unavailable": (
        "{name} could not be reached or has a problem of its own. Start again in a few minutes."
    ),
    "provider_refused": "{name} refused to connect this account. Start connecting again.",
    "identity_missing": (
        "{name} did not say which account was connected, so nothing was saved. "
        "Start connecting again."
    ),
}


async def start_flow(start: StartFlow, *, context: AuthContext) -> Flow:
    """Start a consent. A user may have several at once.

    Raises:
        BadRequest: the provider is not set up, or an id is empty or too long.
    """
    configured_for(start.provider, context.endpoints)
    _check_name("org_id", start.org_id)
    _check_name("user_id", start.user_id)
    row = _new_row(start, context)
    async with context.database.write() as db:
        await store.add_flow(db, row)
    return view(row, context)


def _new_row(start: StartFlow, context: AuthContext) -> FlowRow:
    # Made of A-Z a-z 0-9 - _ only: some servers refuse characters that RFC 7636 allows ("~").
    flow_id, state, verifier = new_id(), secrets.token_urlsafe(32), secrets.token_urlsafe(48)
    bound_to = (start.org_id, flow_id)
    now = context.clock()
    return FlowRow(
        id=flow_id,
        provider=start.provider,
        org_id=start.org_id,
        user_id=start.user_id,
        return_url=start.return_url,
        redirect_uri=f"{context.public_url}/integrations/{start.provider}/oauth2callback",
        created_at=now,
        expires_at=now + LIFETIME_S,
        state_hash=hash_token(state),
        state_sealed=context.keyring.seal(state, *bound_to, "state"),
        verifier_sealed=context.keyring.seal(verifier, *bound_to, "verifier"),
    )


def _check_name(field: str, value: str) -> None:
    if not value.strip() or len(value) > _LONGEST or "\0" in value:
        raise BadRequest(f"{field} must be a text of 1 to {_LONGEST} characters.")


async def open_flow(flow_id: str, *, context: AuthContext) -> OpenedFlow:
    """Bind a flow to the browser that opens its link, and return where to send that browser.

    Of several browsers, the one that opened the link last may finish the flow.

    Raises:
        NotFound: there is no such flow.
        TributaryError: the flow is done or too old (status 410).
    """
    flow = await get_flow(flow_id, context=context)
    if flow.error is not None:
        raise TributaryError(flow.error.detail, code=flow.error.code, status=410)
    nonce = secrets.token_urlsafe(32)
    async with context.database.write() as db:
        row = await store.get_flow(db, flow_id)
        if row is None:
            raise NotFound("There is no such connect link. Start connecting again.")
        if row.status != "pending" or row.used:
            spent = problem("state_invalid")
            raise TributaryError(spent.detail, code="flow_done", status=410)
        await store.bind_flow(db, flow_id, hash_token(nonce))
    return OpenedFlow(
        authorize_url=_authorize_url(row, context),
        cookie=nonce,
        max_age_s=max(1, int(row.expires_at - context.clock())),
    )


def _authorize_url(row: FlowRow, context: AuthContext) -> str:
    endpoint = configured_for(row.provider, context.endpoints)
    state = context.keyring.open(row.state_sealed, row.org_id, row.id, "state")
    challenge = None
    if endpoint.provider.oauth.pkce:
        verifier = context.keyring.open(row.verifier_sealed, row.org_id, row.id, "verifier")
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return endpoint.authorize_url(redirect_uri=row.redirect_uri, state=state, challenge=challenge)


async def get_flow(flow_id: str, *, context: AuthContext) -> Flow:
    """Return how a flow stands.

    Raises:
        NotFound: there is no such flow, or it was forgotten after a day.
    """
    async with context.database.read() as db:
        row = await store.get_flow(db, flow_id)
    if row is None:
        raise NotFound(
            "There is no such connect link. Links are forgotten after a day. "
            "Start connecting again."
        )
    return view(row, context)


def view(row: FlowRow, context: AuthContext) -> Flow:
    """Return a row as others see it."""
    # One that is pending past its time has failed: also when a crash interrupted it after its state
    # was spent.
    status, error = row.status, None
    if row.error_code is not None:
        error = ErrorBody(code=row.error_code, detail=row.error_detail or "")
    elif status == "pending" and row.expires_at <= context.clock():
        status, error = "failed", problem("flow_expired")
    return Flow(
        flow_id=row.id,
        authorize_url=f"{context.public_url}/connect/{row.id}",
        provider=row.provider,
        org_id=row.org_id,
        user_id=row.user_id,
        status=status,
        return_url=row.return_url,
        connection_id=row.connection_id,
        error=error,
        created_at=timestamp(row.created_at),
    )


def problem(code: str, name: str = "The provider") -> ErrorBody:
    """Return the error that people are shown: what happened and what to do.

    ``name`` is the provider's.
    """
    # Never put into these words what a provider or a browser sent.
    return ErrorBody(code=code, detail=_MESSAGES[code].format(name=name))
