"""Follow ``docs/guides/add-a-provider.md`` as a reader does: write its files, run its commands."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.provider import write
from tests.structure.tree import ROOT, tracked_files

GUIDE: Final = ROOT / "docs" / "guides" / "add-a-provider.md"
SLUG: Final = "cardfile"
MYPY_CACHE: Final = ROOT / ".cache" / "mypy"
BLOCK: Final = re.compile(r"^```(\w+) ?(.*)\n((?:.*\n)*?)```$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """Hold one fenced block: its language, the rest of its first line, and its text."""

    language: str
    info: str
    text: str


def blocks() -> Iterator[Block]:
    """Yield the guide's blocks in order."""
    for language, info, text in BLOCK.findall(GUIDE.read_text("utf-8")):
        yield Block(language, info, text)


def write_provider(slug: str, root: Path) -> None:
    """Write the provider that the guide ends with below ``root``, under another slug."""
    write(slug, root)
    for block in blocks():
        if block.language in {"python", "json"}:
            path = root / block.info.replace(SLUG, slug)
            text = block.text.replace(SLUG, slug).replace(SLUG.capitalize(), slug.capitalize())
            path.write_text(text, "utf-8")


def copy_checkout(root: Path) -> None:
    """Copy this checkout with the times of its files, and mypy's cache, so that it stays valid."""
    for path in tracked_files():
        to = root / path.relative_to(ROOT)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, to, follow_symlinks=False)
    (root / ".venv-dev").symlink_to(ROOT / ".venv-dev")
    if MYPY_CACHE.exists():
        shutil.copytree(MYPY_CACHE, root / MYPY_CACHE.relative_to(ROOT))


def follow(root: Path) -> None:
    """Do what the guide says in the copy ``root``, block by block.

    A command fails only where its block says ``fails``. Each line of a ``text`` block has to be in
    the output of the command before it.
    """
    output = ""
    for block in blocks():
        match block.language:
            case "sh":
                ended = subprocess.run(
                    ["sh", "-ec", block.text],
                    cwd=root,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    check=False,
                )
                output = ended.stdout
                assert bool(ended.returncode) is (block.info == "fails"), output
            case "text":
                missing = [line for line in block.text.splitlines() if line not in output]
                assert missing == [], output
            case _:
                (root / block.info).write_text(block.text, "utf-8")
