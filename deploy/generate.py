"""Write what is generated from the code; with ``--check`` only say what is stale, and fail.

python -m deploy.generate [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from deploy.reference.errors import errors_page
from deploy.reference.log_events import log_events_page
from deploy.reference.metrics import metrics_page
from deploy.reference.providers import provider_pages
from deploy.reference.settings import example_file, settings_page
from services.gateway.app import bare_app
from services.gateway.http.asyncapi import asyncapi_document
from services.gateway.http.openapi import described_server, openapi_document
from services.gateway.http.schemas import Json
from services.gateway.security.permissions import required_permission
from shared.providers import load_providers

ROOT: Final = Path(__file__).resolve().parent.parent


def _json(document: object) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _rest_contract() -> Json:
    return openapi_document(
        bare_app(), described_server(load_providers().values()), permission=required_permission
    )


FILES: Final[Mapping[str, Callable[[str], str]]] = {
    "docs/openapi.json": lambda _: _json(_rest_contract()),
    "docs/asyncapi.json": lambda _: _json(asyncapi_document()),
    "docs/reference/settings.md": settings_page,
    "docs/reference/errors.md": errors_page,
    "docs/reference/metrics.md": metrics_page,
    "docs/reference/log-events.md": log_events_page,
    ".env.example": example_file,
    **provider_pages(),
}
"""Path → what the file has to hold, given what it holds now: some are generated in part."""


def stale(root: Path = ROOT) -> dict[str, str]:
    """Return path → new content of each file that is not as generated."""
    wanted = {}
    for name, make in FILES.items():
        path = root / name
        present = path.read_text() if path.exists() else ""
        content = make(present)
        if content != present:
            wanted[name] = content
    return wanted


def main(arguments: list[str]) -> int:
    try:
        found = stale()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    if "--check" in arguments:
        for name in found:
            print(f"{name} is stale: run make generate")
        return 1 if found else 0
    for name, content in found.items():
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(content)
        print(f"{name} written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
