"""Notion as data: a public connection that reads the pages, data sources and users it may see.

OAuth is described at https://developers.notion.com/guides/get-started/authorization. There are no
scopes: what an app may do are its capabilities, and what it may see is what a person picks.
"""

from __future__ import annotations

from typing import Final

from shared.connector import Bucket, Identity, OAuth2, Original, Provider, Resource

VERSION: Final = "2025-09-03"
"""The value of ``Notion-Version``, a header that every call must carry (else 400 missing_version).

This is the first version with data sources. Older ones refuse databases that have several:
https://developers.notion.com/guides/get-started/upgrade-guide-2025-09-03
"""

PROVIDER: Final = Provider(
    slug="notion",
    name="Notion",
    api_url="https://api.notion.com",
    oauth=OAuth2(
        authorize_url="https://api.notion.com/v1/oauth/authorize",
        token_url="https://api.notion.com/v1/oauth/token",
        authorize_params={"owner": "user"},
        # PKCE is not documented. The token endpoint takes JSON, where RFC 6749 says form.
        pkce=False,
        client_auth="basic",
        token_body="json",
        token_headers={"Notion-Version": VERSION},
        revoke_url="{api_url}/v1/oauth/revoke",
        revoke_token="access_token",
        # Every refresh returns a new pair. Notion does not say when the old one dies: assume at
        # once.
        # No lifetime is stated either, so a refused access token is what asks for a refresh.
        rotates=True,
        # An error is in OAuth's form ("error") or in the form of the rest of the API ("code").
        error_fields=("error", "code"),
        # The bot rather than the workspace: two people of one workspace share different pages, and
        # each of them gets a bot.
        identity=Identity(
            account_id=("token.bot_id",),
            account_name=("token.workspace_name", "token.workspace_id"),
            grantee=("token.owner.user.id",),
            metered={"connection": ("account.id",), "workspace": ("token.workspace_id",)},
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
    # 180 calls a minute for each connection: https://developers.notion.com/reference/request-limits
    # Business and Enterprise workspaces are allowed 600, but nothing tells us the plan. How much a
    # workspace is allowed, over all its connections, is not published.
    buckets=(
        Bucket(name="requests", per=("app", "connection"), requests=180, window_s=60.0),
        Bucket(name="workspace", per=("workspace",)),
    ),
    # 180 a minute are 3 a second: with more calls side by side they would only wait for the bucket.
    parallel=3,
    setup_url="https://www.notion.so/profile/integrations",
    consent_note=(
        "Notion will ask which pages and databases to share. Tributary reads only those and "
        "what is inside them."
    ),
)
