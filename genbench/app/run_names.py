"""Directories and identities of runs, which follow from its configuration."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from genbench.records.flatten import flatten
from genbench.records.identity import hashed
from genbench.records.run_directory import rerun_path
from genbench.records.untrusted_files import open_regular
from genbench.runtime.disk import check_makable, check_writable, expanded, explain, nearest

__all__ = [
    "RUN_NAME",
    "checked_path",
    "file_hash",
    "folder_of",
    "identity",
    "resolved",
    "run_dir",
    "settings_once",
    "weights_hash",
    "without_hydra",
]

NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}")
RUN_NAME = "${genbench.run_name:}"
"""Reference to the name of a run's directory, as conf/config.yaml has it for the jobs of a sweep."""
LEGAL_NAME = "text of 1 to 255 letters, digits, '.', '_', '-', not '.' first"
UNUSUAL = re.compile("[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that show a text in another order than it has."""


def run_dir(cfg: DictConfig, known: str | None = None) -> Path:
    """Return the directory of a run, which its configuration and seed decide, such as
    runs/default/ddpm-digits-seed0-f687925f; it is numbered where rerun=true finds one that exists.

    known: the identity of the configuration, where it was computed before. Raises ValueError on a name that
    is no plain file name, and on a runs_dir that names no folder.
    """
    if not isinstance(cfg.name, str) or not NAME.fullmatch(cfg.name):
        raise ValueError(f"name is {cfg.name!r}; it must be {LEGAL_NAME}")
    runs_dir = Path(checked_path("runs_dir", cfg.runs_dir))
    choices = cfg.hydra.runtime.choices
    run = f"{choices['model']}-{choices['data']}-seed{cfg.seed}-{(known or identity(cfg))[:8]}"
    path = runs_dir / cfg.name / run
    return rerun_path(path) if cfg.rerun else path


def folder_of(key: str, value: object, tried: set[Path] | None = None) -> Path:
    """Return the folder that the value of a key names. Raises ValueError, with the key and the value, unless
    it is text that names a folder of this machine which is there or can be made; nothing remains written.
    tried: folders that a file could be written in before, to which this one's is added; they are not tried
    again.
    """
    folder = Path(checked_path(key, value))
    try:
        check_makable(folder)
        place = nearest(folder)
        if not folder.exists() and place not in (tried or ()):
            check_writable(folder)  # such as /proc, which permits more than it does
            if tried is not None:
                tried.add(place)
    except OSError as error:
        raise ValueError(f"{key} is {value}, which cannot be made. {explain(error)}") from error
    return folder


def checked_path(key: str, value: object) -> str:
    """Return the value of a key, which must be the path of a folder, whatever there is at that path.
    Raises ValueError, with the key and the value, where it is not text, empty, an address, or begins with ~.
    """
    if not isinstance(value, str):
        raise ValueError(f"{key} is {value!r}; it must be text, the path of a folder")
    if not value.strip():
        raise ValueError(f"{key} is {value!r}; it must be the path of a folder: '.' is the current one")
    if UNUSUAL.search(value):
        raise ValueError(f"{key} is {value!r}; a path of runs must be without control characters")
    if "://" in value:
        raise ValueError(f"{key} is {value}; it must be a folder of this machine, no address")
    if value.startswith("~"):
        raise ValueError(f"{key} is {value}; ~ stands for no home directory here: write the whole path")
    return value


def identity(cfg: DictConfig) -> str:
    """Return the hash of the resolved configuration (genbench.records.identity) without Hydra's own part.
    It is taken before the facts of the data are filled in, which follow from the rest.
    """
    return hashed(resolved(without_hydra(cfg)))


def resolved(cfg: DictConfig) -> dict[str, Any]:
    """Return a configuration as plain data, in which each reference is a copy of what it refers to."""
    tree: Any = OmegaConf.to_container(cfg, resolve=True)
    return tree


def settings_once(cfg: DictConfig, values: Mapping[str, Any], choices: Mapping[str, str]) -> dict[str, Any]:
    """Return each setting under its dotted key, in one place: of model.process.schedule.T, process.schedule.T
    and schedule.T the last, which the others refer to.

    cfg: as composed, with its references, which building objects of it replaces by copies. values: the
    resolved tree. choices: the option of each group, which says its class, so that this is left out too,
    and so are the settings of the trackers themselves.
    """
    flat, chosen = flatten(values), {f"{group}._target_" for group in choices}
    written: Any = OmegaConf.to_container(cfg)
    return {
        key: flat[key]
        for key, value in flatten(written).items()
        if not (is_reference(value) or key in chosen or key.endswith("._partial_"))
        and not key.startswith("tracker.")
    }


def is_reference(value: object) -> bool:
    """Return True for a value that is nothing but a reference, as it is written: ${schedule.T}."""
    return isinstance(value, str) and value.startswith("${") and value.endswith("}")


def without_hydra(cfg: DictConfig) -> DictConfig:
    """Return a copy of the configuration without the node `hydra`, which configures Hydra.
    Changes of the copy do not reach the original; references stay unresolved.
    """
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])


