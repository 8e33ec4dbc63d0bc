"""Run a real Apache Kafka on this machine: one node, KRaft, no Docker.

Needs Java 17 or newer and, the first time, Maven.
"""

from deploy.kafka.node import Kafka

__all__ = ["Kafka"]
