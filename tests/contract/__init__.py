"""The same scenarios on the small stack and on the full one: SQLite and PostgreSQL, fakeredis and Redis."""
