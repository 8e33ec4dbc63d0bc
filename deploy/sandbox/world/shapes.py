"""Define what a sandbox's world is made of, and what a provider supplies to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import msgspec
from litestar import Response
from typing_extensions import override

from deploy.sandbox.world.limits import Limit


class SandboxAccount(msgspec.Struct, frozen=True, kw_only=True):
    """Describe an account.

    ``counts`` are totals per resource; a resource that is not named is empty. ``properties`` says
    how many properties the objects of a resource have, where it is more than a handful. ``id``
    looks like the provider's own. ``same_data_as`` is the account whose rows this one sees, too: it
    is another person there, and has none of its own.
    """

    id: str
    name: str
    seed: int
    counts: dict[str, int]
    properties: dict[str, int] = {}
    same_data_as: str | None = None

    @property
    def home(self) -> str:
        """Return the id of the account that has the rows."""
        return self.same_data_as or self.id


class SandboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """Hold one object.

    ``id`` is the id that our items carry; ``body`` is whatever the provider's sandbox needs to
    answer.
    """

    id: str
    created: str
    modified: str
    archived: bool = False
    body: dict[str, Any]


Rows = dict[str, dict[str, SandboxRow]]
"""Resource → id → row."""


class SandboxClient(msgspec.Struct, frozen=True, kw_only=True):
    """Describe the one app that is registered with a sandbox.

    ``return_origins`` are the origins that the app's callback may send a browser on to: the browser
    applies the consent form's CSP ``form-action`` to those redirects too.
    """

    id: str
    secret: str
    redirect_uris: tuple[str, ...]
    return_origins: tuple[str, ...] = ()

    @override
    def __repr__(self) -> str:
        return f"Client(id={self.id!r}, redirect_uris={self.redirect_uris!r})"


class AuthorizationCode(msgspec.Struct, frozen=True, kw_only=True):
    """Hold what an authorization code stands for; ``expires`` is on the sandbox's clock."""

    account: str
    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...] = ()
    challenge: str | None = None
    expires: float
    used: bool = False


class InsertedCursor(msgspec.Struct, frozen=True, kw_only=True):
    """Lead from an empty page, put into a list on order, to the page that it came before."""

    before: str | int | None
    """The cursor of that page; None is the first page."""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """Describe an access or refresh token; ``grant`` ties the tokens of one consent together."""

    kind: str
    account: str
    client_id: str
    grant: str
    scopes: tuple[str, ...] = ()
    expires: float | None = None
    revoked: bool = False
    issued: float


class Simulated(Protocol):
    """Supply a provider's data to its world, and the way its rows come about."""

    @property
    def slug(self) -> str: ...

    @property
    def resources(self) -> tuple[str, ...]: ...

    @property
    def limits(self) -> dict[str, Limit]:
        """Return the provider's own limits, by bucket."""
        ...

    @property
    def default(self) -> SandboxAccount:
        """Return the account that exists from the start."""
        ...

    def account_id(self, name: str, seed: int) -> str:
        """Return an id that looks like the provider's, the same for the same name and seed."""
        ...

    def generate(self, account: SandboxAccount) -> Iterator[tuple[str, SandboxRow]]:
        """Yield all rows of a new account as (resource, row); the same seed gives the same rows."""
        ...

    def create(self, account: SandboxAccount, rows: Rows, resource: str, at: str) -> SandboxRow:
        """Return one more row with a new id, created at ``at`` (RFC 3339)."""
        ...

    def update(self, row: SandboxRow, resource: str, at: str) -> SandboxRow:
        """Return the row with changed content, modified at ``at``."""
        ...


@runtime_checkable
class ManyProperties(Protocol):
    """Give the objects of an account many properties, in a ``Simulated`` whose provider can."""

    @property
    def most_properties(self) -> int: ...


@runtime_checkable
class ManyPeople(Protocol):
    """Let several accounts see the same rows, in a ``Simulated`` whose accounts are people."""

    @property
    def shared(self) -> str:
        """Return what they share, in words."""
        ...


@runtime_checkable
class Archives(Protocol):
    """Archive rows in a ``Simulated`` where that takes others along or changes more."""

    def archive(
        self, rows: Rows, resource: str, row: SandboxRow, at: str
    ) -> list[tuple[str, SandboxRow]]:
        """Return every row that changes, as (resource, row), including ``row`` itself."""
        ...


@runtime_checkable
class Merges(Protocol):
    """Merge rows in a ``Simulated`` whose provider can."""

    def merge(
        self, account: SandboxAccount, rows: Rows, resource: str, picked: list[SandboxRow], at: str
    ) -> list[SandboxRow]:
        """Return the row that ``picked`` become, and then what each of them becomes."""
        ...


@runtime_checkable
class Refuses(Protocol):
    """Answer calls that have no route in a ``Simulated``, in the provider's own format."""

    def refusal(self, method: str, path: str) -> Response[bytes]:
        """Return what the provider says to a call that it does not know either.

        A call that the provider knows is answered with 501, in the same format: it is the sandbox
        that lacks it, and the caller has done nothing wrong. ``path`` begins after the slug.
        """
        ...


@runtime_checkable
class OddValues(Protocol):
    """Give rows odd values in a ``Simulated``: of another type, empty, or null."""

    def odd(self, row: SandboxRow, resource: str) -> SandboxRow:
        """Return the row with odd values in fields beside its content, such as its times."""
        ...


@runtime_checkable
class Pages(Protocol):
    """Know the cursors of a provider's lists, in a ``Simulated`` whose lists have pages."""

    @property
    def cursor(self) -> str:
        """Return what a request calls its cursor, in its query or in its JSON body."""
        ...

    def emptied(
        self, answer: dict[str, Any], cursor: str, link: str | None
    ) -> dict[str, Any] | None:
        """Return a page of a list without its entries, with the cursor of the page that follows.

        ``link`` leads to that page, unless a POST asks for it. Return None if the answer is no
        page of a list.
        """
        ...


@runtime_checkable
class Refers(Protocol):
    """Give rows many references in a ``Simulated`` whose provider cuts long lists of them off."""

    def refer(self, rows: Rows, resource: str, row: SandboxRow, count: int) -> SandboxRow:
        """Return the row with ``count`` references in each field that the provider cuts off."""
        ...
