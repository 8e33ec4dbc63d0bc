"""A start that a file or a limit prevents ends with one sentence: which one, why, what to do."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from shutil import copytree

import pytest

from tests.support import forks
from tests.support.processes import ROOT
from tests.support.product import Product
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of an installation that has run once."""
    one = Product(tmp_path_factory.mktemp("whole"))
    try:
        one.start()
    finally:
        one.close()
    return Path(one.settings["TRIBUTARY_DATA_DIR"])


def a_folder(name: str) -> Callable[[Path], None]:
    def put(data: Path) -> None:
        (data / name).unlink()
        (data / name).mkdir()

    return put


def a_file(name: str) -> Callable[[Path], None]:
    def put(data: Path) -> None:
        (data / name).rename(data / "moved")
        (data / name).write_text("not ours")

    return put


def a_damaged_page(data: Path) -> None:
    """Overwrite the first page of a table that no start looks at by itself."""
    path = data / "gateway.db"
    with closing(sqlite3.connect(path)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'items'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)


def nothing(_: Path) -> None:
    pass


OBSTACLES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a folder at the leader's lock": (
        a_folder("fetcher.db.lead"),
        "fetcher.db.lead cannot be used: Is a directory. Move that folder away.",
    ),
    "a folder at a secret": (a_folder("service-secret"), "service-secret is not a file. Move it"),
    "a folder at the sandbox's lock": (
        a_folder("sandbox.db.lock"),
        "sandbox.db.lock cannot be used: Is a directory. Move that folder away.",
    ),
    "a file at the log": (a_file("kafka"), "kafka cannot be used: File exists. Move away"),
    "a damaged page": (a_damaged_page, "gateway.db cannot be used (it is damaged: "),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_what_is_in_the_way_is_named_in_one_sentence(
    whole: Path, tmp_path: Path, name: str
) -> None:
    put, sentence = OBSTACLES[name]
    said = refused(whole, tmp_path, put)
    assert sentence in said
    assert len(said.splitlines()) == 1, said


@pytest.mark.parametrize(
    ("limit", "value", "sentence"),
    [
        (resource.RLIMIT_NOFILE, 40, "as it may, 40. Allow 1024 (ulimit -n)."),
        (resource.RLIMIT_FSIZE, 0, "cannot be used"),
    ],
    ids=["few files", "no file may grow"],
)
def test_a_limit_of_the_system_is_named(
    whole: Path, tmp_path: Path, limit: int, value: int, sentence: str
) -> None:
    said = refused(whole, tmp_path, nothing, lambda: resource.setrlimit(limit, (value, value)))
    assert sentence in said
    assert len(said.splitlines()) == 1, said


def refused(
    whole: Path,
    tmp_path: Path,
    put: Callable[[Path], None],
    limit: Callable[[], None] | None = None,
) -> str:
    """Return what a start says on a copy of the data folder in which ``put`` has put something."""
    with closing(Product(tmp_path)) as one:
        data = Path(one.settings["TRIBUTARY_DATA_DIR"])
        copytree(whole, data, dirs_exist_ok=True)
        put(data)
        env = {**one.settings, "PATH": os.environ["PATH"]}
        ended = _limited(env, limit) if limit else forks.run("deploy.local", cwd=ROOT, env=env)
    assert (ended.returncode, ended.stdout) == (1, "")
    lines = ended.stderr.splitlines(keepends=True)
    # The clock of the tests says so each time.
    return "".join([line for line in lines if "clock_can_be_moved" not in line])


def _limited(env: Mapping[str, str], limit: Callable[[], None]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.local"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        preexec_fn=limit,
    )
