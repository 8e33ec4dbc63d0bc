"""Everything that was read from the providers, in one shape."""
