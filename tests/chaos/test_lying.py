"""Lists that lie: short or empty with status 200, while what they leave out exists."""

from __future__ import annotations

import pytest

from tests.chaos.lying import COUNTS, Liars
from tests.chaos.stack import Stack
from tests.chaos.topic import Topic

pytestmark = pytest.mark.e2e


@pytest.mark.variation
def test_lists_that_lie_delete_nothing_that_exists_and_hide_nothing_that_is_counted(
    running: Stack, topic: Topic
) -> None:
    outcomes = list(Liars(running, topic).run(range(len(COUNTS))))
    assert [str(one) for one in outcomes if one.wrong] == []
    assert {one.states[-1] for one in outcomes} == {"done"}
