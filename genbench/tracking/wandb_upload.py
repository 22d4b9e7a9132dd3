"""The command that uploads what wandb wrote offline; it needs no wandb."""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["upload_command"]


def upload_command(run_dirs: Iterable[Path]) -> str | None:
    """Return the shell command that uploads the offline files of wandb in these run directories.

    None where there are none. Where they are those of all runs in a folder, a pattern with the shell's *
    names them.
    """
    folders: dict[Path, list[Path]] = {}
    for run in dict.fromkeys(map(Path, run_dirs)):
        unsent = [folder for folder in offline([run]) if not any(folder.glob("*.wandb.synced"))]
        folders.setdefault(run.parent, []).extend(unsent)
    words = [word for parent, unsent in folders.items() for word in named(parent, unsent)]
    return " ".join(["wandb sync", *words]) if words else None


def offline(run_dirs: Iterable[Path]) -> list[Path]:
    """Return the folders that wandb wrote offline in these run directories."""
    return [folder for run in run_dirs for folder in sorted((run / "wandb").glob("offline-run-*"))]


def named(parent: Path, folders: Sequence[Path]) -> list[str]:
    """Write folders of runs below `parent` for a shell: one pattern where it matches exactly these."""
    seen = offline(run for run in parent.iterdir() if not run.name.startswith(".")) if folders else []
    if len(folders) > 1 and sorted(seen) == sorted(folders):
        return [f"{shlex.quote(str(parent))}/*/wandb/offline-run-*"]
    return [shlex.quote(str(folder)) for folder in folders]
