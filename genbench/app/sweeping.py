"""Several jobs of one command: the ledger that they write to, and what is said at the end."""

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console

from genbench.sweep import Ledger, Outcome, outcome_table

__all__ = ["KeepsLedger", "ledger", "summarise", "tell_upload"]

LEDGER = "GENBENCH_SWEEP"  # in the environment, which the workers of all launchers inherit


class KeepsLedger(Callback):
    """Gives a sweep its ledger before its first job starts."""

    def on_multirun_start(self, config: DictConfig, config_name: str | None = None) -> None:
        """Hydra's hook."""
        moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        path = Path(config.runs_dir).resolve() / ".sweeps" / f"{moment}-{os.getpid()}.jsonl"
        os.environ[LEDGER] = str(path)


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
    tell_upload([Path(outcome.run) for outcome in outcomes], console)
    return not any(outcome.bad for outcome in outcomes)


def tell_upload(run_dirs: Iterable[Path], console: Console) -> None:
    """Print the one command that uploads what wandb keeps offline of some runs, if it keeps anything."""
    from genbench.tracking.wandb import upload_command

    if (command := upload_command(run_dirs)) is not None:
        console.print(f"To upload: {command}", soft_wrap=True, markup=False, highlight=False)
