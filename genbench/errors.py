"""Errors that are the user's to mend: told in one message, without the interpreter's context."""

__all__ = ["Busy", "Lost", "OutOfMemory", "Unmeasured", "UsageError"]


class UsageError(Exception):
    """What was asked for cannot be; the message says what was given, what is legal and what to do."""


class Busy(UsageError):  # noqa: N818 (the work is done, elsewhere)
    """Another process is at it."""


class Lost(RuntimeError):  # noqa: N818 (it says what happened)
    """A process of a run is gone before the work was done."""


class OutOfMemory(RuntimeError):  # noqa: N818 (the trade's words)
    """Memory did not suffice; the message says for what, on which device, and what to change."""


class Unmeasured(Exception):  # noqa: N818 (the training succeeded)
    """A run is trained and saved, but could not be evaluated; the message says how it can be later."""
