"""A run that the machine failed: one message with the cause, noted in its record."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from genbench.disk import explain, system_error
from genbench.errors import MachineFault
from genbench.run import Run
from genbench.stop import Stopped

__all__ = ["machine_faults"]


@contextmanager
def machine_faults(here: Run) -> Iterator[None]:
    """Turn an error of the operating system that ends a run inside the block into one message.

    Its cause is noted in run.json, where that can still be written, and its traceback in main.log.
    Raises MachineFault.
    """
    try:
        yield
    except (OSError, Stopped) as error:  # a stop may have met a full disk
        cause = system_error(error) or error
        if not isinstance(cause, OSError):
            raise
        with suppress(OSError, ValueError):
            here.end("failed", explain(cause), machine_fault=True)
        log = logging.getLogger(__name__)
        if log.hasHandlers():  # one of several processes has none, and would print the traceback
            with suppress(OSError):
                log.error("the machine failed the run", exc_info=error)
        raise MachineFault(f"{explain(cause)} {going_on(here)}") from error


def going_on(here: Run) -> str:
    """Say where the same command goes on."""
    is_saved = any(here.checkpoints.glob("*.pt"))
    where = "goes on from the last checkpoint" if is_saved else "begins anew, for there is no checkpoint yet"
    return f"The same command then {where}."
