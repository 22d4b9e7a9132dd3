"""Errors that end a command with one message, without the interpreter's traceback.

UsageError and Damaged: the command, or a file that it reads, cannot be used, exit code 2; another Failure is
of the training or the machine, exit code 1. A message says what is wrong, what is legal, and what to do.
"""

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
    """A command line, configuration or file that cannot be used as asked; exit code 2.

    The message says what was given, what is legal and what to do.
    """


class Busy(UsageError):  # noqa: N818 (the work is done, elsewhere)
    """A run directory that another process is working on, so that this one must not write to it.

    The message names the directory; the remedy is to wait for the other process, or to stop it.
    """


class Failure(RuntimeError):  # noqa: N818 (it says what happened)
    """Work that began and cannot go on, through no fault of the configuration; exit code 1.

    The message says what happened, where, and what to do.
    """


class Lost(Failure):
    """A process of a run that ended before the run did, so that the others cannot go on.

    The same command again resumes the run from its last checkpoint.
    """


class Damaged(Failure):
    """Files that a run needs and that cannot be read, with no other file to take their place; exit code 2.

    The message names each file; a checkpoint with an intact predecessor is no such case.
    """


class MachineFault(Failure):
    """A full disk, or another limit of the machine, that ended a run; the same command again resumes it.

    The message names the limit and the file or device that met it.
    """


class OutOfMemory(Failure):
    """A lack of memory; the message says for what, on which device, and which setting to change."""


class Unmeasured(Exception):  # noqa: N818 (the training succeeded)
    """A run that is trained and saved but could not be evaluated; the message says how to do it later."""


class MissingWeights(FileNotFoundError):  # noqa: N818 (what is the matter, in two words)
    """The weights of a feature network are not on this machine, and could not be downloaded."""
