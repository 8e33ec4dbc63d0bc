"""Check that a walk can go on, or starts again, at a cursor that is as old as a cursor gets."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import pytest

from deploy.sandbox.providers import SandboxModule
from shared.connector import Interruption, Page, Provider, Restart
from shared.http import HttpClient
from tests.conformance.calls import Read, SandboxCall, read_page, reads_of
from tests.conformance.sandbox import SandboxClientApp, served
from tests.conformance.subject import Subject, Unwritten

A_YEAR_S = 31_536_000.0


async def test_a_cursor_that_has_expired_goes_on_or_starts_the_part_again(
    subject: Subject, provider: Provider, sandbox: SandboxModule, tmp_path: Path
) -> None:
    """A refused cursor that does not say ``Restart`` would end the part at every sync."""
    async with aclosing(HttpClient()) as http:
        # A sandbox of its own: its clock moves, which would end the others' tokens.
        with served(tmp_path, {subject.slug: sandbox}) as running:
            app = SandboxClientApp(subject, running, http)
            await app.control("PUT", "/limits", {"off": True})
            account = await app.new_account("Expiry", seed=13)
            read = await _walked(subject, app, account, provider)
            await app.later(A_YEAR_S)
            token = (await app.connect(account)).access_token
            call = SandboxCall(subject, app.http, app.runtime.api_url, token)
            for resource, last in read.items():
                await _resumed(subject, call, resource, last)


async def _walked(
    subject: Subject, app: SandboxClientApp, account: str, provider: Provider
) -> dict[str, Read]:
    """Return each resource whose walk has a cursor, and the last page that was read with one."""
    found: dict[str, Read] = {}
    try:
        token = (await app.connect(account)).access_token
        call = SandboxCall(subject, app.http, app.runtime.api_url, token)
        for resource in provider.resources:
            reads = await reads_of(subject, call, resource.slug)
            resumable = [read for read in reads if read.place.cursor]
            if resumable:
                found[resource.slug] = resumable[-1]
    except (Unwritten, Interruption):
        pytest.skip("waits for test_a_walk_comes_to_its_end")
    for slug, last in found.items():
        new = subject.new_connector()
        if _ids(await read_page(subject, call, slug, last.place, new)) != _ids(last.page):
            pytest.skip("waits for test_a_walk_goes_on_at_every_cursor")
    return found


async def _resumed(subject: Subject, call: SandboxCall, resource: str, last: Read) -> None:
    at = subject.at("connector.py")
    try:
        page = await read_page(subject, call, resource, last.place, subject.new_connector())
    except Restart:
        return
    except Interruption as error:
        raise Unwritten(
            f"{at}: a cursor of {resource} that has expired gives {type(error).__name__} "
            f"({error.reason}). Let problem() return Restart for the answer that refuses a cursor, "
            "so that the part starts again."
        ) from None
    there, here = _ids(page), _ids(last.page)
    if there != here:
        raise Unwritten(
            f"{at}: an old cursor of {resource} gives other objects ({', '.join(there[:3])}) than "
            f"it first gave ({', '.join(here[:3])}). If the provider forgets its cursors, let it "
            "say so: a page taken for another one loses what is between them."
        )


def _ids(page: Page) -> list[str]:
    return [record.id for record in page.records]
