import base64
from pathlib import Path

import httpx
import msgspec
import pytest

from deploy.sandbox.providers.airtable import SIMULATED
from deploy.sandbox.providers.airtable.tests.serving import (
    CLIENT,
    STATE,
    VERIFIER,
    access_token,
    authorize_query,
    challenge,
    consent,
    exchange,
    http_get,
    http_post,
    opened,
    refresh,
    returned,
    serving,
)
from deploy.sandbox.world import Limit, SandboxAccount, World
from tests.support.waiting import PATIENCE_S

AUTHORIZE, TOKEN = "/oauth2/v1/authorize", "/oauth2/v1/token"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def first_table(world: World, token_account: SandboxAccount | None = None) -> str:
    account = token_account or world.simulated.default
    return next(iter(world.rows(account.id, "tables")))


def get(url: str, token: str, path: str, **params: str) -> httpx.Response:
    return http_get(f"{url}/v0/{path}", params=params, headers=bearer(token))


def kind(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    return answer.status_code, error if isinstance(error, str) else error["type"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"state": None}, "invalid_request"),
        ({"state": "too-short"}, "invalid_request"),
        ({"state": "0123456789abcdef=="}, "invalid_request"),
        ({"state": "a" * 1025}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "data.records:read data.records:read"}, "invalid_scope"),
        ({"scope": "data.records:read everything"}, "invalid_scope"),
        ({"scope": "data.records:read,schema.bases:read"}, "invalid_scope"),
    ],
)
def test_a_wrong_authorize_request_goes_back_to_the_app(
    standing: tuple[World, str], changes: dict[str, str | None], error: str
) -> None:
    query = authorize_query(**changes)
    for answer in (
        http_get(standing[1] + AUTHORIZE, params=query),
        http_post(standing[1] + AUTHORIZE, params=query),
    ):
        back = returned(answer)
        assert (back["error"], back.get("state")) == (error, query.get("state"))
        assert answer.headers["location"].startswith(CLIENT.redirect_uris[0])


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "other"},
        {"redirect_uri": "http://localhost:8000/elsewhere"},
        {"redirect_uri": None},
    ],
)
def test_an_unknown_app_or_address_gets_a_page_and_no_redirect(
    standing: tuple[World, str], changes: dict[str, str | None]
) -> None:
    answer = http_get(standing[1] + AUTHORIZE, params=authorize_query(**changes))
    assert (answer.status_code, "location" in answer.headers) == (400, False)
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    "changes",
    [{"code_challenge": None}, {"code_challenge": "short"}, {"code_challenge_method": "plain"}],
)
def test_T05_consent_without_pkce_is_refused(
    standing: tuple[World, str], changes: dict[str, str | None]
) -> None:
    back = returned(http_get(standing[1] + AUTHORIZE, params=authorize_query(**changes)))
    assert back["error"] == "invalid_request"


def test_T05_a_stolen_code_is_worthless_without_its_verifier_and_burnt_by_the_attempt(
    standing: tuple[World, str],
) -> None:
    code = consent(standing[1])["code"]
    stolen = exchange(standing[1], code, code_verifier="a" * 43)
    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
    rightful = exchange(standing[1], code)
    assert (rightful.status_code, rightful.json()["error"]) == (400, "invalid_grant")


def test_the_method_left_out_at_authorize_fails_the_exchange(standing: tuple[World, str]) -> None:
    code = consent(standing[1], code_challenge_method=None)["code"]
    assert exchange(standing[1], code).json()["error"] == "invalid_grant"


def test_the_challenge_of_rfc_7636_is_what_is_checked() -> None:
    assert (
        challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
        == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )


def test_the_consent_page_says_that_it_is_simulated_and_what_is_asked(
    standing: tuple[World, str],
) -> None:
    answer = http_get(standing[1] + AUTHORIZE, params=authorize_query())
    assert answer.status_code == 200
    assert "Simulated" in answer.text
    assert "data.records:read" in answer.text


def test_consent_comes_back_with_code_state_and_challenge_and_refusal_with_its_reason(
    standing: tuple[World, str],
) -> None:
    back = consent(standing[1])
    assert (back["state"], back["code_challenge"], back["code_challenge_method"]) == (
        STATE,
        challenge(),
        "S256",
    )
    denied = returned(
        http_post(standing[1] + AUTHORIZE, params=authorize_query(), data={"decision": "deny"})
    )
    assert (denied["error"], denied["state"]) == ("access_denied", STATE)
    odd = http_post(
        standing[1] + AUTHORIZE,
        params=authorize_query(),
        data={"decision": "allow", "account": "nobody"},
    )
    assert odd.status_code == 400


