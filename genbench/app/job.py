"""One job: a configuration, its run, its result."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from genbench.app.build import build
from genbench.app.door import EXIT_STOPPED, leave, message
from genbench.app.naming import identity
from genbench.errors import Unmeasured, UsageError
from genbench.run import Run
from genbench.stop import Stopped

if TYPE_CHECKING:
    from genbench.session import Session

__all__ = ["run"]

PLAIN_WIDTH = 120  # columns of tables where no terminal says how wide it is


def run(cfg: DictConfig) -> None:
    """One run, from its configuration to its result; goes on where an earlier one of the same left off."""
    here = Run(Path(HydraConfig.get().runtime.output_dir))
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    try:
        stay(cfg, here, console)
    except (UsageError, Unmeasured, FloatingPointError) as error:
        # Hydra, which prints the overrides first, gets it only where other jobs are to follow.
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise
        leave(error)
    except Stopped:
        console.print("Stopped; the same command goes on from here.")
        sys.exit(EXIT_STOPPED)
    finally:
        here.discard_unless_begun()
        if here.path.exists():
            console.print(str(here.path), soft_wrap=True, highlight=False)


def stay(cfg: DictConfig, here: Run, console: Console) -> None:
    """Show the result of a run that is finished, work on any other."""
    try:
        result = here.result() if here.status == "done" else None
        if result is None:
            session = open_session(cfg, here, console)
    except (ValueError, OSError, HydraException, OmegaConfBaseException) as error:
        raise UsageError(message(error)) from error
    if result is None:
        session.run()
        return
    from genbench.report import print_result

    console.print("This run is finished; rerun=true starts it afresh in a directory beside it.")
    print_result(result, console)


def open_session(cfg: DictConfig, here: Run, console: Console) -> "Session":
    """All that the user may have to mend: the configuration, the data, the checkpoint, another process."""
    who = identity(cfg)
    parts = build(cfg)
    from genbench.session import Session

    config = OmegaConf.to_container(cfg, resolve=True)
    chosen = {**choices(), "conditional": str(cfg.conditional).lower()}
    return Session(parts, here, who, config, chosen, console)


def choices() -> dict[str, str]:
    """The option chosen in each group: model -> ddpm, schedule -> cosine, .."""
    chosen = HydraConfig.get().runtime.choices
    return {
        group.partition("@")[0]: option
        for group, option in chosen.items()
        if option is not None and not group.startswith(("hydra", "tuned"))  # tuned follows from the others
    }
