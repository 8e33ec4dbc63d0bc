"""Links of a simulated provider's records lead to the sandbox; a real provider's are left alone."""

from __future__ import annotations

from pathlib import Path

import msgspec

from services.fetcher.settings import Runtime
from services.fetcher.tests.crashing import PROVIDER, Fetcher
from shared.connector import Page, Record
from shared.contracts.topics import ITEMS

SANDBOX = "http://localhost:8003/orchard"
GIVEN = {
    "a": "https://orchard.example/apples/7",
    "b": "https://eu.orchard.example/apples/8?tab=all",
    "c": None,
}


async def links(folder: Path, web_url: str | None) -> dict[str, str | None]:
    """Sync apples with the links of ``GIVEN``; return id → the link of the item that was sent."""
    runtime = Runtime(provider=PROVIDER, client_id="c", api_url="", web_url=web_url)
    fetcher = Fetcher(folder, {"apples": 3}, runtimes={"orchard": runtime})
    records = [Record(id=id_, name=id_, raw={}, url=url) for id_, url in GIVEN.items()]
    fetcher.orchard.script["apples"] = lambda _: Page(records=records, cursor=None)
    await fetcher.boot()
    try:
        await fetcher.connect(1)
        await fetcher.run_until_over()
    finally:
        await fetcher.database.close()
    items = [msgspec.json.decode(one.value) for one in fetcher.log.of(ITEMS) if one.value]
    return {item["id"]: item["url"] for item in items}


async def test_a_simulated_record_keeps_its_path_and_leads_to_the_sandbox(tmp_path: Path) -> None:
    assert await links(tmp_path, SANDBOX) == {
        "a": f"{SANDBOX}/apples/7",
        "b": f"{SANDBOX}/apples/8?tab=all",
        "c": None,
    }


async def test_a_real_record_keeps_the_link_of_its_provider(tmp_path: Path) -> None:
    assert await links(tmp_path, None) == GIVEN
