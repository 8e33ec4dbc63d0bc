"""Reads the console's addresses. A console address that makes no sense shows the page as if that part were absent."""

from __future__ import annotations

from collections.abc import Mapping

from services.gateway.console.table import Asked

LONGEST = 200


def asked(query: Mapping[str, str]) -> Asked:
    query = {name: value.replace("\0", "") for name, value in query.items()}
    page = query.get("page", "1")
    after = query.get("after", "")
    return Asked(
        q=query.get("q", "").strip()[:LONGEST],
        provider=query.get("provider", ""),
        resource=query.get("resource", ""),
        after=after,
        trail=tuple(query.get("trail", "").split()) if after else (),
        page=int(page) if after and page.isascii() and page.isdigit() and len(page) < 7 else 1,
        cleared=query.get("view") == "cleared",
    )