def small_shape(shape: Sequence[int] | None, factor: object) -> ListConfig | None:
    """Return the shape [C, H // f, W // f] of images whose sides a model of small ones divides by `factor`.

    None where no data are known yet. A factor that is no whole number or does not divide the sides is
    refused by the model itself, whose message has the remedy.
    """
    if shape is None:
        return None
    divisor = factor if type(factor) is int and factor > 0 else 1
    # A node, since OmegaConf resolves no plain list that another reference leads to.
    return OmegaConf.create([shape[0], *(max(side // divisor, 1) for side in shape[1:])])


def mixture_channels(shape: Sequence[int] | None, components: object) -> int | None:
    """Return the channels in which a network describes a mixture of so many logistic components of a pixel
    (likelihood=mixture) of images of a shape. None where no data are known yet, or without components.
    """
    if shape is None or type(components) is not int:
        return None
    from genbench.probability.logistic_mixture import mixture_numbers  # slow to import

    return mixture_numbers(components, shape[0])


def file_hash(path: str | None) -> str | None:
    """Return the SHA-256 of a file, 64 hex digits, for the identity of a run; None where there is no file.
    It is read again only where its size or time has changed. Raises ValueError where it cannot be read.
    """
    file = None if path is None else expanded(str(path), "write the whole path, or set HOME")
    if file is None or not file.is_file():  # what wants the file says that it is not there
        return None
    try:
        found = file.stat()
        return hash_of(file, found.st_size, found.st_mtime_ns)
    except OSError as error:
        raise ValueError(f"{path} cannot be read. {explain(error)}") from error


def weights_hash(run_dir: str | None) -> str | None:
    """Return the SHA-256 of the weights of a run, of its last checkpoint or of an exported folder's file, for
    the identity of a run that takes a part of it; None where there are none. Raises ValueError where the file
    cannot be read.
    """
    folder = None if run_dir is None else expanded(str(run_dir), "write the whole path, or set HOME")
    names = ("checkpoints/last.pt", "model.safetensors")
    files = [] if folder is None else [folder / name for name in names if (folder / name).is_file()]
    return file_hash(str(files[0])) if files else None


@cache
def hash_of(file: Path, size: int, changed: int) -> str:
    """Return the SHA-256 of a regular file, remembered for a size in bytes and a time of change in ns."""
    with open_regular(file) as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


# At import, since the workers of parallel launchers run no other entry point before they resolve a name.
OmegaConf.register_new_resolver("genbench.run_name", lambda *, _root_: run_dir(_root_).name, replace=True)
OmegaConf.register_new_resolver("genbench.sha256", file_hash, replace=True)
OmegaConf.register_new_resolver("genbench.weights_sha256", weights_hash, replace=True)
OmegaConf.register_new_resolver("genbench.run_dir", lambda *, _root_: str(run_dir(_root_)), replace=True)
OmegaConf.register_new_resolver("genbench.small_shape", small_shape, replace=True)
OmegaConf.register_new_resolver("genbench.mixture_channels", mixture_channels, replace=True)
