"""Errors that end a command: told in one message, without the interpreter's context."""

__all__ = [
    "Busy",
    "Damaged",
    "Failure",
    "Lost",
    "MachineFault",
    "MissingWeights",
    "OutOfMemory",
    "Unmeasured",
    "UsageError",
]


class UsageError(Exception):
    """What was asked for cannot be; the message says what was given, what is legal and what to do."""


class Busy(UsageError):  # noqa: N818 (the work is done, elsewhere)
    """Another process is at it."""


class Failure(RuntimeError):  # noqa: N818 (it says what happened)
    """Work that began and cannot go on, through no fault of the configuration; exit code 1.

    The message says what happened, where, and what to do.
    """


class Lost(Failure):
    """A process of a run is gone before the work was done."""


class Damaged(Failure):
    """Files that a run needs are damaged, and nothing can stand in for them."""


class MachineFault(Failure):
    """A full disk or a limit of the machine ended a run."""


class OutOfMemory(Failure):
    """Memory did not suffice; the message says for what, on which device, and what to change."""


class Unmeasured(Exception):  # noqa: N818 (the training succeeded)
    """A run is trained and saved, but could not be evaluated; the message says how it can be later."""


class MissingWeights(FileNotFoundError):  # noqa: N818 (what is the matter, in two words)
    """The weights of a feature network are not on this machine, and could not be downloaded."""
