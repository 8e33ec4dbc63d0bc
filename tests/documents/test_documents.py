"""Every command of a document works as shown, and prints what the document says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents.blocks import DOCUMENTS, read, steps
from tests.documents.reader import reading, settled
from tests.structure.tree import name as tree_name
from tests.structure.tree import text, tracked_files
from tests.support.product import Product, product

EXAMPLE = """\
```sh
echo one
```

```text
two
```

<!-- not run: it would delete everything -->
```sh
rm -rf /
```

```json
{}
```

<!-- python -->
```python
print(1)
```

```text
1
```

<!-- in the browser: allow -->
<!-- save as: try/two.py -->
```python
print(2)
```

<!-- after: README.md -->
"""
RUN_ELSEWHERE = {"docs/guides/add-a-provider.md"}
"""Run by tests/conformance in a copy of the checkout, because the commands make files."""


def shows_commands(name: str) -> bool:
    return any(step.kind == "commands" for step in steps(read(name)))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Product]:
    """Yield a fresh product for each document, so that none depends on what another one did."""
    with product(tmp_path) as started:
        yield started


@pytest.mark.e2e
@pytest.mark.parametrize("name", [name for name in DOCUMENTS if shows_commands(name)])
def test_each_command_works_and_prints_what_the_document_says(
    running: Product, tmp_path: Path, name: str
) -> None:
    said = ""
    with reading(running, tmp_path / "checkout") as reader:
        for step in steps(read(name)):
            printed = reader.does(step)
            said = said if printed is None else printed
            if step.kind == "output":
                assert settled(said) == settled(step.body)


def test_every_document_with_commands_is_read() -> None:
    pages = [page for page in tracked_files() if page.suffix == ".md"]
    with_commands = {tree_name(page) for page in pages if "```sh" in text(page)}
    assert with_commands == {*DOCUMENTS, *RUN_ELSEWHERE}


def test_what_is_not_run_has_a_reason() -> None:
    left_out = [step for name in DOCUMENTS for step in steps(read(name)) if step.kind == "left out"]
    assert left_out
    assert [step.body for step in left_out if len(step.note.split()) < 3] == []


def test_blocks_outputs_and_marks_are_told_apart() -> None:
    assert [(step.kind, step.body) for step in steps(EXAMPLE)] == [
        ("commands", "echo one\n"),
        ("output", "two\n"),
        ("left out", "rm -rf /\n"),
        ("other", "{}\n"),
        ("program", "print(1)\n"),
        ("output", "1\n"),
        ("consent", "allow"),
        ("file", "print(2)\n"),
        ("earlier", "README.md"),
    ]


def test_only_what_changes_from_run_to_run_is_settled() -> None:
    first = "id 01a22066e3fa76b6b29b4777bdc4bbf4 at 2026-11-28T04:25:43.674Z: 400 items"
    assert settled(first) == "id <id> at <time>: 400 items"
