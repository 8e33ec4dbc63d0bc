"""HubSpot as data: the dated API 2026-03, public apps, scopes for reading companies, contacts and deals."""

from __future__ import annotations

from typing import Final

from shared.connector import Bucket, Identity, OAuth2, Original, Provider, Resource

READ_COMPANIES: Final = "crm.objects.companies.read"
READ_CONTACTS: Final = "crm.objects.contacts.read"
READ_DEALS: Final = "crm.objects.deals.read"

PROVIDER: Final = Provider(
    slug="hubspot",
    name="HubSpot",
    api_url="https://api.hubapi.com",
    oauth=OAuth2(
        authorize_url="https://app.hubspot.com/oauth/authorize",
        token_url="https://api.hubapi.com/oauth/2026-03/token",
        scopes=("oauth", READ_CONTACTS, READ_COMPANIES, READ_DEALS),
        # PKCE is taken besides the secret, never instead of it.
        pkce=True,
        client_auth="body",
        token_body="form",
        revoke_url="{token_url}/revoke",
        revoke_token="refresh_token",
        revoke_params={"token_type_hint": "refresh_token"},
        introspect_url="{token_url}/introspect",
        introspect_params={"token_type_hint": "access_token"},
        # A deleted account is told by status BAD_HUB alone: its RFC 6749 code is access_denied.
        error_fields=("status", "error"),
        dead_grant=frozenset({"invalid_grant", "BAD_REFRESH_TOKEN", "BAD_HUB"}),
        bad_client=frozenset(
            {"invalid_client", "BAD_CLIENT_ID", "BAD_CLIENT_SECRET", "BAD_REDIRECT_URI"}
        ),
        # `hub_id` is optional in the token reply; account details need no scope beyond `oauth`. The account's domain,
        # which people know better than its number, stands only in what introspection tells.
        identity=Identity(
            account_id=("token.hub_id", "identity.portalId"),
            account_name=(
                "introspection.hub_domain",
                "token.hub_domain",
                "token.hub_id",
                "identity.portalId",
            ),
            grantee=("token.user_id",),
            url="{api_url}/account-info/2026-03/details",
        ),
    ),
    resources=(
        Resource(
            slug="companies",
            label="Companies",
            scopes=(READ_COMPANIES,),
            original=Original(type="company"),
        ),
        Resource(
            slug="contacts",
            label="Contacts",
            scopes=(READ_CONTACTS,),
            original=Original(type="contact"),
        ),
        Resource(slug="deals", label="Deals", scopes=(READ_DEALS,), original=Original(type="deal")),
    ),
    # Public apps: 110 calls in 10 s per app and account; search counts apart, 5 a second per account.
    buckets=(
        Bucket(name="ten_secondly", requests=110, window_s=10),
        Bucket(name="search", requests=5, window_s=1),
    ),
    setup_url="https://developers.hubspot.com/docs/apps",
    consent_note="HubSpot asks which account to use, then for reading its companies, contacts and deals.",
)
