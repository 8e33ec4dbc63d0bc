"""Write ``server.properties`` of a single node that is both broker and controller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
JAAS: Final = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM": "org.apache.kafka.common.security.scram.ScramLoginModule",
}

SINGLE_NODE: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    # After kill -9 a node waits until its earlier self has expired: nine seconds by default.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # If a test has moved the clock, records come from the future; the default refuses more than
    # an hour.
    "log.message.timestamp.after.max.ms": str(2**63 - 1),
    # The cleaner's default buffer is a quarter of our heap.
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    "num.network.threads": "2",
    "num.io.threads": "4",
    "num.recovery.threads.per.data.dir": "2",
}


@dataclass(frozen=True)
class Listener:
    """A listener.

    ``advertised`` is where clients connect after their first request: a proxy in front of it, say.
    """

    name: str
    address: str
    protocol: str = "PLAINTEXT"
    advertised: str | None = None


@dataclass(frozen=True)
class NodeProperties:
    """The properties in which nodes differ.

    ``users`` are names and passwords of the SASL listener.
    """

    log: Path
    controller: str
    listeners: tuple[Listener, ...]
    users: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)

    def properties(self) -> dict[str, str]:
        public = [(one.name, one.advertised or one.address) for one in self.listeners]
        bound = [
            *((one.name, one.address) for one in self.listeners),
            ("CONTROLLER", self.controller),
        ]
        protocols = [
            *((one.name, one.protocol) for one in self.listeners),
            ("CONTROLLER", "PLAINTEXT"),
        ]
        return {
            **SINGLE_NODE,
            "controller.quorum.voters": f"1@{self.controller}",
            "listeners": ",".join(f"{name}://{address}" for name, address in bound),
            "advertised.listeners": ",".join(f"{name}://{address}" for name, address in public),
            "listener.security.protocol.map": ",".join(
                f"{name}:{protocol}" for name, protocol in protocols
            ),
            "log.dirs": str(self.log),
            **self._sign_in(),
            **self.extra,
        }

    def _sign_in(self) -> dict[str, str]:
        """Return the properties of signing in.

        PLAIN has its users here; SCRAM's are written into the log when it is formatted (KIP-900).
        """
        if not self.users:
            return {}
        known = " ".join(f'user_{name}="{password}"' for name, password in self.users.items())
        prefix = "listener.name.sasl"
        modules = {
            f"{prefix}.{mechanism.lower()}.sasl.jaas.config": f"{JAAS['SCRAM']} required;"
            for mechanism in MECHANISMS
            if mechanism != "PLAIN"
        }
        return {
            "sasl.enabled.mechanisms": ",".join(MECHANISMS),
            f"{prefix}.sasl.enabled.mechanisms": ",".join(MECHANISMS),
            f"{prefix}.plain.sasl.jaas.config": f"{JAAS['PLAIN']} required {known};",
            **modules,
        }

    def credentials(self) -> list[str]:
        """Return the arguments of the formatting tool that add SCRAM users."""
        pairs = [(mechanism, *user) for mechanism in MECHANISMS[1:] for user in self.users.items()]
        return [
            word
            for mechanism, name, password in pairs
            for word in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
        ]
