"""Events of auth on ``tributary.connections.v1``: the whole public snapshot, at each change."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from shared.contracts.vocabulary import (
    ConnectionId,
    ConnectionStatus,
    Generation,
    OrgId,
    ProviderSlug,
    ResourceSlug,
    Scope,
    UserId,
)

_TIME: Final = {"format": "date-time"}


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The account at the provider."""

    id: Annotated[str, Meta(description="The provider's id of the account.", examples=["b1f0c2d3"])]
    name: Annotated[
        str | None,
        Meta(
            description="The account's name for people; null if the provider has none.",
            examples=["Acme"],
        ),
    ] = None


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """The public facts of a connection; never a token, code or secret."""

    id: ConnectionId
    version: Annotated[
        int, Meta(description="Rises by one at every event of the connection.", examples=[3])
    ]
    generation: Generation
    org_id: OrgId
    user_id: UserId
    provider: ProviderSlug
    client_id: Annotated[
        str,
        Meta(
            description="Our app at the provider that the account was connected with.",
            examples=["app-1"],
        ),
    ]
    account: Annotated[Account, Meta(description="The account at the provider.")]
    grantee: Annotated[
        str | None,
        Meta(
            description="Whom the provider gave the grant to, where one account can give "
            "several; else null.",
            examples=["usrL2PNC5o3H4lBEi"],
        ),
    ] = None
    metered: Annotated[
        dict[str, str],
        Meta(
            description="The ids by which the provider counts calls. Connections that share "
            "one share its limit.",
            examples=[{"workspace": "b1f0c2d3"}],
        ),
    ] = {}
    status: ConnectionStatus
    paused: Annotated[
        bool,
        Meta(
            description="True while a person has paused it: nothing is synced until it is resumed.",
            examples=[False],
        ),
    ] = False
    reason: Annotated[
        str | None,
        Meta(
            description="Why it is not active, for people; null while it is.",
            examples=["The grant was revoked."],
        ),
    ] = None
    scopes: Annotated[
        tuple[Scope, ...],
        Meta(description="The scopes that were granted.", examples=[["data.records:read"]]),
    ] = ()
    resources: Annotated[
        tuple[ResourceSlug, ...],
        Meta(
            description="The resources that the granted scopes allow us to read.",
            examples=[["pages"]],
        ),
    ] = ()
    token_version: Annotated[
        int, Meta(description="Rises by one at every token refresh.", examples=[5])
    ]
    sync_id: Annotated[
        str | None,
        Meta(
            description="The sync that the last consent started: its id is that of the "
            "`Connected` or `Recovered` event. Null before.",
            examples=["019ac0de6f1072c3b1d0a4e5f6071829"],
        ),
    ] = None
    created_at: Annotated[
        str,
        Meta(
            description="When the account was first connected.",
            examples=["2026-01-31T09:29:58.000Z"],
            extra_json_schema=_TIME,
        ),
    ]
    updated_at: Annotated[
        str,
        Meta(
            description="When this snapshot was taken.",
            examples=["2026-01-31T09:29:58.000Z"],
            extra_json_schema=_TIME,
        ),
    ]


KINDS: Final[dict[str, type[Connection]]] = {
    "Connected": Connection,
    "Refreshed": Connection,
    "ReauthorizationNeeded": Connection,
    "Degraded": Connection,
    "Recovered": Connection,
    "Disconnected": Connection,
}
STARTS_SYNC: Final = frozenset({"Connected", "Recovered"})
