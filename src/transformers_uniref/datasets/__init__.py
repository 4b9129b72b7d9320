"""Data sets of others: one schema for all of them, a converter for each."""
