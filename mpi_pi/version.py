"""Versions of the program and of its random streams."""

__version__ = "0.2.0.dev0"

STREAM_VERSION = 1
"""Changes whenever the hits of any (seed, trial, block) change."""
