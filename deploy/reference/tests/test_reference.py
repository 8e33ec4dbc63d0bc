"""The reference pages say what the code says, and a gap is a sentence."""

from __future__ import annotations

import ast

import pytest

from deploy.reference.log_events import LogEvent, complaints, events
from deploy.reference.metrics import metrics
from deploy.reference.providers import BEGIN, provider_pages
from deploy.reference.settings import example_file
from deploy.reference.source import SourceModule
from shared.installation import provider_defaults
from shared.settings import load_settings


def module(source: str, path: str = "services/auth/sweep.py") -> SourceModule:
    return SourceModule(path, ast.parse(source))


def test_an_event_is_found_with_its_level_its_fields_and_who_writes_it() -> None:
    found = list(events([module("log.exception('sweep_failed', round=1, exc_info=error)")]))
    assert found == [("sweep_failed", "error", "auth", ("round",))]


def test_an_event_whose_method_is_chosen_first_is_found_for_each() -> None:
    chosen = "say = log.debug if quiet else log.info\nsay('request', status=200)"
    assert [one.level for one in events([module(chosen)])] == ["debug", "info"]


def test_an_event_without_a_literal_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"services/auth/sweep.py:1: give the log event a literal"):
        list(events([module("log.info(name)")]))


def test_an_event_without_a_meaning_and_a_meaning_without_an_event_are_named() -> None:
    found = list(events([module("log.info('new')")]))
    missing, unused = complaints(found, {"old": "It was logged once."})
    assert missing == "say in deploy/reference/log_events.toml what `new` means"
    assert unused.startswith("`old` is logged nowhere")


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["connected", "request", "start_waits"], None),
        (["connected", "start_waits", "request"], "`request` {}: put it after `connected`"),
        (["connected", "request", "refreshed"], "`refreshed` {}: put it after `connected`"),
        (["connected", "request", "batch_reread"], "`batch_reread` {}: put it at the top"),
        (["start_waits", "connected", "request"], "`start_waits` {}: put it after `request`"),
    ],
)
def test_a_meaning_that_is_out_of_order_is_told_its_place(
    names: list[str], complaint: str | None
) -> None:
    found = [LogEvent(name, "info", "auth", ()) for name in names]
    out_of_order = "is out of order in deploy/reference/log_events.toml"
    expected = [complaint.format(out_of_order)] if complaint else []
    assert complaints(found, dict.fromkeys(names, "It happened.")) == expected


def test_a_counter_and_a_gauge_are_found_as_a_scrape_shows_them() -> None:
    counter = 'READ = Counter("tributary_read", "Read.", "topic")'
    gauge = (
        'def f():\n    about = "How far."\n    return [gauge("tributary_lag", about, {}, "part")]'
    )
    found = sorted(metrics([module(counter), module(gauge, "shared/kafka/metrics.py")]))
    assert found == [
        ("tributary_lag", "gauge", ("part",), "fetcher, gateway", "How far."),
        ("tributary_read_total", "counter", ("topic",), "auth", "Read."),
    ]


def test_the_example_file_names_settings_only_and_changes_nothing_when_it_is_used() -> None:
    lines = [line.removeprefix("#") for line in example_file().splitlines()]
    given = dict(line.split("=", 1) for line in lines if line.startswith("TRIBUTARY_"))
    assert len(given) > 30
    with_all = load_settings(given, providers=provider_defaults())
    assert with_all == load_settings({}, providers=provider_defaults())


def test_a_new_provider_gets_a_page_and_what_is_written_by_hand_stays() -> None:
    for make in provider_pages().values():
        new = make("")
        assert "## What is not synced" in new
        by_hand = new.replace("## Quirks\n", "## Quirks\n\nIt rounds times to the minute.\n")
        assert make(by_hand) == by_hand
        assert make("# By hand only\n").startswith(f"# By hand only\n\n{BEGIN}")
