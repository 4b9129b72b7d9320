"""What goes wrong when a model is pushed."""

from .errors import UsageError


class PushError(UsageError):
    """The folder, or what was asked for it, cannot be pushed; the message says why in one line, without any token."""


class HubFailureError(ConnectionError, PushError):
    """A push failed although nothing is wrong with what was asked: no connection, or a fault of the Hub."""


def is_refusal(error: BaseException) -> bool:
    """Whether the Hub answered, and said that this request is wrong or not allowed (4xx)."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return isinstance(status, int) and 400 <= status < 500
