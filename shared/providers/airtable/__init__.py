"""Airtable as data: bases, their tables and their records (Web API v0, OAuth 2 with PKCE).

OAuth is described at https://airtable.com/developers/web/api/oauth-reference.
"""

from __future__ import annotations

from typing import Final

from shared.connector import Bucket, Identity, OAuth2, Original, Provider, Resource

RECORDS: Final = "data.records:read"
SCHEMA: Final = "schema.bases:read"
EMAIL: Final = "user.email:read"
"""The scope that lets whoami tell the email address, by which people know an account."""

PROVIDER: Final = Provider(
    slug="airtable",
    name="Airtable",
    api_url="https://api.airtable.com",
    oauth=OAuth2(
        authorize_url="https://airtable.com/oauth2/v1/authorize",
        token_url="https://airtable.com/oauth2/v1/token",
        scopes=(RECORDS, SCHEMA, EMAIL),
        client_auth="basic",
        # A refresh ends the old access token and the old refresh token at once, with no documented
        # grace. One of two parallel refreshes is answered with 409 or invalid_grant.
        rotates=True,
        refreshed_moments_ago=frozenset({409}),
        # An app without a secret must not send Basic authentication.
        secret_optional=True,
        identity=Identity(
            account_id=("identity.id",),
            account_name=("identity.email", "identity.id"),
            metered={"user": ("account.id",)},
            url="{api_url}/v0/meta/whoami",
        ),
    ),
    resources=(
        Resource(
            slug="bases",
            label="Bases",
            original=Original(type="Base", id="{last}_Base", parent_id=None),
            scopes=(SCHEMA,),
        ),
        Resource(
            slug="tables",
            label="Tables",
            original=Original(
                type="Table",
                id="{last}_Table",
                parent_id="{parent_last}_Base",
                parent_path_or_name="{parent_name}",
                parent_resource="bases",
            ),
            scopes=(SCHEMA,),
        ),
        Resource(
            slug="records",
            label="Records",
            original=Original(
                type="Record",
                id="{last}_Record",
                parent_id="{parent_last}_Table",
                parent_path_or_name="{parent_name}",
                parent_resource="tables",
            ),
            scopes=(RECORDS, SCHEMA),
        ),
    ),
    # 5 calls a second per base, over all its users, and 50 a second per user's tokens:
    # https://airtable.com/developers/web/api/rate-limits
    buckets=(
        Bucket(name="base", per=(), requests=5, window_s=1.0),
        Bucket(name="token", per=("user",), requests=50, window_s=1.0),
    ),
    # A list of records is kept for some minutes:
    # https://airtable.com/developers/web/api/list-records
    checkpoint_s=120.0,
    setup_url="https://airtable.com/create/oauth",
    consent_note=(
        "Airtable will ask which workspaces and bases to share. Tributary reads their tables and "
        "records and never changes them."
    ),
)
