"""Answer Metadata and the administration of topics."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from deploy.localkafka import policy
from deploy.localkafka.errors import Code, Refused
from deploy.localkafka.node import NODE_ID, Client, Node
from deploy.localkafka.topics import Topic
from deploy.localkafka.wire import Fields

_TOPIC_RESOURCE: Final = 2
_SET_ON_TOPIC: Final = 1
_DEFAULT: Final = 5
_NOT_TOLD: Final = -(1 << 31)
_NO_EPOCH: Final = -1
_NO_ID: Final = UUID(int=0)


async def metadata(node: Node, _: Client, request: Fields) -> Fields:
    names: list[str | None]
    if request["topics"] is None:
        names = [*node.topics.names()]
    else:
        names = [_name(node, one) for one in request["topics"]]
    return {
        "throttle_time_ms": 0,
        "brokers": [{"node_id": NODE_ID, "host": node.host, "port": node.port, "rack": None}],
        "cluster_id": node.cluster_id,
        "controller_id": NODE_ID,
        "cluster_authorized_operations": _NOT_TOLD,
        "topics": [_described(node, name) for name in names],
    }


async def create_topics(node: Node, _: Client, request: Fields) -> Fields:
    errors = []
    for wanted in request["create_topic_requests"]:
        try:
            await _create(node, wanted, only_check=request.get("validate_only", False))
        except Refused as refused:
            errors.append(_topic_error(wanted["topic"], refused.code, str(refused)))
        else:
            errors.append(_topic_error(wanted["topic"], Code.NONE, None))
    return {"throttle_time_ms": 0, "topic_errors": errors}


async def delete_topics(node: Node, _: Client, request: Fields) -> Fields:
    errors = []
    for name in request["topics"]:
        try:
            await _delete(node, name)
        except Refused as refused:
            errors.append(_topic_error(name, refused.code, None))
        else:
            errors.append(_topic_error(name, Code.NONE, None))
    return {"throttle_time_ms": 0, "topic_error_codes": errors}


async def _delete(node: Node, name: str) -> None:
    if name in node.keeps:
        raise Refused(Code.TOPIC_DELETION_DISABLED)
    async with node.topics.changing:
        node.topics.delete(name)
    node.groups.offsets.forget_topic(name)


async def describe_configs(node: Node, _: Client, request: Fields) -> Fields:
    return {
        "throttle_time_ms": 0,
        "resources": [_configs(node, resource) for resource in request["resources"]],
    }


def _name(node: Node, wanted: str | Fields) -> str | None:
    """Return the name of a requested topic.

    Newer versions may ask by id (KIP-516).
    """
    if isinstance(wanted, str):
        return wanted
    name: str | None = wanted["topic"]
    return node.topics.name_of(wanted["topic_id"]) if name is None else name


def _described(node: Node, name: str | None) -> Fields:
    answer = {
        "topic": name,
        "is_internal": False,
        "topic_authorized_operations": _NOT_TOLD,
        "topic_id": _NO_ID,
    }
    if name is None:
        return answer | {"error_code": Code.UNKNOWN_TOPIC_ID, "partitions": []}
    try:
        topic = node.topics.get(name)
    except Refused as refused:
        return answer | {"error_code": refused.code, "partitions": []}
    partitions = [_partition(number) for number in range(len(topic.partitions))]
    return answer | {"error_code": Code.NONE, "topic_id": topic.id, "partitions": partitions}


def _partition(number: int) -> Fields:
    return {
        "error_code": Code.NONE,
        "partition": number,
        "leader": NODE_ID,
        "leader_epoch": _NO_EPOCH,
        "replicas": [NODE_ID],
        "isr": [NODE_ID],
        "offline_replicas": [],
    }


async def _create(node: Node, wanted: Fields, *, only_check: bool) -> None:
    if wanted["replication_factor"] not in {1, -1}:
        raise Refused(
            Code.INVALID_REPLICATION_FACTOR,
            "there is only one broker, so the replication factor has to be 1",
        )
    configs = {item["config_key"]: item["config_value"] for item in wanted["configs"] or ()}
    partitions = len(wanted["replica_assignment"] or ()) or wanted["num_partitions"]
    async with node.topics.changing:
        description = node.topics.check_new(wanted["topic"], partitions, configs)
        if not only_check:
            await asyncio.to_thread(node.topics.create, wanted["topic"], description)


def _topic_error(name: str, code: Code, message: str | None) -> dict[str, Any]:
    return {"topic": name, "error_code": code, "error_message": message}


def _configs(node: Node, resource: Fields) -> Fields:
    answer = {
        "error_code": Code.NONE,
        "error_message": None,
        "resource_type": resource["resource_type"],
        "resource_name": resource["resource_name"],
        "config_entries": [],
    }
    if resource["resource_type"] != _TOPIC_RESOURCE:
        return answer
    try:
        topic = node.topics.get(resource["resource_name"])
    except Refused as refused:
        return answer | {"error_code": refused.code, "error_message": str(refused)}
    wanted = policy.DEFAULTS if resource["config_names"] is None else resource["config_names"]
    return answer | {"config_entries": list(_entries(topic, wanted))}


def _entries(topic: Topic, names: Iterable[str]) -> Iterable[Fields]:
    for name in names:
        if name in policy.DEFAULTS:
            own = topic.configs.get(name)
            yield {
                "config_names": name,
                "config_value": policy.DEFAULTS[name] if own is None else own,
                "read_only": True,
                "is_default": own is None,
                "config_source": _DEFAULT if own is None else _SET_ON_TOPIC,
                "is_sensitive": False,
                "config_synonyms": [],
            }
