"""Run the full stack without Docker.

Kafka, PostgreSQL, Redis and the services are processes of their own.
"""

from deploy.native.stack import Stack
from deploy.native.supervise import Supervisor

__all__ = ["Stack", "Supervisor"]
