"""The pre-commit hooks run the locked tools, and nothing that ``make lint`` does not run."""

import re

from tests.structure.tree import ROOT

PYTHON = ".venv-dev/bin/python -m "
ENTRY = re.compile(r"^ +entry: (.+)$", re.MULTILINE)
REPOSITORY = re.compile(r"^ +- repo: (.+)$", re.MULTILINE)


def hooks() -> str:
    return (ROOT / ".pre-commit-config.yaml").read_text("utf-8")


def linted() -> str:
    """Return what ``make lint`` runs, with the names it uses replaced by their values."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    recipe = makefile.partition("\nlint: dev\n")[2].partition("\n\n")[0]
    folders = re.findall(r"^CODE = (.+)$", makefile, re.MULTILINE)[0]
    return recipe.replace("$(DEV)", ".venv-dev/bin/python").replace("$(CODE)", folders)


def test_every_hook_is_local() -> None:
    assert REPOSITORY.findall(hooks()) == ["local"]


def test_every_hook_runs_a_command_of_make_lint() -> None:
    entries = ENTRY.findall(hooks())
    assert len(entries) == 4
    for entry in entries:
        assert entry.startswith(PYTHON)
        assert entry.replace(" --force-exclude", "") in linted()
