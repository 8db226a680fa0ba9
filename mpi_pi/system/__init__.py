"""Facts about this process and this host."""
