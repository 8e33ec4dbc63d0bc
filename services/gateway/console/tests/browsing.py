"""A person at a browser: Chromium, and a gateway whose provider has its own consent page."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from litestar import Litestar, Request, get
from litestar.response import Response
from playwright.async_api import BrowserContext, ConsoleMessage, Page, async_playwright, expect
from typing_extensions import override

from services.gateway.tests.fake_auth import FakeAuth
from services.gateway.tests.serving import SECRET, Gateway, running_broker, running_gateway
from shared.contracts.auth import OpenedFlow
from tests.support.serving import served
from tests.support.waiting import PATIENCE_S

CHROMIUM = shutil.which("chromium")
PATIENCE_MS = 1_000 * PATIENCE_S
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


class AskingAuth(FakeAuth):
    """A person whose provider serves a real consent page."""

    consent_url = ""

    @override
    def open(self, id_: str) -> OpenedFlow:
        opened = super().open(id_)
        query = opened.authorize_url.partition("?")[2]
        return msgspec.structs.replace(
            opened, authorize_url=f"{self.consent_url}/authorize?{query}"
        )

    def consent_app(self) -> Litestar:
        @get("/authorize")
        async def ask(request: Request[Any, Any, Any]) -> Response[str]:
            state = request.query_params["state"]
            flow = self.flows[self.states[state]]
            back = f"{self.public_url}/integrations/{flow.provider}/oauth2callback?state={state}"
            answers = {"Allow": f"{back}&code=rivermouth", "Deny": f"{back}&error=access_denied"}
            links = "".join(f'<a href="{url}">{word}</a> ' for word, url in answers.items())
            return Response(
                f'<link rel="icon" href="data:,"><h1>Consent</h1>{links}', media_type="text/html"
            )

        return Litestar(route_handlers=[ask], openapi_config=None, logging_config=None)


@dataclass
class Person:
    """A person at the browser.

    ``troubles`` are script errors, console errors (violations of the policy among them) and
    dialogs.
    """

    context: BrowserContext
    page: Page
    gateway: Gateway
    troubles: list[str] = field(default_factory=list)

    def listen(self) -> None:
        def on_console(said: ConsoleMessage) -> None:
            if said.type == "error":
                self.troubles.append(said.text)

        self.context.on("weberror", lambda error: self.troubles.append(str(error.error)))
        self.context.on("console", on_console)
        self.context.on("dialog", lambda dialog: self.troubles.append(f"dialog: {dialog.message}"))

    async def open(self, path: str = "/") -> None:
        await self.page.goto(self.gateway.url + path)

    async def connect(self, name: str, answer: str = "Allow") -> None:
        async with self.page.expect_popup() as opening:
            await self.page.get_by_role("button", name=f"Connect {name}").click()
        popup = await opening.value
        await popup.get_by_role("link", name=answer).click()

    async def width(self) -> int:
        found: int = await self.page.evaluate("document.documentElement.scrollWidth")
        return found


@asynccontextmanager
async def running_console(folder: Path, **change: Any) -> AsyncIterator[Gateway]:
    auth = AskingAuth(SECRET)
    async with (
        served(lambda _: auth.consent_app()) as consent_url,
        running_broker(folder) as (bootstrap, producer),
        running_gateway(folder, bootstrap, producer, auth, **change) as gateway,
    ):
        auth.consent_url = consent_url
        yield gateway


@asynccontextmanager
async def at_the_browser(gateway: Gateway, **options: Any) -> AsyncIterator[Person]:
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        context = await browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        person = Person(context, await context.new_page(), gateway)
        person.listen()
        yield person
        await context.close()
        await browser.close()
