"""The help page of the command that trains, printed before Hydra is imported: that takes longer."""

from collections.abc import Sequence
from shutil import get_terminal_size

from genbench.config.help import folded, help_text
from genbench.config.option_folders import TRAIN
from genbench.runtime.passwords import check_words
from genbench.runtime.streams import harden_streams

__all__ = ["answered"]

ASKS = ("--help", "-h")
UNKNOWN_WIDTH = 10_000
"""Columns behind a pipe, where lines stay whole."""


def answered(words: Sequence[str], command: str = TRAIN) -> bool:
    """Print the help page that a command line asks for, and return True. command: what was called, without
    these words, as the examples of the page write it.

    False, and nothing is printed, where it asks for something else, has other options, cannot be answered, or
    names a model, whose options only compositions tell: then the whole command does it. Exits with 1 and one
    message, as that does, where the page cannot be written.
    """
    others = [word for word in words if word not in ASKS]
    if len(others) == len(words) or any(word.startswith(("-", "model=")) for word in others):
        return False
    harden_streams(output_is_result=True)
    try:
        check_words(words)
        page = folded(help_text(others, command=command), get_terminal_size((UNKNOWN_WIDTH, 24)).columns)
    except (ValueError, OSError):
        return False
    try:
        print(page, flush=True)
    except OSError as error:  # a full disk; the whole command could not write either
        from genbench.app.messages import leave

        leave(error)
    return True
