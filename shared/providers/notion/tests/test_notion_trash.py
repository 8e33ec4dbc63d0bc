"""A few calls tell which of many pages are in Notion's trash."""

from deploy.sandbox.providers.notion import SIMULATED
from deploy.sandbox.providers.notion.rows import source_of
from deploy.sandbox.providers.notion.tests.test_notion_sandbox_data import biggest
from deploy.sandbox.world import World
from shared.connector import Gone, ListsDeleted
from shared.providers.notion.connector import CONNECTOR, SEARCH
from shared.providers.notion.tests.caller import calling

DEFAULT = SIMULATED.default.id
NOWHERE = "00000000-0000-4000-8000-000000000000"


async def test_one_call_tells_that_a_data_source_is_in_the_trash_with_its_rows(
    world: World,
) -> None:
    source = biggest(world)
    inside = tuple(
        row.id for row in world.rows(DEFAULT, "pages").values() if source_of(row) == source
    )
    assert isinstance(CONNECTOR, ListsDeleted)
    async with calling(world) as caller:
        assert await CONNECTOR.deleted(caller, "pages", source, inside) == []
        world.mutate(DEFAULT, "data_sources", create=0, update=0, archive=[source])
        caller.sent.clear()
        gone = await CONNECTOR.deleted(caller, "pages", source, inside)
        assert len(caller.sent) == 1
    assert inside
    assert gone == [Gone(id=id_, reason="trashed") for id_ in inside]


async def test_the_trash_is_searched_for_what_is_missing(world: World) -> None:
    ids = list(world.rows(DEFAULT, "pages"))[:40]
    world.mutate(DEFAULT, "pages", create=0, update=0, archive=ids[:30])
    assert isinstance(CONNECTOR, ListsDeleted)
    async with calling(world) as caller:
        for part in (SEARCH, NOWHERE):
            gone = await CONNECTOR.deleted(caller, "pages", part, tuple(ids))
            assert {one.id for one in gone} == set(ids[:30])
        assert await CONNECTOR.deleted(caller, "data_sources", SEARCH, tuple(ids)) == []
        assert await CONNECTOR.deleted(caller, "users", "users", tuple(ids)) == []
        assert len(caller.sent) < 10
