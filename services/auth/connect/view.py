"""A flow as others see it."""

from __future__ import annotations

from services.auth.connect.messages import problem
from services.auth.context import AuthContext
from services.auth.store import flows
from services.auth.store.flows import FlowRow
from shared.contracts.auth import ErrorBody, Flow
from shared.contracts.envelope import timestamp
from shared.errors import NotFound


async def get_flow(flow_id: str, *, context: AuthContext) -> Flow:
    """Raises ``NotFound``, also for what was forgotten after a day."""
    async with context.database.read() as db:
        row = await flows.get(db, flow_id)
    if row is None:
        raise NotFound("There is no such connect link; links are forgotten after a day. Start connecting again.")
    return view(row, context)


def view(row: FlowRow, context: AuthContext) -> Flow:
    """Pending beyond its time is failed: also what a crash interrupted after the state was spent."""
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
