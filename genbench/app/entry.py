"""The door of main.py: names runs, runs them, and turns a refusal into one message and an exit code."""

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from typing import NoReturn

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from genbench.app import sweeps
from genbench.app.credentials import check_credentials
from genbench.app.held_overrides import SEVERAL, hold
from genbench.app.messages import message
from genbench.config.help import help_text
from genbench.errors import Failure, Unmeasured, UsageError
from genbench.records.sweep_ledger import BAD
from genbench.runtime.printable import complain, spell_out_warnings
from genbench.runtime.progress import terminal
from genbench.runtime.streams import harden_streams

__all__ = ["door", "leave"]

EXIT_FAILED, EXIT_USAGE, EXIT_UNMEASURED, EXIT_STOPPED = 1, 2, 3, 130
HELP = {"--help", "-h"}
TOLD = (
    UsageError,
    Unmeasured,
    Failure,
    FloatingPointError,
    OSError,  # of Hydra's own folders and files
    HydraException,
    OmegaConfBaseException,
)
"""Errors that end a command in one message."""


def door(main: Callable[[], None]) -> None:
    """Run Hydra's main: a wrong configuration is one clear message and exit code 2, not a traceback."""
    harden_streams()
    spell_out_warnings()
    if HELP & set(sys.argv[1:]):
        show_help([word for word in sys.argv[1:] if not word.startswith("-")])
        return
    try:
        check_command(sys.argv[1:])
    except ValueError as error:
        leave(UsageError(str(error)))
    sys.argv[1:] = hold(sys.argv[1:])
    os.environ.pop(sweeps.LEDGER, None)  # of a sweep that this command is a job of
    # Threads that wait by spinning make a busy machine 20 times slower; OpenMP reads this when torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        run_hydra(main)
    finally:
        ends = sweeps.summarise(terminal())
    if "stopped" in ends or sweeps.stop_of_sweep().requested:
        sys.exit(EXIT_STOPPED)
    if ends & (BAD | {"not started"}):
        sys.exit(EXIT_USAGE if ends == {"refused"} else EXIT_FAILED)


def check_command(words: Sequence[str]) -> None:
    """Raise ValueError on words of a command that Hydra would take and that must not be.

    They are a key or password that the run would record, a configuration of several values that is to be
    shown, and a run that is to be repeated from a pickle.
    """
    if SEVERAL & set(words) and {"--cfg", "-c"} & set(words):
        raise ValueError("--cfg shows one configuration: leave out -m, and name one value of each")
    check_credentials(words)
    if any(word.startswith("--e") for word in words):  # also abbreviated, as Hydra's parser takes it
        raise ValueError(
            "--experimental-rerun reads a pickle, which can execute code: repeat the run's command"
        )


def run_hydra(main: Callable[[], None]) -> None:
    """Run Hydra's main; its errors and ours leave by one message, or as they are with HYDRA_FULL_ERROR=1."""
    tracebacks = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra would print and exit with 1 by itself; its errors come here
    try:
        main()
    except TOLD as error:
        if tracebacks:
            raise
        leave(error)
    except KeyboardInterrupt:
        sys.exit(EXIT_STOPPED)
    except BrokenExecutor:
        # joblib misses a worker that was signalled before its job could listen; the table shows that job.
        if not sweeps.stop_of_sweep().requested:
            raise
    finally:
        if not tracebacks:
            del os.environ["HYDRA_FULL_ERROR"]  # of this command alone, not of the next in the same process


def show_help(words: Sequence[str]) -> None:
    """Print the help on some words, and exit with code 2 where one of them names nothing."""
    try:
        print(help_text(words))
    except ValueError as error:
        leave(UsageError(str(error)))


def leave(error: Exception) -> NoReturn:
    """Say what is wrong, and exit with the code that belongs to it."""
    complain(message(error))
    codes = {FloatingPointError: EXIT_FAILED, Unmeasured: EXIT_UNMEASURED}
    failed = isinstance(error, Failure)
    sys.exit(EXIT_FAILED if failed else codes.get(type(error), EXIT_USAGE))
