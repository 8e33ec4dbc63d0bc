"""``docs/reference/settings.md`` and ``.env.example``: every variable, from its declaration."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from shared.providers import load_providers
from shared.settings import settings_table
from shared.settings.variables import GENERAL, PER_PROVIDER, PREFIX, Variable, provider_prefix

WIDTH: Final = 98


def settings_page(_: str = "") -> str:
    return INTRODUCTION + settings_table(load_providers()) + NOTES


def example_file(_: str = "") -> str:
    """Return ``.env.example``: every variable, commented out, with its default as its value."""
    lines = [EXAMPLE]
    for variable in GENERAL:
        lines += _entry(variable, variable.name)
    for slug, provider in load_providers().items():
        lines.append(f"# --- {provider.name} {'-' * (WIDTH - 8 - len(provider.name))}\n")
        for variable in PER_PROVIDER:
            lines += _entry(variable, f"{provider_prefix(slug)}{variable.name}")
    return "\n".join(lines)


def _entry(variable: Variable, name: str) -> Iterator[str]:
    said = f"{variable.description} ({variable.kind})"
    yield from (f"# {line}" for line in textwrap.wrap(said, WIDTH))
    default = variable.default or ""
    value = "" if "{" in default else default
    yield f"#{PREFIX}{name}={value}\n"


INTRODUCTION: Final = """\
<!-- Written by make generate from shared/settings/variables.py. -->
# Settings

Tributary reads environment variables and a file `.env` in the folder it is started in. It checks
them all at the start: if any is wrong, misspelt or at odds with another, it names every problem at
once and starts nothing. [.env.example](../../.env.example) lists them, ready to be copied.

"""
NOTES: Final = """
With Docker Compose, `SANDBOX=0` in `.env` switches the sandbox off. `TRIBUTARY_GATEWAY_PORT`,
`TRIBUTARY_SANDBOX_PORT` and `TRIBUTARY_KAFKA_PORT` are ports of the host there, and values with `$`
need single quotes.
"""
EXAMPLE: Final = """\
# Written by make generate. Copy this file to .env and uncomment what you change. Each
# line shows the default, or nothing where there is none; an empty value counts as not set.
# docs/reference/settings.md has the same as a table.
"""
