"""What `uniref demo` shows."""
