"""From the released files to Transformers folders, and from folders to the Hub."""
