"""Why Kafka does not let us in: its clients only say that no server could be reached."""

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
    """Kafka is there and refuses the account; says what to check."""

    code = "kafka_sign_in_refused"


@asynccontextmanager
async def signing_in(cluster: Cluster) -> AsyncIterator[None]:
    """Around the start of a client. Raises ``SignInRefused`` instead of its error where that is the cause."""
    try:
        yield
    except (KafkaError, OSError) as error:
        if cluster.signs_in and (refused := await _refusal(cluster)):
            raise SignInRefused(refused) from error
        raise


async def check_sign_in(cluster: Cluster) -> None:
    """Before the start of a client that is not closed when its start fails. Raises ``SignInRefused``."""
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
                f"Kafka at {server} does not let the user {cluster.username} in with {cluster.mechanism}. Check "
                "TRIBUTARY_KAFKA_SASL_USERNAME, TRIBUTARY_KAFKA_SASL_PASSWORD and TRIBUTARY_KAFKA_SASL_MECHANISM."
            )
        except (KafkaError, OSError, TimeoutError):
            continue
        connection.close()
    return None
