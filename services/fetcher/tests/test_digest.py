from msgspec.structs import replace

from services.fetcher.emit import content_digest
from shared.connector import Record

APPLE = Record(
    id="1",
    name="Apple",
    raw={"n": 1, "seen": "today"},
    content={"n": 1},
    parent_id="tree",
    url="https://orchard.example/1",
    created_at="2026-01-01T00:00:00Z",
    modified_at="2026-01-02T00:00:00Z",
)


def test_what_is_no_content_of_the_record_changes_no_digest() -> None:
    assert content_digest(replace(APPLE, raw={"seen": "tomorrow", "n": 1})) == content_digest(APPLE)


def test_neither_does_where_it_belongs_nor_what_was_odd_about_it() -> None:
    moved = replace(APPLE, part="p", replaces=("0",), odd=("parent",))
    assert content_digest(moved) == content_digest(APPLE)


def test_every_other_change_changes_the_digest() -> None:
    changed = [
        replace(APPLE, id="2"),
        replace(APPLE, name="Pear"),
        replace(APPLE, content={"n": 2}),
        replace(APPLE, parent_id=None),
        replace(APPLE, url=None),
        replace(APPLE, created_at=None),
        replace(APPLE, modified_at=None),
        replace(APPLE, truncated=("n",)),
    ]
    assert len({content_digest(APPLE), *map(content_digest, changed)}) == len(changed) + 1


def test_where_nothing_else_is_said_all_of_raw_is_content_in_any_order() -> None:
    plain = replace(APPLE, content=None)
    assert content_digest(replace(plain, raw={"seen": "today", "n": 1})) == content_digest(plain)
    assert content_digest(replace(plain, raw={"n": 1, "seen": "tomorrow"})) != content_digest(plain)


def test_no_release_changes_the_digest_of_an_item_that_is_the_same() -> None:
    """Otherwise the first sync after an upgrade would send every item again."""
    assert content_digest(APPLE).hex() == "9494c4c84599969cf190f1c73e25923a"
