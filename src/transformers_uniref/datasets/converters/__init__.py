"""Converters of the original downloads of benchmarks into rows of `datasets/schema.py`, one family a file.

[`registry`] names them, [`build`] runs them, [`verify`] reads what they wrote. Nothing here imports torch.
"""
