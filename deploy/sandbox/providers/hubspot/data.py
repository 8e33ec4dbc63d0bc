"""Generate accounts full of companies, contacts and deals from a seed.

A row's body is ``{"own": …, "backdrop": n}``: the row's own properties over one of a few hundred
shared sets. That keeps thirty thousand rows small and quick to make.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any, Final

import msgspec
from litestar import Response

from deploy.sandbox.providers.hubspot.backdrops import BACKDROPS, OPENED, SPAN_S, backdrops, iso
from deploy.sandbox.providers.hubspot.catalogue import MODIFIED, RESOURCES
from deploy.sandbox.providers.hubspot.property_sets import PropertySet
from deploy.sandbox.providers.hubspot.responses import unknown_call
from deploy.sandbox.providers.hubspot.sample_names import (
    FIRST,
    FORMS,
    HEADS,
    LAST,
    LONG,
    NASTY,
    PLANS,
    TAILS,
)
from deploy.sandbox.world import Limit, Rows, SandboxAccount, SandboxRow

STEP: Final = 13
BASE: Final = {"companies": 18_204_110_000, "contacts": 90_121_000, "deals": 31_870_250_000}

Own = dict[str, str | None]


def properties(row: SandboxRow, held: PropertySet) -> dict[str, str | None]:
    """Return the properties of a row that have a value, and some that are null.

    ``held`` are those that its account has.
    """
    return {**backdrops(held.resource, held.size)[row.body["backdrop"]], **row.body["own"]}


def domain(account: SandboxAccount) -> str:
    """Return the account's domain, made from its name.

    The part before ``.example`` is cut to 63 characters, the longest label a host name may have.
    """
    plain = unicodedata.normalize("NFKD", account.name).encode("ascii", "ignore").decode().lower()
    slug = re.sub("[^a-z0-9]+", "-", plain)[:63].strip("-")
    return f"{slug or f'portal-{account.id}'}.example"


class SimulatedHubSpot:
    slug = "hubspot"
    resources = RESOURCES
    cursor = "after"
    default = SandboxAccount(
        id="4410021",
        name="Northwind Outfitters",
        seed=1,
        counts={"companies": 3000, "contacts": 7000, "deals": 2000},
        properties={"companies": 247, "contacts": 367, "deals": 954},
    )
    most_properties = 5000

    def __init__(self) -> None:
        # Usage guidelines for public apps: 110 calls in 10 s per app and account; 5 searches a
        # second per account.
        self.limits = {"ten_secondly": Limit(110, 10.0), "search": Limit(5, 1.0)}

    def account_id(self, name: str, seed: int) -> str:
        digest = blake2b(f"{name}\n{seed}".encode(), digest_size=6).digest()
        return str(5_000_000 + int.from_bytes(digest, "big") % 190_000_000)

    def generate(self, account: SandboxAccount) -> Iterator[tuple[str, SandboxRow]]:
        for resource in RESOURCES:
            count = account.counts.get(resource, 0)
            rng = random.Random(f"{account.seed}:{resource}")
            for n in range(count):
                created = OPENED + SPAN_S * (n + rng.random()) / count
                modified = created + rng.random() * 200 * 86_400
                yield resource, _row(rng, account, resource, n, (iso(created), iso(modified)))

    def create(self, account: SandboxAccount, rows: Rows, resource: str, at: str) -> SandboxRow:
        n = len(rows[resource])
        return _row(random.Random(f"{account.seed}:{resource}:{n}"), account, resource, n, (at, at))

    def update(self, row: SandboxRow, resource: str, at: str) -> SandboxRow:
        own = {
            **row.body["own"],
            MODIFIED[resource]: at,
            "num_notes": str(int(row.body["own"].get("num_notes") or 0) + 1),
        }
        return msgspec.structs.replace(row, modified=at, body={**row.body, "own": own})

    def emptied(
        self, answer: dict[str, Any], cursor: str, link: str | None
    ) -> dict[str, Any] | None:
        # A batch has results and a status, and no pages.
        if "results" not in answer or "status" in answer:
            return None
        following = {"after": cursor} if link is None else {"after": cursor, "link": link}
        return {**answer, "results": [], "paging": {"next": following}}

    def refusal(self, method: str, path: str) -> Response[bytes]:
        return unknown_call(method, path).response

    def odd(self, row: SandboxRow, resource: str) -> SandboxRow:  # noqa: ARG002  # all alike
        return msgspec.structs.replace(row, body={**row.body, "odd": True})

    def merge(
        self, account: SandboxAccount, rows: Rows, resource: str, picked: list[SandboxRow], at: str
    ) -> list[SandboxRow]:
        """Make a third record that names the two or more that it was made of.

        They are in no list any more, not even in that of the archived.
        """
        new = self.create(account, rows, resource, at)
        named = {
            "hs_merged_object_ids": ";".join([row.id for row in picked]),
            "hs_object_id": new.id,
            MODIFIED[resource]: at,
        }
        own = {**picked[0].body["own"], **named}
        merged = msgspec.structs.replace(new, body={**picked[0].body, "own": own})
        return [merged] + [
            msgspec.structs.replace(row, archived=True, body={**row.body, "merged_into": new.id})
            for row in picked
        ]


def _row(
    rng: random.Random, account: SandboxAccount, resource: str, n: int, times: tuple[str, str]
) -> SandboxRow:
    """Return the ``n``-th row ever made; ids rise with ``n``, with gaps."""
    id_ = str(BASE[resource] + account.seed % 1000 * 7 + n * STEP + n * n % STEP)
    created, modified = times
    own = MAKERS[resource](rng, n)
    own["hs_object_id"], own["createdate"], own[MODIFIED[resource]] = id_, created, modified
    return SandboxRow(
        id=id_,
        created=created,
        modified=modified,
        body={"own": own, "backdrop": int(rng.random() * BACKDROPS)},
    )


def _pick(rng: random.Random, words: tuple[str, ...]) -> str:
    return words[int(rng.random() * len(words))]


def _nasty(n: int, every: int) -> str | None:
    """Return a troublesome value for one row in every ``every``, each kind in turn, else None."""
    return NASTY[n // every % len(NASTY)] if n % every == every // 2 else None


def _company(rng: random.Random, n: int) -> Own:
    head, tail = _pick(rng, HEADS), _pick(rng, TAILS)
    domain = f"{head}-{tail}{n or ''}.example".lower()
    own: Own = {
        "name": f"{head} {tail} {_pick(rng, FORMS)}".strip(),
        "domain": domain,
        "website": f"https://{domain}",
    }
    own["annualrevenue"] = str(int(rng.random() * 900) * 10_000)
    own["numberofemployees"] = str(int(rng.random() * 2000))
    if trouble := _nasty(n, 59):
        own["name"] = trouble
    if n % 211 == 17:
        own["name"] = None
    if n % 422 == 17:
        own["domain"] = None
    if n % 601 == 23:
        own["description"] = LONG
    return own


def _contact(rng: random.Random, n: int) -> Own:
    first, last, company = (
        _pick(rng, FIRST),
        _pick(rng, LAST),
        f"{_pick(rng, HEADS)} {_pick(rng, TAILS)}",
    )
    domain = company.replace(" ", "-").lower() + ".example"
    handle = f"{first}.{last}".lower().encode("ascii", "ignore").decode()
    own: Own = {
        "firstname": first,
        "lastname": last,
        "email": f"{handle}{n}@{domain}",
        "company": company,
    }
    own["hs_email_domain"] = domain
    own["phone"] = f"+1 555 {int(rng.random() * 9_000_000) + 1_000_000}"
    if trouble := _nasty(n, 61):
        own["lastname"] = trouble
    if n % 10 == 3:
        own["lastname"] = None
    if n % 101 == 29:
        own["firstname"] = own["lastname"] = None
    if n % 505 == 29:
        own["email"] = None
    if n % 701 == 23:
        own["message"] = LONG
    return own


def _deal(rng: random.Random, n: int) -> Own:
    amount = str(int(rng.random() * 4000) * 25)
    own: Own = {
        "dealname": f"{_pick(rng, HEADS)} {_pick(rng, TAILS)} – {_pick(rng, PLANS)}",
        "amount": amount,
    }
    own["amount_in_home_currency"] = amount
    own["closedate"] = iso(OPENED + rng.random() * SPAN_S * 1.2)
    if trouble := _nasty(n, 53):
        own["dealname"] = trouble
    if n % 307 == 19:
        own["dealname"] = None
    if n % 401 == 23:
        own["description"] = LONG
    return own


MAKERS: Final[dict[str, Callable[[random.Random, int], Own]]] = {
    "companies": _company,
    "contacts": _contact,
    "deals": _deal,
}


SIMULATED: Final = SimulatedHubSpot()
