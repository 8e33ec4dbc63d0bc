"""Turn the environment and ``.env`` into ``Settings``, or report everything wrong at once."""

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
    """The part of a provider's data that its settings are checked against."""

    secret_optional: bool = False
    """True if the provider permits public clients, so that a client id may stand alone."""


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one provider; None means "not set".

    Then the provider's own value is taken or, if it is ``simulated``, the sandbox's.
    """

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
    """All settings.

    ``keys`` are (key id, base64 of 32 bytes) pairs; the first one writes, and without any a key
    file is used. ``public_url`` and the other URLs are origins: no path, no trailing slash.
    ``max_pages`` is per job, None for no limit. ``give_up_after_s`` is for each part of a
    walk. Without ``database_url`` there are SQLite files in ``data_dir``; without ``redis_url`` no
    Redis is shared.
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
    give_up_after_s: int
    all_fields: bool
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
        """Return True unless the gateway and its public URL are both on loopback.

        A public URL with another name means that a proxy on this machine lets others in.
        """
        public_host = urlsplit(self.public_url).hostname or ""
        return not (_is_loopback(self.host) and _is_loopback(public_host))


@final
class SettingsError(Misuse):
    """Settings are wrong. ``problems`` are sentences for the person who starts the product.

    Each says what is wrong, why, and what to do. None holds a secret.
    """

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
    """Read all settings; ``providers`` is by slug.

    A missing ``env_file`` is fine. Raises ``SettingsError`` with every problem found.
    """
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
    """Return True for ``localhost`` and loopback addresses.

    Other names are not resolved and count as foreign.
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _cluster(values: dict[str, Any]) -> Cluster:
    """Build the cluster, taking Kafka's variables out of ``values``."""
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
        problem = (
            f"{env_file.name} cannot be read ({reason.__class__.__name__}). "
            "Make it a UTF-8 file that this user may read."
        )
        return {}, [problem]


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
    """Return the values by field.

    What cannot be read becomes None, and a problem.
    """
    values: dict[str, Any] = {}
    for variable in variables:
        name = prefix + variable.name
        text = given.get(name) or _default(variable, values)
        try:
            values[variable.field] = None if text is None else variable.parse(text)
        except ValueError as wrong:
            values[variable.field] = None
            # A URL with an @ may hold a password although the variable is no secret.
            may_show = text is not None and not variable.secret and "@" not in text
            shown = f"{name}={text!r:.200}" if may_show else name
            problems.append(f"{shown} {wrong}")
    return values


def _default(variable: Variable, values: Mapping[str, Any]) -> str | None:
    """Fill in the names in braces with values read before.

    A value that was wrong has been reported already; 1 stands in for it.
    """
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
            f"{prefix}CLIENT_SECRET is set without {prefix}CLIENT_ID. "
            "Set both, or neither to use the sandbox."
        )
    if found.client_id is not None and found.client_secret is None and not defaults.secret_optional:
        problems.append(
            f"{prefix}CLIENT_ID is set without {prefix}CLIENT_SECRET. "
            "Set both, or neither to use the sandbox."
        )
    return found
