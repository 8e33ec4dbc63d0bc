"""Answer for consumer groups: coordinator, membership, committed offsets."""

from typing import Any, Final

from deploy.localkafka.errors import Code, Refused
from deploy.localkafka.group import Group
from deploy.localkafka.member import Joining
from deploy.localkafka.node import NODE_ID, Client, Node
from deploy.localkafka.offsets import Position
from deploy.localkafka.wire import Fields, each_partition

_LONGEST_SESSION_MS: Final = 30 * 60 * 1000
_LONGEST_METADATA: Final = 4096
_NO_GENERATION: Final = -1
_GROUP_COORDINATOR: Final = 0


async def find_coordinator(node: Node, _: Client, request: Fields) -> Fields:
    kind = request.get("coordinator_type", _GROUP_COORDINATOR)
    code = Code.NONE if kind == _GROUP_COORDINATOR else Code.INVALID_REQUEST
    message = None if kind == _GROUP_COORDINATOR else "transactions are not supported"
    answer = {"throttle_time_ms": 0, "error_code": code, "error_message": message}
    return answer | {"coordinator_id": NODE_ID, "host": node.host, "port": node.port}


async def join_group(node: Node, client: Client, request: Fields) -> Fields:
    try:
        joined = await node.groups.get(request["group"]).join(_joining(client, request))
    except Refused as refused:
        return _not_joined(refused.code, request["member_id"])
    return {
        "throttle_time_ms": 0,
        "error_code": Code.NONE,
        "generation_id": joined.generation,
        "group_protocol": joined.protocol,
        "leader_id": joined.leader,
        "member_id": joined.member_id,
        "members": [
            {"member_id": member, "group_instance_id": instance, "member_metadata": metadata}
            for member, instance, metadata in joined.members
        ],
    }


async def sync_group(node: Node, _: Client, request: Fields) -> Fields:
    assignments = {
        item["member_id"]: item["member_metadata"] for item in request["group_assignment"]
    }
    try:
        group = node.groups.get(request["group"])
        assignment = await group.sync(request["member_id"], request["generation_id"], assignments)
    except Refused as refused:
        return {"throttle_time_ms": 0, "error_code": refused.code, "member_assignment": b""}
    return {"throttle_time_ms": 0, "error_code": Code.NONE, "member_assignment": assignment}


async def heartbeat(node: Node, _: Client, request: Fields) -> Fields:
    try:
        node.groups.get(request["group"]).heartbeat(request["member_id"], request["generation_id"])
    except Refused as refused:
        return {"throttle_time_ms": 0, "error_code": refused.code}
    return {"throttle_time_ms": 0, "error_code": Code.NONE}


async def leave_group(node: Node, _: Client, request: Fields) -> Fields:
    try:
        node.groups.get(request["group"]).leave(request["member_id"])
    except Refused as refused:
        return {"throttle_time_ms": 0, "error_code": refused.code}
    return {"throttle_time_ms": 0, "error_code": Code.NONE}


async def offset_commit(node: Node, _: Client, request: Fields) -> Fields:
    code, name = Code.NONE, request["group"]
    try:
        node.groups.get(name).check_commit(
            request["member_id"], request["consumer_group_generation_id"]
        )
    except Refused as refused:
        code = refused.code
    accepted: dict[tuple[str, int], Position] = {}

    def accept(topic: str, part: Fields) -> Fields:
        return _accept(node, topic, part, accepted)

    topics = each_partition(request, accept)
    if code is Code.NONE and accepted:
        node.groups.offsets.commit(name, accepted)
    elif code is not Code.NONE:
        for topic in topics:
            topic["partitions"] = [part | {"error_code": code} for part in topic["partitions"]]
    return {"throttle_time_ms": 0, "topics": topics}


async def offset_fetch(node: Node, _: Client, request: Fields) -> Fields:
    committed = node.groups.offsets.of(request["group"])
    wanted: dict[str, list[int]] = {}
    if request["topics"] is None:
        for topic, partition in committed:
            wanted.setdefault(topic, []).append(partition)
    else:
        wanted = {topic["topic"]: topic["partitions"] for topic in request["topics"]}
    topics = []
    for topic, parts in wanted.items():
        positions = [_committed(part, committed.get((topic, part))) for part in parts]
        topics.append({"topic": topic, "partitions": positions})
    return {"throttle_time_ms": 0, "topics": topics, "error_code": Code.NONE}


async def list_groups(node: Node, _: Client, __: Fields) -> Fields:
    groups = [{"group": name, "protocol_type": kind} for name, kind in node.groups.names().items()]
    return {"throttle_time_ms": 0, "error_code": Code.NONE, "groups": groups}


async def describe_groups(node: Node, _: Client, request: Fields) -> Fields:
    return {"throttle_time_ms": 0, "groups": [_described(node, name) for name in request["groups"]]}


def _joining(client: Client, request: Fields) -> Joining:
    session = request["session_timeout"]
    if not 0 < session <= _LONGEST_SESSION_MS:
        raise Refused(Code.INVALID_SESSION_TIMEOUT)
    return Joining(
        member_id=request["member_id"],
        instance_id=request.get("group_instance_id"),
        client_id=client.id,
        client_host=client.host,
        session_timeout=session / 1000,
        rebalance_timeout=request.get("rebalance_timeout", session) / 1000,
        protocol_type=request["protocol_type"],
        protocols={
            item["protocol_name"]: item["protocol_metadata"] for item in request["group_protocols"]
        },
    )


def _not_joined(code: Code, member_id: str) -> Fields:
    names = {"group_protocol": "", "leader_id": "", "member_id": member_id}
    return {
        "throttle_time_ms": 0,
        "error_code": code,
        "generation_id": _NO_GENERATION,
        "members": [],
        **names,
    }


def _accept(
    node: Node, topic: str, part: Fields, accepted: dict[tuple[str, int], Position]
) -> dict[str, Any]:
    metadata = part["metadata"] or ""
    try:
        node.topics.log(topic, part["partition"])
    except Refused as refused:
        return {"partition": part["partition"], "error_code": refused.code}
    if len(metadata) > _LONGEST_METADATA:
        return {"partition": part["partition"], "error_code": Code.OFFSET_METADATA_TOO_LARGE}
    accepted[topic, part["partition"]] = Position(part["offset"], metadata)
    return {"partition": part["partition"], "error_code": Code.NONE}


def _committed(partition: int, position: Position | None) -> Fields:
    offset, metadata = position or (-1, "")
    return {"partition": partition, "offset": offset, "metadata": metadata, "error_code": Code.NONE}


def _described(node: Node, name: str) -> Fields:
    group = node.groups.find(name)
    return {
        "error_code": Code.NONE,
        "group": name,
        "state": node.groups.state(name),
        "protocol_type": group.roster.protocol_type if group else "",
        "protocol": group.protocol if group and group.members else "",
        "members": _members(group) if group else [],
    }


def _members(group: Group) -> list[Fields]:
    return [
        {
            "member_id": member.id,
            "client_id": member.client_id,
            "client_host": member.client_host,
            "member_metadata": member.protocols.get(group.protocol, b""),
            "member_assignment": member.assignment,
        }
        for member in group.members.values()
    ]
