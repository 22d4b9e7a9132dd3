"""The command that uploads what wandb wrote offline; it needs no wandb."""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["upload_command"]


def upload_command(run_dirs: Iterable[Path]) -> str | None:
    """Return the shell command that uploads the offline files of wandb in these run directories.

    None where there are none. Where there are several, a pattern with the shell's * names those of all runs
    in their folder, also of others than these. Paths below the working directory are relative to it.
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
    """Write folders of runs below `parent` for a shell: one pattern where several are matched by it."""
    # The shell's * takes no hidden runs.
    if len(folders) > 1 and not any(folder.parents[1].name.startswith(".") for folder in folders):
        return [f"{shell_word(parent)}/*/wandb/offline-run-*"]
    return [shell_word(folder) for folder in folders]


def shell_word(path: Path) -> str:
    """Quote a path for a shell, relative to the working directory where it lies below it."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
