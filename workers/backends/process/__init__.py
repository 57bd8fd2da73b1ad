"""Engines as processes of this machine, each under a small supervisor of its own (`shim`)."""
