"""Connecting an account, from the first click to the connection."""
