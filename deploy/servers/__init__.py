"""Run servers as child processes: PostgreSQL and Redis from the system's packages."""

from deploy.servers.child import Child, Ended, Sink
from deploy.servers.commands import ProgramUnavailable
from deploy.servers.postgres import Postgres
from deploy.servers.redis import Redis

__all__ = ["Child", "Ended", "Postgres", "ProgramUnavailable", "Redis", "Sink"]
