"""The way of a consent."""

from __future__ import annotations

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, SkipValidation

from services.auth.call import Means
from services.auth.connect import finish_flow, get_flow, open_flow, start_flow
from shared.contracts.auth import Callback, CallbackResult, Flow, OpenedFlow, StartFlow


@post("/flows", status_code=201)
async def start(data: JSONBody[StartFlow], means: NamedDependency[SkipValidation[Means]]) -> Flow:
    return await start_flow(data, means=means)


@get("/flows/{flow_id:str}")
async def show(flow_id: FromPath[str], means: NamedDependency[SkipValidation[Means]]) -> Flow:
    return await get_flow(flow_id, means=means)


@post("/flows/{flow_id:str}/open", status_code=200)
async def open_in_browser(flow_id: FromPath[str], means: NamedDependency[SkipValidation[Means]]) -> OpenedFlow:
    return await open_flow(flow_id, means=means)


@post("/callback", status_code=200)
async def callback(data: JSONBody[Callback], means: NamedDependency[SkipValidation[Means]]) -> CallbackResult:
    return await finish_flow(data, means=means)


connect_routes = (start, show, open_in_browser, callback)
