"""Find out why Kafka does not let us in.

Its clients only say that no server could be reached.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from shared.errors import TributaryError
from shared.kafka.client_config import client_options
from shared.settings import Cluster

PATIENCE_MS: Final = 5_000
REFUSALS: Final = (
    AuthenticationFailedError,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)


class SignInRefused(TributaryError):
    """Kafka answers but refuses the account; the detail says what to check."""

    code = "kafka_sign_in_refused"


@asynccontextmanager
async def signing_in(cluster: Cluster) -> AsyncIterator[None]:
    """Wrap the start of a client: raise ``SignInRefused`` if that is why it failed."""
    try:
        yield
    except (KafkaError, OSError) as error:
        if cluster.signs_in and (refused := await _refusal(cluster)):
            raise SignInRefused(refused) from error
        raise


async def check_sign_in(cluster: Cluster) -> None:
    """Raise ``SignInRefused`` if Kafka refuses the account.

    Called before a client is started that would not be closed if its start failed.
    """
    if cluster.signs_in and (refused := await _refusal(cluster)):
        raise SignInRefused(refused)


async def _refusal(cluster: Cluster) -> str | None:
    options = client_options(cluster)
    for server in options.pop("bootstrap_servers").split(","):
        host, _, port = server.rpartition(":")
        try:
            connection = await create_conn(
                host.strip("[]"), int(port), request_timeout_ms=PATIENCE_MS, **options
            )
        except REFUSALS:
            return (
                f"Kafka at {server} refuses to sign in the user {cluster.username} with "
                f"{cluster.mechanism}. Check TRIBUTARY_KAFKA_SASL_USERNAME, "
                "TRIBUTARY_KAFKA_SASL_PASSWORD and TRIBUTARY_KAFKA_SASL_MECHANISM."
            )
        except (KafkaError, OSError, TimeoutError):
            continue
        connection.close()
    return None
