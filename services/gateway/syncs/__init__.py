"""Syncs: requesting one, and its progress."""
