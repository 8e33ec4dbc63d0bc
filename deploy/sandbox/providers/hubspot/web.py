"""Show records to people, at the paths of HubSpot's own links."""

from __future__ import annotations

from typing import Final

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from deploy.sandbox.providers.hubspot.catalogue import SINGULAR, TYPE_IDS
from deploy.sandbox.providers.hubspot.data import properties
from deploy.sandbox.providers.hubspot.property_sets import PropertySet, properties_of
from deploy.sandbox.world import SandboxRow, ShownRecord, World, record_page

RESOURCES: Final = {type_id: resource for resource, type_id in TYPE_IDS.items()}
NAMES: Final = {
    "companies": ("name",),
    "contacts": ("firstname", "lastname"),
    "deals": ("dealname",),
}
OTHER_NAMES: Final = {"companies": "domain", "contacts": "email", "deals": "dealname"}


def web_routes(world: World) -> list[HTTPRouteHandler]:
    @get("/contacts/{portal:str}/record/{type_id:str}/{id_:str}")
    async def record(
        portal: FromPath[str], type_id: FromPath[str], id_: FromPath[str]
    ) -> Response[bytes]:
        return record_page("HubSpot", _found(world, portal, type_id, id_))

    return [record]


def _found(world: World, portal: str, type_id: str, id_: str) -> list[ShownRecord]:
    resource = RESOURCES.get(type_id)
    if resource is None or portal not in world.accounts:
        return []
    row = world.rows(portal, resource).get(id_)
    if row is None or row.archived:
        return []
    return [_shown(row, properties_of(world, portal, resource))]


def _shown(row: SandboxRow, held: PropertySet) -> ShownRecord:
    resource = held.resource
    values = {name: value or "" for name, value in properties(row, held).items()}
    type_ = SINGULAR[resource].title()
    name = " ".join(filter(None, (values.get(part, "").strip() for part in NAMES[resource])))
    return ShownRecord(
        type=type_,
        id=row.id,
        name=name or values.get(OTHER_NAMES[resource], "") or f"{type_} {row.id}",
        values=values,
    )
