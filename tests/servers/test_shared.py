"""One server of a kind per run: shared, kept while somebody needs it, gone when nobody does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import redis

from deploy.servers import ProgramUnavailable
from tests.servers.databases import database_of_its_own
from tests.servers.shared import Shared
from tests.support.processes import ROOT
from tests.support.waiting import eventually

TESTS = """
def test_one(real_redis):
    with open({notes!r}, "a") as notes:
        notes.write(real_redis.rpartition("/")[0] + "\\n")
def test_two():
    if {waits}:
        import time
        time.sleep(60)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a short folder: a socket's path may have about a hundred characters."""
    with TemporaryDirectory(prefix="trb-") as made:
        yield Path(made) / "run"


def answers(url: str) -> bool:
    with redis.Redis.from_url(url) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


def address(shared: Shared) -> str:
    try:
        return shared.url("redis")
    except ProgramUnavailable as reason:
        pytest.skip(f"no redis here: {reason}")


def test_everyone_of_a_run_gets_the_same_server_and_the_last_one_ends_it(folder: Path) -> None:
    with Shared(folder) as one:
        url = address(one)
        with Shared(folder) as other:
            assert other.url("redis") == url
        assert answers(url)
    assert not answers(url)
    eventually(lambda: not folder.exists())


def test_a_run_that_is_killed_leaves_no_server(folder: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from tests.servers.shared import Shared;"
        f"shared = Shared(Path({str(folder)!r})); print(shared.url('redis'), flush=True); "
        "time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        url = run.stdout.readline().strip()
        assert answers(url)
        run.kill()
    eventually(lambda: not answers(url))


def run_tests(tmp_path: Path, *, waits: bool) -> subprocess.Popen[str]:
    """Run two files of tests on two workers, in a run of their own."""
    for name in ("test_a.py", "test_b.py"):
        (tmp_path / name).write_text(TESTS.format(notes=str(tmp_path / "notes"), waits=waits))
    options = [
        "-n",
        "2",
        "--dist",
        "loadfile",
        "-p",
        "tests.servers",
        "--rootdir",
        str(tmp_path),
        "-c",
        os.devnull,
    ]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    # Of a job in the background Ctrl-C is ignored, and by whatever it starts.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "pytest"]
    return subprocess.Popen(
        [*command, "-q", "-p", "no:cacheprovider", *options, str(tmp_path)],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.variation
def test_two_workers_share_a_server_that_ends_with_the_run(tmp_path: Path) -> None:
    with run_tests(tmp_path, waits=False) as run:
        said, _ = run.communicate(timeout=100)
    assert run.returncode == 0, said
    urls = (tmp_path / "notes").read_text().splitlines()
    assert len(urls) == 2
    assert len(set(urls)) == 1
    assert not answers(urls[0])


@pytest.mark.variation
def test_ctrl_c_ends_the_servers_too(tmp_path: Path) -> None:
    """The terminal sends it to the run and to its workers alike."""
    with run_tests(tmp_path, waits=True) as run:
        notes = tmp_path / "notes"
        eventually(lambda: notes.exists() and len(notes.read_text().splitlines()) == 2)
        os.killpg(run.pid, signal.SIGINT)
        run.communicate(timeout=60)
    eventually(lambda: not answers(notes.read_text().splitlines()[0]))


def test_each_module_has_an_empty_database_that_is_gone_afterwards(real_postgres: str) -> None:
    with database_of_its_own(real_postgres) as url:
        assert url != real_postgres
        assert url.rpartition("/")[0] == real_postgres.rpartition("/")[0]


@pytest.mark.variation
def test_a_test_is_skipped_with_the_reason_where_a_server_cannot_be_had(tmp_path: Path) -> None:
    """Nobody but root could start it, and nothing is on the path."""
    (tmp_path / "test_it.py").write_text("def test_it(real_redis): pass\n")
    options = [
        "-p",
        "tests.servers",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        "-c",
        os.devnull,
        "-rs",
    ]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "1 skipped" in ended.stdout, ended.stdout + ended.stderr
    assert "no redis here: There is no redis-server here" in ended.stdout
