"""What a sandbox's world is made of, and what a provider supplies to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import msgspec
from typing_extensions import override

from deploy.sandbox.world.limits import Limit


class SandboxAccount(msgspec.Struct, frozen=True, kw_only=True):
    """``counts`` are totals per resource; a resource that is not named is empty. ``id`` as the provider's own look."""

    id: str
    name: str
    seed: int
    counts: dict[str, int]


class SandboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """One object. ``id`` is the id our items carry; ``body`` whatever the provider's sandbox needs to answer."""

    id: str
    created: str
    modified: str
    archived: bool = False
    body: dict[str, Any]


Rows = dict[str, dict[str, SandboxRow]]
"""Resource → id → row."""


class SandboxClient(msgspec.Struct, frozen=True, kw_only=True):
    """The one app registered with a sandbox.

    ``return_origins`` are where the app's callback may send a browser on to: a browser holds the consent form's
    redirects to them (CSP ``form-action``).
    """

    id: str
    secret: str
    redirect_uris: tuple[str, ...]
    return_origins: tuple[str, ...] = ()

    @override
    def __repr__(self) -> str:
        return f"Client(id={self.id!r}, redirect_uris={self.redirect_uris!r})"


class AuthorizationCode(msgspec.Struct, frozen=True, kw_only=True):
    """What an authorization code stands for. Times are epoch seconds on the sandbox's clock."""

    account: str
    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...] = ()
    challenge: str | None = None
    expires: float
    used: bool = False


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An access or refresh token; ``grant`` ties together the tokens that descend from one consent."""

    kind: str
    account: str
    client_id: str
    grant: str
    scopes: tuple[str, ...] = ()
    expires: float | None = None
    revoked: bool = False
    issued: float


class Simulated(Protocol):
    """What a simulated provider supplies to its world: data, and how rows come about."""

    @property
    def slug(self) -> str: ...

    @property
    def resources(self) -> tuple[str, ...]: ...

    @property
    def limits(self) -> dict[str, Limit]:
        """The provider's own, by bucket."""
        ...

    @property
    def default(self) -> SandboxAccount:
        """The account that is there from the start."""
        ...

    def account_id(self, name: str, seed: int) -> str:
        """An id in the provider's own look, the same for the same name and seed."""
        ...

    def generate(self, account: SandboxAccount) -> Iterator[tuple[str, SandboxRow]]:
        """All rows of a new account as (resource, row): the same seed gives the same rows."""
        ...

    def create(self, account: SandboxAccount, rows: Rows, resource: str, at: str) -> SandboxRow:
        """One more row with a new id, created at ``at`` (RFC 3339)."""
        ...

    def update(self, row: SandboxRow, resource: str, at: str) -> SandboxRow:
        """The row with changed content, modified at ``at``."""
        ...


@runtime_checkable
class Archives(Protocol):
    """What a ``Simulated`` adds when archiving one row takes others with it, or changes more than the flag."""

    def archive(
        self, rows: Rows, resource: str, row: SandboxRow, at: str
    ) -> list[tuple[str, SandboxRow]]:
        """Every row that changes as (resource, row), ``row`` itself among them."""
        ...
