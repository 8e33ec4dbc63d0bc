"""The membership protocol by itself, with members that do exactly what the test says."""

import asyncio
from pathlib import Path

import pytest

from deploy.localkafka.errors import Code, Refused
from deploy.localkafka.group import Group, State
from deploy.localkafka.groups import Groups
from deploy.localkafka.member import Joined, Joining
from deploy.localkafka.offsets import Position
from tests.support.waiting import PATIENCE_S, turns


def joining(name: str = "a", member_id: str = "", **changes: object) -> Joining:
    plain = Joining(
        member_id=member_id,
        instance_id=None,
        client_id=name,
        client_host="",
        session_timeout=60,
        rebalance_timeout=60,
        protocol_type="consumer",
        protocols={"range": b"topics"},
    )
    return Joining(**plain._asdict() | changes)


async def assign(group: Group, *members: Joined) -> list[bytes]:
    """Let all members sync; the leader assigns each its own id."""
    deal = {item.member_id: item.member_id.encode() for item in members}
    syncing = []
    for item in members:
        sent = deal if item.member_id == item.leader else {}
        syncing.append(group.sync(item.member_id, item.generation, sent))
    return await asyncio.gather(*syncing)


async def together(group: Group, *wanted: Joining) -> list[Joined]:
    return await asyncio.wait_for(
        asyncio.gather(*(group.join(item) for item in wanted)), PATIENCE_S
    )


def code(error: pytest.ExceptionInfo[Refused]) -> Code:
    return error.value.code


async def test_members_that_start_together_share_the_first_generation() -> None:
    group = Group("g")
    first, second = await together(group, joining("a"), joining("b"))
    assert (first.generation, second.generation) == (1, 1)
    assert {item[0] for item in first.members} == {first.member_id, second.member_id}
    assert second.members == []
    assert await assign(group, first, second) == [
        first.member_id.encode(),
        second.member_id.encode(),
    ]
    assert group.state is State.STABLE
    group.close()


async def test_a_newcomer_makes_everyone_join_again() -> None:
    group = Group("g")
    (first,) = await together(group, joining("a"))
    await assign(group, first)
    newcomer = asyncio.create_task(group.join(joining("b")))
    await turns()
    with pytest.raises(Refused) as caught:
        group.heartbeat(first.member_id, 1)
    assert code(caught) is Code.REBALANCE_IN_PROGRESS
    again = await group.join(joining("a", first.member_id))
    assert (await newcomer).generation == again.generation == 2
    assert again.leader == first.member_id
    with pytest.raises(Refused) as caught:
        group.heartbeat(first.member_id, 1)
    assert code(caught) is Code.ILLEGAL_GENERATION
    group.close()


async def test_a_silent_member_is_removed_after_its_session_timeout() -> None:
    group = Group("g")
    first, second = await together(group, joining("a", session_timeout=0.05), joining("b"))
    await assign(group, first, second)
    other_topics = joining("b", second.member_id, protocols={"range": b"other topics"})
    again = await asyncio.wait_for(group.join(other_topics), PATIENCE_S)
    assert [item[0] for item in again.members] == [second.member_id]
    with pytest.raises(Refused) as caught:
        group.heartbeat(first.member_id, 1)
    assert code(caught) is Code.UNKNOWN_MEMBER_ID
    group.close()


async def test_a_member_that_misses_a_rebalance_is_left_behind() -> None:
    group = Group("g")
    (first,) = await together(group, joining("a", rebalance_timeout=0.05))
    await assign(group, first)
    newcomer = await asyncio.wait_for(group.join(joining("b", rebalance_timeout=0.05)), PATIENCE_S)
    assert list(group.members) == [newcomer.member_id]
    group.close()


async def test_leaving_hands_the_partitions_over_at_once() -> None:
    group = Group("g")
    first, second = await together(group, joining("a"), joining("b"))
    await assign(group, first, second)
    group.leave(first.member_id)
    again = await asyncio.wait_for(group.join(joining("b", second.member_id)), PATIENCE_S)
    assert again.leader == second.member_id
    group.leave(second.member_id)
    assert (group.state, group.members) == (State.EMPTY, {})
    group.close()


async def test_a_member_whose_connection_breaks_while_it_joins_holds_nobody_up() -> None:
    group = Group("g")
    gone = asyncio.create_task(group.join(joining("a")))
    await turns()
    gone.cancel()
    await asyncio.wait([gone])
    (member,) = await together(group, joining("b"))
    assert list(group.members) == [member.member_id]
    group.close()


async def test_a_static_member_that_restarts_keeps_its_assignment_without_a_rebalance() -> None:
    group = Group("g")
    first, second = await together(
        group, joining("a", instance_id="one"), joining("b", instance_id="two")
    )
    await assign(group, first, second)
    for former in (first, second):
        instance = "one" if former is first else "two"
        back = await asyncio.wait_for(group.join(joining("x", instance_id=instance)), PATIENCE_S)
        assert (back.generation, back.members, back.member_id == former.member_id) == (1, [], False)
        assert await group.sync(back.member_id, 1, {}) == former.member_id.encode()
        with pytest.raises(Refused) as caught:
            await group.join(joining("x", former.member_id, instance_id=instance))
        assert code(caught) is Code.FENCED_INSTANCE_ID
    assert group.roster.leader in group.members
    group.close()


async def test_a_leader_that_joins_again_deals_the_partitions_anew() -> None:
    group = Group("g")
    (first,) = await together(group, joining("a"))
    await assign(group, first)
    again = await asyncio.wait_for(group.join(joining("a", first.member_id)), PATIENCE_S)
    assert (again.generation, len(again.members)) == (2, 1)
    group.close()


async def test_members_need_a_strategy_in_common() -> None:
    group = Group("g")
    first, _ = await together(
        group,
        joining("a", protocols={"x": b"", "y": b""}),
        joining("b", protocols={"y": b"", "z": b""}),
    )
    assert first.protocol == "y"
    with pytest.raises(Refused) as caught:
        await group.join(joining("c", protocols={"x": b"", "z": b""}))
    assert code(caught) is Code.INCONSISTENT_GROUP_PROTOCOL
    group.close()


async def test_only_members_commit_while_there_are_members() -> None:
    group = Group("g")
    group.check_commit("", -1)
    (first,) = await together(group, joining("a"))
    with pytest.raises(Refused) as caught:
        group.check_commit(first.member_id, first.generation)
    assert code(caught) is Code.REBALANCE_IN_PROGRESS
    await assign(group, first)
    group.check_commit(first.member_id, first.generation)
    for member, generation in (("", -1), ("stranger", 1)):
        with pytest.raises(Refused) as caught:
            group.check_commit(member, generation)
        assert code(caught) is Code.UNKNOWN_MEMBER_ID
    group.close()


def test_committed_offsets_are_read_back_without_the_torn_last_line(tmp_path: Path) -> None:
    groups = Groups(tmp_path)
    for offset in range(3):
        groups.offsets.commit(
            "g", {("t", 0): Position(offset, "note"), ("t", 1): Position(offset * 2, "")}
        )
    groups.close()
    with (tmp_path / "offsets.jsonl").open("ab") as file:
        file.write(b'["g",[["t",0,9')
    groups = Groups(tmp_path)
    assert groups.offsets.of("g") == {("t", 0): Position(2, "note"), ("t", 1): Position(4, "")}
    assert len((tmp_path / "offsets.jsonl").read_bytes().splitlines()) == 1
    groups.close()
