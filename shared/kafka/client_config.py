"""Turn the settings of a Kafka cluster into arguments of its clients."""

from __future__ import annotations

import ssl
from typing import Any

from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from shared.settings import Cluster


def client_options(cluster: Cluster) -> dict[str, Any]:
    """Return the keyword arguments that every aiokafka client takes."""
    options: dict[str, Any] = {
        "bootstrap_servers": cluster.bootstrap,
        "security_protocol": cluster.protocol,
        "ssl_context": _tls(cluster),
    }
    if cluster.signs_in:
        options["sasl_mechanism"] = cluster.mechanism
        options["sasl_plain_username"], options["sasl_plain_password"] = _account(cluster)
    return options


def security(cluster: Cluster) -> BaseSecurity:
    """Return the same settings as FastStream takes them."""
    context, encrypted = _tls(cluster), cluster.encrypted
    if not cluster.signs_in:
        return BaseSecurity(ssl_context=context, use_ssl=encrypted)
    kinds: dict[str, type[SASLPlaintext | SASLScram256 | SASLScram512]] = {
        "PLAIN": SASLPlaintext,
        "SCRAM-SHA-256": SASLScram256,
        "SCRAM-SHA-512": SASLScram512,
    }
    username, password = _account(cluster)
    return kinds[cluster.mechanism](username, password, ssl_context=context, use_ssl=encrypted)


def _account(cluster: Cluster) -> tuple[str, str]:
    return cluster.username or "", cluster.password.reveal() if cluster.password else ""


def _tls(cluster: Cluster) -> ssl.SSLContext | None:
    if not cluster.encrypted:
        return None
    context = ssl.create_default_context(cafile=cluster.cafile)
    if cluster.certfile:
        context.load_cert_chain(cluster.certfile, cluster.keyfile)
    return context
