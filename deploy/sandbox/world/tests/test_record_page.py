from contextlib import closing
from pathlib import Path

from deploy.sandbox.world import Clock, ShownRecord, Store, World, record_page
from deploy.sandbox.world.tests.plums import CLIENT, Plums

PLUM = ShownRecord(
    type="Plum",
    id="plum-7",
    name="  <b>Victoria</b>\n plum ",
    values={"Colour": "<red> & 'blue'", "Empty": ""},
)


def test_the_page_is_marked_and_shows_the_record_as_text() -> None:
    answer = record_page("Plums", [PLUM])
    text = answer.content.decode()
    assert answer.status_code == 200
    assert '<span class="mark">Simulated</span>' in text
    assert "<h1>&lt;b&gt;Victoria&lt;/b&gt; plum</h1>" in text
    assert "<code>plum-7</code>" in text
    assert "<dt>Colour</dt><dd>&lt;red&gt; &amp; &#x27;blue&#x27;</dd>" in text
    assert "Empty" not in text
    assert "<b>" not in text


def test_several_records_at_one_address_are_all_shown() -> None:
    other = ShownRecord(type="Plum", id="plum-8", name="Mirabelle", values={})
    text = record_page("Plums", [PLUM, other]).content.decode()
    assert text.count("<h1>") == 2
    assert "Mirabelle" in text


def test_a_long_name_is_cut_and_its_policy_allows_no_script() -> None:
    answer = record_page("Plums", [ShownRecord(type="Plum", id="1", name="x" * 9000, values={})])
    assert f"<h1>{'x' * 299}…</h1>" in answer.content.decode()
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "script" not in headers["content-security-policy"]


def test_an_address_without_a_record_answers_404_with_a_page() -> None:
    answer = record_page("Plums", [])
    assert answer.status_code == 404
    assert "No such record" in answer.content.decode()


def test_live_rows_are_found_by_id_in_every_account_once_each(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "sandbox.db")) as store:
        world = World(Plums(), store, Clock(store), CLIENT)
        twin = world.add_account("Twin", 1, {"plums": 5})
        assert [row.id for row in world.live("plums", "plums-1-0")] == ["plums-1-0"]
        world.mutate(twin.id, "plums", create=0, update=["plums-1-0"], archive=["plums-1-1"])
        assert [row.body for row in world.live("plums", "plums-1-0")] == [
            {"n": 0},
            {"n": 0, "edited": 1},
        ]
        assert len(world.live("plums", "plums-1-1")) == 1
        assert world.live("plums", "plums-9-9") == []
