"""The model of a run: built or loaded, its start values, what of it is trained, its tokenizer."""
