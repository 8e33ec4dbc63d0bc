"""The way of a consent."""

from __future__ import annotations

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, SkipValidation

from services.auth.connect import finish_flow, get_flow, open_flow, start_flow
from services.auth.context import AuthContext
from shared.contracts.auth import Callback, CallbackResult, Flow, OpenedFlow, StartFlow


@post("/flows", status_code=201)
async def start(data: JSONBody[StartFlow], context: NamedDependency[SkipValidation[AuthContext]]) -> Flow:
    return await start_flow(data, context=context)


@get("/flows/{flow_id:str}")
async def show(flow_id: FromPath[str], context: NamedDependency[SkipValidation[AuthContext]]) -> Flow:
    return await get_flow(flow_id, context=context)


@post("/flows/{flow_id:str}/open", status_code=200)
async def open_in_browser(flow_id: FromPath[str], context: NamedDependency[SkipValidation[AuthContext]]) -> OpenedFlow:
    return await open_flow(flow_id, context=context)


@post("/callback", status_code=200)
async def callback(data: JSONBody[Callback], context: NamedDependency[SkipValidation[AuthContext]]) -> CallbackResult:
    return await finish_flow(data, context=context)


connect_routes = (start, show, open_in_browser, callback)