def test_a_code_is_exchanged_once_for_a_pair(standing: tuple[World, str]) -> None:
    code = consent(standing[1])["code"]
    pair = exchange(standing[1], code).json()
    assert pair.keys() == {
        "access_token",
        "refresh_token",
        "token_type",
        "scope",
        "expires_in",
        "refresh_expires_in",
    }
    assert (pair["expires_in"], pair["refresh_expires_in"]) == (3600, 5_184_000)
    again = exchange(standing[1], code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"code": ""}, "invalid_request"),
        ({"code": "unknown"}, "invalid_grant"),
        ({"redirect_uri": "http://localhost:8000/elsewhere"}, "invalid_grant"),
        ({"redirect_uri": ""}, "invalid_request"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"code_verifier": "short"}, "invalid_grant"),
    ],
)
def test_a_wrong_exchange_says_why(
    standing: tuple[World, str], changes: dict[str, str], error: str
) -> None:
    answer = exchange(standing[1], **({"code": consent(standing[1])["code"]} | changes))
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "header",
    ["", "Basic !!!", "Bearer x", "Basic " + base64.b64encode(b"our-app:wrong").decode()],
)
def test_the_client_must_authenticate_by_basic(standing: tuple[World, str], header: str) -> None:
    form = {
        "grant_type": "refresh_token",
        "refresh_token": "x",
        "client_id": CLIENT.id,
        "client_secret": CLIENT.secret,
    }
    answer = http_post(
        standing[1] + TOKEN, data=form, headers={"Authorization": header} if header else {}
    )
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_a_client_without_secret_names_itself_and_must_not_use_basic(tmp_path: Path) -> None:
    public = msgspec.structs.replace(CLIENT, secret="")
    with opened(tmp_path, public) as world, serving(world) as url:
        form = {"grant_type": "refresh_token", "refresh_token": "x"}
        bare = http_post(url + TOKEN, data=form | {"client_id": CLIENT.id})
        assert bare.json()["error"] == "invalid_grant"
        assert http_post(url + TOKEN, data=form).status_code == 401
        assert (
            http_post(
                url + TOKEN, data=form | {"client_id": CLIENT.id}, auth=(CLIENT.id, "")
            ).status_code
            == 401
        )


