"""Shared by all routes: errors, refusals, pages outside the console, headers, schemas."""
