"""Runs that hold a rebuilt average of the weights of another run: `genbench ema RUN --std X --keep`."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from genbench.generator import Generator
from genbench.records.feature_network import FeatureNetwork
from genbench.records.files import write_json_atomic
from genbench.records.identity import hashed
from genbench.records.result import Best, Likelihood, Reconstruction
from genbench.records.run_directory import Run
from genbench.runtime.disk import whole_folder
from genbench.training import checkpoint_contents
from genbench.training.checkpoint import CheckpointStore

__all__ = ["check_kept", "keep_average", "kept_folder"]

COPIED = (".hydra", "metrics.jsonl")
"""Files that a run of an average has as the run that it is of: its words, and the log of its training."""


def kept_folder(run_dir: Path, std: float) -> Path:
    """Return the directory of the run that holds the average of a length, beside the run that it is of:
    RUN-ema0.1 for a standard deviation of 0.1.
    """
    run = run_dir.resolve()  # which gives RUN its name where it is given as ".."
    return run.with_name(f"{run.name}-ema{std:g}")


def check_kept(run_dir: Path, std: float) -> None:
    """Raise ValueError where an average of a run cannot be retained: the run has no result, it is such a run
    itself, or the directory for the average is there already.
    """
    folder = kept_folder(run_dir, std)
    if folder.exists():
        raise ValueError(f"{folder} is there already: use it, or remove it")
    result = Run(run_dir).finished_result()
    if result is None:
        raise ValueError(f"{run_dir} has no result yet: --keep needs a run whose training has ended")
    if "weights" in result.config:
        raise ValueError(f"{run_dir} holds an average of another run: give that run")


def keep_average(
    model: Generator,
    run_dir: Path,
    std: float,
    metrics: Mapping[str, float],
    networks: Mapping[str, FeatureNetwork],
) -> Path:
    """Write a run whose averaged weights are those of a model, and return its directory; see `kept_folder`.

    model: of the run at run_dir, with its average of a length, the standard deviation `std` as a share of the
    training. metrics: the scores of that average by their full names, which become those of its result, and
    networks: the feature networks that they were taken by, by the protocol of their features; likelihood,
    reconstruction and pictures are left out, as they are of other weights. Its configuration has
    weights=ema_0.1 beside all that it was trained by, so that reports tell it from the run, and its costs are
    those of the run. Nothing of the run at run_dir changes. Raises as `check_kept` does.
    """
    check_kept(run_dir, std)
    here, there = Run(run_dir), Run(kept_folder(run_dir, std))
    record, result = here.record(), here.finished_result()
    state = CheckpointStore(here.checkpoints).load(
        torch.device("cpu"), checkpoint_contents.weights("ema", model)
    )
    assert record is not None
    assert result is not None
    assert state is not None
    of = {"weights": f"ema_{std:g}"}
    config = {**record["config"], **of}
    identity = hashed(config)

    average = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
    rest = {key: value for key, value in state.items() if key != "snapshots"}
    kept = replace(
        result,
        identity=identity,
        run=there.path.name,
        config={**result.config, **of},
        metrics=dict(metrics),
        feature_networks=dict(networks),
        likelihood=Likelihood(),
        reconstruction=Reconstruction(),
        samples={},
        best=Best(),
        best_likelihood=Likelihood(),
    )
    with whole_folder(there.path):
        there.path.mkdir()
        copy_files(here.path, there.path)
        CheckpointStore(there.checkpoints).save({**rest, "ema": average})
        write_json_atomic(there.path / "run.json", {**record, "identity": identity, "config": config})
        there.write_result(kept)
    return there.path


def copy_files(run_dir: Path, folder: Path) -> None:
    """Copy what is COPIED of a run into another folder, as far as it is there; links are not followed."""
    for name in COPIED:
        source = run_dir / name
        if source.is_symlink():
            continue
        if source.is_dir():
            shutil.copytree(source, folder / name, symlinks=True)
        elif source.is_file():
            shutil.copyfile(source, folder / name)
