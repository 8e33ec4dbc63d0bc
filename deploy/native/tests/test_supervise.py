"""The supervisor's behaviour, shown on processes that do nothing."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.native.supervise import Supervisor
from deploy.native.tests.small import SmallStack
from deploy.servers import Ended
from tests.support.waiting import PATIENCE_S, eventually


class Watched:
    """A supervisor at work in a thread, and what it says."""

    def __init__(self, stack: SmallStack, *, stop_within_s: float = PATIENCE_S) -> None:
        self.said: list[str] = []
        self.stop = threading.Event()
        self.supervisor = Supervisor(
            stack,
            say=self.said.append,
            stopping=self.stop.is_set,
            stop_within_s=(stop_within_s, PATIENCE_S),
        )

    @contextmanager
    def watching(self) -> Iterator[None]:
        self.supervisor.start()
        thread = threading.Thread(target=self.supervisor.watch)
        thread.start()
        try:
            yield
        finally:
            self.stop.set()
            thread.join()

    def says(self, words: str) -> bool:
        return any(words in line for line in self.said)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[SmallStack]:
    made = SmallStack(tmp_path)
    yield made
    made.close()


def test_servers_start_first_then_setup_then_services(stack: SmallStack) -> None:
    Watched(stack).supervisor.start()
    notes = stack.notes()
    assert set(notes[:2]) == {"database starts", "queue starts"}
    assert notes[2] == "setup runs"
    assert set(notes[3:]) == {"worker starts", "door starts"}


def test_services_have_ended_before_any_server_is_asked_to(stack: SmallStack) -> None:
    watched = Watched(stack)
    watched.supervisor.start()
    watched.supervisor.stop()
    ends = [note for note in stack.notes() if note.endswith("ends")]
    assert set(ends[:2]) == {"worker ends", "door ends"}
    assert set(ends[2:]) == {"database ends", "queue ends"}
    assert [child.status for child in stack.children] == [0, 0, 0, 0]
    assert watched.said == []


@pytest.mark.parametrize("name", ["database", "door"])
def test_who_is_killed_is_started_again_and_both_are_said(stack: SmallStack, name: str) -> None:
    watched = Watched(stack)
    with watched.watching():
        killed = {**stack.servers, **stack.services}[name]
        before = killed.pid
        os.kill(before, signal.SIGKILL)
        eventually(lambda: watched.says(f"{name} answers again"))
        assert killed.pid != before
    assert watched.said[0] == f"{name} was ended by SIGKILL; it starts again in 0.5 s."
    assert stack.notes().count(f"{name} starts") == 2
    assert stack.notes().count("worker starts") == 1


def test_who_keeps_dying_is_left_alone_for_longer_each_time(stack: SmallStack) -> None:
    watched = Watched(stack)
    with watched.watching():
        door = stack.services["door"]
        for pause in ("0.5", "1", "2"):
            assert eventually(door.ready)
            os.kill(door.pid, signal.SIGKILL)
            eventually(lambda pause=pause: watched.says(f"starts again in {pause} s"))


def test_one_that_does_not_come_up_ends_the_start_with_its_last_words(tmp_path: Path) -> None:
    stack = SmallStack(tmp_path, worker="dies")
    try:
        with pytest.raises(Ended, match="worker ended with status 1:\nits last words"):
            Watched(stack).supervisor.start()
    finally:
        stack.close()


def test_one_that_is_killed_while_the_others_start_is_started_again(tmp_path: Path) -> None:
    stack = SmallStack(tmp_path, worker="falls")
    watched = Watched(stack)
    try:
        watched.supervisor.start()
        assert watched.says("worker was ended by SIGKILL; it starts again")
        assert stack.notes().count("worker starts") == 2
    finally:
        stack.close()


def test_one_that_does_not_end_when_asked_is_killed_and_named(tmp_path: Path) -> None:
    stack = SmallStack(tmp_path, worker="deaf")
    watched = Watched(stack, stop_within_s=5.0)
    try:
        watched.supervisor.start()
        watched.supervisor.stop()
    finally:
        stack.close()
    assert watched.said == ["worker did not stop in time and was killed."]
    assert stack.services["worker"].status == -signal.SIGKILL


def test_a_paused_one_hears_that_it_is_to_stop(stack: SmallStack) -> None:
    watched = Watched(stack)
    watched.supervisor.start()
    stack.services["worker"].pause()
    watched.supervisor.stop()
    assert watched.said == []


def test_a_start_that_is_called_off_leaves_nothing_running(stack: SmallStack) -> None:
    watched = Watched(stack)
    watched.stop.set()
    watched.supervisor.start()
    watched.supervisor.watch()
    watched.supervisor.stop()
    assert not any(child.alive for child in stack.children)
    assert stack.notes() == []
