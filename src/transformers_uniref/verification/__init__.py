"""Whether a model works on this machine: the released code's numbers, pictures, a clip, and the paper's table."""
