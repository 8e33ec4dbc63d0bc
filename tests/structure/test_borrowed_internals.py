"""The Kafka client's private codecs are used in one place per side, all that upgrades can break."""

import re

from tests.structure.tree import name, product_files, text

PRIVATE = re.compile(r"\baiokafka\.protocol\b|\bfrom aiokafka import protocol\b")


def test_only_the_wires_of_client_and_broker_use_private_codecs() -> None:
    users = [name(path) for path in product_files(".py") if PRIVATE.search(text(path))]
    assert sorted(users) == ["deploy/localkafka/wire.py", "shared/kafka/wire.py"]
