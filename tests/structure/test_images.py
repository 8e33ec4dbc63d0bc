"""Code that runs in production imports nothing that only tests, the sandbox or `make run` need."""

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.structure.images import DOCKERFILE, copied_into
from tests.structure.tree import ROOT

# Imports every module below the working directory, and prints which top-level modules came from
# elsewhere. Migrations are left out: Alembic loads them by path.
IMPORT_ALL = """
import importlib, json, pathlib, sys
from importlib.abc import MetaPathFinder

before = set(sys.modules)

class Blocked(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if any(name == one or name.startswith(one + ".") for one in sys.argv[1:]):
            raise ImportError(f"{name} is not in the image")
        return None

sys.meta_path.insert(0, Blocked())
sys.path.insert(0, ".")
for path in sorted(pathlib.Path().rglob("*.py")):
    if "migrations" not in path.parts:
        parts = path.with_suffix("").parts
        importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules.keys() - before})))
"""
STAND_INS = ("deploy.localkafka", "fakeredis", "lupa")


def image(name: str, folder: Path) -> Path:
    """Return a folder with the image's code, without tests."""
    for source in copied_into(name):
        target = folder / source
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(
                ROOT / source, target, ignore=shutil.ignore_patterns("tests", "__pycache__")
            )
        else:
            shutil.copy(ROOT / source, target)
    return folder


def import_all(folder: Path, *blocked: str) -> set[str]:
    """Import every module in ``folder`` without ``blocked``; return the top-level names loaded."""
    command = [sys.executable, "-P", "-c", IMPORT_ALL, *blocked]
    ran = subprocess.run(
        command, cwd=folder, env={}, capture_output=True, text=True, timeout=100, check=False
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    loaded: list[str] = json.loads(ran.stdout.splitlines()[-1])
    return set(loaded)


def locked(lock: str) -> set[str]:
    """Return a lock file's distributions by their normalised names."""
    return set(re.findall(r"^([a-z0-9-]+)==", (ROOT / lock).read_text("utf-8"), re.MULTILINE))


def distributions(modules: set[str]) -> set[str]:
    """Return the distributions that provide these top-level modules, besides Python."""
    known = packages_distributions()
    found = {
        name for module in modules - set(sys.stdlib_module_names) for name in known.get(module, ())
    }
    return {re.sub(r"[-_.]+", "-", name).lower() for name in found}


def test_the_production_image_runs_without_stand_ins_and_with_the_production_packages(
    tmp_path: Path,
) -> None:
    loaded = import_all(image("production", tmp_path), "deploy.sandbox", *STAND_INS)
    assert {"services", "shared", "litestar"} <= loaded
    assert distributions(loaded) - locked("requirements.lock") == set()


def test_the_sandbox_image_needs_no_other_packages(tmp_path: Path) -> None:
    loaded = import_all(image("sandbox", tmp_path), *STAND_INS)
    assert distributions(loaded) - locked("requirements.lock") == set()


def test_an_import_of_a_stand_in_is_found(tmp_path: Path) -> None:
    (tmp_path / "product.py").write_text("import fakeredis")
    with pytest.raises(AssertionError, match="fakeredis is not in the image"):
        import_all(tmp_path, *STAND_INS)


def test_the_images_are_installed_from_the_production_lock() -> None:
    assert set(re.findall(r"requirements\S*\.lock", DOCKERFILE.read_text("utf-8"))) == {
        "requirements.lock"
    }


def test_each_lock_holds_the_versions_of_the_one_below_it() -> None:
    below, middle, above = ("requirements.lock", "requirements-local.lock", "requirements-dev.lock")
    assert pins(below) < pins(middle) < pins(above)
    assert {"fakeredis", "lupa"} <= locked(middle) - locked(below)


def pins(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+==\S+)", (ROOT / lock).read_text("utf-8"), re.MULTILINE))
