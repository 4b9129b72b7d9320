"""The UniRef++ architecture: configuration, sub-modules, the model and its training criterion."""
