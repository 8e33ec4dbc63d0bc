"""The items of all providers, in one shape."""
