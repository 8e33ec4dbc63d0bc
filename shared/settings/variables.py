"""Declare every variable once: how it is parsed, its default, and its description.

``docs/reference/settings.md`` shows the descriptions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from shared.settings import parsers

PREFIX: Final = "TRIBUTARY_"
KNOWN_ELSEWHERE: Final = frozenset({"TRIBUTARY_CLOCK_FILE", "TRIBUTARY_FAILPOINT"})
"""For tests only: see ``shared.clock`` and ``shared.failpoints``."""


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """One variable.

    ``default`` is the text that stands in if nothing is set, parsed like any other. Without a
    default the value is None.
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
        description=(
            "The address on which auth, fetcher and sandbox listen when each runs as a process of "
            "its own."
        ),
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
        description="How browsers reach the simulated providers' consent and record pages.",
    ),
)

DATABASE: Final = (
    Variable(
        name="DATABASE_URL",
        kind="postgresql URL",
        parse=parsers.database,
        description=(
            "A PostgreSQL database, in which each service has its own schema. "
            "Not set: SQLite files in the data folder."
        ),
        secret=True,
    ),
    Variable(
        name="DATABASE_PASSWORD_FILE",
        kind="path",
        parse=parsers.folder,
        description="A file that holds the database password, if the URL has none.",
    ),
)

REDIS: Final = (
    Variable(
        name="REDIS_URL",
        kind="redis URL",
        parse=parsers.redis,
        description=(
            "Holds the quotas that all fetchers share. "
            "Not set: each fetcher keeps its own, at half speed."
        ),
        secret=True,
    ),
)

KAFKA: Final = (
    Variable(
        name="KAFKA_BOOTSTRAP_SERVERS",
        kind="host:port, comma-separated",
        parse=parsers.bootstrap,
        description="The brokers of a Kafka cluster. Not set: 127.0.0.1 and the Kafka port.",
    ),
    Variable(
        name="KAFKA_SECURITY_PROTOCOL",
        kind="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
        parse=parsers.security_protocol,
        default="PLAINTEXT",
        description="How to connect to Kafka: encrypted or not, signed in or not.",
    ),
    Variable(
        name="KAFKA_SASL_MECHANISM",
        kind="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        parse=parsers.sasl_mechanism,
        default="SCRAM-SHA-512",
        description="How to sign in to Kafka, if the protocol is a SASL one.",
    ),
    Variable(
        name="KAFKA_SASL_USERNAME",
        kind="text",
        parse=parsers.text,
        description="The user name to sign in to Kafka with.",
    ),
    Variable(
        name="KAFKA_SASL_PASSWORD",
        kind="text",
        parse=parsers.secret,
        description="The password of that user.",
        secret=True,
    ),
    Variable(
        name="KAFKA_SSL_CAFILE",
        kind="path",
        parse=parsers.file,
        description=(
            "The certificate authorities to trust for the brokers. Not set: the system's own."
        ),
    ),
    Variable(
        name="KAFKA_SSL_CERTFILE",
        kind="path",
        parse=parsers.file,
        description="The client certificate, if the brokers ask for one.",
    ),
    Variable(
        name="KAFKA_SSL_KEYFILE",
        kind="path",
        parse=parsers.file,
        description="The private key of the client certificate.",
    ),
)

