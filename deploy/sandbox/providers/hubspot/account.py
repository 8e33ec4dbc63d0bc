"""Answer account details, property definitions and owners."""

from __future__ import annotations

from functools import cache

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from deploy.sandbox.providers.hubspot.backdrops import OWNERS
from deploy.sandbox.providers.hubspot.catalogue import (
    OWNERS_SCOPE,
    UI_DOMAIN,
    VERSIONS,
)
from deploy.sandbox.providers.hubspot.property_sets import SENSITIVITIES, definitions
from deploy.sandbox.providers.hubspot.responses import (
    AnyRequest,
    admit,
    invalid,
    resource_of,
    respond,
    version_of,
)
from deploy.sandbox.providers.hubspot.sample_names import FIRST, LAST
from deploy.sandbox.world import World


def account_routes(world: World) -> list[HTTPRouteHandler]:
    @get("/account-info/{version:str}/details")
    async def details(request: AnyRequest) -> Response[bytes]:
        version_of(request, VERSIONS)
        caller = admit(world, request, scope="oauth")
        return respond(_details(caller.token.account), headers=caller.headers)

    @get(["/crm/v3/properties/{kind:str}", "/crm/properties/{version:str}/{kind:str}"])
    async def properties(request: AnyRequest) -> Response[bytes]:
        resource = resource_of(request)
        caller = admit(world, request, scope=f"crm.objects.{resource}.read")
        archived = request.query_params.get("archived", "").lower() == "true"
        size = world.accounts[caller.token.account].properties.get(resource, 0)
        kind = request.query_params.get("dataSensitivity", "non_sensitive")
        if kind not in SENSITIVITIES:
            raise invalid(f"{kind[:60]!r} is not a valid dataSensitivity")
        found = [] if archived else definitions(resource, size, kind)
        return respond({"results": found}, headers=caller.headers)

    @get(["/crm/v3/owners", "/crm/owners/{version:str}"])
    async def owners(request: AnyRequest) -> Response[bytes]:
        version_of(request, VERSIONS)
        caller = admit(world, request, scope=OWNERS_SCOPE)
        archived = request.query_params.get("archived", "").lower() == "true"
        email = request.query_params.get("email")
        found = (
            [] if archived else [owner for owner in _owners() if email in {None, owner["email"]}]
        )
        return respond({"results": found}, headers=caller.headers)

    return [details, properties, owners]


def _details(account: str) -> dict[str, object]:
    return {
        "portalId": int(account),
        "accountType": "DEVELOPER_TEST",
        "timeZone": "Europe/Berlin",
        "companyCurrency": "EUR",
        "additionalCurrencies": ["USD"],
        "utcOffset": "+01:00",
        "utcOffsetMilliseconds": 3_600_000,
        "uiDomain": UI_DOMAIN,
        "dataHostingLocation": "na1",
    }


@cache
def _owners() -> list[dict[str, object]]:
    return [
        {
            "id": id_,
            "email": f"{FIRST[n]}.{n}@northwind.example".lower(),
            "type": "PERSON",
            "firstName": FIRST[n],
            "lastName": LAST[n],
            "userId": 77_120 + n,
            "userIdIncludingInactive": 77_120 + n,
            "createdAt": "2023-02-01T08:30:00.000Z",
            "updatedAt": "2026-01-15T10:00:00.000Z",
            "archived": False,
        }
        for n, id_ in enumerate(OWNERS)
    ]
