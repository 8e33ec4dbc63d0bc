import re
import stat
from collections import Counter
from pathlib import Path

import httpx
import pytest

from deploy.sandbox import create_app, sandbox_clients
from deploy.sandbox.providers import load_sandboxes
from deploy.sandbox.server.control import HANDLERS
from deploy.sandbox.server.guide import CALLS
from deploy.sandbox.server.routing import claimed
from tests.support.serving import served
from tests.support.waiting import PATIENCE_S


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8003", "[::1]:8003"])
async def test_T43_loopback_hosts_are_answered(sandbox: httpx.AsyncClient, host: str) -> None:
    assert (await sandbox.get("/health/ready", headers={"host": host})).json()["providers"] == [
        "plums"
    ]


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1@evil.example", "[", ""]
)
async def test_T43_other_hosts_are_refused(sandbox: httpx.AsyncClient, host: str) -> None:
    for path in ("/health/live", "/_sandbox", "/plums/v1/plums"):
        answer = await sandbox.get(path, headers={"host": host})
        assert answer.status_code == 400
        assert "localhost" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://evil.example", 403), ("null", 403), ("http://localhost:3000", 200)],
)
async def test_pages_of_other_sites_cannot_use_the_control_api(
    sandbox: httpx.AsyncClient, origin: str, status: int
) -> None:
    answer = await sandbox.post(
        "/_sandbox/clock", content=b'{"advance_s":0}', headers={"origin": origin}
    )
    assert answer.status_code == status


async def test_the_guide_names_every_call_as_a_page_and_as_json(sandbox: httpx.AsyncClient) -> None:
    as_json = (await sandbox.get("/_sandbox")).json()
    told = {(call["method"], call["path"].partition("?")[0]) for call in as_json["calls"]}
    served = {
        (method, path.replace("{slug:str}", "{p}").replace("{account_id:str}", "{id}"))
        for handler in HANDLERS
        for path in handler.paths
        for method in handler.http_methods
        if method not in {"HEAD", "OPTIONS"}
    }
    assert told == served
    assert as_json["providers"]["plums"]["resources"] == ["baskets", "plums"]
    page = await sandbox.get("/_sandbox", headers={"accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert all(path.replace("&", "&amp;") in page.text for _, path, _, _ in CALLS)
    assert "script" not in page.headers["content-security-policy"]


def test_the_readme_names_every_call() -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    told = set(re.findall(r"^\| `([A-Z]+) (\S+)` \|", text, re.MULTILINE))
    assert told == {(method, path.partition("?")[0]) for method, path, _, _ in CALLS}


async def test_the_provider_sees_its_own_paths_and_builds_links_that_lead_back(
    sandbox: httpx.AsyncClient,
) -> None:
    link = (await sandbox.get("/plums/v1/plums")).json()["next"]
    assert link == str(sandbox.base_url.join("/plums/v1/broken"))


async def test_a_defect_of_a_provider_is_a_500_with_a_detail(sandbox: httpx.AsyncClient) -> None:
    answer = await sandbox.get("/plums/v1/broken")
    assert (answer.status_code, answer.json()) == (
        500,
        {"detail": "the sandbox itself failed: see its log"},
    )


async def test_the_consent_page_has_no_opener_policy_and_its_form_leads_to_the_callback(
    sandbox: httpx.AsyncClient,
) -> None:
    page = await sandbox.get("/plums/oauth/authorize?state=s")
    assert "cross-origin-opener-policy" not in page.headers
    answer = await sandbox.post("/plums/oauth/authorize?state=s", data={"decision": "deny"})
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(
        "http://localhost:8000/integrations/plums/oauth2callback?"
    )
    wrong = await sandbox.post(
        "/plums/oauth/authorize?state=s", data={"decision": "allow", "account": "nobody"}
    )
    assert wrong.status_code == 400


def test_the_client_secret_is_made_once_and_read_by_every_process(tmp_path: Path) -> None:
    first = sandbox_clients(tmp_path, "http://localhost:8000/", ["plums", "pears"])
    again = sandbox_clients(tmp_path, "http://localhost:8000", ["plums"])
    assert first["plums"] == again["plums"]
    assert first["plums"].secret != first["pears"].secret
    assert first["plums"].id == "tributary-sandbox-plums"
    assert first["plums"].redirect_uris == (
        "http://localhost:8000/integrations/plums/oauth2callback",
    )
    assert stat.S_IMODE((tmp_path / "sandbox-secret").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["sandbox-secret"]


def test_another_data_directory_has_another_secret(tmp_path: Path) -> None:
    one, two = (
        sandbox_clients(tmp_path / name, "http://localhost:8000", ["plums"])["plums"]
        for name in ("a", "b")
    )
    assert one.secret != two.secret


def test_a_data_directory_is_served_by_one_process_at_a_time(tmp_path: Path) -> None:
    lock = tmp_path / "sandbox.db.lock"
    with (
        claimed(lock),
        pytest.raises(RuntimeError, match="another sandbox is using"),
        claimed(lock),
    ):
        pass
    with claimed(lock):
        pass


def test_every_provider_folder_with_a_sandbox_is_found_by_its_slug() -> None:
    assert all(module.SIMULATED.slug == slug for slug, module in load_sandboxes().items())


@pytest.mark.parametrize("slug", sorted(load_sandboxes()))
async def test_a_default_account_holds_what_its_counts_say(tmp_path: Path, slug: str) -> None:
    clients = sandbox_clients(tmp_path, "http://localhost:8000", [slug])
    async with (
        served(lambda _: create_app(tmp_path, clients)) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as sandbox,
    ):
        default = (await sandbox.get(f"/_sandbox/{slug}/accounts")).json()["items"][0]
        ledger = (await sandbox.get(f"/_sandbox/{slug}/accounts/{default['id']}/ledger")).json()[
            "items"
        ]
    held = Counter(item["resource"] for item in ledger)
    assert held == default["counts"]
    assert len({(item["resource"], item["id"]) for item in ledger}) == len(ledger)
