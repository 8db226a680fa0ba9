"""What is counted, and what came of it: plain values."""
