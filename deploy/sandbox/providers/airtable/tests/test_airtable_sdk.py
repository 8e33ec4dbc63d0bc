"""Everything that pyairtable can do with Airtable, it can do with the simulated one."""

import pytest
from pyairtable import Api
from pyairtable.api.table import Table
from pyairtable.formulas import match
from requests import HTTPError

from deploy.sandbox.providers.airtable.tests.serving import access_token, consent, exchange, refresh
from deploy.sandbox.world import World

READ_WRITE = "data.records:read data.records:write schema.bases:read user.email:read"


@pytest.fixture(scope="module")
def writer(standing: tuple[World, str]) -> str:
    return access_token(standing[1], scope=READ_WRITE)


@pytest.fixture
def api(standing: tuple[World, str], writer: str) -> Api:
    return Api(writer, endpoint_url=standing[1], retry_strategy=None)


@pytest.fixture
def table(standing: tuple[World, str], api: Api) -> Table:
    base, table = next(iter(standing[0].rows(standing[0].simulated.default.id, "tables"))).split(
        "/"
    )
    return api.table(base, table)


def rows_of(standing: tuple[World, str], table: Table) -> list[str]:
    world = standing[0]
    prefix = f"{table.base.id}/{table.id}/"
    rows = world.rows(world.simulated.default.id, "records").values()
    return [
        row.id.removeprefix(prefix)
        for row in rows
        if row.id.startswith(prefix) and not row.archived
    ]


def test_it_says_who_it_is_and_lists_bases_and_schemas(api: Api) -> None:
    assert api.whoami()["id"].startswith("usr")
    bases = api.bases()
    assert bases[0].name == "Orchard operations"
    schemas = [table for base in bases for table in base.schema().tables]
    assert len(schemas) == 10
    assert {table.field(table.primary_field_id).name for table in schemas} >= {
        "Name",
        "Task",
        "Order",
    }


def test_it_pages_through_a_table(standing: tuple[World, str], table: Table) -> None:
    assert [record["id"] for record in table.all()] == rows_of(standing, table)
    pages = list(table.iterate(page_size=30))
    assert {len(page) for page in pages[:-1]} == {30}
    assert [record["id"] for page in pages for record in page] == rows_of(standing, table)


def test_it_reads_by_field_id_by_name_and_as_text(table: Table) -> None:
    by_id = table.first(use_field_ids=True)
    assert by_id is not None
    assert all(key.startswith("fld") for key in by_id["fields"])
    texts = table.all(
        max_records=5,
        cell_format="string",
        time_zone="UTC",
        user_locale="en-us",
        fields=["Name", "Count"],
    )
    assert all(isinstance(value, str) for record in texts for value in record["fields"].values())
    assert {key for record in texts for key in record["fields"]} <= {"Name", "Count"}


def test_it_sorts_filters_and_limits(table: Table) -> None:
    counts = [record["fields"].get("Count", -1) for record in table.all(sort=["-Count"])]
    assert counts == sorted(counts, reverse=True)
    assert len(table.all(max_records=150, page_size=100)) == 150
    (some,) = table.all(max_records=1, fields=["Name"])
    found = table.all(formula=match({"Name": some["fields"]["Name"]}))
    assert some["id"] in {record["id"] for record in found}


def test_it_reads_many_records_by_id_in_a_request_too_long_for_a_url(
    table: Table, standing: tuple[World, str]
) -> None:
    ids = rows_of(standing, table)[:100]
    formula = "OR({})".format(",".join(f"RECORD_ID()='{id_}'" for id_ in ids * 6))
    assert len(formula) > 16_000
    assert [record["id"] for record in table.all(formula=formula, count_comments=True)] == ids
    assert table.get(ids[3])["id"] == ids[3]


def test_it_creates_changes_and_deletes_ten_at_a_time(table: Table) -> None:
    made = table.batch_create([{"Name": f"New {n}", "Count": n, "Tags": []} for n in range(12)])
    assert made[11]["fields"] == {"Name": "New 11", "Count": 11}
    changed = table.update(made[0]["id"], {"Count": None, "Tags": ["late"]})
    assert changed["fields"] == {"Name": "New 0", "Tags": ["late"]}
    many = table.batch_update([{"id": record["id"], "fields": {"Count": 7}} for record in made])
    assert {record["fields"]["Count"] for record in many} == {7}
    replaced = table.batch_update([{"id": made[1]["id"], "fields": {"Name": "Only"}}], replace=True)
    assert replaced[0]["fields"] == {"Name": "Only"}
    removed = table.batch_delete([record["id"] for record in made])
    assert all(gone["deleted"] for gone in removed)
    with pytest.raises(HTTPError):
        table.get(made[0]["id"])


def test_its_errors_carry_the_providers_words(api: Api, table: Table) -> None:
    with pytest.raises(HTTPError, match="NOT_FOUND"):
        api.base("appNope").schema()
    with pytest.raises(HTTPError, match="INVALID_FILTER_BY_FORMULA"):
        table.all(formula="NOPE(")
    with pytest.raises(HTTPError, match="UNKNOWN_FIELD_NAME"):
        table.create({"Nope": 1})


def test_it_goes_on_after_a_refresh_with_the_new_token_only(standing: tuple[World, str]) -> None:
    url = standing[1]
    old = exchange(url, consent(url)["code"]).json()
    new = refresh(url, old["refresh_token"]).json()
    api = Api(old["access_token"], endpoint_url=url, retry_strategy=None)
    with pytest.raises(HTTPError, match="AUTHENTICATION_REQUIRED"):
        api.whoami()
    api.api_key = new["access_token"]
    assert dict(api.whoami())["email"] == standing[0].simulated.default.name


def test_a_breach_of_the_base_limit_reaches_it_as_429(world: World, url: str) -> None:
    api = Api(access_token(url), endpoint_url=url, retry_strategy=None)
    base = next(iter(world.rows(world.simulated.default.id, "bases")))
    world.limiter.off = False
    with pytest.raises(HTTPError, match="429"):
        [api.base(base).schema(force=True) for _ in range(6)]
