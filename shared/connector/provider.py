"""What is known of a provider without calling it: data only."""

from __future__ import annotations

from typing import Literal

import msgspec


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """At most ``requests`` within any ``window_s`` seconds.

    ``name`` is what a ``Request`` refers to. A request may name ``name:key`` (``base:app123``): then each key has a
    bucket of its own. Buckets are per client and provider account.
    """

    name: str
    requests: int
    window_s: float


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """How the routes of the original app show an item of a resource.

    Templates may use ``{id}``, ``{last}`` (the id's last path segment), ``{parent_id}``, ``{parent_last}``, ``{name}``
    and ``{parent_name}`` (of the item ``parent_id`` in ``parent_resource``). A template whose parent is absent gives
    null.
    """

    type: str
    id: str = "{id}"
    name: str = "{name}"
    parent_id: str | None = "{parent_id}"
    parent_path_or_name: str | None = None
    parent_resource: str | None = None


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """An object type. ``scopes``: all of them must be granted, else the resource is reported as missing them."""

    slug: str
    label: str
    original: Original
    scopes: tuple[str, ...] = ()


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Where the account's identity stands.

    Each field lists paths, the first that is present wins: ``token.hub_id`` in the token reply, ``identity.email`` in
    the reply of ``url`` (a GET with the new access token; a template over ``{api_url}``), which is only called when
    given, ``introspection.username`` in what ``OAuth2.introspect_url`` tells of the new access token. Nothing may rest
    on an introspection alone: one that fails or says inactive leaves its paths absent.
    """

    account_id: tuple[str, ...]
    account_name: tuple[str, ...]
    grantee: tuple[str, ...] = ()
    url: str | None = None
    headers: dict[str, str] = {}


class OAuth2(msgspec.Struct, frozen=True, kw_only=True):
    """The provider's dialect of RFC 6749 and RFC 7636.

    URLs may hold ``{api_url}`` and ``{token_url}``. ``error_fields`` are the keys of an error body that may hold a
    code; ``dead_grant`` the codes that mean the customer must consent again; ``bad_client`` those that mean our own
    settings are wrong. ``refreshed_moments_ago`` are statuses of a refresh that lost against a parallel one.
    ``introspect_url`` (RFC 7662, client authentication as at the token endpoint) is only asked where a path of
    ``identity`` needs it.
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
    """A refresh ends the old pair at once: a lost answer may cost the grant."""
    error_fields: tuple[str, ...] = ("error",)
    dead_grant: frozenset[str] = frozenset({"invalid_grant"})
    bad_client: frozenset[str] = frozenset({"invalid_client"})
    refreshed_moments_ago: frozenset[int] = frozenset()
    secret_optional: bool = False
    identity: Identity


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """All that auth and gateway know of a provider. Resources are loaded, shown and returned in this order."""

    slug: str
    name: str
    api_url: str
    oauth: OAuth2
    resources: tuple[Resource, ...]
    buckets: tuple[Bucket, ...]
    parallel: int = 4
    max_empty_pages: int = 3
    """Consecutive pages without a record of one ``Page.part`` after which the walk is called a loop."""
    setup_url: str
    """Where a developer registers an app, for the README and the console."""
    consent_note: str
    """One sentence for the connect card: what the customer will be asked for."""

    def resource(self, slug: str) -> Resource | None:
        return next((resource for resource in self.resources if resource.slug == slug), None)