def test_the_token_endpoint_takes_forms_only(standing: tuple[World, str]) -> None:
    answer = http_post(
        standing[1] + TOKEN, json={"grant_type": "refresh_token"}, auth=(CLIENT.id, CLIENT.secret)
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_a_refresh_ends_both_old_tokens_at_once_and_its_loser_gets_409(
    world: World, url: str
) -> None:
    old = exchange(url, consent(url)["code"]).json()
    new = refresh(url, old["refresh_token"]).json()
    assert get(url, old["access_token"], "meta/whoami").status_code == 401
    assert get(url, new["access_token"], "meta/whoami").status_code == 200
    assert refresh(url, old["refresh_token"]).status_code == 409
    world.clock.advance(60)
    late = refresh(url, old["refresh_token"])
    assert (late.status_code, late.json()["error"]) == (400, "invalid_grant")
    assert refresh(url, new["refresh_token"]).status_code == 200


def test_a_refresh_may_narrow_the_scopes_but_not_widen_them(standing: tuple[World, str]) -> None:
    pair = exchange(standing[1], consent(standing[1])["code"]).json()
    wide = refresh(standing[1], pair["refresh_token"], scope="data.records:write")
    assert (wide.status_code, wide.json()["error"]) == (400, "invalid_scope")
    assert (
        refresh(standing[1], pair["refresh_token"], scope="schema.bases:read").json()["scope"]
        == "schema.bases:read"
    )


def test_codes_access_and_refresh_tokens_die_in_their_time(world: World, url: str) -> None:
    code, pair = consent(url)["code"], exchange(url, consent(url)["code"]).json()
    world.clock.advance(601)
    assert exchange(url, code).json()["error"] == "invalid_grant"
    world.clock.advance(3000)
    assert kind(get(url, pair["access_token"], "meta/whoami")) == (401, "AUTHENTICATION_REQUIRED")
    world.clock.advance(60 * 86400)
    assert refresh(url, pair["refresh_token"]).json()["error"] == "invalid_grant"


def test_grants_and_iterators_survive_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as world, serving(world) as url:
        pair = exchange(url, consent(url)["code"]).json()
        table = first_table(world)
        offset = get(url, pair["access_token"], table).json()["offset"]
    with opened(tmp_path) as world, serving(world) as url:
        assert get(url, pair["access_token"], table, offset=offset).status_code == 200
        assert exchange(url, "used").status_code == 400


def test_who_am_i_shows_the_mail_address_only_with_its_scope(standing: tuple[World, str]) -> None:
    world, url = standing
    account = world.simulated.default
    assert get(url, access_token(url), "meta/whoami").json()["email"] == account.name
    bare = get(url, access_token(url, scope="data.records:read"), "meta/whoami").json()
    assert bare == {"id": account.id, "scopes": ["data.records:read"]}


def test_offsets_expire_and_belong_to_their_query(world: World, url: str) -> None:
    token, table = access_token(url), first_table(world)
    offset = get(url, token, table).json()["offset"]
    assert len(offset.split("/")[0]) == 17
    assert kind(get(url, token, table, offset=offset.split("/", 1)[1])) == (
        422,
        "INVALID_OFFSET_VALUE",
    )
    assert kind(get(url, token, table, offset=offset, view="Grid view")) == (
        422,
        "INVALID_OFFSET_VALUE",
    )
    world.clock.advance(301)
    gone = get(url, token, table, offset=offset)
    assert (gone.status_code, gone.json()) == (
        422,
        {"error": {"type": "LIST_RECORDS_ITERATOR_NOT_AVAILABLE"}},
    )


def test_an_offset_whose_record_was_deleted_loses_no_other(world: World, url: str) -> None:
    token, table = access_token(url), first_table(world)
    first = get(url, token, table, pageSize="2").json()
    live = list(world.rows(world.simulated.default.id, "records"))[:4]
    world.mutate(world.simulated.default.id, "records", create=0, update=0, archive=[live[2]])
    second = get(url, token, table, pageSize="2", offset=first["offset"]).json()
    assert second["records"][0]["id"] == live[3].rpartition("/")[2]


def test_bases_come_in_pages_of_a_thousand(world: World, url: str) -> None:
    account = world.add_account("many@example.com", 7, {"bases": 1001})
    token = access_token(url, account.id)
    first = get(url, token, "meta/bases").json()
    second = get(url, token, "meta/bases", offset=first["offset"]).json()
    assert (len(first["bases"]), len(second["bases"]), "offset" in second) == (1000, 1, False)


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"pageSize": "101"}, "INVALID_REQUEST_UNKNOWN"),
        ({"pageSize": "0"}, "INVALID_REQUEST_UNKNOWN"),
        ({"surprise": "1"}, "INVALID_REQUEST_UNKNOWN"),
        ({"cellFormat": "string"}, "INVALID_REQUEST_UNKNOWN"),
        ({"fields[]": "Nope"}, "UNKNOWN_FIELD_NAME"),
        ({"view": "Nope"}, "VIEW_NAME_NOT_FOUND"),
        ({"sort[0][field]": "Nope"}, "UNKNOWN_FIELD_NAME"),
        ({"filterByFormula": "{Nope}=1"}, "INVALID_FILTER_BY_FORMULA"),
        ({"filterByFormula": "OR("}, "INVALID_FILTER_BY_FORMULA"),
        ({"filterByFormula": "SOUNDEX(1)"}, "INVALID_FILTER_BY_FORMULA"),
        ({"filterByFormula": "(" * 200 + "1" + ")" * 200}, "INVALID_FILTER_BY_FORMULA"),
    ],
)
def test_a_wrong_list_request_says_why(
    standing: tuple[World, str], token: str, params: dict[str, str], error: str
) -> None:
    world, url = standing
    assert kind(get(url, token, first_table(world), **params)) == (422, error)


def test_what_is_not_there_answers_as_the_provider_does(standing: tuple[World, str]) -> None:
    world, url = standing
    token, table = access_token(url), first_table(world)
    base = table.split("/")[0]
    assert kind(get(url, token, "meta/bases/appNope/tables")) == (404, "NOT_FOUND")
    assert kind(get(url, token, f"{base}/tblNope")) == (
        403,
        "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND",
    )
    assert get(url, token, f"{table}/recNope").json() == {"error": "NOT_FOUND"}
    narrow = access_token(url, scope="schema.bases:read")
    assert kind(get(url, narrow, table)) == (403, "INVALID_PERMISSIONS")


