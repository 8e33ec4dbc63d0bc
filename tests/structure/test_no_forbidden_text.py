"""A checkout works anywhere: it names no machine's folders and no package registry."""

import re

import pytest

from tests.structure.tree import name, text, tracked_files

# In pieces, so that this file does not contain what it forbids.
REGISTRIES = [
    "pypi org",
    "pythonhosted org",
    "registry npm",
    "npmjs org",
    "npmjs com",
    "repo maven",
    "repo1 maven",
]
REGISTRIES += ["deb debian", "crates io", "proxy golang"]
OWN_FOLDERS = ["work", "root", r"home/\w+", r"Users/\w+", r"tmp/\w+"]
FORBIDDEN = re.compile(
    "|".join(
        [host.replace(" ", r"\.") for host in REGISTRIES]
        + [rf"(?<![\w.:])/{path}\b" for path in OWN_FOLDERS]
    )
)
LOCK_URL = re.compile(r"https?:/[/]|--(extra-)?index-url|--find-links")


def test_no_file_names_a_registry_or_a_folder_of_one_machine() -> None:
    found = [
        f"{name(path)}:{number} {line.strip()[:120]}"
        for path in tracked_files()
        for number, line in enumerate(text(path).splitlines(), start=1)
        if FORBIDDEN.search(line)
    ]
    assert found == []


def test_lock_files_hold_hashes_and_no_urls() -> None:
    locks = [path for path in tracked_files() if path.name.endswith(".lock")]
    assert [path.name for path in locks if LOCK_URL.search(text(path))] == []
    assert [path.name for path in locks if "--hash=sha256:" not in text(path)] == []
    assert sorted(path.name for path in locks) == [
        "requirements-dev.lock",
        "requirements-local.lock",
        "requirements-strangers.lock",
        "requirements.lock",
    ]


@pytest.mark.parametrize(
    "parts",
    [["https://", "pypi.", "org"], ["/", "work/main"], ["cd ", "/", "root"], ["/", "home/x"]],
)
def test_a_registry_and_a_machine_path_are_found(parts: list[str]) -> None:
    assert FORBIDDEN.search("".join(parts))


@pytest.mark.parametrize(
    "text", ["/v1/work/x", "https://example.com/home/x", "/connections", "/path/to/python"]
)
def test_an_ordinary_path_is_not_found(text: str) -> None:
    assert not FORBIDDEN.search(text)
