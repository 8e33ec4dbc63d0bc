"""Serve the control API, ``/_sandbox``: tests arrange things with it and look things up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from litestar import Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from deploy.sandbox.server.bodies import (
    Advance,
    IndexChange,
    Mutation,
    NewAccount,
    change_limits,
    limits_in_force,
    read,
)
from deploy.sandbox.server.faults import Fault
from deploy.sandbox.server.guide import as_json, as_page
from deploy.sandbox.server.provider_sandbox import ProviderSandbox
from deploy.sandbox.server.requests import Entry
from deploy.sandbox.world import Clock, Pages, SandboxAccount, SandboxRow
from shared.errors import BadRequest, NotFound

Call = Request[Any, Any, Any]


class Sandboxes:
    """Hold the providers that are served, and the clock they share."""

    def __init__(self, sandboxes: Mapping[str, ProviderSandbox], clock: Clock) -> None:
        self.by_slug = sandboxes
        self.clock = clock

    def __getitem__(self, slug: str) -> ProviderSandbox:
        if slug not in self.by_slug:
            raise NotFound(
                f"no sandbox for {slug!r} here: use one of {', '.join(self.by_slug) or 'none'}"
            )
        return self.by_slug[slug]


def ledger_entry(row: SandboxRow) -> dict[str, Any]:
    return {"id": row.id, "modified": row.modified or None, "archived": row.archived}


InPath = FromPath[str]
Served = NamedDependency[Sandboxes]


@get("/_sandbox")
async def guide(request: Call, sandboxes: Served) -> Response[Any]:
    if "text/html" in request.headers.get("accept", ""):
        return as_page(sandboxes.by_slug, sandboxes.clock)
    return Response(as_json(sandboxes.by_slug, sandboxes.clock))


@get("/_sandbox/{slug:str}/accounts")
async def accounts(slug: InPath, sandboxes: Served) -> dict[str, list[SandboxAccount]]:
    return {"items": list(sandboxes[slug].world.accounts.values())}


@post("/_sandbox/{slug:str}/accounts", status_code=201)
async def add_account(slug: InPath, request: Call, sandboxes: Served) -> dict[str, str]:
    world, new = sandboxes[slug].world, read(await request.body(), NewAccount)
    made = world.add_account(new.name, new.seed, new.counts, new.properties, new.same_data_as)
    return {"account_id": made.id}


@post("/_sandbox/{slug:str}/accounts/{account_id:str}/mutate", status_code=200)
async def mutate(
    slug: InPath, account_id: InPath, request: Call, sandboxes: Served
) -> dict[str, list[str]]:
    world, change = sandboxes[slug].world, read(await request.body(), Mutation)
    return world.mutate(
        account_id,
        change.resource,
        create=change.create,
        update=change.update,
        archive=change.archive,
        merge=change.merge,
        references=change.references,
        odd=change.odd,
    )


@get("/_sandbox/{slug:str}/accounts/{account_id:str}/ledger")
async def ledger(
    slug: InPath, account_id: InPath, request: Call, sandboxes: Served
) -> dict[str, list[dict[str, Any]]]:
    rows = sandboxes[slug].world.all_rows(account_id)
    unknown = sorted(set(request.query_params) - {"resource"})
    if unknown:
        raise BadRequest(f"no such parameter: {', '.join(unknown)}. The only one is resource")
    wanted = request.query_params.get("resource")
    if wanted is None:
        return {
            "items": [
                ledger_entry(row) | {"resource": name}
                for name, some in rows.items()
                for row in some.values()
            ]
        }
    if wanted not in rows:
        raise BadRequest(f"no resource {wanted!r} here: use one of {', '.join(rows)}")
    return {"items": [ledger_entry(row) for row in rows[wanted].values()]}


@get("/_sandbox/{slug:str}/requests")
async def requests(slug: InPath, sandboxes: Served) -> dict[str, list[Entry]]:
    return {"items": sandboxes[slug].log.entries()}


@delete("/_sandbox/{slug:str}/requests")
async def forget_requests(slug: InPath, sandboxes: Served) -> None:
    sandboxes[slug].log.clear()


@get("/_sandbox/{slug:str}/faults")
async def faults(slug: InPath, sandboxes: Served) -> list[Fault]:
    return sandboxes[slug].faults.left()


@put("/_sandbox/{slug:str}/faults")
async def order_faults(slug: InPath, request: Call, sandboxes: Served) -> list[Fault]:
    sandbox, ordered = sandboxes[slug], read(await request.body(), list[Fault])
    if any(fault.empty for fault in ordered) and not isinstance(sandbox.world.simulated, Pages):
        raise BadRequest(f"the lists of {slug} have no pages: leave out empty")
    sandbox.faults.order(ordered)
    return ordered


@get("/_sandbox/{slug:str}/index")
async def index(slug: InPath, sandboxes: Served) -> dict[str, bool]:
    return {"lags": sandboxes[slug].world.index_lags}


@put("/_sandbox/{slug:str}/index")
async def set_index(slug: InPath, request: Call, sandboxes: Served) -> dict[str, bool]:
    world = sandboxes[slug].world
    change = read(await request.body(), IndexChange)
    if change.lags:
        world.stop_index(loses=change.loses, seed=change.seed)
    elif change.loses:
        raise BadRequest("an index that is up to date loses nothing: add lags=true")
    else:
        world.update_index()
    return {"lags": world.index_lags}


@get("/_sandbox/{slug:str}/limits")
async def limits(slug: InPath, sandboxes: Served) -> dict[str, Any]:
    return limits_in_force(sandboxes[slug].world.limiter)


@put("/_sandbox/{slug:str}/limits")
async def set_limits(slug: InPath, request: Call, sandboxes: Served) -> dict[str, Any]:
    limiter = sandboxes[slug].world.limiter
    change_limits(limiter, await request.body())
    return limits_in_force(limiter)


@get("/_sandbox/clock")
async def clock(sandboxes: Served) -> dict[str, Any]:
    return {"now": sandboxes.clock.iso(), "offset_s": sandboxes.clock.offset}


@post("/_sandbox/clock", status_code=200)
async def advance_clock(request: Call, sandboxes: Served) -> dict[str, Any]:
    sandboxes.clock.advance(read(await request.body(), Advance).advance_s)
    return {"now": sandboxes.clock.iso(), "offset_s": sandboxes.clock.offset}


@get("/health/live")
async def live() -> dict[str, str]:
    return {"status": "live"}


@get("/health/ready")
async def ready(sandboxes: Served) -> dict[str, Any]:
    return {"status": "ready", "providers": sorted(sandboxes.by_slug)}


HANDLERS: Final[list[HTTPRouteHandler]] = [
    guide,
    accounts,
    add_account,
    mutate,
    ledger,
    requests,
    forget_requests,
    faults,
    order_faults,
    index,
    set_index,
    limits,
    set_limits,
    clock,
    advance_clock,
    live,
    ready,
]
