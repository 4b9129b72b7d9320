"""The command `uniref`: one verb a module."""
