"""The directory of a run: whose it is, if there is room, and the composition that is recorded there."""

import copy
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, cast

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from genbench.app.messages import leave, refusing
from genbench.app.run_names import folder_of, identity, run_dir, without_hydra
from genbench.errors import UsageError
from genbench.records.files import atomic_file
from genbench.records.run_directory import Run
from genbench.records.untrusted_files import YAML_BYTES, check_appendable, read_regular
from genbench.runtime.disk import check_file_size, check_space, check_writable

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "ChecksDirectory",
    "check_directory",
    "check_folder",
    "check_outside_runs",
    "check_places",
    "checking",
    "new_folders_removed",
    "note_new",
    "write_composition",
]

OPENED = (".lock", "main.log", "metrics.jsonl")
"""Files of a run that are written where they stand; the others are replaced as a whole."""
FOLDERS = (".hydra", "checkpoints", "samples", "wandb", "tensorboard", "mlflow")
"""Folders of a run, in which files are written and replaced."""
REPLACED = (".hydra", "checkpoints", "main.log", "metrics.jsonl", "result.json", "samples")
"""Files that a run would overwrite or add to; before there is a run.json they are another program's."""
BEFORE_RUN = {".hydra", "main.log"}
"""Those of them that a kill can leave of a run before its run.json is there."""
CHECKPOINTS = 3  # of a run at a time: the last, its predecessor, and the next one while it is written
WEIGHTS = 2  # sets of weights in each: raw and averaged; the optimizer's state comes on top


NEW: ContextVar[set[Path]] = ContextVar("NEW")
"""The folders that this command may make, and that were not there before."""


class ChecksDirectory(Callback):
    """Hooks of Hydra that refuse the directory of another run or program before anything is written there.
    conf/config.yaml names this class. A refusal is printed, and the command exits with code 2.
    """

    # Hydra passes the configuration's name alone, and declares any keywords.
    def on_run_start(self, config: DictConfig, config_name: str | None = None) -> None:  # type: ignore[override]
        """Check the directory of a single run."""
        with checking(config):
            runs_dir = run_dir(config).parents[1]
            if Path(config.hydra.run.dir).is_relative_to(runs_dir):  # else nothing is written there
                folder_of("runs_dir", config.runs_dir)
            here = folder_of("hydra.run.dir", config.hydra.run.dir)
            check_outside_runs(runs_dir / "job")
            check_directory(Run(here), identity(config))
            note_new(here)

    def on_multirun_start(self, config: DictConfig, config_name: str | None = None) -> None:  # type: ignore[override]
        """Check the folder of a sweep; its jobs check their own directories when they start."""
        with checking(config):
            for key in ("runs_dir", "hydra.sweep.dir"):
                folder = folder_of(key, OmegaConf.select(config, key))
                check_outside_runs(folder / "job")
                note_new(folder)
            folder = Path(config.runs_dir)
            check_writable(folder)  # the ledger goes there
            note_new(folder / ".sweeps")


