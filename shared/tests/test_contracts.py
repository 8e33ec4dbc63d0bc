"""Released messages decode for ever, and headers are CloudEvents 1.0 in binary mode.

There is a golden file for each type.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event

from shared.contracts import connections, items, jobs, progress, syncs
from shared.contracts.envelope import (
    Message,
    Undecodable,
    decode,
    event,
    new_id,
    timestamp,
    timestamp_of,
)
from shared.contracts.items import Item, ItemRef

GOLDEN = Path(__file__).parent / "golden"
KINDS: dict[str, Any] = {
    **connections.KINDS,
    **syncs.KINDS,
    **jobs.KINDS,
    **progress.KINDS,
    "Item": Item,
}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-01-31T09:30:08.123Z", "2026-01-31T09:30:08.123Z"),
        ("2026-01-31T09:30:08Z", "2026-01-31T09:30:08Z"),
        ("2026-01-31T09:30:08.123456789Z", "2026-01-31T09:30:08.123456789Z"),
        ("2026-01-31T10:30:08+01:00", "2026-01-31T09:30:08.000Z"),
        ("2026-01-31T09:30:08", None),
        ("2026-01-31", None),
        ("2026-02-30T09:30:08Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("", None),
        ("yesterday", None),
        (1_769_851_808_123, None),
        (None, None),
    ],
)
def test_a_providers_time_is_rfc_3339_in_utc_or_nothing(given: object, kept: str | None) -> None:
    assert items.provider_time(given) == kept


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_a_message_of_version_1_still_decodes_and_says_the_same(path: Path) -> None:
    kind = path.name.split(".")[0]
    _, body = decode(
        path.read_bytes(), [("ce_type", f"tributary.{kind}".encode())], {kind: KINDS[kind]}
    )
    written = msgspec.json.decode(msgspec.json.encode(body))
    assert says_all_of(msgspec.json.decode(path.read_bytes()), written)


def says_all_of(old: Any, new: Any) -> bool:
    """Return whether ``new`` is ``old``, with fields at most added, at any depth."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return bool(old == new)
    return old.keys() <= new.keys() and all(says_all_of(old[name], new[name]) for name in old)


def test_every_type_has_a_golden_file() -> None:
    shapes = {kind: shape.__name__ for kind, shape in KINDS.items()}
    golden = {shapes[path.name.split(".")[0]] for path in GOLDEN.glob("*.json")}
    assert golden == set(shapes.values())


def test_fields_of_a_newer_minor_version_are_ignored() -> None:
    raw = msgspec.json.encode({"job_id": "j", "dispatch": 1, "later": {"more": True}})
    assert decode(raw, [("ce_type", b"tributary.RunJob")], jobs.KINDS)[1].job_id == "j"


def test_a_newer_major_version_is_told_apart_from_an_unknown_type() -> None:
    for kind, code in (("RunJob.v2", "unsupported_version"), ("Nonsense", "unknown_type")):
        with pytest.raises(Undecodable) as refused:
            decode(b"{}", [("ce_type", f"tributary.{kind}".encode())], jobs.KINDS)
        assert refused.value.code == code


def test_times_as_text_sort_as_the_times_do() -> None:
    years = [datetime(year, 1, 1, tzinfo=UTC) for year in (1, 500, 1969, 1970, 2026, 9999)]
    written = [timestamp_of(moment) for moment in years]
    assert written == sorted(written)
    assert written[1] == "0500-01-01T00:00:00.000Z"
    assert written == [timestamp(moment.timestamp()) for moment in years]


def test_a_time_is_cut_to_milliseconds_in_utc() -> None:
    assert timestamp(0.9999) == "1970-01-01T00:00:00.999Z"
    late = datetime.fromisoformat("9999-12-31T23:59:59.999999+00:00")
    assert timestamp_of(late) == "9999-12-31T23:59:59.999Z"
    assert timestamp_of(datetime.fromisoformat("2026-01-01T01:30+02:00")) == (
        "2025-12-31T23:30:00.000Z"
    )


def as_cloudevent(message: Message) -> Any:
    headers = {
        name: value for name, value in message.headers if name.startswith(("ce_", "content-type"))
    }
    sent = KafkaMessage(headers=headers, key=message.key, value=message.value or b"null")
    return from_binary_event(sent)


def test_headers_are_cloudevents_in_binary_mode() -> None:
    body = jobs.RunJob(job_id="j", dispatch=3)
    told = as_cloudevent(
        event("tributary.jobs.v1", key="c/r", kind="RunJob", source="fetcher", body=body)
    )
    assert (told.get_type(), told.get_source(), told.get_subject()) == (
        "tributary.RunJob",
        "fetcher",
        "c/r",
    )
    assert told.get_data() == {"job_id": "j", "dispatch": 3}
    ref = ItemRef(connection_id="c", resource="r", id="1")
    gone = as_cloudevent(
        items.deletion(ref, org_id="o", generation=1, version=7, reason="not_visible")
    )
    assert (gone.get_type(), gone.get_subject()) == ("tributary.ItemDeleted", "c/r/1")


def test_the_id_of_an_item_event_is_the_same_for_the_same_version() -> None:
    ref = ItemRef(connection_id="c", resource="r", id="1")
    ids = [
        dict(
            items.deletion(
                ref, org_id="o", generation=1, version=version, reason="not_visible"
            ).headers
        )["ce_id"]
        for version in (1, 1, 2)
    ]
    assert ids[0] == ids[1] != ids[2]


def test_new_ids_sort_by_the_time_they_were_made() -> None:
    made = [new_id() for _ in range(3)]
    assert all(id_[12] == "7" and len(id_) == 32 for id_ in made)
