"""Random points and hits."""
