"""Options and classes that verbs share, the context in which they compute, and their warnings."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from genbench.config.option_folders import read_option, use_folder
from genbench.runtime.printable import complain, flat

if TYPE_CHECKING:
    from genbench.runtime.context import Context

__all__ = [
    "WEIGHTS_HELP",
    "ConfigDir",
    "Device",
    "RunDir",
    "RunsItself",
    "Weights",
    "check_run",
    "context_on",
    "examples",
    "warnings_in_lines",
]

RunDir = Annotated[Path, typer.Argument(metavar="RUN", help="Directory of a run: runs/GROUP/RUN.")]
"""The run that a verb reads."""

Device = Annotated[
    str, typer.Option(metavar="NAME", help="Device to compute on: auto (a GPU if there is one), cpu or cuda.")
]
"""The option --device of verbs that compute."""


def add_options(folder: Path | None) -> Path | None:
    """Add the options in a folder before the verb does anything. Raises ValueError where there is none, or
    where a file in it cannot be read, which would look like a fault of the run that is checked against it.
    """
    if folder is not None:
        use_folder(folder)
        for path in sorted(folder.rglob("*.yaml")):
            read_option(path)
    return folder


ConfigDir = Annotated[
    Path | None,
    typer.Option(
        callback=add_options,
        is_eager=True,
        metavar="FOLDER",
        help="Folder with options of your own, such as FOLDER/schedule/NAME.yaml.",
    ),
]
"""The option --config-dir of verbs that build what options describe; it takes effect by itself."""


def check_run(run: Path) -> None:
    """Raise FileNotFoundError where there is no folder of a run, before a verb loads libraries for seconds.
    run: its path, or hf:USER/NAME, which is looked up later.
    """
    if not (str(run).startswith("hf:") or run.is_dir()):
        raise FileNotFoundError(f"{run} is not a directory: give the directory of a run")


class Weights(StrEnum):
    """Weights of a run: `ema`, the exponential moving average over its training; `best`, that average at the
    best validation, where trainer.keep=best; or `raw`, of its last step. Their names stand in metric names
    too, as in fid[..,ema].
    """

    ema = "ema"
    best = "best"
    raw = "raw"


WEIGHTS_HELP = "EMA at the end, EMA of the best validation (trainer.keep=best), or raw weights of the end."
"""Help of the option --weights."""


def examples(commands: list[str]) -> str:
    """Return the end of a verb's help: commands to copy, a line each, printed as they stand. It is the
    `epilog` of `verbs.command`; a test reads each command by the verb's own parser.
    """
    # \b: the parser of the help text leaves the lines of this paragraph as they are.
    return "\n".join(["\b", "Example:" if len(commands) == 1 else "Examples:", *(f"  {c}" for c in commands)])


class RunsItself(TyperCommand):
    """Command of a dataclass with a method `run`: an option for each field, of its name, type and default.

    typer reads the signature of what it is given, here of the constructor; the options of a verb are then
    one object, which its methods share, instead of many arguments. Used as
    `@verbs.command("sample", cls=RunsItself)` above the dataclass, whose docstring is the help.
    """

    # typer makes a typer.Context, and declares its private base.
    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # noqa: ANN401
        """Build the dataclass from the words of the command line, and run it."""
        return super().invoke(ctx).run()


def context_on(device: str, seed: int = 0) -> "Context":
    """Make the context of a verb's work on a device (auto, cpu or cuda), with progress bars on stderr.
    Raises ValueError on a device that is not there.
    """
    from genbench.runtime import device as devices
    from genbench.runtime.context import Context
    from genbench.runtime.progress import Progress, terminal

    return Context(devices.choose(device), seed, Progress(terminal(stderr=True)))


@contextmanager
def warnings_in_lines() -> Iterator[None]:
    """Print each warning of the block as one line on stderr, without its place in the code.
    They appear at the end of the block, also where it raises.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for warning in caught:
                complain(flat(str(warning.message)))
