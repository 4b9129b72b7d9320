"""Several processes: who holds which part of the model, and who speaks."""
