"""Every variable, declared once: how it is parsed, its default, and the sentence that docs/reference/settings.md shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from shared.settings import parsers

PREFIX: Final = "TRIBUTARY_"
KNOWN_ELSEWHERE: Final = frozenset({"TRIBUTARY_CLOCK_FILE", "TRIBUTARY_FAILPOINT"})
"""For tests only: see ``shared.clock`` and ``shared.failpoints``."""


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """One variable; ``default`` is the text that stands in when nothing is set, parsed like any other.

    Without a default the value is None.
    """

    name: str
    kind: str
    parse: Callable[[str], Any]
    description: str
    default: str | None = None
    secret: bool = False

    @property
    def field(self) -> str:
        return self.name.lower()


def _port(name: str, default: str, what: str) -> Variable:
    return Variable(name=name, kind="port", parse=parsers.port, default=default, description=what)


ADDRESSES: Final = (
    Variable(
        name="INTERNAL_HOST",
        kind="address",
        parse=parsers.address,
        default="127.0.0.1",
        description="The address on which auth, fetcher and sandbox listen when they run as processes of their own.",
    ),
    Variable(
        name="AUTH_URL",
        kind="origin",
        parse=parsers.origin,
        default="http://127.0.0.1:{auth_port}",
        description="How the other services reach auth.",
    ),
    Variable(
        name="SANDBOX_URL",
        kind="origin",
        parse=parsers.origin,
        default="http://127.0.0.1:{sandbox_port}",
        description="How the services reach the simulated providers.",
    ),
    Variable(
        name="SANDBOX_PUBLIC_URL",
        kind="origin",
        parse=parsers.origin,
        default="{sandbox_url}",
        description="How browsers reach the simulated providers' pages: consent, and records.",
    ),
)

DATABASE: Final = (
    Variable(
        name="DATABASE_URL",
        kind="postgresql URL",
        parse=parsers.database,
        description="A PostgreSQL database; each service has a schema in it. Not set: SQLite files in the data folder.",
        secret=True,
    ),
    Variable(
        name="DATABASE_PASSWORD_FILE",
        kind="path",
        parse=parsers.folder,
        description="A file that holds the password, when the URL has none.",
    ),
)

REDIS: Final = (
    Variable(
        name="REDIS_URL",
        kind="redis URL",
        parse=parsers.redis,
        description="Holds the quotas that fetchers share. Not set: each fetcher keeps its own, at half speed.",
        secret=True,
    ),
)

KAFKA: Final = (
    Variable(
        name="KAFKA_BOOTSTRAP_SERVERS",
        kind="host:port, comma-separated",
        parse=parsers.bootstrap,
        description="A Kafka cluster. Not set: 127.0.0.1 and the Kafka port.",
    ),
    Variable(
        name="KAFKA_SECURITY_PROTOCOL",
        kind="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
        parse=parsers.security_protocol,
        default="PLAINTEXT",
        description="How Kafka is spoken to.",
    ),
    Variable(
        name="KAFKA_SASL_MECHANISM",
        kind="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        parse=parsers.sasl_mechanism,
        default="SCRAM-SHA-512",
        description="How we sign in, when the protocol is a SASL one.",
    ),
    Variable(name="KAFKA_SASL_USERNAME", kind="text", parse=parsers.text, description="As whom."),
    Variable(
        name="KAFKA_SASL_PASSWORD",
        kind="text",
        parse=parsers.secret,
        description="With what.",
        secret=True,
    ),
    Variable(
        name="KAFKA_SSL_CAFILE",
        kind="path",
        parse=parsers.file,
        description="The authorities that may have signed the brokers' certificates. Not set: the system's own.",
    ),
    Variable(
        name="KAFKA_SSL_CERTFILE",
        kind="path",
        parse=parsers.file,
        description="Our own certificate, where one is asked.",
    ),
    Variable(name="KAFKA_SSL_KEYFILE", kind="path", parse=parsers.file, description="Its key."),
)

GENERAL: Final = (
    _port("GATEWAY_PORT", "8000", "The only public door: REST, console, OAuth callback."),
    _port("AUTH_PORT", "8001", "The auth service; answers only to the other services."),
    _port("FETCHER_PORT", "8002", "The fetcher; answers only to the other services."),
    _port("SANDBOX_PORT", "8003", "The simulated providers."),
    _port("KAFKA_PORT", "9092", "The Kafka bootstrap port."),
    Variable(
        name="HOST",
        kind="address",
        parse=parsers.address,
        default="localhost",
        description="The gateway's address: `localhost` is 127.0.0.1 and ::1. Beyond loopback, API keys are required.",
    ),
    Variable(
        name="DATA_DIR",
        kind="path",
        parse=parsers.folder,
        default=".tributary",
        description="Databases, the Kafka log, keys and the sandbox's state.",
    ),
    Variable(
        name="PUBLIC_URL",
        kind="origin",
        parse=parsers.origin,
        default="http://localhost:{gateway_port}",
        description=(
            "How browsers reach the gateway, without a path. Beyond loopback, API keys are required; "
            "with https, cookies become Secure."
        ),
    ),
    Variable(
        name="ALLOWED_ORIGINS",
        kind="origins, comma-separated",
        parse=parsers.origins,
        default="http://localhost:3000",
        description="Pages of other origins that may call the API and be returned to.",
    ),
    Variable(
        name="KEYS",
        kind="keyid:base64 of 32 bytes, comma-separated",
        parse=parsers.keys,
        description="The keys that seal tokens; the first writes. Without it a key file is made in the data folder.",
        secret=True,
    ),
    Variable(
        name="LOG_LEVEL",
        kind="debug, info, warning, error or critical",
        parse=parsers.level,
        default="info",
        description="What is logged.",
    ),
    Variable(
        name="LOG_FORMAT",
        kind="auto, json or pretty",
        parse=parsers.log_format,
        default="auto",
        description="Auto is pretty on a terminal, JSON lines elsewhere.",
    ),
    Variable(
        name="MAX_PAGES",
        kind="count",
        parse=parsers.count,
        description="Pages per job after which a load stops, visibly. Not set, there is no limit.",
    ),
    Variable(
        name="SLOTS",
        kind="count",
        parse=parsers.count,
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
        parse=parsers.text,
        description="Your app at the provider. Without it the provider is simulated by the sandbox.",
    ),
    Variable(
        name="CLIENT_SECRET",
        kind="text",
        parse=parsers.secret,
        description="Its secret.",
        secret=True,
    ),
    Variable(
        name="SCOPES",
        kind="words",
        parse=parsers.entries,
        description="Scopes to ask for instead of the provider's usual ones.",
    ),
    Variable(
        name="AUTHORIZE_URL",
        kind="URL",
        parse=parsers.url,
        description="Where the browser is sent to consent.",
    ),
    Variable(
        name="TOKEN_URL",
        kind="URL",
        parse=parsers.url,
        description="Where codes and refresh tokens are exchanged.",
    ),
    Variable(name="API_URL", kind="URL", parse=parsers.url, description="Where objects are read."),
)


def provider_prefix(slug: str) -> str:
    return f"{slug.upper().replace('-', '_')}_"


def settings_table(providers: Iterable[str] = ()) -> str:
    """Return the settings as a Markdown table. ``providers`` are slugs, named as the values ``P`` may have."""
    rows = [
        f"| `{PREFIX}{variable.name}` | {variable.kind} | {_shown(variable)} |"
        for variable in GENERAL
    ]
    rows += [
        f"| `{PREFIX}P_{variable.name}` | {variable.kind} | {_shown(variable)} |"
        for variable in PER_PROVIDER
    ]
    head = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    names = ", ".join(f"`{provider_prefix(slug)[:-1]}`" for slug in providers)
    note = f"\n\n`P` is the name of a provider in capitals{f': {names}' if names else ''}."
    return (
        "\n".join(head + rows)
        + f"{note} An empty value counts as not set; the environment wins over `.env`.\n"
    )


def _shown(variable: Variable) -> str:
    default = (
        f"`{variable.default.replace('_', ' ') if '{' in variable.default else variable.default}`"
        if variable.default
        else "not set"
    )
    return f"{default} | {variable.description}{' Secret.' if variable.secret else ''}"
