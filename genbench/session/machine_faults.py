"""A run that the machine failed: one message with the cause, noted in its record."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from genbench.errors import Damaged, Failure, Lost, MachineFault, OutOfMemory
from genbench.records.run_directory import Run
from genbench.runtime.disk import explain, is_machine_fault, system_error
from genbench.runtime.stop import Stopped

__all__ = ["is_saved", "machine_faults"]

RETRIED = (OutOfMemory, Lost, Damaged)
"""Failures that need not come again; others of a run are its own, such as a divergence."""
IN_A_SWEEP = "In a sweep add retry_failed=true, which tries a failed job again."


@contextmanager
def machine_faults(here: Run) -> Iterator[None]:
    """Turn an error of the operating system that ends a run inside the block into one message.

    Its cause is noted in run.json, where that can still be written, and its traceback in main.log. What need
    not come again (a full disk, too little memory, a lost process, damaged files) is noted as the machine's
    fault, after which the same sweep tries the run again.
    Raises MachineFault, or the OutOfMemory, Lost or Damaged of the block.
    """
    try:
        yield
    except RETRIED as error:
        note(here, f"{type(error).__name__}: {error}", is_machines=True)
        raise
    except (OSError, Stopped) as error:  # a stop may have met a full disk
        cause = system_error(error) or error
        if not isinstance(cause, OSError):
            if isinstance(failure := error.__cause__, RETRIED):
                note(here, f"{type(failure).__name__}: {failure}", is_machines=True)
            raise
        raise machine_error(here, cause, error) from error


def machine_error(here: Run, cause: OSError, error: BaseException) -> Failure:
    """Note the cause of an error in run.json and main.log; returns the one message to the user."""
    from genbench.training.fault_messages import going_on

    what = f"{explain(cause).rstrip('.')}."
    is_machines = is_machine_fault(cause)
    note(here, what, is_machines=is_machines)
    log = logging.getLogger(__name__)
    if log.hasHandlers():  # one of several processes has none, and would print the traceback
        with suppress(OSError):
            log.error("the machine failed the run", exc_info=error)
    after = f"{going_on(is_saved=is_saved(here))}."
    return MachineFault(f"{what} {after}" if is_machines else f"{what} {after} {IN_A_SWEEP}")


def note(here: Run, what: str, *, is_machines: bool) -> None:
    """Record in run.json that a run failed and if the machine is at fault; a full disk may not allow it."""
    with suppress(OSError, ValueError):
        here.end("failed", what, machine_fault=is_machines)


def is_saved(here: Run) -> bool:
    """Return True where a run has a file of a checkpoint, so that the same command resumes it.

    The file is not opened: that it can be used is not known yet.
    """
    return any(here.checkpoints.glob("*.pt"))
