"""Masks for whole datasets: planned, sharded over processes or a Ray cluster, exactly once for every row."""
