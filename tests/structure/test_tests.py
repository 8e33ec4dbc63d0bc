"""Tests hold beside a busy neighbour, and use the product from outside."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.structure.conduct import (
    Rule,
    chance_of_a_module,
    fixed_ports,
    haste,
    patches,
    pauses,
    private_names,
    unserved,
    upper_bounds,
)
from tests.structure.tree import name, text, tracked_files

ALLOWED: Final[dict[Rule, dict[str, str]]] = {
    pauses: {
        "shared/tests/test_serve.py": "a connection is idle for as long as a client may keep one",
        "shared/tests/test_clock.py": "the clock's own tests",
        "shared/tests/test_http_client.py": "a server that drips",
        "tests/chaos/customer.py": "a customer's client asks again, with a pause",
        "tests/chaos/disturb.py": "faults come and go at the moments that were drawn",
        "tests/chaos/figures.py": "it measures what happens in real time",
        "tests/chaos/load.py": "the checker looks again, with a pause",
        "tests/chaos/proxy.py": "a slow network",
        "tests/chaos/test_broker.py": "the fault: a disk is full for a while",
        "tests/chaos/test_gateway.py": "the fault: a disk is full for a while",
        "tests/chaos/test_provider.py": "the fault: a network is bad for a while",
        "tests/chaos/test_servers.py": "the fault: a server is away for a while",
        "tests/chaos/topic.py": "a broker that is away is asked again, with a pause",
        "tests/contract/test_database.py": "it cancels at a random moment",
        "tests/screenshots.py": "a picture is taken after the page has moved",
        "tests/strangers/programs/walk.py": "a customer's program, without our helpers",
        "tests/support/waiting.py": "the others wait with it",
    },
    upper_bounds: {
        "tests/chaos/load.py": "a loop gives up after a minute",
        "tests/chaos/log.py": "a loop gives up after a minute",
        "tests/chaos/test_workers.py": "a loop gives up after a minute",
        "tests/chaos/topic.py": "a loop gives up after a minute",
    },
    chance_of_a_module: {},
    patches: {},
    fixed_ports: {},
    unserved: {},
    private_names: {
        "shared/tests/test_unreadable.py": "aiokafka's public builder writes nothing but UTF-8",
    },
    haste: {},
}
"""Each rule, with the files that may break it, and why."""
RULES: Final = [pytest.param(rule, id=rule.__name__) for rule in ALLOWED]


@cache
def modules() -> dict[str, ast.Module]:
    """Return the parsed files of tests."""
    files = [file for file in tracked_files() if file.suffix == ".py"]
    of_tests = [file for file in files if "tests" in Path(name(file)).parts]
    return {name(file): ast.parse(text(file)) for file in of_tests}


@cache
def found(rule: Rule) -> dict[str, list[int]]:
    """Return the lines that the rule finds, by file of tests."""
    lines = {file: list(rule(tree)) for file, tree in modules().items()}
    return {file: numbers for file, numbers in lines.items() if numbers}


@pytest.mark.parametrize("rule", RULES)
def test_only_those_break_a_rule_who_say_why(rule: Rule) -> None:
    others = {file: at for file, at in found(rule).items() if file not in ALLOWED[rule]}
    assert others == {}, rule.__doc__


@pytest.mark.parametrize("rule", RULES)
def test_a_reason_that_nobody_needs_is_taken_out(rule: Rule) -> None:
    assert sorted(ALLOWED[rule].keys() - found(rule).keys()) == []


@pytest.mark.parametrize(
    ("rule", "code", "seen"),
    [
        (pauses, "asyncio.sleep(0.2)", True),
        (pauses, "from time import sleep; sleep(1)", True),
        (pauses, "page.wait_for_timeout(350)", True),
        (pauses, "await until(lambda: asleep)", False),
        (chance_of_a_module, "CHANCE = random.Random(7)", True),
        (chance_of_a_module, "def test(): chance = random.Random(7)", False),
        (patches, "from unittest import mock", True),
        (patches, "from unittest.mock import patch", True),
        (patches, "from services.auth import sweep; sweep.EVERY_S = 1", True),
        (patches, "from shared.kafka import Producer; del Producer.send", True),
        (patches, "monkeypatch.setattr('shared.outbox.IDLE_S', 1)", True),
        (patches, "import shared.outbox; monkeypatch.setattr(shared.outbox, 'IDLE_S', 1)", True),
        (patches, "from deploy import local; setattr(local, 'PORT', 1)", True),
        (patches, "def test(relay): monkeypatch.delattr(relay, 'stop')", True),
        (patches, "import sys; monkeypatch.setattr(sys, 'executable', 'p')", False),
        (patches, "monkeypatch.setenv('TRIBUTARY_HOST', 'h')", False),
        (patches, "from services.auth.tests.harness import Auth; Auth.fake = fake", False),
        (fixed_ports, "Broker(folder, port=19092)", True),
        (fixed_ports, "socket.create_server(('127.0.0.1', 8000))", True),
        (fixed_ports, "asyncio.start_server(serve, '127.0.0.1', 8000)", True),
        (fixed_ports, "Broker(folder, port=0)", False),
        (fixed_ports, "socket.create_connection(('127.0.0.1', broker.port))", False),
        (unserved, "httpx.AsyncClient(transport=httpx.ASGITransport(app))", True),
        (unserved, "from httpx import ASGITransport as Transport", True),
        (unserved, "from litestar.testing import AsyncTestClient", True),
        (unserved, "uvicorn.Server(uvicorn.Config(app))", True),
        (unserved, "httpx.AsyncHTTPTransport(local_address=here)", False),
        (unserved, "async with served(lambda _: app) as url: pass", False),
        (private_names, "from services.auth.store import _row", True),
        (private_names, "from shared.db._driver import Driver", True),
        (private_names, "from shared import outbox; outbox._message(row)", True),
        (private_names, "from shared.db import __version__", False),
        (private_names, "from confluent_kafka.admin._config import ConfigResource", False),
        (private_names, "def test(gateway): gateway.context._rows.clear()", True),
        (private_names, "rows(gateway)._task", True),
        (private_names, "from deploy import Broker\nclass B(Broker): x = super()._open()", True),
        (private_names, "self._task = None", False),
        (private_names, "from tests import Stack\nclass B(Stack): x = super()._open()", False),
        (private_names, "import os; os._exit(1)", False),
        (private_names, "def test(key): key._replace(path='/')", False),
        (haste, "eventually(ready, within=5)", True),
        (haste, "async with asyncio.timeout(10): pass", True),
        (haste, "asyncio.wait_for(reader.read(), 0.5)", True),
        (haste, "asyncio.wait_for(reader.read(), timeout=5)", True),
        (haste, "process.communicate(timeout=20)", True),
        (haste, "eventually(ready, within=60); asyncio.timeout(PATIENCE_S)", False),
        (haste, "httpx.get(url, headers=headers)", True),
        (haste, "async with httpx.AsyncClient(base_url=url) as client: pass", True),
        (haste, "httpx.Client(timeout=PATIENCE_S)", False),
        (haste, "httpx.Client(**options)", False),
        (haste, "httpx.Limits(max_connections=1)", False),
        (haste, "clock.timeout(0.01)", False),
    ],
)
def test_every_way_to_break_a_rule_is_seen(rule: Rule, code: str, seen: bool) -> None:
    assert bool(list(rule(ast.parse(code)))) is seen


@pytest.mark.parametrize(
    ("statements", "seen"),
    [
        ("assert time.monotonic() - began < 3", True),
        ("assert 3 > time.monotonic() - began", True),
        ("took = time.monotonic() - began; assert took < 3", True),
        ("took = round(perf_counter() - began, 1); assert 0.2 <= took <= 3", True),
        ("took, count = time.monotonic() - began, 0; assert count == 0 and took < 3", True),
        ("assert (took := time.monotonic() - began) and took < 3", True),
        ("took = []; took.append(monotonic() - began); assert max(took) < 3", True),
        ("took = monotonic() - began; most = max(took, 1); assert most < 3", True),
        ("assert values('outbox_oldest_due_seconds') < 5", True),
        ("assert 19.0 < await quota.closed(['a']) <= 20.0", True),
        ("assert 30.0 >= refused.wait_s > 29", True),
        ("assert 1_790 < body['expires_in'] <= 1_800", True),
        ("assert age == pytest.approx(40, abs=3)", True),
        ("assert 3_000 < await quota.closed(['a']) <= 3_600", False),
        ("assert waited > 0.2 and seconds < most and values('seconds') == 0", False),
        ("assert token.expires_in_s == pytest.approx(HOUR)", False),
        ("assert len(pages) < 5 and stage < 3", False),
        ("took = time.monotonic() - began; assert took > 0.2", False),
        ("took = time.monotonic() - began; assert 0.2 < took", False),
        ("most = 4 * (time.monotonic() - began); assert seen < most", False),
        ("began, count = time.monotonic(), 0; assert count < 3", False),
    ],
)
def test_every_upper_bound_on_elapsed_time_is_seen(statements: str, seen: bool) -> None:
    tree = ast.parse(f"def test():\n    {statements}")
    assert bool(list(upper_bounds(tree))) is seen
