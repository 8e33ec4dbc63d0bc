"""Keep accounts and their rows: generated, changed by mutations, listed by the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from deploy.sandbox.world.clock import Clock
from deploy.sandbox.world.draws import drawn
from deploy.sandbox.world.limits import Limiter
from deploy.sandbox.world.shapes import (
    Archives,
    AuthorizationCode,
    InsertedCursor,
    ManyPeople,
    ManyProperties,
    Merges,
    OddValues,
    Refers,
    Rows,
    SandboxAccount,
    SandboxClient,
    SandboxRow,
    Simulated,
    Token,
)
from deploy.sandbox.world.store import DurableMap, Store
from shared.errors import BadRequest, NotFound

MOST: Final = 1_000_000


class World:
    """Hold a provider's state; codes, tokens, accounts and mutations survive ``kill -9``."""

    def __init__(
        self, simulated: Simulated, store: Store, clock: Clock, client: SandboxClient
    ) -> None:
        self.simulated, self.clock, self.client = simulated, clock, client
        self.limiter = Limiter(simulated.limits)
        slug = simulated.slug
        self.accounts = DurableMap(store, f"{slug}/accounts", SandboxAccount)
        self.codes = DurableMap(store, f"{slug}/codes", AuthorizationCode)
        self.tokens = DurableMap(store, f"{slug}/tokens", Token)
        self.inserted = DurableMap(store, f"{slug}/inserted", InsertedCursor)
        self._changed = DurableMap(store, f"{slug}/rows", SandboxRow)
        self._rows: dict[str, Rows] = {}
        self._index: dict[str, Rows] = {}
        if simulated.default.id not in self.accounts:
            self.accounts[simulated.default.id] = simulated.default

    def add_account(
        self,
        name: str,
        seed: int,
        counts: dict[str, int],
        properties: int | dict[str, int] = 0,
        same_data_as: str | None = None,
    ) -> SandboxAccount:
        """Make an account; ``properties`` is how many its objects have, or resource → how many.

        With ``same_data_as`` it sees the rows of that account, and has none of its own.

        Raises:
            BadRequest: a resource is unknown, a number out of range, or the account exists and is
                another one; or it cannot see another account's data.
        """
        if same_data_as is not None:
            self._shareable(same_data_as, counts)
        self._within("counts", counts, MOST)
        if isinstance(properties, int):
            properties = dict.fromkeys(self.simulated.resources, properties) if properties else {}
        if isinstance(self.simulated, ManyProperties):
            self._within("properties", properties, self.simulated.most_properties)
        elif properties:
            raise BadRequest(f"{self.simulated.slug} has no choice of properties: leave them out")
        account = SandboxAccount(
            id=self.simulated.account_id(name, seed),
            name=name,
            seed=seed,
            counts=counts,
            properties=properties,
            same_data_as=same_data_as,
        )
        if account.id in self.accounts and self.accounts[account.id] != account:
            raise BadRequest(
                f"account {name!r} with seed {seed} exists with other counts or properties: use "
                "another name or seed"
            )
        self.accounts[account.id] = account
        return account

    def all_rows(self, account_id: str) -> Rows:
        """Return resource → id → row in order of creation, archived rows included."""
        home = self._account(account_id).home
        if home not in self._rows:
            account = self._account(home)
            rows: Rows = {resource: {} for resource in self.simulated.resources}
            for resource, row in self.simulated.generate(account):
                rows[resource][row.id] = row
            prefix = f"{home}\n"
            for key, row in self._changed.items():
                if key.startswith(prefix):
                    rows[key.split("\n")[1]][row.id] = row
            self._rows[home] = rows
        return self._rows[home]

    def _account(self, account_id: str) -> SandboxAccount:
        account = self.accounts.get(account_id)
        if account is None:
            raise NotFound(
                f"no account {account_id!r} in the {self.simulated.slug} sandbox: list them "
                f"with GET /_sandbox/{self.simulated.slug}/accounts"
            )
        return account

    def _shareable(self, account_id: str, counts: Mapping[str, int]) -> None:
        slug = self.simulated.slug
        if not isinstance(self.simulated, ManyPeople):
            raise BadRequest(
                f"in {slug}, nothing is shared between accounts: leave out same_data_as"
            )
        if self._account(account_id).same_data_as is not None or any(counts.values()):
            raise BadRequest(
                f"an account of {slug} that shares {self.simulated.shared} with another has no "
                "data of its own: leave out counts, and name an account that has its own"
            )

    def rows(self, account_id: str, resource: str) -> dict[str, SandboxRow]:
        return self.all_rows(account_id)[resource]

    def indexed(self, account_id: str) -> Rows:
        """Return all rows as the search index has them."""
        return self._index.get(account_id) or self.all_rows(account_id)

    def stop_index(self, *, loses: float = 0.0, seed: int = 0) -> None:
        """Leave the search index as it is now, whatever happens to the rows.

        It loses a share of them; the same seed loses the same ones.
        """
        for account_id in self.accounts:
            rows = self.all_rows(account_id)
            self._index[account_id] = {
                kind: _kept(some, share=1 - loses, seed=seed) for kind, some in rows.items()
            }

    def update_index(self) -> None:
        self._index = {}

    @property
    def index_lags(self) -> bool:
        return bool(self._index)

    def live(self, resource: str, id_: str) -> list[SandboxRow]:
        """Return the live rows with this id, from every account that has one.

        Accounts made from the same seed may share ids; equal rows are returned once.
        """
        found: list[SandboxRow] = []
        for account_id in self.accounts:
            row = self.rows(account_id, resource).get(id_)
            if row is not None and not row.archived and row not in found:
                found.append(row)
        return found

    def mutate(
        self,
        account_id: str,
        resource: str,
        *,
        create: int,
        update: list[str] | int,
        archive: list[str] | int,
        merge: Sequence[str] = (),
        references: int = 0,
        odd: list[str] | int = 0,
    ) -> dict[str, list[str]]:
        """Update, then archive, then create, then merge these ids into a new row, all or nothing.

        A number takes the oldest live rows. Rows that are updated or created get so many
        ``references`` in each field that the provider cuts off. Those in ``odd`` are updated too,
        and get odd values beside their content.

        Returns the ids touched as ``created``, ``updated`` and ``archived``. Rows archived along
        with them are listed as ``archived_{resource}``.

        Raises:
            BadRequest: the resource or an id is unknown, a row is already archived, or there are
                fewer rows than asked for.
        """
        self._known(resource)
        edit, at = Edit(self.simulated, self.all_rows(account_id)), self.clock.iso()
        updated = [*edit.update(resource, update, at), *edit.odd(resource, odd, at)]
        archived = edit.archive(resource, archive, at)
        created = [edit.create(self.accounts[account_id], resource, at) for _ in range(create)]
        if references:
            edit.refer(resource, [*updated, *created], references)
        if merge:
            created.append(edit.merge(self.accounts[account_id], resource, list(merge), at))
        self._keep(account_id, edit.changed)
        along: dict[str, list[str]] = {}
        for (kind, id_), row in edit.changed.items():
            if row.archived and kind != resource:
                along.setdefault(f"archived_{kind}", []).append(id_)
        return {"created": created, "updated": updated, "archived": archived, **along}

    def save(self, account_id: str, resource: str, changed: list[SandboxRow]) -> None:
        """Store these rows in place of the generated ones."""
        self._keep(account_id, {(resource, row.id): row for row in changed})

    def _keep(self, account_id: str, changed: dict[tuple[str, str], SandboxRow]) -> None:
        rows, home = self.all_rows(account_id), self._account(account_id).home
        if changed:
            self._changed.put(
                {f"{home}\n{resource}\n{id_}": row for (resource, id_), row in changed.items()}
            )
        for (resource, id_), row in changed.items():
            rows[resource][id_] = row

    def _within(self, what: str, given: Mapping[str, int], most: int) -> None:
        for resource, number in given.items():
            self._known(resource)
            if not 0 <= number <= most:
                raise BadRequest(f"{what}.{resource} is {number}: use a number from 0 to {most:,}")

    def _known(self, resource: str) -> None:
        if resource not in self.simulated.resources:
            raise BadRequest(
                f"no resource {resource!r} here: use one of {', '.join(self.simulated.resources)}"
            )


