"""An auth service that keeps the contract strictly. An authorization code is the account's name."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from litestar import Litestar, delete, get, post
from litestar.params import FromPath, JSONBody

from shared.contracts.auth import Callback, CallbackResult, ErrorBody, Flow, OpenedFlow, StartFlow
from shared.contracts.connections import Account, Connection
from shared.contracts.envelope import new_id, timestamp
from shared.errors import NotFound, TributaryError
from shared.providers import load_providers
from shared.settings import SecretStr
from shared.web import error_body, services_only

PROVIDERS = load_providers()


class FakeAuth:
    """Keeps the contract of auth; ``calls`` are the callbacks it received."""

    def __init__(self, secret: SecretStr) -> None:
        self._secret = secret
        self.public_url = ""
        self.finishing: set[str] = set()
        """Ids of flows whose codes are being exchanged just now."""
        self.flows: dict[str, Flow] = {}
        self.states: dict[str, str] = {}
        self.cookies: dict[str, str] = {}
        self.connections: dict[str, Connection] = {}
        self.calls: list[Callback] = []

    def app(self) -> Litestar:
        return Litestar(
            route_handlers=self._routes(),
            guards=[services_only(self._secret)],
            exception_handlers={TributaryError: error_body},
            openapi_config=None,
            logging_config=None,
        )

    def _routes(self) -> list[Any]:
        @post("/flows", status_code=200)
        async def start(data: JSONBody[dict[str, Any]]) -> Flow:
            return self.start(msgspec.convert(data, StartFlow))

        @get("/flows/{flow_id:str}")
        async def flow(flow_id: FromPath[str]) -> Flow:
            return self.flow(flow_id)

        @post("/flows/{flow_id:str}/open", status_code=200)
        async def opened(flow_id: FromPath[str]) -> OpenedFlow:
            return self.open(flow_id)

        @post("/callback", status_code=200)
        async def callback(data: JSONBody[dict[str, Any]]) -> CallbackResult:
            return self.finish(msgspec.convert(data, Callback))

        @delete("/connections/{id_:str}", status_code=200)
        async def disconnect(id_: FromPath[str]) -> Connection:
            return self.disconnect(id_)

        return [start, flow, opened, callback, disconnect]

    def start(self, wanted: StartFlow) -> Flow:
        id_ = new_id()
        self.flows[id_] = Flow(
            flow_id=id_,
            authorize_url=f"{self.public_url}/connect/{id_}",
            provider=wanted.provider,
            org_id=wanted.org_id,
            user_id=wanted.user_id,
            return_url=wanted.return_url,
            status="pending",
            created_at=timestamp(),
        )
        return self.flows[id_]

    def flow(self, id_: str) -> Flow:
        if id_ not in self.flows:
            raise NotFound("There is no such connect link.")
        return self.flows[id_]

    def open(self, id_: str) -> OpenedFlow:
        if self.flow(id_).status != "pending":
            raise TributaryError("This link was used already.", code="flow_done", status=410)
        state, self.cookies[id_] = secrets.token_urlsafe(), secrets.token_urlsafe()
        self.states[state] = id_
        return OpenedFlow(
            authorize_url=f"http://127.0.0.1:8003/authorize?state={state}",
            cookie=self.cookies[id_],
            max_age_s=600,
        )

    def finish(self, callback: Callback) -> CallbackResult:
        self.calls.append(callback)
        id_ = self.states.get(callback.params.get("state", ""), "")
        flow = self.flows.get(id_)
        own = flow is not None and callback.cookies.get(id_) == self.cookies[id_]
        if flow is not None and (flow.status == "connected" or id_ in self.finishing) and own:
            error = ErrorBody(code="state_invalid", detail="This link was used already.")
            return CallbackResult(flow=flow, error=error)
        if flow is None or flow.provider != callback.provider or flow.status != "pending":
            return CallbackResult(
                flow=None,
                error=ErrorBody(code="state_invalid", detail="This link was used already."),
            )
        if callback.cookies.get(id_) != self.cookies[id_]:
            return CallbackResult(
                flow=None,
                error=ErrorBody(code="flow_mismatch", detail="Started in another browser."),
            )
        if "error" in callback.params:
            error = ErrorBody(code="access_denied", detail="It was declined there.")
            self.flows[id_] = msgspec.structs.replace(flow, status="failed", error=error)
            return CallbackResult(flow=self.flows[id_], error=error)
        connection = self._save(flow, callback.params["code"])
        self.flows[id_] = msgspec.structs.replace(
            flow, status="connected", connection_id=connection.id
        )
        return CallbackResult(flow=self.flows[id_], connection=connection, event="Connected")

    def disconnect(self, id_: str) -> Connection:
        if id_ not in self.connections:
            raise NotFound("There is no such connection.")
        known = self.connections[id_]
        if known.status != "disconnected":
            self.connections[id_] = msgspec.structs.replace(
                known, status="disconnected", version=known.version + 1
            )
        return self.connections[id_]

    def _save(self, flow: Flow, account: str) -> Connection:
        id_, now = new_id(), timestamp()
        self.connections[id_] = Connection(
            id=id_,
            version=1,
            generation=1,
            org_id=flow.org_id,
            user_id=flow.user_id,
            provider=flow.provider,
            client_id="client",
            account=Account(id=account, name=account.title()),
            status="active",
            resources=tuple(one.slug for one in PROVIDERS[flow.provider].resources),
            token_version=1,
            sync_id=new_id(),
            created_at=now,
            updated_at=now,
        )
        return self.connections[id_]
