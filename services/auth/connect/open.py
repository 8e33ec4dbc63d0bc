"""Hand a started consent to the browser that opens its link."""

from __future__ import annotations

import base64
import hashlib
import secrets

from services.auth.connect.messages import problem
from services.auth.connect.view import get_flow
from services.auth.context import AuthContext
from services.auth.store import flows
from services.auth.store.flows import FlowRow
from shared.contracts.auth import OpenedFlow
from shared.crypto import hash_token
from shared.errors import HubError, NotFound


async def open_flow(flow_id: str, *, context: AuthContext) -> OpenedFlow:
    """The browser that opened the link last is the one that may finish it.

    Raises ``NotFound``, or ``HubError`` with status 410 when the flow is done or too old.
    """
    flow = await get_flow(flow_id, context=context)
    if flow.error is not None:
        raise HubError(flow.error.detail, code=flow.error.code, status=410)
    nonce = secrets.token_urlsafe(32)
    async with context.database.write() as db:
        row = await flows.get(db, flow_id)
        if row is None:
            raise NotFound("There is no such connect link. Start connecting again.")
        if row.status != "pending" or row.used:
            spent = problem("state_invalid")
            raise HubError(spent.detail, code="flow_done", status=410)
        await flows.bind(db, flow_id, hash_token(nonce))
    return OpenedFlow(
        authorize_url=_authorize_url(row, context),
        cookie=nonce,
        max_age_s=max(1, int(row.expires_at - context.clock())),
    )


def _authorize_url(row: FlowRow, context: AuthContext) -> str:
    endpoint = context.endpoint(row.provider)
    state = context.keyring.open(row.state_sealed, row.org_id, row.id, "state")
    challenge = None
    if endpoint.provider.oauth.pkce:
        verifier = context.keyring.open(row.verifier_sealed, row.org_id, row.id, "verifier")
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return endpoint.authorize_url(redirect_uri=row.redirect_uri, state=state, challenge=challenge)