def test_the_sixth_call_into_a_base_in_a_second_closes_it_for_thirty(
    world: World, url: str
) -> None:
    token, table = access_token(url), first_table(world)
    world.limiter.off = False
    with httpx.Client(verify=False, headers=bearer(token), timeout=PATIENCE_S) as client:
        answers = [client.get(f"{url}/v0/{table}", params={"pageSize": "1"}) for _ in range(7)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
        assert answers[-1].json()["errors"][0]["error"] == "RATE_LIMIT_REACHED"
        assert "retry-after" not in answers[-1].headers
        other = list(world.rows(world.simulated.default.id, "bases"))[1]
        assert client.get(f"{url}/v0/meta/bases/{other}/tables").status_code == 200
    assert SIMULATED.limits == {
        "base": Limit(5, 1.0, penalty_s=30.0),
        "token": Limit(50, 1.0, penalty_s=30.0),
    }


def test_two_users_of_a_base_see_the_same_and_share_its_limit_but_not_a_users(
    world: World, url: str
) -> None:
    other = world.add_account("other@example.com", 5, {}, same_data_as=world.simulated.default.id)
    tokens = [access_token(url), access_token(url, other.id)]
    people = [get(url, token, "meta/whoami").json()["id"] for token in tokens]
    bases = [get(url, token, "meta/bases").json()["bases"] for token in tokens]
    assert people == [world.simulated.default.id, other.id]
    assert bases[0] == bases[1] != []
    world.limiter.off = False
    table = first_table(world)
    answers = [get(url, tokens[n % 2], table, pageSize="1") for n in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]


def test_strangers_are_not_counted(world: World, url: str) -> None:
    world.limiter.off = False
    base = first_table(world).split("/")[0]
    assert [get(url, "oaa-wrong", f"meta/bases/{base}/tables").status_code for _ in range(8)] == [
        401
    ] * 8


def test_the_same_seed_gives_the_same_account() -> None:
    first = list(SIMULATED.generate(SIMULATED.default))
    assert first == list(SIMULATED.generate(SIMULATED.default))
    tables = {row.id for resource, row in first if resource == "tables"}
    filled = {row.id.rpartition("/")[0] for resource, row in first if resource == "records"}
    assert len(tables - filled) == 1


def test_records_without_named_tables_get_one() -> None:
    account = SandboxAccount(id="usrX", name="x", seed=1, counts={"records": 20})
    kinds = [resource for resource, _ in SIMULATED.generate(account)]
    assert [kinds.count(resource) for resource in SIMULATED.resources] == [1, 1, 20]


def test_mutations_show_and_an_archived_base_takes_its_tables_and_records_along(
    world: World, url: str
) -> None:
    account, token = world.simulated.default.id, access_token(url)
    made = world.mutate(account, "records", create=3, update=1, archive=0)
    shown = get(url, token, made["updated"][0]).json()["fields"]
    assert any("Edited 1 times" in str(value) for value in shown.values())
    assert all(get(url, token, id_).status_code == 200 for id_ in made["created"])
    base = next(iter(world.rows(account, "bases")))
    world.mutate(account, "bases", create=0, update=0, archive=[base])
    left = [row.id for row in world.rows(account, "records").values() if not row.archived]
    assert left
    assert not any(id_.startswith(base) for id_ in left)
    assert world.mutate(account, "tables", create=1, update=1, archive=0)["created"]


def test_a_verifier_outside_the_alphabet_is_refused(standing: tuple[World, str]) -> None:
    odd = VERIFIER[:-1] + "~"
    code = consent(standing[1], code_challenge=challenge(odd))["code"]
    refused = exchange(standing[1], code, code_verifier=odd).json()
    assert (refused["error"], "~" in refused["error_description"]) == ("invalid_grant", True)


def test_links_to_attachments_differ_at_each_read_and_end_after_two_hours(
    world: World, url: str
) -> None:
    def link() -> str:
        token = access_token(url)
        tables = world.rows(world.simulated.default.id, "tables")
        (first, *_) = [id_ for id_, row in tables.items() if "multipleAttachments" in str(row.body)]
        records = get(url, token, first).json()["records"]
        (photo, *_) = next(one["fields"]["Photo"] for one in records if "Photo" in one["fields"])
        assert photo.keys() == {"id", "url", "filename", "size", "type"}
        return str(photo["url"])

    first, second = link(), link()
    assert first != second
    assert [http_get(one).status_code for one in (first, second, f"{first}x")] == [200, 200, 403]
    world.clock.advance(2 * 3600)
    assert [http_get(one).status_code for one in (first, link())] == [403, 200]
