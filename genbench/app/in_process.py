"""One run from Python code, without a command line: composed, trained and evaluated in this process."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from genbench.app.command import check_command, parse_command
from genbench.app.job import carry_out
from genbench.app.messages import explain_error, refusing
from genbench.app.run_names import run_dir, without_hydra
from genbench.app.search_path import composing
from genbench.errors import UsageError
from genbench.records.run_directory import Run
from genbench.runtime.progress import terminal
from genbench.runtime.stop import StopRequest

__all__ = ["run_in_process"]


def run_in_process(overrides: Sequence[str], *, progress: bool = False) -> Path:
    """Train and evaluate the run of some overrides, or find it finished, and return its directory.

    overrides: as on the command line, ["model=ddpm", "seed=1"], each key with one value. progress: print on
    stdout what a command prints. Raises UsageError on what cannot be composed or used, Unmeasured, Failure or
    FloatingPointError where the run fails, Stopped after Ctrl-C, when the same call resumes it.
    """
    if isinstance(overrides, str):
        raise UsageError(f"overrides are a list of texts: give [{overrides!r}]")
    if options := [word for word in overrides if word.startswith("-")]:
        raise UsageError(f"{options[0]} is an option of the command line: give overrides alone, as seed=1")
    console = terminal()
    console.quiet = not progress
    try:
        check_command(parse_command(overrides))
        with composing():
            cfg = compose("config", overrides=list(overrides), return_hydra_config=True)
    except (HydraException, OmegaConfBaseException, ValueError, OSError) as error:
        raise UsageError(explain_error(error, overrides)) from None
    with composed(cfg):
        with refusing():
            here = Run(run_dir(cfg))
        carry_out(without_hydra(cfg), here, console, StopRequest())
    return here.path


@contextmanager
def composed(cfg: DictConfig) -> Iterator[None]:
    """Let the code of a job find how it was composed, as Hydra does around the job of a command."""
    found = HydraConfig.instance()
    before = found.cfg
    found.set_config(cfg)
    try:
        yield
    finally:
        found.cfg = before
