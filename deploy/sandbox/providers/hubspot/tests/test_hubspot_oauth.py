from __future__ import annotations

from typing import Any

import httpx
import pytest

from deploy.sandbox.providers.hubspot.data import domain
from deploy.sandbox.providers.hubspot.tests.serving import (
    CLIENT,
    REDIRECT,
    Serving,
    authorize_params,
    consent,
    serving,
    token_form,
    tokens,
)
from deploy.sandbox.world import SandboxAccount
from shared.providers.hubspot import PROVIDER

VERSIONS = ("v1", "v3", "2026-03", "2026-09")


def exchange(sandbox: Serving, **changed: str | None) -> httpx.Response:
    code = changed.pop("code", None) or consent(sandbox)["code"]
    return sandbox.http.post("/oauth/2026-03/token", data=token_form(code, **changed))


def refresh(sandbox: Serving, token: str) -> httpx.Response:
    form = {
        "grant_type": "refresh_token",
        "client_id": CLIENT.id,
        "client_secret": CLIENT.secret,
        "refresh_token": token,
    }
    return sandbox.http.post("/oauth/2026-03/token", data=form)


def details(sandbox: Serving, token: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return sandbox.http.get("/account-info/2026-03/details", headers=headers)


def assert_refused(reply: httpx.Response, status: str, error: str) -> None:
    body = reply.json()
    assert (reply.status_code, body["status"], body["error"]) == (400, status, error)
    assert body["message"] == body["error_description"]


def test_the_consent_page_names_the_scopes_and_the_accounts(
    sandbox: Serving, small: SandboxAccount
) -> None:
    page = sandbox.http.get("/oauth/authorize", params=authorize_params())
    assert page.status_code == 200
    assert "Simulated" in page.text
    assert "crm.objects.deals.read" in page.text
    assert small.name in page.text
    assert f"<code>{domain(small)}, {small.id}</code>" in page.text


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "someone-else"},
        {"client_id": None},
        {"redirect_uri": f"{REDIRECT}/"},
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": None},
        {"scope": None},
        {"scope": "crm.objects.contacts.read"},
        {"scope": "oauth made.up.scope"},
        {"response_type": "token"},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge": "short"},
    ],
)
def test_a_wrong_authorization_request_stays_on_an_error_page(
    sandbox: Serving, changed: dict[str, str | None]
) -> None:
    for method in ("GET", "POST"):
        reply = sandbox.http.request(method, "/oauth/authorize", params=authorize_params(**changed))
        assert reply.status_code == 400
        assert reply.headers["content-type"].startswith("text/html")
        assert "location" not in reply.headers


def test_a_refusal_comes_back_with_the_state_and_without_a_code(sandbox: Serving) -> None:
    answer = consent(sandbox, form={"decision": "deny"})
    assert (answer["error"], answer["state"]) == ("access_denied", "s-1")
    assert "code" not in answer


def test_unknown_optional_scopes_are_dropped_without_a_word(sandbox: Serving) -> None:
    code = consent(sandbox, optional_scope="crm.objects.owners.read made.up.scope")["code"]
    scopes = exchange(sandbox, code=code).json()["scopes"]
    assert "crm.objects.owners.read" in scopes
    assert "made.up.scope" not in scopes


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_of_the_token_endpoint_trades_a_code_for_the_documented_reply(
    sandbox: Serving, version: str
) -> None:
    form = token_form(consent(sandbox)["code"])
    body = sandbox.http.post(f"/oauth/{version}/token", data=form).json()
    assert body["token_type"] == "bearer"
    assert body["expires_in"] == 1800
    assert body["hub_id"] == 4410021
    assert isinstance(body["user_id"], int)
    assert body["token_use"] == "access_token"
    assert len(body["access_token"]) > 300
    assert details(sandbox, body["access_token"]).json()["portalId"] == 4410021


def test_the_chosen_account_is_the_one_that_is_connected(
    sandbox: Serving, small: SandboxAccount
) -> None:
    assert tokens(sandbox, account=small.id)["hub_id"] == int(small.id)


@pytest.mark.parametrize(
    ("changed", "status", "error"),
    [
        ({"grant_type": "password"}, "BAD_GRANT_TYPE", "unsupported_grant_type"),
        ({"client_id": "someone-else"}, "BAD_CLIENT_ID", "invalid_client"),
        ({"client_secret": "wrong"}, "BAD_CLIENT_SECRET", "invalid_client"),
        ({"client_secret": None}, "BAD_CLIENT_SECRET", "invalid_client"),
        ({"code": "na1-made-up"}, "BAD_AUTH_CODE", "invalid_grant"),
        ({"redirect_uri": "http://localhost:8000/other"}, "BAD_REDIRECT_URI", "invalid_request"),
    ],
)
def test_a_wrong_exchange_is_refused_as_hubspot_words_it(
    sandbox: Serving, changed: dict[str, str | None], status: str, error: str
) -> None:
    assert_refused(exchange(sandbox, **changed), status, error)


@pytest.mark.parametrize("verifier", ["x" * 50, None])
def test_T05_a_stolen_code_is_worthless_without_the_verifier_and_burnt(
    sandbox: Serving, verifier: str | None
) -> None:
    code = consent(sandbox)["code"]
    assert_refused(
        exchange(sandbox, code=code, code_verifier=verifier), "BAD_CODE_VERIFIER", "invalid_grant"
    )
    assert_refused(exchange(sandbox, code=code), "BAD_AUTH_CODE", "invalid_grant")


def test_a_code_serves_once(sandbox: Serving) -> None:
    code = consent(sandbox)["code"]
    assert exchange(sandbox, code=code).status_code == 200
    assert_refused(exchange(sandbox, code=code), "BAD_AUTH_CODE", "invalid_grant")


