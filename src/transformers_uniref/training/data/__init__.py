"""Samples: where they come from, how they are mixed, changed and put together to batches."""