class Edit:
    """Change a copy of the rows; each step sees the ones before it, and nothing is saved."""

    def __init__(self, simulated: Simulated, rows: Rows) -> None:
        self._simulated = simulated
        self._rows = {resource: dict(found) for resource, found in rows.items()}
        self.changed: dict[tuple[str, str], SandboxRow] = {}

    def update(self, resource: str, which: list[str] | int, at: str) -> list[str]:
        picked = _pick(self._rows[resource], which)
        for row in picked:
            self._set(resource, self._simulated.update(row, resource, at))
        return [row.id for row in picked]

    def odd(self, resource: str, which: list[str] | int, at: str) -> list[str]:
        if which and not isinstance(self._simulated, OddValues):
            raise BadRequest(f"{self._simulated.slug} has no odd values: leave out odd")
        ids = self.update(resource, which, at)
        if isinstance(self._simulated, OddValues):
            for id_ in ids:
                row = self._rows[resource][id_]
                self._set(resource, self._simulated.odd(row, resource))
        return ids

    def archive(self, resource: str, which: list[str] | int, at: str) -> list[str]:
        picked = _pick(self._rows[resource], which)
        for row in picked:
            for kind, one in self._gone(resource, self._rows[resource][row.id], at):
                self._set(kind, one)
        return [row.id for row in picked]

    def create(self, account: SandboxAccount, resource: str, at: str) -> str:
        row = self._simulated.create(account, self._rows, resource, at)
        self._set(resource, row)
        return row.id

    def merge(self, account: SandboxAccount, resource: str, ids: list[str], at: str) -> str:
        if not isinstance(self._simulated, Merges):
            raise BadRequest(f"{self._simulated.slug} merges nothing: leave out merge")
        picked = _pick(self._rows[resource], ids)
        merged, *others = self._simulated.merge(account, self._rows, resource, picked, at)
        for row in (merged, *others):
            self._set(resource, row)
        return merged.id

    def refer(self, resource: str, ids: list[str], count: int) -> None:
        if not isinstance(self._simulated, Refers):
            raise BadRequest(f"{self._simulated.slug} cuts nothing off: leave out references")
        for id_ in ids:
            row = self._rows[resource][id_]
            self._set(resource, self._simulated.refer(self._rows, resource, row, count))

    def _gone(self, resource: str, row: SandboxRow, at: str) -> list[tuple[str, SandboxRow]]:
        if isinstance(self._simulated, Archives):
            return self._simulated.archive(self._rows, resource, row, at)
        return [(resource, msgspec.structs.replace(row, archived=True))]

    def _set(self, resource: str, row: SandboxRow) -> None:
        self._rows[resource][row.id] = row
        self.changed[resource, row.id] = row


def _kept(rows: Mapping[str, SandboxRow], *, share: float, seed: int) -> dict[str, SandboxRow]:
    return {id_: row for id_, row in rows.items() if drawn(id_, seed=seed, share=share)}


def _pick(rows: dict[str, SandboxRow], which: list[str] | int) -> list[SandboxRow]:
    """Return live rows by id (each once), or the oldest ``which`` of them."""
    if isinstance(which, int):
        live = [row for row in rows.values() if not row.archived]
        if not 0 <= which <= len(live):
            raise BadRequest(
                f"{which} rows requested, but only {len(live)} are live: request 0 to {len(live)}"
            )
        return live[:which]
    missing = [id_ for id_ in which if id_ not in rows]
    if missing:
        raise BadRequest(f"no such id: {', '.join(missing[:5])}. The ledger lists all ids")
    gone = [id_ for id_ in which if rows[id_].archived]
    if gone:
        raise BadRequest(f"already archived: {', '.join(gone[:5])}. Use ids of live rows")
    return [rows[id_] for id_ in dict.fromkeys(which)]
