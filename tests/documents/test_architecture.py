"""The picture of topics and tables in docs/architecture.md has those that there are."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import MetaData

from services.auth.tables import metadata as auth
from services.fetcher.tables import metadata as fetcher
from services.gateway.tables import metadata as gateway
from tests.structure.tree import ROOT


def drawn(service: str) -> set[str]:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    found = re.search(rf'subgraph {service}\n +\w+\["(.*?)"\]', text)
    assert found
    return set(re.split(r",\s*(?:<br>)?", found[1]))


@pytest.mark.parametrize(
    ("service", "metadata"), [("auth", auth), ("fetcher", fetcher), ("gateway", gateway)]
)
def test_the_picture_has_the_tables_of_each_service(service: str, metadata: MetaData) -> None:
    assert drawn(service) == set(metadata.tables)
