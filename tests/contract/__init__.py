"""Run the same scenarios on both stacks: SQLite and PostgreSQL, fakeredis and Redis."""
