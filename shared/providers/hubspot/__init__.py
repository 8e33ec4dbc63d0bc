"""HubSpot as data: the dated API 2026-03, read by a public app.

The app asks for the scopes to read companies, contacts and deals. OAuth is described at
https://developers.hubspot.com/docs/api-reference/auth-oauth-v3/guide.
"""

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
        # HubSpot accepts PKCE beside the secret, never instead of it: a verifier without the secret
        # is answered with 400 BAD_CLIENT_SECRET.
        pkce=True,
        client_auth="body",
        token_body="form",
        revoke_url="{token_url}/revoke",
        revoke_token="refresh_token",
        revoke_params={"token_type_hint": "refresh_token"},
        introspect_url="{token_url}/introspect",
        # An unknown token is no error here but a 200 with `active: false`:
        # https://developers.hubspot.com/docs/api-reference/2026-03/authentication/oauth-tokens/token-introspect
        introspect_params={"token_type_hint": "access_token"},
        # Errors carry two codes, HubSpot's own in `status` and RFC 6749's in `error`. Only BAD_HUB
        # tells that an account was deleted: `error` then says access_denied.
        error_fields=("status", "error"),
        dead_grant=frozenset({"invalid_grant", "BAD_REFRESH_TOKEN", "BAD_HUB"}),
        bad_client=frozenset(
            {"invalid_client", "BAD_CLIENT_ID", "BAD_CLIENT_SECRET", "BAD_REDIRECT_URI"}
        ),
        # `hub_id` is optional in the token reply, so the account's details are the second source;
        # they need no scope but `oauth`. People know an account by its domain rather than by its
        # number, and only introspection tells the domain for certain.
        identity=Identity(
            account_id=("token.hub_id", "identity.portalId"),
            account_name=(
                "introspection.hub_domain",
                "token.hub_domain",
                "token.hub_id",
                "identity.portalId",
            ),
            grantee=("token.user_id",),
            metered={"portal": ("account.id",)},
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
    # 110 calls in 10 seconds per public app and account. Search is counted apart, 5 calls a second
    # per account: https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
    buckets=(
        Bucket(name="ten_secondly", per=("app", "portal"), requests=110, window_s=10),
        Bucket(name="search", per=("portal",), requests=5, window_s=1),
    ),
    setup_url="https://developers.hubspot.com/docs/apps",
    consent_note=(
        "HubSpot will ask which account to use and for permission to read its companies, contacts "
        "and deals."
    ),
)
