"""``docs/reference/providers/{slug}.md``: the part of each page that is data, between two marks.

The rest of a page (how to set up an app, what the fields mean, quirks) is written by hand. A new
provider gets a page with headings to fill in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from deploy.reference.source import table
from shared.connector import Provider
from shared.providers import load_providers
from shared.settings.variables import PREFIX, provider_prefix

BEGIN: Final = "<!-- data: written by make generate -->\n"
END: Final = "<!-- /data -->"
TITLES: Final = {"form": "a form", "json": "JSON", "body": "in the body", "basic": "HTTP Basic"}


def provider_pages() -> Mapping[str, Callable[[str], str]]:
    """Return a writer for the page of each registered provider."""
    providers = load_providers()
    return {
        f"docs/reference/providers/{slug}.md": partial(_page, provider)
        for slug, provider in providers.items()
    }


def _page(provider: Provider, present: str) -> str:
    before, begin, rest = (present or NEW.format(name=provider.name)).partition(BEGIN)
    if not begin:
        return f"{present}\n{BEGIN}{data(provider)}{END}\n"
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{data(provider)}{END}{after}"


def data(provider: Provider) -> str:
    """Return what ``PROVIDER`` says, as Markdown."""
    parts = [_registration(provider), _resources(provider), _limits(provider)]
    return "\n" + "\n".join(parts) + "\n"


def _registration(provider: Provider) -> str:
    oauth, prefix = provider.oauth, f"{PREFIX}{provider_prefix(provider.slug)}"
    secret = f"`{prefix}CLIENT_SECRET`"
    if oauth.secret_optional:
        secret += " (none for a public client)"
    path = f"/integrations/{provider.slug}/oauth2callback"
    scopes = " ".join(oauth.scopes)
    rotates = (
        "a refresh ends the old pair of tokens" if oauth.rotates else "the refresh token stays"
    )
    revoked = f"`{oauth.revoke_url}`" if oauth.revoke_url else "the provider has no way to revoke"
    rows = [
        ("register an app at", f"<{provider.setup_url}>"),
        ("redirect URI", f"`{PREFIX}PUBLIC_URL` + `{path}`"),
        ("variables", f"`{prefix}CLIENT_ID`, {secret}"),
        ("scopes asked for", f"`{scopes}`" if scopes else "none; the provider has no scopes"),
        ("PKCE", "yes, S256" if oauth.pkce else "no; the provider does not take it"),
        ("client authentication", TITLES[oauth.client_auth]),
        ("tokens", rotates),
        ("revoked at", revoked),
    ]
    return table(("OAuth", ""), rows)


def _resources(provider: Provider) -> str:
    rows = []
    for resource in provider.resources:
        scopes = ", ".join(f"`{scope}`" for scope in resource.scopes) or "-"
        rows.append((f"`{resource.slug}`", resource.label, scopes))
    return table(("resource", "shown as", "needs"), rows)


def _limits(provider: Provider) -> str:
    rows = []
    for bucket in provider.buckets:
        most = f"{bucket.requests} requests in {bucket.window_s:g} s"
        if bucket.requests is None:
            most = "no figure is published: a wait that an answer asks for"
        rows.append((f"`{bucket.name}`", ", ".join(bucket.per) or "its key", most))
    jobs = f"At most {provider.parallel} resources of one connection are read at the same time.\n"
    return table(("limit", "counted by", "kept to"), rows) + "\n" + jobs


NEW: Final = (
    """\
# {name}

## Set up an app

## Data

"""
    + BEGIN
    + END
    + """

## Objects and fields

## Quirks

## What is not synced
"""
)
