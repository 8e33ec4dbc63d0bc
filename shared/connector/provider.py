"""Define what we know of a provider without calling it: data only.

A provider that fits this data needs no code in auth or gateway.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """A limit: at most ``requests`` within any ``window_s`` seconds.

    A ``Request`` refers to it by ``name``, or by ``name:key`` (``base:app123``) where each key has
    a limit of its own. ``per`` names what the provider counts by: ``app`` is our client id,
    ``account`` the provider's account, and any other name one of ``Identity.metered``. Connections
    that have all of these in common share the bucket, whoever they belong to.

    ``requests`` None stands for a limit without a published figure. Such a bucket only closes, when
    a 429 says that this limit was reached (``RetryLater.bucket``).
    """

    name: str
    per: tuple[str, ...] = ("app", "account")
    requests: int | None = None
    window_s: float = 0.0


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """The form in which the original app's routes show a resource's items.

    Templates may use ``{id}``, ``{last}`` (the last path segment of the id), ``{parent_id}``,
    ``{parent_last}``, ``{name}`` and ``{parent_name}`` (the name of the item ``parent_id`` in
    ``parent_resource``). A template whose parent is absent gives null.
    """

    type: str
    id: str = "{id}"
    name: str = "{name}"
    parent_id: str | None = "{parent_id}"
    parent_path_or_name: str | None = None
    parent_resource: str | None = None


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """An object type.

    It is read only if all of ``scopes`` are granted; otherwise those missing are reported.
    """

    slug: str
    label: str
    original: Original
    scopes: tuple[str, ...] = ()


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The places where the account's identity can be read after a consent.

    Each field lists paths, and the first one present wins: ``token.hub_id`` in the token response,
    ``identity.email`` in the response of ``url``, ``introspection.username`` in the response of
    ``OAuth2.introspect_url``. ``url``, where there is one, is called by GET with the new access
    token, and may contain ``{api_url}``. Never rely on introspection alone: when it fails or says
    that the token is inactive, its paths are absent.

    ``metered`` says where to read the ids of what the provider meters, by the names that
    ``Bucket.per`` uses. They are read again at each refresh, so only ``token.…`` and ``account.id``
    are possible.
    """

    account_id: tuple[str, ...]
    account_name: tuple[str, ...]
    grantee: tuple[str, ...] = ()
    metered: dict[str, tuple[str, ...]] = {}
    url: str | None = None
    headers: dict[str, str] = {}


class OAuth2(msgspec.Struct, frozen=True, kw_only=True):
    """The provider's dialect of OAuth 2 (RFC 6749) and PKCE (RFC 7636).

    URLs may contain ``{api_url}`` and ``{token_url}``. ``error_fields`` are the keys of an error
    body that may hold a code. ``dead_grant`` lists the codes that mean that the customer must
    consent again, ``bad_client`` those that mean that our own settings are wrong. A refresh that
    lost to a parallel one gets a status in ``refreshed_moments_ago``. ``introspect_url`` (RFC 7662,
    with the client authentication of the token endpoint) is called only if a path of ``identity``
    needs it.
    """

    authorize_url: str
    token_url: str
    scopes: tuple[str, ...] = ()
    authorize_params: dict[str, str] = {}
    pkce: bool = True
    client_auth: Literal["body", "basic"] = "body"
    token_body: Literal["form", "json"] = "form"
    token_headers: dict[str, str] = {}
    revoke_url: str | None = None
    revoke_token: Literal["access_token", "refresh_token"] = "refresh_token"
    revoke_params: dict[str, str] = {}
    introspect_url: str | None = None
    introspect_params: dict[str, str] = {}
    rotates: bool = False
    """A refresh ends the old pair of tokens at once, so a lost answer may cost the grant."""
    error_fields: tuple[str, ...] = ("error",)
    dead_grant: frozenset[str] = frozenset({"invalid_grant"})
    bad_client: frozenset[str] = frozenset({"invalid_client"})
    refreshed_moments_ago: frozenset[int] = frozenset()
    secret_optional: bool = False
    identity: Identity


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that auth and gateway know of a provider.

    Resources are synced and shown in the order given here.
    """

    slug: str
    name: str
    api_url: str
    oauth: OAuth2
    resources: tuple[Resource, ...]
    buckets: tuple[Bucket, ...]
    parallel: int = 4
    page_size: int = 100
    """The most records that one page has."""
    checkpoint_s: float = 604_800.0
    """Seconds within which a part that was cut short can resume at its cursor; after that it starts
    from its beginning."""
    setup_url: str
    """The page where a developer registers an app; shown in the README and the console."""
    consent_note: str
    """One sentence for the connect card: what the customer will be asked for."""

    def resource(self, slug: str) -> Resource | None:
        """Return the resource called ``slug``, or None when the provider has no such resource."""
        return next((resource for resource in self.resources if resource.slug == slug), None)
