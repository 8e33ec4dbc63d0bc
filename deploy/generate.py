"""Writes what is generated from the code; with ``--check`` it only says what is stale, and fails.

python -m deploy.generate [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from services.gateway.app import bare_app
from services.gateway.http.asyncapi import asyncapi_document
from services.gateway.http.openapi import described_server, openapi_document
from services.gateway.http.schemas import Json
from services.gateway.security.permissions import required_permission
from shared.providers import load_providers
from shared.settings import settings_table

ROOT: Final = Path(__file__).resolve().parent.parent


def _json(document: object) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _rest_contract() -> Json:
    return openapi_document(
        bare_app(), described_server(load_providers().values()), permission=required_permission
    )


def _readme(present: str) -> str:
    """The README with the settings table between its two marks; as it is when it has none."""
    before, begin, rest = present.partition(
        "<!-- settings: written by python -m deploy.generate -->\n"
    )
    if not begin:
        return present
    _, end, after = rest.partition("<!-- /settings -->")
    return f"{before}{begin}\n{settings_table(load_providers())}\n{end}{after}"


FILES: Final[Mapping[str, Callable[[str], str]]] = {
    "docs/openapi.json": lambda _: _json(_rest_contract()),
    "docs/asyncapi.json": lambda _: _json(asyncapi_document()),
    "README.md": _readme,
}
"""Path → what it has to hold; given what it holds now, for files that are generated in part."""


def stale(root: Path = ROOT) -> dict[str, str]:
    """Path → its new content, for each file that is not as generated."""
    wanted = {}
    for name, make in FILES.items():
        path = root / name
        present = path.read_text() if path.exists() else ""
        content = make(present)
        if content != present:
            wanted[name] = content
    return wanted


def main(arguments: list[str]) -> int:
    found = stale()
    if "--check" in arguments:
        for name in found:
            print(f"{name} is stale: run python -m deploy.generate")
        return 1 if found else 0
    for name, content in found.items():
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(content)
        print(f"{name} written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
