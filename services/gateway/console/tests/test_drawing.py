"""Words, shares and coloured JSON, without a page around them."""

from services.gateway.console.cards import shares
from services.gateway.console.formatting import ago, clock, day, initials, plural
from services.gateway.console.items import INVISIBLE, pieces


def test_a_share_bar_is_filled_and_shows_even_the_smallest_part() -> None:
    drawn = shares([("a", 1), ("b", 0), ("c", 99_999)])
    assert [(one.label, one.tone) for one in drawn] == [("a", 0), ("c", 2)]
    assert drawn[0].width > 1
    assert abs(drawn[-1].x + drawn[-1].width - 100) < 0.1
    assert shares([("a", 0)]) == ()


def test_times_are_told_as_people_do() -> None:
    now = 1_800_000_000.0
    assert ago(now + 5, now).text == "just now"
    assert ago(now - 120, now).text == "2 min ago"
    assert ago(now - 7_200, now).text == "2 h ago"
    assert ago(now - 200_000, now).text == "13 Jan 2027"


def test_a_time_that_is_none_is_left_out() -> None:
    assert clock("soon") is None
    assert day("2026-13-45") is None
    assert day(None) is None
    found = day("2026-03-01T23:30:00-02:00")
    assert found is not None
    assert (found.text, found.iso) == ("2 Mar 2026", "2026-03-02T01:30:00Z")


def test_unusual_times_are_told_too() -> None:
    found = day("0500-01-01T00:00:00Z")
    assert found is not None
    assert found.iso == "0500-01-01T00:00:00Z"
    assert day("2026-03-01t23:30:00.123456789z") == day("2026-03-01T23:30:00Z")
    assert day("0001-01-01T00:00:00+01:00") is None
    assert clock("9999-12-31T23:30:00-01:00") is None


def test_numbers_and_marks() -> None:
    assert [plural(n, "item") for n in (0, 1, 1200)] == ["0 items", "1 item", "1,200 items"]
    assert [initials(name) for name in ("HubSpot", "Notion", "x", "")] == ["HS", "No", "x", "?"]


def test_coloured_json_is_the_same_text() -> None:
    raw = b'{"a b": [1, -2.5e3, true, null, "x\\"y: \\\\", {}], "n": "null", "t": "\\u202e"}'
    found = pieces(raw)
    assert [one.text for one in found if one.kind == "name"] == ['"a b"', '"n"', '"t"']
    assert [one.text for one in found if one.kind == "number"] == ["1", "-2.5e3"[:2] + "500.0"]
    assert [one.text for one in found if one.kind == "word"] == ["true", "null"]
    text = "".join(one.text for one in found)
    assert '"null"' in text
    assert not INVISIBLE.search(text)


def test_json_that_is_none_is_shown_as_it_came() -> None:
    assert "".join(one.text for one in pieces(b"\xff{not json")) == "\ufffd{not json"
    assert "".join(one.text for one in pieces(b"[" * 100_000))[:3] == "[[["


def test_very_long_json_is_not_coloured() -> None:
    assert len(pieces(b'"' + b"x" * 300_000 + b'"')) == 1
