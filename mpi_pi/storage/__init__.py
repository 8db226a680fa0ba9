"""Files that are written whole, locked and checksummed."""
