"""Check settings against one another: each may be right alone and wrong beside another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from shared.settings.secret import SecretStr
from shared.settings.variables import GENERAL, PREFIX


def conflicts(values: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each conflict.

    ``values`` are by field, None if a variable was wrong or is not set.
    """
    return [*_shared_ports(values), *_kafka(values), *_database(values)]


def with_password(values: dict[str, Any], problems: list[str]) -> None:
    """Put the password of the password file into the database URL that has none.

    Takes the password file out of ``values``.
    """
    path: Path | None = values.pop("database_password_file")
    url: SecretStr | None = values["database_url"]
    if path is None or url is None:
        return
    try:
        password = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as reason:
        problems.append(
            f"{PREFIX}DATABASE_PASSWORD_FILE cannot be read ({type(reason).__name__}). "
            "Make it a UTF-8 file that this user may read."
        )
        return
    parts = urlsplit(url.reveal())
    user, _, host = parts.netloc.rpartition("@")
    values["database_url"] = SecretStr(
        urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}"))
    )


def _kafka(values: Mapping[str, Any]) -> list[str]:
    protocol = values["kafka_security_protocol"] or ""
    problems = []
    account = values["kafka_sasl_username"] and values["kafka_sasl_password"]
    if protocol.startswith("SASL") and not account:
        problems.append(
            f"{PREFIX}KAFKA_SECURITY_PROTOCOL={protocol} needs an account. "
            f"Set {PREFIX}KAFKA_SASL_USERNAME and {PREFIX}KAFKA_SASL_PASSWORD."
        )
    if values["kafka_sasl_password"] and not protocol.startswith("SASL"):
        problems.append(
            f"{PREFIX}KAFKA_SASL_PASSWORD is set, but the protocol does not sign in. "
            f"Set {PREFIX}KAFKA_SECURITY_PROTOCOL=SASL_SSL."
        )
    if bool(values["kafka_ssl_certfile"]) != bool(values["kafka_ssl_keyfile"]):
        problems.append(
            f"{PREFIX}KAFKA_SSL_CERTFILE and {PREFIX}KAFKA_SSL_KEYFILE belong together. "
            "Set both, or neither."
        )
    return problems


def _database(values: Mapping[str, Any]) -> list[str]:
    url: SecretStr | None = values["database_url"]
    if values["database_password_file"] is None:
        return []
    url_name, file_name = f"{PREFIX}DATABASE_URL", f"{PREFIX}DATABASE_PASSWORD_FILE"
    if url is None:
        return [f"{file_name} is set without {url_name}. Set both, or neither."]
    parts = urlsplit(url.reveal())
    if parts.password is not None:
        return [f"{url_name} has a password, and {file_name} is set too. Keep one."]
    if not parts.username:
        return [f"{url_name} names no user. Write postgresql://user@host:5432/database."]
    return []


def _shared_ports(values: Mapping[str, Any]) -> list[str]:
    users: dict[int, list[str]] = {}
    for variable in GENERAL:
        if variable.kind == "port" and values[variable.field] is not None:
            users.setdefault(values[variable.field], []).append(PREFIX + variable.name)
    return [
        f"{' and '.join(names)} are all {port}. Give each a port of its own."
        for port, names in users.items()
        if len(names) > 1
    ]
