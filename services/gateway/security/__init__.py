"""Authentication and permissions: API keys, sessions, and what each route requires."""
