"""The pre-commit hooks run what ``make lint`` runs, with the locked tools."""

import re

from tests.structure.tree import ROOT

ENTRY = re.compile(r"^ +entry: (.+)$", re.MULTILINE)
REPOSITORY = re.compile(r"^ +- repo: (.+)$", re.MULTILINE)


def hooks() -> str:
    return (ROOT / ".pre-commit-config.yaml").read_text("utf-8")


def hooked() -> list[str]:
    """Return what the hooks run on the whole tree instead of the files of a commit."""
    entries = ENTRY.findall(hooks())
    return [entry.removeprefix("env ").replace(" --force-exclude", " .") for entry in entries]


def linted() -> list[str]:
    """Return what ``make lint`` runs, with the names it uses replaced by their values."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    recipe = makefile.partition("\nlint: dev\n")[2].partition("\n\n")[0]
    folders = re.findall(r"^CODE = (.+)$", makefile, re.MULTILINE)[0]
    named = recipe.replace("$(DEV)", ".venv-dev/bin/python").replace("$(CODE)", folders)
    return [line.strip() for line in named.splitlines()]


def test_every_hook_is_local() -> None:
    assert REPOSITORY.findall(hooks()) == ["local"]


def test_the_hooks_run_each_command_of_make_lint_and_no_other() -> None:
    assert len(linted()) == 5
    assert hooked() == linted()