GENERAL: Final = (
    _port(
        "GATEWAY_PORT",
        "8000",
        "The gateway's port, the only public one: REST, console, OAuth callback.",
    ),
    _port(
        "AUTH_PORT",
        "8001",
        "The auth service's port. It answers only to the other services.",
    ),
    _port("FETCHER_PORT", "8002", "The fetcher's port. It answers only to the other services."),
    _port("SANDBOX_PORT", "8003", "The simulated providers' port."),
    _port("KAFKA_PORT", "9092", "The port of the Kafka that is started here."),
    Variable(
        name="HOST",
        kind="address",
        parse=parsers.address,
        default="localhost",
        description=(
            "The address on which the gateway listens; `localhost` means 127.0.0.1 and ::1. "
            "Beyond loopback, API keys are required."
        ),
    ),
    Variable(
        name="DATA_DIR",
        kind="path",
        parse=parsers.folder,
        default=".tributary",
        description="Databases, Kafka's log, keys, log files and the sandbox's state.",
    ),
    Variable(
        name="PUBLIC_URL",
        kind="origin",
        parse=parsers.origin,
        default="http://localhost:{gateway_port}",
        description=(
            "How browsers reach the gateway, without a path. Beyond loopback, API keys are needed. "
            "With https, cookies are Secure."
        ),
    ),
    Variable(
        name="ALLOWED_ORIGINS",
        kind="origins, comma-separated",
        parse=parsers.origins,
        default="http://localhost:3000",
        description="Origins whose pages may call the API and be returned to.",
    ),
    Variable(
        name="KEYS",
        kind="keyid:base64 of 32 bytes, comma-separated",
        parse=parsers.keys,
        description=(
            "The keys that seal tokens; the first one seals new tokens. "
            "Not set: a key file in the data folder, made at the first start."
        ),
        secret=True,
    ),
    Variable(
        name="LOG_LEVEL",
        kind="debug, info, warning, error or critical",
        parse=parsers.level,
        default="info",
        description="The lowest level that is logged.",
    ),
    Variable(
        name="LOG_FORMAT",
        kind="auto, json or pretty",
        parse=parsers.log_format,
        default="auto",
        description="`auto` is pretty on a terminal and JSON elsewhere.",
    ),
    Variable(
        name="MAX_PAGES",
        kind="count",
        parse=parsers.count,
        description="The number of pages after which a job stops. Not set: no limit.",
    ),
    Variable(
        name="GIVE_UP_AFTER_S",
        kind="seconds",
        parse=parsers.seconds,
        default="172800",
        description=(
            "How long a sync goes on trying while its provider, or the network to it, fails. "
            "Waits that the provider asks for are added."
        ),
    ),
    Variable(
        name="ALL_FIELDS",
        kind="true or false",
        parse=parsers.switch,
        default="false",
        description=(
            "`true` also reads the fields that are left out otherwise because hardly anybody "
            "needs them: a receipt's `left_out` names them. After a change, the items that have "
            "such fields are sent once more."
        ),
    ),
    Variable(
        name="SLOTS",
        kind="count",
        parse=parsers.count,
        default="8",
        description=(
            "How many jobs a fetcher runs at once. "
            "A quarter of them, at least one, is for background work."
        ),
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
        description="Your app's id at the provider. Not set: the sandbox simulates it.",
    ),
    Variable(
        name="CLIENT_SECRET",
        kind="text",
        parse=parsers.secret,
        description="The client secret of your app.",
        secret=True,
    ),
    Variable(
        name="SCOPES",
        kind="words",
        parse=parsers.entries,
        description="The scopes to ask for instead of the usual ones.",
    ),
    Variable(
        name="AUTHORIZE_URL",
        kind="URL",
        parse=parsers.url,
        description="The page to which browsers are sent to consent.",
    ),
    Variable(
        name="TOKEN_URL",
        kind="URL",
        parse=parsers.url,
        description="The endpoint that exchanges codes and refresh tokens.",
    ),
    Variable(
        name="API_URL",
        kind="URL",
        parse=parsers.url,
        description="The API from which objects are read.",
    ),
)


def provider_prefix(slug: str) -> str:
    return f"{slug.upper().replace('-', '_')}_"


def settings_table(providers: Iterable[str] = ()) -> str:
    """Return the settings as a Markdown table.

    ``providers`` are slugs, shown as the possible values of ``P``.
    """
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
    listed = f": {names}" if names else ""
    note = (
        f"`P` is the name of a provider in capitals{listed}. "
        "An empty value counts as not set; the environment wins over `.env`."
    )
    return "\n".join(head + rows) + f"\n\n{note}\n"


def _shown(variable: Variable) -> str:
    default = variable.default or ""
    if "{" in default:
        default = default.replace("_", " ")  # the name of another setting, in braces
    shown = f"`{default}`" if default else "not set"
    note = " Secret." if variable.secret else ""
    return f"{shown} | {variable.description}{note}"
