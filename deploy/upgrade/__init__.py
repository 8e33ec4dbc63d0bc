"""Bring the stores of an installation from an older layout to this version's, once."""
