"""Operators list, inspect and replay what could not be processed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zlib import crc32

import msgspec
import pytest
from sqlalchemy import update

from services.gateway.dead_letters.command import main
from services.gateway.dead_letters.context import DeadLetterContext
from services.gateway.dead_letters.dead_letter import SOURCES
from services.gateway.dead_letters.listing import list_dead_letters, show_dead_letter
from services.gateway.dead_letters.replay import replay_dead_letter
from services.gateway.http.asyncapi import asyncapi_document
from services.gateway.security.keys import create_key
from services.gateway.tables import replays
from services.gateway.tests.fake_auth import FakeAuth
from services.gateway.tests.serving import (
    SECRET,
    Gateway,
    item,
    read_topic,
    running_broker,
    running_gateway,
)
from shared.contracts.envelope import Message
from shared.contracts.topics import CONNECTIONS, ITEMS, SYNCS, dead_letters
from shared.db import Database
from shared.errors import NotFound
from shared.kafka import ConsumedRecord, DeadLetterLimit, Producer, log_ids
from shared.kafka.dead_letters import DeadLetters
from shared.settings import Cluster
from tests.support.waiting import next_millisecond, until

URL = "/v1/dead-letters"


def record(
    n: int, *, topic: str = SYNCS, value: bytes | None = b"{", org: bytes | None = None
) -> ConsumedRecord:
    headers = (
        ("ce_type", b"tributary.Odd"),
        *((("org_id", org),) if org else ()),
        ("bin", b"\xff"),
    )
    return ConsumedRecord(topic, n % 4, n, f"k{n}".encode(), value, headers)


async def keep(producer: Producer, *letters: ConsumedRecord, service: str = "fetcher") -> None:
    for one in letters:
        await DeadLetters(producer, service=service).publish(one, ValueError("cannot"), attempts=3)


async def keep_record(producer: Producer, *, org: bytes = b"demo") -> None:
    """Keep a record as the fetcher keeps one of a page that it could not read."""
    headers = (
        ("dlq_error", b"malformed_record: no id"),
        ("dlq_pointer", b"/results/3"),
        ("dlq_service", b"fetcher"),
        ("dlq_bytes", b"9"),
        ("org_id", org),
    )
    await producer.send_all(
        [Message(topic=dead_letters(ITEMS), key=b"lane", value=b'{"a": 1}', headers=headers)]
    )


async def listed(gateway: Gateway, **query: Any) -> list[dict[str, Any]]:
    """Return the dead letters of all pages."""
    found: list[dict[str, Any]] = []
    while True:
        answer = await gateway.http.get(URL, params=query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["dead_letters"]
        if page["next_page_token"] is None:
            return found
        query["page_token"] = page["next_page_token"]


async def test_letters_are_listed_newest_first_without_what_they_hold(gateway: Gateway) -> None:
    assert await listed(gateway) == []
    for n in range(12):
        await keep(
            gateway.producer, record(n, value=b"{customer", topic=(SYNCS, CONNECTIONS)[n % 2])
        )
        await next_millisecond()  # Kafka's clock has no finer ones
    pages = await listed(gateway, page_size=5)
    assert [one["offset"] for one in pages] == list(range(11, -1, -1))
    assert pages == await listed(gateway)
    newest = pages[0]
    assert newest["topic"] == CONNECTIONS
    assert (newest["partition"], newest["key"], newest["service"], newest["attempts"]) == (
        3,
        "k11",
        "fetcher",
        3,
    )
    assert (newest["error"], newest["bytes"], newest["org_id"]) == ("ValueError: cannot", 9, None)
    assert (newest["replayable"], newest["replayed_at"]) == (True, None)
    assert "customer" not in str(pages)


async def test_a_letter_is_kept_with_the_documented_headers(gateway: Gateway) -> None:
    await keep(gateway.producer, record(1))
    kafka, topic = gateway.settings.kafka.bootstrap, dead_letters(SYNCS)
    (letter,) = await read_topic(kafka, topic, key="k1", count=1)
    (shown,) = asyncapi_document()["components"]["messages"]["DeadLetter"]["examples"]
    assert {name for name, _ in letter.headers if name.startswith("dlq_")} == set(shown["headers"])


async def test_letters_are_filtered_by_topic_and_service(gateway: Gateway) -> None:
    for n in range(30):
        await keep(gateway.producer, record(n), service="gateway" if n % 10 == 0 else "fetcher")
    await keep(gateway.producer, record(99, topic=CONNECTIONS))
    assert [one["offset"] for one in await listed(gateway, topic=CONNECTIONS)] == [99]
    found = await listed(gateway, service="gateway", page_size=2)
    assert sorted(one["offset"] for one in found) == [0, 10, 20]
    assert len(await listed(gateway, topic=SYNCS)) == 30
    unknown = await gateway.http.get(URL, params={"topic": "other"})
    assert (unknown.status_code, unknown.json()["code"]) == (400, "unknown_topic")
    (error,) = unknown.json()["errors"]
    assert error["parameter"] == "topic"
    stranger = await gateway.http.get(URL, params={"service": "null"})
    assert (stranger.status_code, stranger.json()["errors"][0]["parameter"]) == (400, "service")
    assert error["detail"].startswith("`other` is not a topic with dead letters. Known: ")


async def test_a_page_token_belongs_to_its_filters_and_new_letters_do_not_move_the_others(
    gateway: Gateway,
) -> None:
    await keep(gateway.producer, *[record(n) for n in range(4)])
    page = (await gateway.http.get(URL, params={"page_size": 2})).json()
    await keep(gateway.producer, *[record(n) for n in range(4, 12)])
    rest = (await gateway.http.get(URL, params={"page_token": page["next_page_token"]})).json()
    ids = [one["id"] for one in [*page["dead_letters"], *rest["dead_letters"]]]
    assert len(ids) == len(set(ids)) == 4
    other = await gateway.http.get(
        URL, params={"page_token": page["next_page_token"], "service": "auth"}
    )
    assert (other.status_code, other.json()["code"]) == (400, "bad_token")


async def test_a_letter_shows_its_original_headers_and_bytes(gateway: Gateway) -> None:
    await keep(gateway.producer, record(0, value='{"é": 1}'.encode()), record(1, value=b"\xff\x00"))
    await keep(gateway.producer, record(2, value=None))
    seen = {}
    for one in await listed(gateway):
        answer = await gateway.http.get(f"{URL}/{one['id']}")
        assert answer.json() | one == answer.json()
        assert quote(one["id"], safe="") == one["id"]
        seen[one["offset"]] = answer.json()
    assert (seen[0]["value"], seen[0]["encoding"]) == ('{"é": 1}', "utf-8")
    assert (seen[1]["value"], seen[1]["encoding"]) == ("/wA=", "base64")
    assert (seen[2]["value"], seen[2]["encoding"], seen[2]["bytes"]) == (None, None, 0)
    assert seen[0]["headers"] == [
        {"name": "ce_type", "value": "tributary.Odd", "encoding": "utf-8"},
        {"name": "bin", "value": "/w==", "encoding": "base64"},
    ]


@pytest.mark.parametrize(
    "id_",
    [
        "nothing",
        f"{dead_letters(SYNCS)}~0~0",
        f"{dead_letters(SYNCS)}~99~0",
        f"{SYNCS}~0~0",
        f"{dead_letters(SYNCS)}~00~0",
        f"{dead_letters(SYNCS)}~0~{10**18 - 1}",
    ],
)
async def test_what_names_no_letter_is_not_found(gateway: Gateway, id_: str) -> None:
    shown = await gateway.http.get(f"{URL}/{id_}")
    replayed = await gateway.http.post(f"{URL}/{id_}/replay")
    assert [answer.status_code for answer in (shown, replayed)] == [404, 404]


async def test_R6_a_replay_puts_the_original_back_once_on_the_partition_it_came_from(
    gateway: Gateway,
) -> None:
    sent = Message(
        topic=ITEMS,
        key=b"c/pages/p1",
        value=b"\xffraw",
        headers=(("version", b"1"), ("dlq_replay", b"x")),
    )
    ((partition, offset),) = (await gateway.producer.send_all([sent])).items()
    (letter,) = await eventually_listed(gateway, 1)
    assert (letter["partition"], letter["offset"], letter["service"]) == (
        partition,
        offset,
        "gateway",
    )
    answers = [await gateway.http.post(f"{URL}/{letter['id']}/replay") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.text for answer in answers}) == 1
    assert (answers[0].json()["topic"], answers[0].json()["partition"]) == (ITEMS, partition)
    first, again = await read_topic(
        gateway.settings.kafka.bootstrap, ITEMS, key="c/pages/p1", count=2
    )
    assert (again.partition, again.offset) == (first.partition, answers[0].json()["offset"])
    assert (again.key, again.value) == (sent.key, sent.value)
    assert again.headers == (("version", b"1"), ("dlq_replay", letter["id"].encode()))
    # It fails again, which makes another dead letter; that one has not been replayed.
    newer, older = await eventually_listed(gateway, 2)
    assert (older["replayed_at"], newer["replayed_at"]) == (answers[0].json()["replayed_at"], None)
    assert (newer["offset"], older["id"]) == (again.offset, letter["id"])


async def eventually_listed(gateway: Gateway, count: int) -> list[dict[str, Any]]:
    async def found() -> list[dict[str, Any]]:
        letters = await listed(gateway)
        return letters if len(letters) >= count else []

    letters: list[dict[str, Any]] = await until(found)
    return letters


async def test_a_record_of_a_page_is_no_message_and_says_to_load_again(gateway: Gateway) -> None:
    await keep_record(gateway.producer)
    (letter,) = await listed(gateway)
    assert (letter["pointer"], letter["offset"], letter["replayable"], letter["bytes"]) == (
        "/results/3",
        None,
        False,
        9,
    )
    answer = await gateway.http.post(f"{URL}/{letter['id']}/replay")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_replayable")
    assert "Sync the connection again" in answer.json()["detail"]


async def test_a_letter_that_was_cut_is_not_replayed(gateway: Gateway) -> None:
    await keep(gateway.producer, msgspec.structs.replace(record(0), value=b"v" * 1_048_000))
    (letter,) = await listed(gateway)
    assert (letter["bytes"], letter["replayable"]) == (1_048_000, False)
    answer = await gateway.http.post(f"{URL}/{letter['id']}/replay")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_replayable")


async def test_a_letter_that_names_another_topic_than_its_own_is_not_replayed_there(
    gateway: Gateway,
) -> None:
    headers = (("dlq_topic", CONNECTIONS.encode()), ("dlq_partition", b"0"), ("dlq_offset", b"0"))
    await gateway.producer.send_all(
        [Message(topic=dead_letters(SYNCS), key=b"k", value=b"v", headers=headers)]
    )
    (letter,) = await listed(gateway)
    assert letter["service"] is None
    assert (await gateway.http.post(f"{URL}/{letter['id']}/replay")).status_code == 409


async def test_headers_that_look_like_ours_belong_to_the_message(gateway: Gateway) -> None:
    invented = (
        ("dlq_topic", CONNECTIONS.encode()),
        ("dlq_offset", b"5"),
        ("dlq_error", b"invented"),
        ("x", b"y"),
    )
    await keep(gateway.producer, ConsumedRecord(SYNCS, 0, 7, b"k", b"v", invented))
    (letter,) = await listed(gateway)
    assert (letter["topic"], letter["offset"], letter["error"]) == (SYNCS, 7, "ValueError: cannot")
    shown = (await gateway.http.get(f"{URL}/{letter['id']}")).json()
    assert [(one["name"], one["value"].encode()) for one in shown["headers"]] == list(invented)


async def test_a_crash_between_sending_and_recording_costs_one_more_copy_and_no_second_answer(
    gateway: Gateway,
) -> None:
    connection = await gateway.connect("notion")
    await gateway.publish(connection, "pages", [{"id": "p", "name": "new"}], version=9)
    await gateway.until(f"/v1/items/{connection.id}/pages/p", lambda one: one.get("version") == 9)
    old = item(connection, "pages", version=3, id="p", name="old")
    await keep(gateway.producer, ConsumedRecord(ITEMS, 0, 0, old.key, old.value, old.headers))
    (letter,) = await listed(gateway)
    assert letter["org_id"] == "demo"
    first = (await gateway.http.post(f"{URL}/{letter['id']}/replay")).json()
    await unrecord(gateway, begun_at=0.0)
    second = (await gateway.http.post(f"{URL}/{letter['id']}/replay")).json()
    assert second["offset"] == first["offset"] + 1
    await gateway.publish(connection, "pages", [{"id": "p", "name": "newest"}], version=10)
    shown = await gateway.until(
        f"/v1/items/{connection.id}/pages/p", lambda one: one["version"] == 10
    )
    assert shown["name"] == "newest"


async def test_two_replays_at_once_send_one_copy(gateway: Gateway) -> None:
    await keep(gateway.producer, record(0, topic=CONNECTIONS))
    (letter,) = await listed(gateway)
    answers = await asyncio.gather(
        *(gateway.http.post(f"{URL}/{letter['id']}/replay") for _ in range(8))
    )
    codes = {(answer.status_code, answer.json().get("code")) for answer in answers}
    assert (200, None) in codes
    assert codes <= {(200, None), (409, "replay_running")}
    again = await gateway.http.post(f"{URL}/{letter['id']}/replay")
    first = next(answer for answer in answers if answer.status_code == 200)
    assert again.json() == first.json()
    assert (
        len(await eventually_listed(gateway, 2)) == 2
    )  # the gateway cannot read the copy either: one more dead letter


async def unrecord(gateway: Gateway, *, begun_at: float) -> None:
    """Act as if the process had died before it recorded that the message was sent."""
    assert isinstance(gateway.settings.database, Path)
    database = Database(gateway.settings.database)
    async with database.write() as db:
        await db.execute(
            update(replays).values(begun_at=begun_at, sent_at=None, partition=None, offset=None)
        )
    await database.close()


async def test_an_organisation_sees_only_letters_that_name_it(tmp_path: Path) -> None:
    async with running_broker(tmp_path) as (bootstrap, producer):
        await keep(producer, record(0, org=b"acme"), record(1, org=b"other"), record(2))
        await keep_record(producer, org=b"acme")
        database = Database(tmp_path / "gateway.sqlite3")
        await database.migrate("services.gateway:migrations")
        cluster = Cluster(bootstrap=bootstrap)
        everyone = DeadLetterContext(
            kafka=cluster, database=database, log_ids=await log_ids(cluster, list(SOURCES))
        )
        acme = DeadLetterContext(
            kafka=cluster, database=database, log_ids=everyone.log_ids, org="acme"
        )
        try:
            all_ = (await list_dead_letters(limit=50, context=everyone)).letters
            own = (await list_dead_letters(limit=50, context=acme)).letters
            assert (len(all_), {one.org_id for one in own}, len(own)) == (4, {"acme"}, 2)
            for one in all_:
                for verb in (show_dead_letter, replay_dead_letter):
                    if one.org_id != "acme":
                        with pytest.raises(NotFound) as refused:
                            await verb(one.id, context=acme)
                        assert "no such dead letter" in refused.value.detail
            assert (await show_dead_letter(own[0].id, context=acme)).org_id == "acme"
        finally:
            await database.close()


async def test_a_stopped_consumer_turns_readiness_red_and_says_what_to_do_while_the_others_go_on(
    gateway: Gateway,
) -> None:
    connection = await gateway.connect("notion")
    bad = Message(topic=ITEMS, key=b"c/pages/p", value=b"{", headers=())
    await gateway.producer.send_all([bad] * (DeadLetterLimit().run + 10))
    ready = await gateway.until("/health/ready", lambda found: found["status"] == "not ready")
    assert list(ready["waiting_for"]) == [ITEMS]
    assert "stopped at the dead-letter limit: 50 messages in a row" in ready["waiting_for"][ITEMS]
    assert f"dead-letters list --topic {ITEMS}" in ready["waiting_for"][ITEMS]
    assert (await gateway.http.get("/health/ready")).status_code == 503
    assert len(await listed(gateway, topic=ITEMS)) == DeadLetterLimit().run
    assert connection.sync_id
    await gateway.progress(
        connection.sync_id, connection, "pages", step=1, state="running", pages=3
    )
    await gateway.until(
        f"/v1/syncs/{connection.sync_id}",
        lambda sync: any(row["pages"] == 3 for row in sync["resources"]),
    )


async def test_with_api_keys_only_an_admin_sees_letters_and_only_their_organisations_own(
    tmp_path: Path,
) -> None:
    async with (
        running_broker(tmp_path) as (bootstrap, producer),
        running_gateway(
            tmp_path, bootstrap, producer, FakeAuth(SECRET), keys_required=True
        ) as gateway,
    ):
        await keep(producer, record(0, org=b"acme"), record(1, org=b"other"), record(2))
        database = Database(tmp_path / "gateway.sqlite3")
        keys = {
            scope: await create_key(org="acme", scope=scope, database=database)
            for scope in ("write", "admin")
        }
        await database.close()
        may, may_not = (
            {"authorization": f"Bearer {keys[scope].written.reveal()}"}
            for scope in ("admin", "write")
        )
        assert (await gateway.http.get(URL)).status_code == 401
        assert (await gateway.http.get(URL, headers=may_not)).status_code == 403
        (own,) = (await gateway.http.get(URL, headers=may)).json()["dead_letters"]
        assert own["org_id"] == "acme"
        theirs = f"{dead_letters(SYNCS)}~{crc32(b'k1') % 4}~0"
        for id_, status in ((own["id"], 200), (theirs, 404), (f"{dead_letters(SYNCS)}~0~77", 404)):
            assert (await gateway.http.get(f"{URL}/{id_}", headers=may)).status_code == status
            assert (
                await gateway.http.post(f"{URL}/{id_}/replay", headers=may)
            ).status_code == status
            assert (
                await gateway.http.post(f"{URL}/{id_}/replay", headers=may_not)
            ).status_code == 403


async def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    capsys.readouterr()
    code = await asyncio.to_thread(main, words)
    shown = capsys.readouterr()
    return code, shown.out, shown.err


async def show_and_replay(
    command: Callable[..., Awaitable[tuple[int, str, str]]], id_: str
) -> None:
    code, out, _ = await command("show", id_)
    assert code == 0
    assert out.endswith("\n\n{secret\n")
    code, first, _ = await command("replay", id_)
    assert (code, f"replayed to {CONNECTIONS}, partition" in first) == (0, True)
    assert (await command("replay", id_))[:2] == (0, first)


async def test_the_command_lists_shows_and_replays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_broker(tmp_path) as (bootstrap, producer):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS", bootstrap)
        monkeypatch.setenv("TRIBUTARY_DATA_DIR", str(tmp_path))

        async def command(*words: str) -> tuple[int, str, str]:
            return await run(monkeypatch, capsys, *words)

        assert await command("list") == (0, "There are no dead letters.\n", "")
        await keep(producer, *[record(n, value=b"{secret", topic=CONNECTIONS) for n in range(5)])
        await keep_record(producer)
        code, out, err = await command("list", "--topic", CONNECTIONS, "--limit", "3")
        assert (code, len(out.splitlines()), "There are more" in err) == (0, 4, True)
        assert out.splitlines()[0].split() == [
            "id",
            "stored",
            "service",
            "tries",
            "bytes",
            "replayed",
            "key",
            "error",
        ]
        assert "ValueError: cannot" in out
        assert "secret" not in out
        id_ = out.splitlines()[1].split()[0]

        await show_and_replay(command, id_)
        code, out, err = await command("replay", "--topic", CONNECTIONS, "--all")
        assert (code, len(out.splitlines())) == (0, 4)
        assert "4 replayed, 0 failed, 1 skipped." in err
        assert (await command("replay", "--topic", CONNECTIONS, "--all"))[1] == ""
        assert (await command("show", "nothing"))[0] == 1
        assert (await command("replay", "--all"))[0] == 2
        _, out, _ = await command("list", "--topic", ITEMS)
        code, _, err = await command("replay", out.splitlines()[1].split()[0])
        assert (code, "Sync the connection again" in err) == (1, True)


async def test_replaying_all_keeps_the_order_of_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_broker(tmp_path) as (bootstrap, producer):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS", bootstrap)
        monkeypatch.setenv("TRIBUTARY_DATA_DIR", str(tmp_path))
        values: Sequence[bytes] = [str(n).encode() for n in range(6)]
        await keep(
            producer,
            *[ConsumedRecord(SYNCS, 0, n, b"one key", value, ()) for n, value in enumerate(values)],
        )
        assert (await run(monkeypatch, capsys, "replay", "--topic", SYNCS, "--all"))[0] == 0
        assert [
            one.value for one in await read_topic(bootstrap, SYNCS, key="one key", count=6)
        ] == values


async def test_while_kafka_is_away_it_says_so(tmp_path: Path) -> None:
    async with running_broker(tmp_path) as (bootstrap, producer):
        async with running_gateway(tmp_path, bootstrap, producer, FakeAuth(SECRET)) as gateway:
            settings = gateway.settings
        database = Database(tmp_path / "gateway.sqlite3")
    nowhere = DeadLetterContext(kafka=settings.kafka, database=database, log_ids={})
    try:
        with pytest.raises(Exception, match="Kafka does not answer"):
            await list_dead_letters(limit=5, context=nowhere)
    finally:
        await database.close()
