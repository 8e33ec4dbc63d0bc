"""The official SDK (hubspot-api-client) drives the sandbox as it drives HubSpot."""

from __future__ import annotations

from typing import Any

import pytest
from hubspot import HubSpot
from hubspot.crm.contacts import ApiException as ContactsError
from hubspot.oauth import ApiException as OAuthError

from deploy.sandbox.providers.hubspot.tests.serving import (
    CLIENT,
    REDIRECT,
    VERIFIER,
    Serving,
    consent,
    tokens,
)
from deploy.sandbox.world import Limit, SandboxAccount

SCOPES = (
    "oauth",
    "crm.objects.contacts.read",
    "crm.objects.companies.read",
    "crm.objects.deals.read",
)


def client_for(sandbox: Serving, token: str) -> Any:
    # `api_request` reads base_url, everything else reads host.
    return HubSpot(access_token=token, host=sandbox.url, base_url=sandbox.url)


@pytest.fixture
def sdk(sandbox: Serving, small: SandboxAccount) -> Any:
    granted = tokens(sandbox, account=small.id, scopes=(*SCOPES, "crm.objects.owners.read"))
    return client_for(sandbox, granted["access_token"])


def test_the_sdk_pages_through_all_contacts(
    sandbox: Serving, small: SandboxAccount, sdk: Any
) -> None:
    page = sdk.crm.contacts.basic_api.get_page(
        limit=5, properties=["email", "firstname"], archived=False
    )
    assert len(page.results) == 5
    assert "email" in page.results[0].properties
    ids = [contact.id for contact in sdk.crm.contacts.get_all()]
    assert ids == list(sandbox.world.rows(small.id, "contacts"))


def test_the_sdk_lists_by_object_type_and_reads_by_id(sdk: Any) -> None:
    deals = sdk.crm.objects.basic_api.get_page("deals", limit=3).results
    again = sdk.crm.deals.basic_api.get_by_id(deals[0].id, properties=["dealname"])
    assert again.id == deals[0].id
    assert again.created_at == deals[0].created_at


def test_the_sdk_reads_archived_objects(sandbox: Serving, small: SandboxAccount, sdk: Any) -> None:
    gone = sandbox.world.mutate(small.id, "companies", create=0, update=[], archive=1)["archived"]
    assert [row.id for row in sdk.crm.companies.basic_api.get_page(archived=True).results] == gone
    assert sdk.crm.companies.basic_api.get_by_id(gone[0], archived=True).archived is True


def test_the_sdk_searches(sdk: Any) -> None:
    condition = {"propertyName": "lastname", "operator": "HAS_PROPERTY"}
    request = {"filterGroups": [{"filters": [condition]}], "limit": 7, "properties": ["lastname"]}
    found = sdk.crm.contacts.search_api.do_search(public_object_search_request=request)
    assert len(found.results) == 7
    assert found.total > 100
    assert found.paging.next.after == "7"


def test_the_sdk_reads_batches_and_hears_of_missing_ids(sdk: Any) -> None:
    ids = [row.id for row in sdk.crm.contacts.basic_api.get_page(limit=3).results]
    inputs: dict[str, Any] = {
        "inputs": [{"id": id_} for id_ in ids],
        "properties": ["email"],
        "propertiesWithHistory": [],
    }
    assert [row.id for row in sdk.crm.contacts.batch_api.read(inputs).results] == ids
    inputs["inputs"].append({"id": "404"})
    partial = sdk.crm.contacts.batch_api.read(inputs)
    assert partial.num_errors == 1
    assert partial.errors[0].category == "OBJECT_NOT_FOUND"


def test_the_sdk_reads_properties_and_owners(sdk: Any) -> None:
    found = sdk.crm.properties.core_api.get_all("contacts").results
    assert 25 <= len(found) <= 65
    stage = next(entry for entry in found if entry.name == "lifecyclestage")
    assert (stage.type, stage.options[0].value) == ("enumeration", "subscriber")
    owners = sdk.crm.owners.owners_api.get_page()
    assert owners.results[0].type == "PERSON"


def test_the_sdk_reaches_dated_paths(small: SandboxAccount, sdk: Any) -> None:
    reply = sdk.api_request({"path": "/account-info/2026-03/details"})
    assert reply.json()["portalId"] == int(small.id)
    assert (
        len(sdk.api_request({"path": "/crm/objects/2026-09/contacts?limit=2"}).json()["results"])
        == 2
    )


def test_the_sdk_trades_a_code_refreshes_and_looks_tokens_up(sandbox: Serving) -> None:
    oauth = client_for(sandbox, "none").oauth
    code = consent(sandbox, code_challenge=None, code_challenge_method=None)["code"]
    form = {"client_id": CLIENT.id, "client_secret": CLIENT.secret}
    pair = oauth.tokens_api.create(
        grant_type="authorization_code", code=code, redirect_uri=REDIRECT, **form
    )
    fresh = oauth.tokens_api.create(
        grant_type="refresh_token", refresh_token=pair.refresh_token, **form
    )
    assert fresh.refresh_token == pair.refresh_token
    about = oauth.access_tokens_api.get(fresh.access_token)
    assert (about.hub_id, about.token_type) == (4410021, "access")
    assert oauth.refresh_tokens_api.get(pair.refresh_token).client_id == CLIENT.id
    oauth.refresh_tokens_api.archive(pair.refresh_token)
    with pytest.raises(OAuthError) as error_response:
        oauth.tokens_api.create(
            grant_type="refresh_token", refresh_token=pair.refresh_token, **form
        )
    assert error_response.value.status == 400
    assert "BAD_REFRESH_TOKEN" in error_response.value.body


def test_the_sdk_sees_a_code_with_a_challenge_refused_without_its_verifier(
    sandbox: Serving,
) -> None:
    assert VERIFIER
    form = {"client_id": CLIENT.id, "client_secret": CLIENT.secret, "redirect_uri": REDIRECT}
    with pytest.raises(OAuthError) as error_response:
        client_for(sandbox, "none").oauth.tokens_api.create(
            grant_type="authorization_code", code=consent(sandbox)["code"], **form
        )
    assert "BAD_CODE_VERIFIER" in error_response.value.body


def test_the_sdk_raises_for_401_403_404_and_429(
    sandbox: Serving, small: SandboxAccount, sdk: Any
) -> None:
    def status(call: Any) -> int:
        with pytest.raises(ContactsError) as error_response:
            call()
        found: int = error_response.value.status
        return found

    nobody = client_for(sandbox, "made-up")
    assert status(nobody.crm.contacts.basic_api.get_page) == 401
    oauth_only = tokens(sandbox, account=small.id, scopes=("oauth",))["access_token"]
    assert status(client_for(sandbox, oauth_only).crm.contacts.basic_api.get_page) == 403
    assert status(lambda: sdk.crm.contacts.basic_api.get_by_id("404")) == 404
    sandbox.world.limiter.limits["ten_secondly"] = Limit(1, 10.0)
    assert status(sdk.crm.contacts.basic_api.get_page) == 429
