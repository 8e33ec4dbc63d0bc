"""The tools are there, and are the ones that were locked."""

from __future__ import annotations

import json
import os
import re
import shutil

import pytest

from tests.strangers.tools import (
    BIN,
    LOCK,
    NODE_LOCK,
    NODE_MODULES,
    needs_node_tools,
    needs_python_tools,
    run,
)

PROGRAMS = {
    "openapi-python-client": "openapi-python-client",
    "openapi-spec-validator": "openapi-spec-validator",
    "schemathesis": "schemathesis",
}


@pytest.mark.skipif(os.environ.get("CI") != "true", reason="only CI must have every tool")
def test_ci_has_all_tools() -> None:
    assert (BIN.parent / "installed.lock").exists()
    assert shutil.which("node") is not None
    assert shutil.which("npm") is not None
    assert (NODE_MODULES.parent / "installed.json").exists()


@needs_python_tools
def test_the_python_tools_are_the_locked_ones() -> None:
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", LOCK.read_text(), re.MULTILINE))
    for program, package in PROGRAMS.items():
        shown = run(BIN / program, "--version", within=60)
        assert shown.returncode == 0, shown.stderr
        assert locked[package] in shown.stdout


@needs_node_tools
def test_the_node_tools_are_the_locked_ones() -> None:
    locked = json.loads(NODE_LOCK.read_text())["packages"]
    wanted = locked[""]["devDependencies"]
    assert wanted
    for package, version in wanted.items():
        installed = json.loads((NODE_MODULES / package / "package.json").read_text())
        assert installed["version"] == version == locked[f"node_modules/{package}"]["version"], (
            package
        )


def test_the_node_lock_holds_hashes_and_no_addresses() -> None:
    packages = {
        name: package
        for name, package in json.loads(NODE_LOCK.read_text())["packages"].items()
        if name
    }
    assert packages
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [
        name for name, package in packages.items() if not package["integrity"].startswith("sha512-")
    ] == []
