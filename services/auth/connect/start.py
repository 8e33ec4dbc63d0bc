"""Start a consent."""

from __future__ import annotations

import secrets
from typing import Final

from services.auth.connect.view import view
from services.auth.context import AuthContext
from services.auth.store import flows
from services.auth.store.flows import FlowRow
from shared.contracts.auth import Flow, StartFlow
from shared.contracts.envelope import new_id
from shared.crypto import hash_token
from shared.errors import BadRequest

LIFETIME_S: Final = 600
_LONGEST: Final = 256


async def start_flow(start: StartFlow, *, context: AuthContext) -> Flow:
    """Any number at once, also for one user. Raises ``BadRequest``."""
    context.endpoint(start.provider)
    _check_name("org_id", start.org_id)
    _check_name("user_id", start.user_id)
    row = _new_row(start, context)
    async with context.database.write() as db:
        await flows.add(db, row)
    return view(row, context)


def _new_row(start: StartFlow, context: AuthContext) -> FlowRow:
    """State and verifier only of ``A-Z a-z 0-9 - _``: some servers refuse what the RFC would allow."""
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
        raise BadRequest(f"{field} has to be a text of 1 to {_LONGEST} characters.")
