"""Models by name: those that ship with the package, and the authors' weights, downloaded and converted once."""
