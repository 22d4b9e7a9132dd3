"""Folders that `genbench export` wrote: a trained model without its run, from anybody."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from genbench.app.recorded_config import configuration
from genbench.app.recorded_model import built_as
from genbench.records.files import read_json
from genbench.records.untrusted_files import open_regular

if TYPE_CHECKING:
    from torch import Tensor

    from genbench.generator import Generator

__all__ = ["ABOUT", "FORMAT", "WEIGHTS", "is_exported", "load_exported"]

ABOUT, WEIGHTS = "genbench.json", "model.safetensors"
FORMAT = 1
"""Of genbench.json; a later version that cannot be read as this one gets another number."""


def is_exported(folder: Path) -> bool:
    """Return True for a folder that `genbench export` wrote, False for the directory of a run."""
    return (folder / ABOUT).is_file() and not (folder / "run.json").exists()


def load_exported(
    folder: Path,
    *,
    device: str = "auto",
    weights: str = "ema",
    overrides: Mapping[str, object] | None = None,
) -> "Generator":
    """Return the trained model of a folder that `export` wrote, in evaluation mode and without gradients.
    device, overrides: as for `load`. weights: "ema", the default there, takes those that the folder holds.
    The folder may be a stranger's: it builds what installed options build, and executes nothing. Raises
    ValueError where a file of it is damaged or does not fit, and on weights that it does not hold.
    """
    from genbench.runtime import device as devices
    from genbench.runtime.precision import recorded_precision
    from genbench.training import checkpoint_contents

    about, target = read_json(folder / ABOUT) or {}, devices.choose(device)
    if about.get("format") != FORMAT:
        raise ValueError(
            f"{folder / ABOUT} has format {about.get('format')!r}; this version of genbench reads {FORMAT}: "
            "export the run again, or install the version that wrote it"
        )
    if weights not in ("ema", about.get("weights")):
        raise ValueError(
            f"weights is {str(weights)!r}, and {folder} holds its {about.get('weights')} weights alone: "
            f"leave it out, or export the run with --weights {weights}"
        )
    model, precision = built_as(overrides or {}, configuration(about, folder))
    tensors = read_tensors(folder / WEIGHTS)
    try:
        checkpoint_contents.weights("weights", model)({"weights": tensors})
    except ValueError as error:
        raise ValueError(f"{folder / WEIGHTS} does not fit {ABOUT} beside it: {error}") from error
    model.to(target).load_state_dict(tensors)
    recorded_precision(about, precision, target).apply(model.autocast_networks(), target)
    return model.eval().requires_grad_(False)


def read_tensors(path: Path) -> "dict[str, Tensor]":
    """Read a safetensors file. Raises ValueError where it is damaged, OSError where it cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load as parse

    with open_regular(path) as file:
        content = file.read()
    try:
        return parse(content)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}): export the run again") from error
