"""What `uniref evaluate` can be asked for."""
