"""Video files: opening, decoding in order and by number."""
