"""The variables that say where the servers are: not set, everything is inside one process on this machine."""

from __future__ import annotations

from typing import Final

from shared.settings import readers, server_readers
from shared.settings.variable import Variable

ADDRESSES: Final = (
    Variable(
        name="INTERNAL_HOST",
        kind="address",
        read=readers.address,
        default="127.0.0.1",
        description="The address on which auth, fetcher and sandbox listen when they run as processes of their own.",
    ),
    Variable(
        name="AUTH_URL",
        kind="origin",
        read=readers.origin,
        default="http://127.0.0.1:{auth_port}",
        description="How the other services reach auth.",
    ),
    Variable(
        name="SANDBOX_URL",
        kind="origin",
        read=readers.origin,
        default="http://127.0.0.1:{sandbox_port}",
        description="How the services reach the simulated providers.",
    ),
    Variable(
        name="SANDBOX_PUBLIC_URL",
        kind="origin",
        read=readers.origin,
        default="{sandbox_url}",
        description="How browsers reach the simulated providers' consent pages.",
    ),
)

DATABASE: Final = (
    Variable(
        name="DATABASE_URL",
        kind="postgresql URL",
        read=server_readers.database,
        description="A PostgreSQL database; each service has a schema in it. Not set: SQLite files in the data folder.",
        secret=True,
    ),
    Variable(
        name="DATABASE_PASSWORD_FILE",
        kind="path",
        read=readers.folder,
        description="A file that holds the password, when the URL has none.",
    ),
)

REDIS: Final = (
    Variable(
        name="REDIS_URL",
        kind="redis URL",
        read=server_readers.redis,
        description="Holds the quotas that fetchers share. Not set: each process keeps its own.",
        secret=True,
    ),
)

KAFKA: Final = (
    Variable(
        name="KAFKA_BOOTSTRAP_SERVERS",
        kind="host:port, comma-separated",
        read=server_readers.bootstrap,
        description="A Kafka cluster. Not set: 127.0.0.1 and the Kafka port.",
    ),
    Variable(
        name="KAFKA_SECURITY_PROTOCOL",
        kind="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
        read=server_readers.security_protocol,
        default="PLAINTEXT",
        description="How Kafka is spoken to.",
    ),
    Variable(
        name="KAFKA_SASL_MECHANISM",
        kind="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        read=server_readers.sasl_mechanism,
        default="SCRAM-SHA-512",
        description="How we sign in, when the protocol is a SASL one.",
    ),
    Variable(name="KAFKA_SASL_USERNAME", kind="text", read=readers.text, description="As whom."),
    Variable(name="KAFKA_SASL_PASSWORD", kind="text", read=readers.secret, description="With what.", secret=True),
    Variable(
        name="KAFKA_SSL_CAFILE",
        kind="path",
        read=server_readers.file,
        description="The authorities that may have signed the brokers' certificates. Not set: the system's own.",
    ),
    Variable(
        name="KAFKA_SSL_CERTFILE",
        kind="path",
        read=server_readers.file,
        description="Our own certificate, where one is asked.",
    ),
    Variable(name="KAFKA_SSL_KEYFILE", kind="path", read=server_readers.file, description="Its key."),
)
