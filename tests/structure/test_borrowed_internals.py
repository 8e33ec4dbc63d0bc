"""The Kafka client's private codecs are used in one place, so that an upgrade has one place to break."""

import re

from tests.structure.tree import name, product_files, text

PRIVATE = re.compile(r"\baiokafka\.protocol\b|\bfrom aiokafka import protocol\b")


def test_only_the_brokers_wire_uses_private_codecs() -> None:
    files = (path for path in product_files(".py") if "wire" not in {path.stem, path.parent.name})
    assert [name(path) for path in files if PRIVATE.search(text(path))] == []