def note_new(folder: Path) -> None:
    """Note which folders a command makes to have this one, so that it leaves none of them empty."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    NEW.get(set()).update(path.absolute() for path in missing)


@contextmanager
def new_folders_removed() -> Iterator[None]:
    """Remove, after the block, the folders that were noted inside by `note_new` and remained empty, as those
    of a command that was refused; one that was there before remains.
    """
    token = NEW.set(set())
    try:
        yield
    finally:
        for path in sorted(NEW.get(), key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):  # it is not empty, or was never made
                path.rmdir()
        NEW.reset(token)


@contextmanager
def checking(config: DictConfig) -> Iterator[None]:
    """Print what the block finds wrong, and exit with code 2: Hydra would turn an exception in one of its
    hooks into a warning, and go on. Inside, ${hydra:..} is resolved as in the job itself.
    """
    found = HydraConfig.instance()
    before = found.cfg
    found.set_config(copy.deepcopy(config))  # which makes it read-only
    try:
        with refusing():
            yield
    except UsageError as error:
        leave(error)
    finally:
        found.cfg = before


def check_directory(here: Run, identity: str) -> None:
    """Raise ValueError where a run's directory is no place for it, before anything is written.
    It is none where it belongs to a run of another identity, lies within a run, holds files of another
    program that the run would overwrite, or has links for the folders in which it writes.
    """
    check_outside_runs(here.path)
    check_folder(here.path)
    for name in FOLDERS:
        if (here.path / name).is_symlink():  # of a run that somebody sent, it could lead to any folder
            raise ValueError(
                f"{here.path / name} is a link, through which a run writes nothing: put a folder there, or "
                "link all of runs_dir instead"
            )
        check_folder(here.path / name)
    for name in OPENED:
        check_appendable(here.path / name)
    here.past_sessions(identity)
    files = foreign_files(here.path)
    if files and here.record() is None:  # in this order: another process may begin the run meanwhile
        raise ValueError(
            f"{here.path} is not a run's directory and holds {', '.join(files[:3])}, which a run would "
            "overwrite: move that away, or choose another directory"
        )


def check_folder(path: Path) -> None:
    """Raise NotADirectoryError where there is anything but a folder at a path."""
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))


def check_outside_runs(path: Path) -> None:
    """Raise ValueError where a directory would lie within that of a run."""
    for folder in Path(os.path.realpath(path)).parents:  # Path.resolve raises on links in a circle
        record = None
        with suppress(OSError, ValueError):  # what is not a record belongs to no run
            record = Run(folder).record()
        if record is not None:
            raise ValueError(
                f"{folder} is the directory of a run, in which no other can lie: name another place"
            )


def foreign_files(folder: Path) -> list[str]:
    """Return the names in a directory that a run would overwrite and did not leave there before it began;
    any other file may lie beside those of a run.
    """
    ours = BEFORE_RUN if (folder / ".lock").exists() or is_composed_here(folder) else set()
    there = [name for name in REPLACED if name not in ours and (folder / name).exists()]
    # A folder without anything in it loses nothing.
    return [name for name in there if not (folder / name).is_dir() or any((folder / name).iterdir())]


def is_composed_here(folder: Path) -> bool:
    """Return True where a run wrote its composition; earlier versions did so before they took the lock."""
    with suppress(OSError, ValueError):
        path = folder / ".hydra" / "config.yaml"
        return b"_target_: genbench." in read_regular(path, at_most=YAML_BYTES, inside=folder)
    return False


def check_places(here: Run, model: "nn.Module") -> None:
    """Raise OSError or ValueError where files cannot be written, or the checkpoints of a model find no room.
    A checkpoint takes as much as the last one of this run, or else its weights at least.
    """
    for folder in (here.path, here.checkpoints, here.samples):
        check_writable(folder)
    for name in ("run.json", "result.json"):  # those that are appended to were checked before
        if (here.path / name).is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(here.path / name))
    there = [path.stat().st_size for path in here.checkpoints.glob("*.pt") if path.exists()]
    one = max([WEIGHTS * sum(tensor.nbytes for tensor in model.state_dict().values()), *there])
    check_file_size(one, "a checkpoint of this model")
    room = CHECKPOINTS * one - sum(there)
    check_space(here.path, room, "the checkpoints of this model", "choose another runs_dir")


def write_composition(cfg: DictConfig, here: Run) -> None:
    """Write into .hydra/ of a run what Hydra composed: config.yaml, hydra.yaml and overrides.yaml.
    Hydra itself would write them before anything is checked. Each file appears whole or not at all.
    """
    hydra = cast("DictConfig | None", HydraConfig.instance().cfg)  # declared as its own part
    assert hydra is not None
    parts = {"config": without_hydra(cfg), "hydra": hydra, "overrides": hydra.hydra.overrides.task}
    for name, part in parts.items():
        with atomic_file(here.path / ".hydra" / f"{name}.yaml") as file:
            file.write(OmegaConf.to_yaml(part).encode())
