"""Syncs: asking for one, and how far it has come."""
