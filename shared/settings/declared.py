"""Every variable, declared once: what is read, its default, and the sentence the README shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from shared.settings import readers
from shared.settings.servers import ADDRESSES, DATABASE, KAFKA, REDIS
from shared.settings.variable import Variable, port

PREFIX: Final = "TRIBUTARY_"
KNOWN_ELSEWHERE: Final = frozenset({"TRIBUTARY_FAILPOINT"})

GENERAL: Final = (
    port("GATEWAY_PORT", "8000", "The only public door: REST, console, OAuth callback."),
    port("AUTH_PORT", "8001", "The auth service; answers only to the other services."),
    port("FETCHER_PORT", "8002", "The fetcher; answers only to the other services."),
    port("SANDBOX_PORT", "8003", "The simulated providers."),
    port("KAFKA_PORT", "9092", "The Kafka bootstrap port."),
    Variable(
        name="HOST",
        kind="address",
        read=readers.address,
        default="localhost",
        description="The gateway's address: `localhost` is 127.0.0.1 and ::1. Beyond loopback, API keys are required.",
    ),
    Variable(
        name="DATA_DIR",
        kind="path",
        read=readers.folder,
        default=".tributary",
        description="Databases, the Kafka log, keys and the sandbox's state.",
    ),
    Variable(
        name="PUBLIC_URL",
        kind="origin",
        read=readers.origin,
        default="http://localhost:{gateway_port}",
        description=(
            "How browsers reach the gateway, without a path. Beyond loopback, API keys are required; "
            "with https, cookies become Secure."
        ),
    ),
    Variable(
        name="ALLOWED_ORIGINS",
        kind="origins, comma-separated",
        read=readers.origins,
        default="http://localhost:3000",
        description="Pages of other origins that may call the API and be returned to.",
    ),
    Variable(
        name="KEYS",
        kind="keyid:base64 of 32 bytes, comma-separated",
        read=readers.keys,
        description="The keys that seal tokens; the first writes. Without it a key file is made in the data folder.",
        secret=True,
    ),
    Variable(
        name="LOG_LEVEL",
        kind="debug, info, warning, error or critical",
        read=readers.level,
        default="info",
        description="What is logged.",
    ),
    Variable(
        name="LOG_FORMAT",
        kind="auto, json or pretty",
        read=readers.log_format,
        default="auto",
        description="Auto is pretty on a terminal, JSON lines elsewhere.",
    ),
    Variable(
        name="MAX_PAGES",
        kind="count",
        read=readers.count,
        description="Pages per job after which a load stops, visibly. Not set, there is no limit.",
    ),
    Variable(
        name="SLOTS",
        kind="count",
        read=readers.count,
        default="8",
        description="How many jobs a fetcher runs at once; a quarter of them, at least one, is for background work.",
    ),
    *ADDRESSES,
    *DATABASE,
    *KAFKA,
    *REDIS,
)


PER_PROVIDER: Final = (
    Variable(
        name="CLIENT_ID",
        kind="text",
        read=readers.text,
        description="Your app at the provider. Without it the provider is simulated by the sandbox.",
    ),
    Variable(name="CLIENT_SECRET", kind="text", read=readers.secret, description="Its secret.", secret=True),
    Variable(
        name="SCOPES",
        kind="words",
        read=readers.words,
        description="Scopes to ask for instead of the provider's usual ones.",
    ),
    Variable(name="AUTHORIZE_URL", kind="URL", read=readers.url, description="Where the browser is sent to consent."),
    Variable(
        name="TOKEN_URL", kind="URL", read=readers.url, description="Where codes and refresh tokens are exchanged."
    ),
    Variable(name="API_URL", kind="URL", read=readers.url, description="Where objects are read."),
)


def provider_prefix(slug: str) -> str:
    return f"{slug.upper().replace('-', '_')}_"


def settings_table(providers: Iterable[str] = ()) -> str:
    """The README's markdown table. ``providers`` are slugs, named as the values ``P`` may have."""
    rows = [f"| `{PREFIX}{variable.name}` | {variable.kind} | {_shown(variable)} |" for variable in GENERAL]
    rows += [f"| `{PREFIX}P_{variable.name}` | {variable.kind} | {_shown(variable)} |" for variable in PER_PROVIDER]
    head = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    names = ", ".join(f"`{provider_prefix(slug)[:-1]}`" for slug in providers)
    note = f"\n\n`P` is the name of a provider in capitals{f': {names}' if names else ''}."
    return "\n".join(head + rows) + f"{note} An empty value counts as not set; the environment wins over `.env`.\n"


def _shown(variable: Variable) -> str:
    default = (
        f"`{variable.default.replace('_', ' ') if '{' in variable.default else variable.default}`"
        if variable.default
        else "not set"
    )
    return f"{default} | {variable.description}{' Secret.' if variable.secret else ''}"
