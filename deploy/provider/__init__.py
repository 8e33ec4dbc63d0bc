"""Write the two folders of a new provider, as a start that the conformance suite leads on from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shared.exit_codes import Misuse

TEMPLATE: Final = Path(__file__).parent / "template"
SUFFIX: Final = ".txt"
"""The template's files end so, because they are not code of this checkout."""
HOMES: Final[Mapping[str, str]] = {
    "shared": "shared/providers",
    "sandbox": "deploy/sandbox/providers",
}
"""Folder of the template → the folder of the checkout in which the provider's own is made."""
SLUG: Final = re.compile(r"[a-z][a-z0-9]{1,30}")


def write(slug: str, root: Path) -> list[Path]:
    """Write both folders below ``root`` and return the paths of their files.

    Raises:
        Misuse: the slug cannot be a name everywhere, or one of the folders is there already.
    """
    if not SLUG.fullmatch(slug):
        raise Misuse(
            f"{slug!r} cannot be a slug: it is part of URLs, settings and module names. "
            "Use 2 to 31 small letters and digits, beginning with a letter."
        )
    folders = {part: root / home / slug for part, home in HOMES.items()}
    for folder in folders.values():
        if folder.exists():
            raise Misuse(f"{folder} is there already: choose another slug, or remove the folder.")
    return [path for part, folder in folders.items() for path in _written(part, folder, slug)]


def _written(part: str, folder: Path, slug: str) -> list[Path]:
    source = TEMPLATE / part
    written = []
    for file in sorted(source.rglob(f"*{SUFFIX}")):
        path = folder / file.relative_to(source).with_suffix("")
        path.parent.mkdir(parents=True, exist_ok=True)
        text = file.read_text("utf-8")
        text = text.replace("acme", slug).replace("Acme", slug.capitalize())
        path.write_text(text, "utf-8")
        written.append(path)
    return written
