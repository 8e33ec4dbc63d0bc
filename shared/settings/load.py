"""From the environment and ``.env`` to ``Settings``, or to everything that is wrong with them at once."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, final
from urllib.parse import urlsplit

import msgspec
from typing_extensions import override

from shared.exit_codes import Misuse
from shared.settings.cluster import Cluster
from shared.settings.envfile import parse_env
from shared.settings.secret import SecretStr
from shared.settings.validation import conflicts, with_password
from shared.settings.variables import (
    GENERAL,
    KNOWN_ELSEWHERE,
    PER_PROVIDER,
    PREFIX,
    Variable,
    provider_prefix,
)


class ProviderDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What of a provider's data decides whether its settings are right."""

    secret_optional: bool = False
    """Public clients are permitted: a client id may stand alone."""


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """None means "not set": the composer takes the provider's own value or, when ``simulated``, the sandbox's."""

    client_id: str | None
    client_secret: SecretStr | None
    scopes: tuple[str, ...] | None
    authorize_url: str | None
    token_url: str | None
    api_url: str | None

    @property
    def simulated(self) -> bool:
        return self.client_id is None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """``keys`` are (key id, base64 of 32 bytes) pairs, empty when a key file is to be used; the first one writes.

    ``public_url`` and the other URLs are origins: no path, no trailing slash. ``max_pages`` is per job, None for no
    limit. ``database_url`` None: SQLite files in ``data_dir``; ``redis_url`` None: none is shared.
    """

    gateway_port: int
    auth_port: int
    fetcher_port: int
    sandbox_port: int
    kafka_port: int
    host: str
    data_dir: Path
    public_url: str
    allowed_origins: tuple[str, ...]
    keys: tuple[tuple[str, SecretStr], ...]
    log_level: str
    log_format: Literal["auto", "json", "pretty"]
    max_pages: int | None
    slots: int
    internal_host: str
    auth_url: str
    sandbox_url: str
    sandbox_public_url: str
    database_url: SecretStr | None
    redis_url: SecretStr | None
    kafka: Cluster
    providers: Mapping[str, ProviderSettings]

    @property
    def secure(self) -> bool:
        return self.public_url.startswith("https://")

    @property
    def on_loopback(self) -> bool:
        """True while all that listens is reached from this machine only."""
        return _is_loopback(self.host) and _is_loopback(self.internal_host)

    @property
    def keys_required(self) -> bool:
        """True unless the gateway listens on loopback and its public URL is there too.

        A public URL of another name says that a proxy on this machine lets others in.
        """
        return not (
            _is_loopback(self.host) and _is_loopback(urlsplit(self.public_url).hostname or "")
        )


@final
class SettingsError(Misuse):
    """``problems`` are sentences for the person who starts the product: what, why, what to do. None holds a secret."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems)
        self.problems = problems

    @override
    def __str__(self) -> str:
        count = (
            "One setting is" if len(self.problems) == 1 else f"{len(self.problems)} settings are"
        )
        return "\n".join(
            [
                f"{count} wrong, so nothing was started:",
                *(f"  - {problem}" for problem in self.problems),
            ]
        )


def load_settings(
    environ: Mapping[str, str],
    env_file: Path | None = None,
    *,
    providers: Mapping[str, ProviderDefaults],
) -> Settings:
    """``providers`` by slug. A missing ``env_file`` is no error. Raises ``SettingsError`` with every problem found."""
    written, problems = _from_file(env_file)
    given = {**written, **environ}
    given = {
        name: value.strip()
        for name, value in given.items()
        if name.startswith(PREFIX) and value.strip()
    }
    problems += _unknown(given, providers)
    values = _read_all(GENERAL, PREFIX, given, problems)
    values["keys"] = values["keys"] or ()
    values["providers"] = {
        slug: _provider(slug, defaults, given, problems)
        for slug, defaults in sorted(providers.items())
    }
    problems += conflicts(values)
    with_password(values, problems)
    values["kafka"] = _cluster(values)
    if problems:
        raise SettingsError(problems)
    return Settings(**values)


def _is_loopback(host: str) -> bool:
    """Return True for ``localhost`` and loopback addresses; other names are not resolved and count as foreign."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _cluster(values: dict[str, Any]) -> Cluster:
    """Takes the variables of Kafka out of ``values``."""
    found = {
        field.removeprefix("kafka_"): values.pop(field)
        for field in [*values]
        if field.startswith("kafka_")
    }
    port = found.pop("port")
    values["kafka_port"] = port
    return Cluster(
        bootstrap=",".join(found["bootstrap_servers"] or (f"127.0.0.1:{port}",)),
        protocol=found["security_protocol"] or "",
        mechanism=found["sasl_mechanism"] or "",
        username=found["sasl_username"],
        password=found["sasl_password"],
        cafile=found["ssl_cafile"],
        certfile=found["ssl_certfile"],
        keyfile=found["ssl_keyfile"],
    )


