"""Fresh access tokens for the fetcher."""

from __future__ import annotations

from litestar import post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, SkipValidation

from services.auth.context import AuthContext
from services.auth.refresh import RefreshCoordinator, access_token
from shared.contracts.auth import AccessToken, TokenRequest


@post("/connections/{connection_id:str}/token", status_code=200)
async def give_token(
    connection_id: FromPath[str],
    data: JSONBody[TokenRequest],
    context: NamedDependency[SkipValidation[AuthContext]],
    coordinator: NamedDependency[SkipValidation[RefreshCoordinator]],
) -> AccessToken:
    return await access_token(connection_id, data.stale_version, coordinator=coordinator, context=context)


token_routes = (give_token,)
