"""R9: pages meant to exhaust memory end in a typed error; the worker stays small."""

from __future__ import annotations

import pytest

from tests.chaos.hostile import ANSWERS, hostile
from tests.chaos.limits import forget_peak, peak_mib
from tests.chaos.load import begin
from tests.chaos.stack import Stack
from tests.support.variations import variations

pytestmark = pytest.mark.e2e

MOST_MIB = 256


@pytest.mark.parametrize("kind", ["endless", *variations("bomb", "deep", "large")])
def test_R9_a_page_that_would_fill_the_memory_is_a_typed_error(running: Stack, kind: str) -> None:
    for name in running.fetchers:
        running[name].end()
    with hostile(running.port("sandbox"), ANSWERS[kind], where="/contacts?") as url:
        fetcher = running["fetcher1"]
        fetcher.start({"TRIBUTARY_HUBSPOT_API_URL": f"{url}/hubspot"})
        forget_peak(fetcher)
        load = begin(running, {"companies": 100, "contacts": 100, "deals": 100})
        ended = load.outlasted()
        peak = peak_mib(fetcher)
    failed = next(row for row in ended["resources"] if row["resource"] == "contacts")
    assert failed["state"] == "failed"
    assert failed["error"]["code"] in {"page_too_large", "malformed_page", "body_too_large"}, (
        failed["error"]
    )
    assert {row["state"] for row in ended["resources"] if row["resource"] != "contacts"} == {"done"}
    assert peak <= MOST_MIB
