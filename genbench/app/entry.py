"""Entry point of main.py: the command line is checked, Hydra runs its jobs, errors become exit codes."""

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from shutil import get_terminal_size

import hydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from genbench.app import sweeps
from genbench.app.command import check_command, parse_command, words_for_hydra
from genbench.app.composing_memory import parsed_once, same_choices
from genbench.app.find_run import new_folders_removed
from genbench.app.job import run
from genbench.app.messages import EXIT_FAILED, EXIT_STOPPED, EXIT_USAGE, leave
from genbench.app.misfit import fitting
from genbench.app.search_path import register_folders
from genbench.app.words import overridden
from genbench.config.help import folded, help_text
from genbench.config.option_folders import CONF, use_folder
from genbench.errors import Failure, Unmeasured, UsageError
from genbench.records.sweep_ledger import BAD
from genbench.runtime.passwords import check_words
from genbench.runtime.printable import complain, spell_out_warnings
from genbench.runtime.progress import terminal
from genbench.runtime.streams import harden_streams, open_streams

__all__ = ["run_command", "train"]

EXPECTED = (
    UsageError,
    Unmeasured,
    Failure,
    FloatingPointError,
    OSError,  # of Hydra's own folders and files
    HydraException,
    OmegaConfBaseException,
)
"""Errors that end a command in one message; any other is a bug, and shows its traceback."""


TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT")
"""Variables that torchrun sets to numbers for each of its processes."""


def check_torchrun_variables() -> None:
    """Raise ValueError on variables of a process of torchrun's that torchrun would not have set so."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return
    remedy = "start the command by torchrun, or unset TORCHELASTIC_RUN_ID"
    for name in TORCHRUN:
        if not (value := os.environ.get(name, "")).isdecimal():
            raise ValueError(f"the variable {name} is {value!r}; it must be a whole number: {remedy}")
    if not os.environ.get("MASTER_ADDR"):
        raise ValueError(f"the variable MASTER_ADDR is not set: {remedy}")
    for part, whole in (("RANK", "WORLD_SIZE"), ("LOCAL_RANK", "LOCAL_WORLD_SIZE")):
        if int(os.environ[part]) >= int(os.environ[whole]):
            raise ValueError(
                f"the variable {part} is {os.environ[part]}; it must be below {whole}, which is "
                f"{os.environ[whole]}: {remedy}"
            )


def run_command(main: Callable[[], None]) -> None:
    """Run the command line of this process by Hydra's main, and exit with its code where it is not 0.
    2: the user's fault, in one message; 1: a run or the machine failed; 3: trained, but not evaluated;
    130: stopped by a signal, to be continued by the same command.
    """
    words = sys.argv[1:]
    open_streams()  # to which a message is printed
    try:
        args = parse_command(words)
    except ValueError as error:
        harden_streams()
        leave(error)
    harden_streams(output_is_result=bool(args.help or args.cfg or args.info))
    spell_out_warnings()
    try:
        check_words(words)
        if args.config_dir is not None:
            use_folder(args.config_dir)
        if args.help:
            width = get_terminal_size((10_000, 24)).columns  # behind a pipe lines stay whole
            print(folded(help_text(args.overrides, fitting), width), flush=True)
            return
        check_command(args)
        check_torchrun_variables()
    except (ValueError, OSError) as error:
        leave(error)
    sys.argv[1:] = words_for_hydra(words, args)
    register_folders()
    os.environ.pop(sweeps.LEDGER, None)  # of a sweep that this command is a job of
    # Threads that wait by spinning make a busy machine 20 times slower; OpenMP reads this when torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with new_folders_removed():
        try:
            run_hydra(main, args.overrides)
        finally:
            ends = sweeps.print_summary(terminal())
            sweeps.forget_unless_begun(ends)
    if not ends <= {"refused"}:  # of a sweep; the one run of a command says so before it begins
        for earlier, later in overridden(args.overrides):
            complain(f"{earlier} has no effect, since {later} comes later")
    if "stopped" in ends or sweeps.stop_of_sweep().requested:
        sys.exit(EXIT_STOPPED)
    if ends & (BAD | {"not started"}):
        sys.exit(EXIT_USAGE if ends == {"refused"} else EXIT_FAILED)


def train(words: Sequence[str]) -> None:
    """Run the command line of `genbench train`: that of main.py, which an installed genbench does not have.
    words: its overrides and options, as in ["model=ddpm", "-m", "seed=0,1"]. Exits as `run_command` does.
    """
    sys.argv[1:] = words
    run_command(hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(run))


def run_hydra(main: Callable[[], None], overrides: Sequence[str]) -> None:
    """Run Hydra's main; its errors and ours leave by one message, or as they are with HYDRA_FULL_ERROR=1."""
    tracebacks = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra would print and exit with 1 by itself; its errors come here
    try:
        with parsed_once(), same_choices():  # Hydra composes even a single run twice
            main()
        sys.stdout.flush()  # where a full disk refuses what --cfg shows, it is one of the errors below
    except EXPECTED as error:
        if tracebacks:
            raise
        leave(error, overrides)
    except KeyboardInterrupt:
        sys.exit(EXIT_STOPPED)
    except BrokenExecutor:
        # joblib misses a worker that was signalled before its job could listen; the table shows that job.
        if not sweeps.stop_of_sweep().requested:
            raise
    finally:
        if not tracebacks:
            del os.environ["HYDRA_FULL_ERROR"]  # of this command alone, not of the next in the same process
