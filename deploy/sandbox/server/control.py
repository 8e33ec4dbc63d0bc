"""The control API, ``/_sandbox``: what a test arranges and what it looks up. Bodies and answers are JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from deploy.sandbox.server.bodies import Advance, Mutation, NewAccount, change_limits, limits_in_force, read
from deploy.sandbox.server.faults import Fault
from deploy.sandbox.server.guide import as_json, as_page
from deploy.sandbox.server.requests import Entry
from deploy.sandbox.server.stage import Stage
from deploy.sandbox.world import Account, Clock, Row
from shared.errors import BadRequest, NotFound

Call = Request[Any, Any, Any]


class Stages:
    """The providers that are served, and the one clock they share."""

    def __init__(self, stages: Mapping[str, Stage], clock: Clock) -> None:
        self.by_slug = stages
        self.clock = clock

    def __getitem__(self, slug: str) -> Stage:
        if slug not in self.by_slug:
            raise NotFound(f"no sandbox for {slug!r} here: one of {', '.join(self.by_slug) or 'none'}")
        return self.by_slug[slug]


def shown(row: Row) -> dict[str, Any]:
    return {"id": row.id, "modified": row.modified or None, "archived": row.archived}


InPath = FromPath[str]
Served = NamedDependency[Stages]


@get("/_sandbox")
async def guide(request: Call, stages: Served) -> Response[Any]:
    if "text/html" in request.headers.get("accept", ""):
        return as_page(stages.by_slug, stages.clock)
    return Response(as_json(stages.by_slug, stages.clock))


@get("/_sandbox/{slug:str}/accounts")
async def accounts(slug: InPath, stages: Served) -> dict[str, list[Account]]:
    return {"items": list(stages[slug].world.accounts.values())}


@post("/_sandbox/{slug:str}/accounts", status_code=201)
async def add_account(slug: InPath, request: Call, stages: Served) -> dict[str, str]:
    world, new = stages[slug].world, read(await request.body(), NewAccount)
    return {"account_id": world.add_account(new.name, new.seed, new.counts).id}


@post("/_sandbox/{slug:str}/accounts/{account_id:str}/mutate", status_code=200)
async def mutate(
    slug: InPath, account_id: InPath, request: Call, stages: NamedDependency[Stages]
) -> dict[str, list[str]]:
    world, change = stages[slug].world, read(await request.body(), Mutation)
    return world.mutate(account_id, change.resource, create=change.create, update=change.update, archive=change.archive)


@get("/_sandbox/{slug:str}/accounts/{account_id:str}/ledger")
async def ledger(
    slug: InPath, account_id: InPath, request: Call, stages: NamedDependency[Stages]
) -> dict[str, list[dict[str, Any]]]:
    rows = stages[slug].world.all_rows(account_id)
    unknown = sorted(set(request.query_params) - {"resource"})
    if unknown:
        raise BadRequest(f"no such parameter: {', '.join(unknown)}. resource is the only one")
    wanted = request.query_params.get("resource")
    if wanted is None:
        return {"items": [shown(row) | {"resource": name} for name, some in rows.items() for row in some.values()]}
    if wanted not in rows:
        raise BadRequest(f"no resource {wanted!r} here: one of {', '.join(rows)}")
    return {"items": [shown(row) for row in rows[wanted].values()]}


@get("/_sandbox/{slug:str}/requests")
async def requests(slug: InPath, stages: Served) -> dict[str, list[Entry]]:
    return {"items": stages[slug].log.entries()}


@delete("/_sandbox/{slug:str}/requests")
async def forget_requests(slug: InPath, stages: Served) -> None:
    stages[slug].log.clear()


@get("/_sandbox/{slug:str}/faults")
async def faults(slug: InPath, stages: Served) -> list[Fault]:
    return stages[slug].faults.left()


@put("/_sandbox/{slug:str}/faults")
async def order_faults(slug: InPath, request: Call, stages: Served) -> list[Fault]:
    stage, ordered = stages[slug], read(await request.body(), list[Fault])
    stage.faults.order(ordered)
    return ordered


@get("/_sandbox/{slug:str}/limits")
async def limits(slug: InPath, stages: Served) -> dict[str, Any]:
    return limits_in_force(stages[slug].world.limiter)


@put("/_sandbox/{slug:str}/limits")
async def set_limits(slug: InPath, request: Call, stages: Served) -> dict[str, Any]:
    limiter = stages[slug].world.limiter
    change_limits(limiter, await request.body())
    return limits_in_force(limiter)


@get("/_sandbox/clock")
async def clock(stages: Served) -> dict[str, Any]:
    return {"now": stages.clock.iso(), "offset_s": stages.clock.offset}


@post("/_sandbox/clock", status_code=200)
async def advance_clock(request: Call, stages: Served) -> dict[str, Any]:
    stages.clock.advance(read(await request.body(), Advance).advance_s)
    return {"now": stages.clock.iso(), "offset_s": stages.clock.offset}


@get("/health/live")
async def live() -> dict[str, str]:
    return {"status": "live"}


@get("/health/ready")
async def ready(stages: Served) -> dict[str, Any]:
    return {"status": "ready", "providers": sorted(stages.by_slug)}


HANDLERS: list[HTTPRouteHandler] = [
    guide,
    accounts,
    add_account,
    mutate,
    ledger,
    requests,
    forget_requests,
    faults,
    order_faults,
    limits,
    set_limits,
    clock,
    advance_clock,
    live,
    ready,
]