def test_a_code_expires_after_ten_minutes(sandbox: Serving) -> None:
    code = consent(sandbox)["code"]
    sandbox.world.clock.advance(601)
    assert_refused(exchange(sandbox, code=code), "EXPIRED_AUTH_CODE", "invalid_grant")


def test_the_token_endpoint_takes_forms_only(sandbox: Serving) -> None:
    code = consent(sandbox)["code"]
    assert sandbox.http.post("/oauth/2026-03/token", json=token_form(code)).status_code == 415
    basic = httpx.BasicAuth(CLIENT.id, CLIENT.secret)
    form = token_form(code, client_id=None, client_secret=None)
    assert_refused(
        sandbox.http.post("/oauth/2026-03/token", data=form, auth=basic),
        "BAD_CLIENT_ID",
        "invalid_client",
    )


def test_an_access_token_expires_after_half_an_hour_and_a_refresh_brings_another(
    sandbox: Serving,
) -> None:
    pair = tokens(sandbox)
    sandbox.world.clock.advance(1801)
    expired = details(sandbox, pair["access_token"])
    assert (expired.status_code, expired.json()["category"]) == (401, "EXPIRED_AUTHENTICATION")
    fresh = refresh(sandbox, pair["refresh_token"]).json()
    assert fresh["refresh_token"] == pair["refresh_token"]
    assert fresh["access_token"] != pair["access_token"]
    assert details(sandbox, fresh["access_token"]).status_code == 200


def test_a_refresh_leaves_earlier_access_tokens_alone(sandbox: Serving) -> None:
    pair = tokens(sandbox)
    refresh(sandbox, pair["refresh_token"])
    assert details(sandbox, pair["access_token"]).status_code == 200


@pytest.mark.parametrize("version", ["v3", "2026-03", "2026-09"])
def test_a_revoked_grant_cannot_be_refreshed_but_its_access_token_lives_on(
    sandbox: Serving, version: str
) -> None:
    pair = tokens(sandbox)
    form = {"client_id": CLIENT.id, "client_secret": CLIENT.secret, "token": pair["refresh_token"]}
    assert sandbox.http.post(f"/oauth/{version}/token/revoke", data=form).status_code == 200
    assert_refused(refresh(sandbox, pair["refresh_token"]), "BAD_REFRESH_TOKEN", "invalid_grant")
    assert details(sandbox, pair["access_token"]).status_code == 200


def test_an_uninstalled_app_loses_every_token_of_the_account(sandbox: Serving) -> None:
    pair = tokens(sandbox)
    headers = {"Authorization": f"Bearer {pair['access_token']}"}
    assert (
        sandbox.http.delete("/appinstalls/v3/external-install", headers=headers).status_code == 204
    )
    assert details(sandbox, pair["access_token"]).status_code == 401
    assert_refused(refresh(sandbox, pair["refresh_token"]), "BAD_REFRESH_TOKEN", "invalid_grant")


def test_introspection_tells_live_tokens_from_unknown_ones(sandbox: Serving) -> None:
    def ask(token: str) -> dict[str, Any]:
        form = {"client_id": CLIENT.id, "client_secret": CLIENT.secret, "token": token}
        body: dict[str, Any] = sandbox.http.post(
            "/oauth/2026-03/token/introspect", data=form
        ).json()
        return body

    pair = tokens(sandbox)
    access, long_lived = ask(pair["access_token"]), ask(pair["refresh_token"])
    assert (access["active"], access["token_use"], access["hub_id"]) == (
        True,
        "access_token",
        4410021,
    )
    assert 1_000 < access["expires_in"] <= 1_800
    assert "expires_in" not in long_lived
    assert ask("made-up") == {"active": False}
    form = {"client_id": CLIENT.id, "client_secret": CLIENT.secret, "token": pair["refresh_token"]}
    sandbox.http.post("/oauth/2026-03/token/revoke", data=form)
    assert ask(pair["refresh_token"]) == {"active": False}


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("Northwind Outfitters", "northwind-outfitters.example"),
        ("  Café Söhne & Co. ", "cafe-sohne-co.example"),
        ("N" * 300, "n" * 63 + ".example"),
    ],
)
def test_an_account_has_a_domain_made_from_its_name(
    sandbox: Serving, name: str, domain: str
) -> None:
    account = sandbox.world.add_account(name, 7, {})
    token = tokens(sandbox, account=account.id)["access_token"]
    url = (PROVIDER.oauth.introspect_url or "").format(token_url="/oauth/2026-03/token")
    form = {
        "client_id": CLIENT.id,
        "client_secret": CLIENT.secret,
        "token": token,
        **PROVIDER.oauth.introspect_params,
    }
    assert sandbox.http.post(url, data=form).json()["hub_domain"] == domain
    assert sandbox.http.get(f"/oauth/v1/access-tokens/{token}").json()["hub_domain"] == domain


def test_an_account_whose_name_has_no_latin_letter_has_its_number_for_a_domain(
    sandbox: Serving,
) -> None:
    account = sandbox.world.add_account("شركة النور للتجارة", 7, {})
    token = tokens(sandbox, account=account.id)["access_token"]
    about = sandbox.http.get(f"/oauth/v1/access-tokens/{token}").json()
    assert about["hub_domain"] == f"portal-{account.id}.example"


def test_codes_and_tokens_survive_a_restart(sandbox: Serving) -> None:
    pair, code = tokens(sandbox), consent(sandbox)["code"]
    with serving(sandbox.folder) as again:
        assert details(again, pair["access_token"]).status_code == 200
        assert exchange(again, code=code).status_code == 200
        assert_refused(exchange(again, code=code), "BAD_AUTH_CODE", "invalid_grant")
