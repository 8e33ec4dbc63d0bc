"""Notion: public connections, and the pages, data sources and users they can see.

Sources: developers.notion.com (authorization guide, versioning, request limits, query large data sources).
"""

from __future__ import annotations

from typing import Final

from shared.connector import Bucket, Identity, OAuth2, Original, Provider, Resource

VERSION: Final = "2025-09-03"
"""Of ``Notion-Version``, which every call must carry: the first version with data sources."""

PROVIDER: Final = Provider(
    slug="notion",
    name="Notion",
    api_url="https://api.notion.com",
    oauth=OAuth2(
        authorize_url="https://api.notion.com/v1/oauth/authorize",
        token_url="https://api.notion.com/v1/oauth/token",
        authorize_params={"owner": "user"},
        pkce=False,
        client_auth="basic",
        token_body="json",
        token_headers={"Notion-Version": VERSION},
        revoke_url="{api_url}/v1/oauth/revoke",
        revoke_token="access_token",
        rotates=True,
        error_fields=("error", "code"),
        # Not the workspace: two people of one workspace share different pages, and each gets a bot of their own.
        identity=Identity(
            account_id=("token.bot_id",),
            account_name=("token.workspace_name", "token.workspace_id"),
            grantee=("token.owner.user.id",),
        ),
    ),
    resources=(
        Resource(slug="pages", label="Pages", original=Original(type="page", name="page {name}")),
        Resource(
            slug="data_sources",
            label="Data sources",
            original=Original(type="database", name="database {name}"),
        ),
        Resource(slug="users", label="Users", original=Original(type="user")),
    ),
    # Business and Enterprise workspaces are allowed 600, which cannot be told from outside.
    buckets=(Bucket(name="requests", requests=180, window_s=60.0),),
    parallel=3,
    max_empty_pages=10,
    setup_url="https://www.notion.so/profile/integrations",
    consent_note="Notion will ask which pages and databases to share; only those, and what is inside them, are read.",
)
