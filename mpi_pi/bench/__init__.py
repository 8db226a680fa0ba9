"""Measurements: numbers only."""
