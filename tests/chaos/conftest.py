"""Keep one stack per worker: healed before each scenario, its logs shown when one fails.

It ends when a worker goes on to tests of another folder: its processes poll, also when idle.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from deploy.servers import ProgramUnavailable
from tests.chaos.real import RealStack
from tests.chaos.stack import Stack, started
from tests.chaos.topic import Topic

FOLDER = Path(__file__).parent
PROXIED = ("broker", "auth", "sandbox")
REAL = (*PROXIED, "postgres", "redis")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "real: on Apache Kafka, PostgreSQL and Redis; skipped with a reason without them"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every scenario on both stacks, except those of servers that only one has."""
    if "kept" in metafunc.fixturenames:
        local = [] if "real" in metafunc.fixturenames else ["local"]
        stacks = [*local, pytest.param("real", marks=pytest.mark.real)]
        metafunc.parametrize("kept", stacks, indirect=True, scope="package")


@pytest.fixture(scope="package")
def kept(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Yield a stack with two fetchers running and two more that can be started."""
    folder = tmp_path_factory.mktemp(f"{request.param}-stack")
    try:
        if request.param == "local":
            made = Stack(folder, fetchers=2, spare=2, proxied=PROXIED)
        else:
            made = RealStack(folder, fetchers=2, spare=2, proxied=REAL)
        with started(made):
            yield made
    except ProgramUnavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def running(kept: Stack) -> Stack:
    kept.heal()
    return kept


@pytest.fixture
def topic(running: Stack) -> Iterator[Topic]:
    """Return the items topic, read from its beginning when first used."""
    with running.topic() as opened:
        yield opened


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    running = getattr(item, "funcargs", {}).get("running")
    if report.failed and isinstance(running, Stack):
        report.sections += [(f"log of {name}", text) for name, text in running.logs().items()]
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip scenarios on real servers unless ``-m real`` asks for them (half an hour)."""
    ours = [item for item in items if FOLDER in item.path.parents]
    if "real" not in config.option.markexpr:
        left = [item for item in ours if item.get_closest_marker("real")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
