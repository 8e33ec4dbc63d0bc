"""Code, docstring and documents show the same table of a job's states."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from services.fetcher.jobs import transitions
from services.fetcher.jobs.queries import new_job
from services.fetcher.jobs.transitions import LIFE, TRANSITIONS, Event, IllegalTransitionError
from services.fetcher.tables import UNFINISHED, JobState

ARCHITECTURE = Path(__file__).parents[3] / "docs" / "architecture.md"


def table() -> str:
    rows = [
        f"| {one.event} | {', '.join(one.states)} | {one.then} | {one.meaning} |" for one in LIFE
    ]
    return "\n".join(["| event | from | to | meaning |", "|---|---|---|---|", *rows])


def diagram() -> str:
    """Return the Mermaid diagram. Events between the same two states share an arrow."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, event), then in TRANSITIONS.items():
        arrows.setdefault(("[*]" if state == "new" else state, then), []).append(event)
    lines = [
        f"    {state} --> {then}: {', '.join(events)}" for (state, then), events in arrows.items()
    ]
    return "\n".join(["stateDiagram-v2", *lines, "    over --> [*]"])


def test_the_docstring_draws_the_table_that_the_code_follows() -> None:
    drawn = re.findall(r"^\|.*\|$", transitions.__doc__ or "", re.MULTILINE)
    assert "\n".join(drawn) == table()


def test_the_documents_draw_the_same() -> None:
    shown = (
        ARCHITECTURE.read_text()
        .partition("<!-- transitions -->\n")[2]
        .partition("\n<!-- /transitions -->")[0]
    )
    assert shown == f"```mermaid\n{diagram()}\n```\n\n{table()}"


def test_every_event_is_in_the_table_once_and_every_state_is_entered_and_left() -> None:
    assert sorted(one.event for one in LIFE) == sorted(get_args(Event))
    assert set(TRANSITIONS.values()) == {*UNFINISHED, "over"}
    assert {state for state, _ in TRANSITIONS} == {*UNFINISHED, "new"}
    assert {*UNFINISHED, "new", "over"} == set(get_args(JobState))


def test_whatever_is_unfinished_can_come_to_its_end() -> None:
    ends = {"over"}
    for _ in UNFINISHED:
        ends |= {state for (state, _), then in TRANSITIONS.items() if then in ends}
    assert ends == {"new", "over", *UNFINISHED}


def test_what_cannot_happen_in_a_state_is_refused_in_words() -> None:
    job = new_job("conn", "apples", 1)
    with pytest.raises(
        IllegalTransitionError, match=r"finished cannot happen to job .* which is new"
    ):
        transitions.enter(job, "finished")
    assert job.state == "new"


@pytest.mark.parametrize(("state", "event"), TRANSITIONS)
def test_only_a_running_job_has_a_worker_and_only_a_waiting_one_a_time(
    state: JobState, event: Event
) -> None:
    job = new_job("conn", "apples", 1)
    job.state, job.worker_id, job.waiting_until, job.waiting_reason = state, "w", 1.0, "limit"
    transitions.enter(job, event)
    assert job.state == TRANSITIONS[state, event]
    assert (job.worker_id is not None) == (job.state == "running")
    assert (job.waiting_until is not None, job.waiting_reason is not None) == (
        job.state == "waiting",
    ) * 2
