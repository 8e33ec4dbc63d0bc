"""Serve the simulated providers and the control API on one port."""
