"""Questions about clips and their answers."""
