"""The full stack without Docker: Kafka, PostgreSQL, Redis and the services, each a process of its own."""

from deploy.native.stack import Stack
from deploy.native.supervise import Supervisor

__all__ = ["Stack", "Supervisor"]
