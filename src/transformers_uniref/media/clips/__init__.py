"""Clips, whatever holds them: which kinds there are, reading, writing, drawing on them."""
