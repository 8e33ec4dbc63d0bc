"""The harness works: without faults everything arrives, and its levers do what they say."""

from __future__ import annotations

import pytest

from tests.chaos.load import PAGE, begin
from tests.chaos.stack import Stack
from tests.chaos.topic import Topic

pytestmark = pytest.mark.e2e


def test_a_load_without_faults_is_clean_and_goes_through_the_proxies(
    running: Stack, topic: Topic
) -> None:
    load = begin(running)
    load.done()
    report = load.clean(topic)
    assert report.items == report.records == sum(load.counts.values())
    assert load.refetched() == 0
    assert len(load.pages()) == report.items // PAGE
    assert all(proxy.accepted for proxy in running.proxies.values())


def test_a_paused_process_stands_and_goes_on(running: Stack) -> None:
    running["gateway"].pause()
    assert running["gateway"].state == "T"
    running["gateway"].resume()
    assert running.ready()
    assert running["gateway"].state != "T"
