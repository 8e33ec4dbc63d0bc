"""Connections that share what a provider meters share its limit, and are refused nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.product import Product, product
from tests.support.side_by_side import PAIRS, Outcome, Pair, loaded_side_by_side

pytestmark = pytest.mark.e2e
LATE = 2
"""Refusals that a busy machine may cause: a call that arrives late meets the next ones. On a quiet
one there are none, as ``python -m tests.chaos --figures Q1`` shows."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product(tmp_path_factory.mktemp("shared")) as one:
        yield one


def loaded(running: Product, name: str) -> tuple[Pair, Outcome]:
    pair = PAIRS[name](running)
    return pair, loaded_side_by_side(running, pair)


def test_two_organisations_of_a_hubspot_portal_get_equal_parts_and_no_refusal(
    running: Product,
) -> None:
    pair, outcome = loaded(running, "two organisations of a HubSpot portal")
    assert len(outcome.refused) <= LATE
    assert 0.4 <= outcome.part <= 0.6
    for own, other in ((0, 1), (1, 0)):
        assert pair.orgs[other] not in str(outcome.syncs[own])


@pytest.mark.variation
def test_two_users_of_an_airtable_base_get_equal_parts_and_no_refusal(running: Product) -> None:
    _, outcome = loaded(running, "two users of an Airtable base")
    assert len(outcome.refused) <= LATE
    assert 0.4 <= outcome.part <= 0.6


@pytest.mark.variation
def test_two_people_of_a_notion_workspace_are_refused_nothing(running: Product) -> None:
    pair, outcome = loaded(running, "two people of a Notion workspace")
    assert len(outcome.refused) <= LATE
    assert {one["account"] for one in outcome.asked if one["account"]} == {*pair.accounts}