def _from_file(env_file: Path | None) -> tuple[dict[str, str], list[str]]:
    if env_file is None or not env_file.is_file():
        return {}, []
    try:
        return parse_env(env_file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as reason:
        return {}, [
            f"{env_file.name} cannot be read ({reason.__class__.__name__}). Make it a readable UTF-8 text file."
        ]


def _unknown(given: Mapping[str, str], providers: Iterable[str]) -> list[str]:
    known = {f"{PREFIX}{variable.name}" for variable in GENERAL} | KNOWN_ELSEWHERE
    known |= {
        f"{PREFIX}{provider_prefix(slug)}{variable.name}"
        for slug in providers
        for variable in PER_PROVIDER
    }
    endings = sorted(name.removeprefix(PREFIX) for name in known)
    problems = []
    for name in sorted(given.keys() - known):
        near = difflib.get_close_matches(name.removeprefix(PREFIX), endings, 1)
        hint = (
            f"Did you mean {PREFIX}{near[0]}?"
            if near
            else "Remove it, or see docs/reference/settings.md."
        )
        problems.append(f"{name} is not a setting. {hint}")
    return problems


def _read_all(
    variables: Iterable[Variable], prefix: str, given: Mapping[str, str], problems: list[str]
) -> dict[str, Any]:
    """Values by field; what cannot be read becomes None and a problem."""
    values: dict[str, Any] = {}
    for variable in variables:
        name = prefix + variable.name
        text = given.get(name) or _default(variable, values)
        try:
            values[variable.field] = None if text is None else variable.parse(text)
        except ValueError as wrong:
            values[variable.field] = None
            shown = (
                name if variable.secret or text is None or "@" in text else f"{name}={text!r:.200}"
            )
            problems.append(f"{shown} {wrong}")
    return values


def _default(variable: Variable, values: Mapping[str, Any]) -> str | None:
    """What a default names in braces was read before; if it was wrong it is reported already, and 1 stands in."""
    if variable.default is None or "{" not in variable.default:
        return variable.default
    return variable.default.format_map({name: value or 1 for name, value in values.items()})


def _provider(
    slug: str, defaults: ProviderDefaults, given: Mapping[str, str], problems: list[str]
) -> ProviderSettings:
    prefix = PREFIX + provider_prefix(slug)
    found = ProviderSettings(**_read_all(PER_PROVIDER, prefix, given, problems))
    if found.client_id is None and found.client_secret is not None:
        problems.append(
            f"{prefix}CLIENT_SECRET is set without {prefix}CLIENT_ID. Set both, or neither for the sandbox."
        )
    if found.client_id is not None and found.client_secret is None and not defaults.secret_optional:
        problems.append(
            f"{prefix}CLIENT_ID is set without {prefix}CLIENT_SECRET. Set both, or neither for the sandbox."
        )
    return found
