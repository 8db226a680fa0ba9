"""One job on many ranks: share, count, reduce."""
