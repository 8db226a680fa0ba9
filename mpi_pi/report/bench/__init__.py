"""What a benchmark shows, for people."""
