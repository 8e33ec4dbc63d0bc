"""R1 in short: loads under random faults end equal to the provider's ledger, seed by seed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.conftest import PROXIED
from tests.chaos.seeds import COUNTS, opened, run
from tests.chaos.stack import Stack

SEEDS = int(os.environ.get("CHAOS_SEEDS", "1"))
FIRST = int(os.environ.get("CHAOS_FIRST", "0"))
"""To repeat a seed that failed: ``CHAOS_FIRST=17 CHAOS_SEEDS=1``."""


@pytest.mark.e2e
@pytest.mark.timeout(3600)
def test_R1_seeded_chaos_loads_lose_and_double_nothing(tmp_path: Path) -> None:
    with opened(lambda folder: Stack(folder, fetchers=2, proxied=PROXIED), tmp_path) as places:
        outcomes = list(run(places, range(FIRST, FIRST + SEEDS)))
        assert [str(one) for one in outcomes if not one.report.clean] == []
        assert len(outcomes) == SEEDS
        assert all(one.report.items > 0.9 * sum(COUNTS.values()) for one in outcomes)
        for place in places:
            place.clean_afresh()
