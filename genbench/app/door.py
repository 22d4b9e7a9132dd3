"""The door of main.py: names runs, runs them, and turns a refusal into one message and an exit code."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from hydra.errors import HydraException, InstantiationException
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from genbench.app import sweeping
from genbench.axes import axes_asked_for
from genbench.errors import Lost, Unmeasured, UsageError
from genbench.helping import help_text
from genbench.progress import terminal

__all__ = ["door", "leave", "message"]

LACKING = re.compile(r"Could not override '(?P<axis>\w+)'\.\s+No match in the defaults list")
PLUGIN = re.compile(r"Could not find 'hydra/(launcher|sweeper)/")
UNSCORED = re.compile(r"Could not override '(?P<key>metrics\.(samples|batch_size))'")
EXIT_FAILED, EXIT_USAGE, EXIT_UNMEASURED, EXIT_STOPPED = 1, 2, 3, 130
HELP = {"--help", "-h"}
HINT = "`python main.py --help` lists the groups and their options, `--cfg job` all keys and their values"


def door(main: Callable[[], None]) -> None:
    """Run Hydra's main: a wrong configuration is one clear message and exit code 2, not a traceback."""
    if HELP & set(sys.argv[1:]):
        show_help([word for word in sys.argv[1:] if not word.startswith("-")])
        return
    os.environ.pop(sweeping.LEDGER, None)  # of a sweep that this command is a job of
    # Threads that wait by spinning make a busy machine 20 times slower; OpenMP reads this when torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    tracebacks = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra would print and exit with 1 by itself; its errors come here
    try:
        main()
    except (
        UsageError,
        Unmeasured,
        Lost,
        FloatingPointError,
        HydraException,
        OmegaConfBaseException,
    ) as error:
        if tracebacks:
            raise
        leave(error)
    except KeyboardInterrupt:
        sys.exit(EXIT_STOPPED)
    finally:
        well = sweeping.summarise(terminal())
    if not well:
        sys.exit(EXIT_FAILED)


def show_help(words: Sequence[str]) -> None:
    """Print help and leave."""
    try:
        print(help_text(words))
    except ValueError as error:
        leave(UsageError(str(error)))


def leave(error: Exception) -> NoReturn:
    """Say what is wrong, and exit with the code that belongs to it."""
    print(f"genbench: {message(error)}", file=sys.stderr)
    codes = {FloatingPointError: EXIT_FAILED, Lost: EXIT_FAILED, Unmeasured: EXIT_UNMEASURED}
    sys.exit(codes.get(type(error), EXIT_USAGE))


def message(error: BaseException) -> str:
    """What an error says, without the interpreter's context; where Hydra wraps one of ours, ours."""
    if isinstance(error, InstantiationException) and isinstance(
        error.__cause__, ValueError | TypeError | OSError
    ):
        return str(error.__cause__)
    lines = str(error).partition("Config search path:")[0].strip().splitlines()
    # Hydra's advice to append an unknown key with a plus leads into the next refusal.
    text = "\n".join(line for line in lines if not line.startswith("To append to your"))
    if isinstance(error, InterpolationKeyError):
        return f"{lines[0]} (in {error.full_key}): an option that was chosen belongs to another model"
    if lacking := LACKING.search(text):
        text = f"{lacking['axis']} is no axis of {axes_asked_for(sys.argv[1:])}"
    if PLUGIN.search(text):
        text += (
            '\nLaunchers and Optuna come with pip install -e ".[sweep]" -c constraints.txt, Ray with ".[ray]"'
        )
    if unscored := UNSCORED.search(text):
        text = f"{unscored['key']} is of samples, and metrics=none and =likelihood score none: leave it out"
    return f"{text}\n{HINT}" if isinstance(error, HydraException) else text
