"""What goes wrong when a model is pushed."""


class PushError(ValueError):
    """The folder, or what was asked for it, cannot be pushed; the message says why in one line, without any token."""
