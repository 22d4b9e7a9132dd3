"""Several jobs of one command: the ledger that they write to, and what is said at the end."""

import os
import re
import shlex
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console

from genbench.sweep import Ledger, Outcome, outcome_table

__all__ = ["KeepsLedger", "ledger", "summarise", "tell_upload"]

LEDGER = "GENBENCH_SWEEP"  # in the environment of every job, wherever a launcher starts it


class KeepsLedger(Callback):
    """Gives a sweep its ledger before its first job starts."""

    def on_multirun_start(self, config: DictConfig, config_name: str | None = None) -> None:
        """Hydra's hook."""
        moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        path = Path(config.runs_dir).resolve() / ".sweeps" / f"{moment}-{os.getpid()}.jsonl"
        os.environ[LEDGER] = str(path)
        # The workers of a cluster that runs already do not inherit this process's environment.
        config.hydra.overrides.hydra.append(f"++hydra.job.env_set.{LEDGER}={quoted(str(path))}")
        for job, words in enumerate(planned(config)):
            Ledger(path).add(Outcome(job, "not started", words, "", 0.0, ""))


def planned(config: DictConfig) -> list[tuple[str, ...]]:
    """The overrides of each job of a sweep over all combinations; a search does not know its jobs."""
    sweeper = config.hydra.sweeper
    if not sweeper._target_.endswith(f".{BasicSweeper.__name__}"):
        return []
    words = [f"{key}={value}" for key, value in (sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    try:
        parsed = parser.parse_overrides([*words, *config.hydra.overrides.task])
        (jobs,) = BasicSweeper.split_arguments(parsed, None)
    except HydraException:  # the sweep itself says it
        return []
    return list(map(tuple, jobs))


def quoted(text: str) -> str:
    """Text as one value of Hydra's grammar, where a backslash is itself unless it stands before a quote."""
    return "'" + re.sub(r"(\\*)'", r"\1\1\\'", text) + "'"


def ledger() -> Ledger | None:
    """The ledger of the sweep that this process belongs to, if any."""
    path = os.environ.get(LEDGER)
    return None if path is None else Ledger(Path(path))


def summarise(console: Console) -> bool:
    """Print what became of the jobs of this command, if it was a sweep; whether all went well."""
    kept = ledger()
    outcomes: Sequence[Outcome] = kept.outcomes() if kept is not None else ()
    if not outcomes:
        return True
    console.print(outcome_table(outcomes))
    show_comparison([Path(one.run) for one in outcomes if one.status in ("done", "skipped")], console)
    tell_upload([Path(outcome.run) for outcome in outcomes if outcome.run], console)
    return not any(outcome.bad for outcome in outcomes)


def show_comparison(run_dirs: Sequence[Path], console: Console) -> None:
    """Print the table of the finished runs, and the command that makes it of all runs where they lie."""
    if len(run_dirs) < 2:
        return
    from genbench.report.text import as_markdown, compare_runs

    try:
        text = as_markdown(compare_runs(run_dirs))
    except (OSError, ValueError) as error:  # a run that was moved away meanwhile is no failed sweep
        text = f"no table: {error}\n"
    console.print(text, soft_wrap=True, markup=False, highlight=False)
    place = Path(os.path.relpath(os.path.commonpath([path.parent for path in run_dirs])))
    command = shlex.join(["genbench", "report", str(place)])
    console.print(f"To compare with all runs there: {command}", soft_wrap=True, markup=False, highlight=False)


def tell_upload(run_dirs: Iterable[Path], console: Console) -> None:
    """Print the one command that uploads what wandb keeps offline of some runs, if it keeps anything."""
    from genbench.tracking.wandb import upload_command

    if (command := upload_command(run_dirs)) is not None:
        console.print(f"To upload: {command}", soft_wrap=True, markup=False, highlight=False)
