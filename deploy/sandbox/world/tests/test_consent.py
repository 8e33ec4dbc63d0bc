import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from deploy.sandbox.world import Clock, Store, World, chosen_account, consent_page, redirect
from deploy.sandbox.world.tests.plums import CLIENT, Plums
from shared.errors import BadRequest


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    client = msgspec.structs.replace(CLIENT, return_origins=("https://app.example",))
    with closing(Store(tmp_path / "sandbox.db")) as store:
        yield World(Plums(), store, Clock(store), client)


def test_the_page_is_marked_and_offers_every_account_the_default_first(world: World) -> None:
    world.add_account("<b>Second</b>", 2, {})
    text = consent_page(world, provider="Plums", scopes=("plums.read",)).content.decode()
    assert "Simulated" in text
    assert "&lt;b&gt;Second&lt;/b&gt;" in text
    assert "<b>" not in text
    assert re.findall(r'value="([^"]+)"( checked)?><span>', text)[0] == ("acc-1", " checked")
    assert text.count(" checked>") == 1


def test_an_account_is_shown_as_the_provider_s_answers_call_it(world: World) -> None:
    named = consent_page(world, provider="Plums", scopes=(), known_as=lambda one: f"<{one.seed}>")
    text = named.content.decode()
    assert "<code>&lt;1&gt;</code>" in text
    assert 'value="acc-1"' in text
    assert "<code>acc-1</code>" in consent_page(world, provider="Plums", scopes=()).content.decode()


def test_the_policy_allows_the_style_and_the_way_back_to_the_app_and_no_script(
    world: World,
) -> None:
    answer = consent_page(world, provider="Plums", scopes=())
    style = answer.content.decode().split("<style>")[1].split("</style>")[0]
    headers = {name.lower(): value for name, value in answer.headers.items()}
    policy = headers["content-security-policy"]
    assert f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in policy
    assert "form-action 'self' http://localhost:8000 https://app.example" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script" not in policy
    assert "cross-origin-opener-policy" not in headers


def test_the_default_account_is_chosen_when_none_is_named_and_any_by_id_or_name(
    world: World,
) -> None:
    other = world.add_account("Second", 2, {})
    assert chosen_account(world, {"decision": "allow"}) == Plums.default
    assert chosen_account(world, {"decision": "allow", "account": other.id}) == other
    assert chosen_account(world, {"decision": "allow", "account": "Second"}) == other
    assert chosen_account(world, {"decision": "deny"}) is None


def test_an_account_that_is_not_there_or_is_ambiguous_is_refused(world: World) -> None:
    world.add_account("Twin", 2, {})
    world.add_account("Twin", 3, {})
    for name in ("Nobody", "Twin"):
        with pytest.raises(BadRequest, match="use the id of one"):
            chosen_account(world, {"decision": "allow", "account": name})
    with pytest.raises(BadRequest, match="allow or deny"):
        chosen_account(world, {})


def test_a_redirect_keeps_the_query_it_finds() -> None:
    assert (
        redirect("http://localhost:8000/cb?x=1", {"code": "a b"}).url
        == "http://localhost:8000/cb?x=1&code=a+b"
    )
    assert redirect("http://localhost:8000/cb", {"code": "a"}).status_code == 302
