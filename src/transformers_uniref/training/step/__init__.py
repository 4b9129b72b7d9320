"""One step: model, losses, helpers, optimiser, and what the log says of it."""
