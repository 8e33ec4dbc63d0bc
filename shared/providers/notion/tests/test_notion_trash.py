"""A few calls tell which of many pages are in Notion's trash."""

from msgspec.structs import replace

from deploy.sandbox.providers.notion import SIMULATED
from deploy.sandbox.providers.notion.rows import source_of
from deploy.sandbox.providers.notion.tests.test_notion_sandbox_data import biggest
from deploy.sandbox.world import World
from shared.connector import Call, Gone, ListsDeleted
from shared.providers.notion.connector import CONNECTOR
from shared.providers.notion.tests.caller import calling

DEFAULT = SIMULATED.default.id


async def gone(call: Call, resource: str, ids: list[str]) -> list[str]:
    assert isinstance(CONNECTOR, ListsDeleted)
    found = await CONNECTOR.deleted(call, resource, tuple(ids))
    assert found == [Gone(id=one.id, reason="trashed") for one in found]
    return [one.id for one in found]


async def test_the_trash_is_searched_for_what_is_missing(world: World) -> None:
    ids = list(world.rows(DEFAULT, "pages"))[:40]
    world.mutate(DEFAULT, "pages", create=0, update=0, archive=ids[:30])
    async with calling(world) as caller:
        assert await gone(caller, "pages", ids) == ids[:30]
        assert len(caller.sent) == 2, "a page of the trash, and one of its objects by its id"
        assert await gone(caller, "pages", ids[30:]) == []
        assert await gone(caller, "data_sources", ids) == []
        assert await gone(caller, "users", ids) == []


async def test_the_rows_of_a_data_source_are_in_the_trash_with_it(world: World) -> None:
    source = biggest(world)
    inside = [id_ for id_, row in world.rows(DEFAULT, "pages").items() if source_of(row) == source]
    world.mutate(DEFAULT, "data_sources", create=0, update=0, archive=[source])
    async with calling(world) as caller:
        assert await gone(caller, "pages", inside) == inside
        assert await gone(caller, "data_sources", [source]) == [source]
        assert len(caller.sent) < len(inside) / 5


async def test_a_trash_that_lags_behind_what_was_restored_is_not_believed(world: World) -> None:
    ids = list(world.rows(DEFAULT, "pages"))[:10]
    world.mutate(DEFAULT, "pages", create=0, update=0, archive=ids)
    world.stop_index()
    rows = [world.rows(DEFAULT, "pages")[id_] for id_ in ids]
    world.save(DEFAULT, "pages", [replace(row, archived=False) for row in rows])
    async with calling(world) as caller:
        assert await gone(caller, "pages", ids) == []
