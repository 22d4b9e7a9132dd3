"""Finished runs of a claim -> the values of each row: one mapping from measure to value a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from genbench.data import Digits, prepare
from genbench.metrics import FID, DigitsFeatures, reference, score_images
from genbench.records.files import read_json
from genbench.records.metric_name import MetricName, is_metric, of_ema
from genbench.records.recorded_overrides import read_overrides
from genbench.report.data_frame import cells
from genbench.report.runs import read, run_folders, without_reruns
from genbench.runtime.progress import Progress

__all__ = ["Rows", "failures", "noise_fid", "rows_of_runs", "rows_of_sampling"]

Rows = dict[str, list[Mapping[str, float]]]
"""The label of a row -> the measures of each of its runs."""
COSTS = ("bits_per_dim", "images_seen", "images_per_second", "training_seconds")
COSTS_OF_SAMPLES = ("passes_per_sample", "seconds_per_image", "flops_per_sample")
FEWEST_CLASSES = 2.0  # an Inception score below: samples of fewer than two classes of ten


def rows_of_runs(folder: Path, axes: Sequence[str]) -> Rows:
    """Read the finished runs below a folder, each under the label of its row; none where it is not there.

    axes: overrides whose values name a row, as in "eps, 0.004" of parameterization and optim.lr; a run that
    was composed without one of them leaves it out.
    """
    if not folder.is_dir():
        return {}
    runs = without_reruns(read(folder, unfinished=True))[0]
    found: Rows = {}
    for i, run in enumerate(map(str, cells(runs.frame, "run"))):
        values = {name: cells(runs.frame, name)[i] for name in runs.frame.columns}
        numbers = {name: float(x) for name, x in values.items() if isinstance(x, int | float)}
        measures = {name: numbers[name] for name in (*COSTS, *COSTS_OF_SAMPLES) if name in numbers}
        if numbers.get("images_seen") and "training_flops" in numbers:
            measures["flops_per_image"] = numbers["training_flops"] / numbers["images_seen"]
        found.setdefault(label(runs.paths[run], axes), []).append(measures | against_train(numbers))
    return found


def against_train(values: Mapping[str, float]) -> dict[str, float]:
    """Return the scores of the EMA weights against the training split by their kinds, without intervals."""
    names = [name for name in values if is_metric(name)]
    of_train = [name for name in names if MetricName.parse(name).ref in (None, "train")]
    return of_ema({name: values[name] for name in of_train if not MetricName.parse(name).spread})


def label(run: Path, axes: Sequence[str]) -> str:
    """Return the values of some overrides of a run, in the order of the axes: "gan, non_saturating"."""
    words = dict(word.split("=", 1) for word in read_overrides(run) if "=" in word)
    return ", ".join(words[axis] for axis in axes if axis in words)


def rows_of_sampling(folder: Path) -> Rows:
    """Read the tables that `genbench sampler-sweep` wrote into the folders below one, one for each seed, with
    a row for each sampler and number of steps: "ddim, 50".
    """
    import pandas as pd

    found: Rows = {}
    for path in sorted(folder.glob("*/table.csv")):
        for row in pd.read_csv(path).to_dict("records"):
            numbers = {str(name): float(x) for name, x in row.items() if isinstance(x, int | float)}
            measures = {"seconds_per_image": numbers["seconds_per_image"]} | against_train(numbers)
            measures["passes_per_sample"] = numbers["passes"]
            found.setdefault(f"{row['sampler']}, {row['sampler.steps']}", []).append(measures)
    return found


def failures(folder: Path, axes: Sequence[str], worst_fid: float) -> Rows:
    """Read which runs below a folder failed, by row: 1 or 0 for each under "failed", and under the reasons.

    stopped: by the loop, as a loss was not finite or a GAN's logits exploded; worse than noise: an FID of
    `worst_fid` or more; collapsed: an Inception score below 2, samples of fewer than two of ten classes. A
    run that ended by anything else counts as missing.
    """
    found: Rows = {}
    finished = rows_of_runs(folder, axes)
    for name, runs in finished.items():
        found[name] = [failure(False, run["fid"] >= worst_fid, run["is"] < FEWEST_CLASSES) for run in runs]
    for _, path in run_folders(folder) if folder.is_dir() else ():
        record = read_json(path / "run.json") or {}
        if record.get("status") == "failed" and str(record.get("error")).startswith("FloatingPointError"):
            found.setdefault(label(path, axes), []).append(failure(True, False, False))
    return found


def failure(is_stopped: bool, is_noise: bool, is_collapsed: bool) -> dict[str, float]:
    """Return one run's failure and its reasons as numbers, 1 for true."""
    reasons = {"stopped": is_stopped, "worse than noise": is_noise, "collapsed": is_collapsed}
    return {"failed": float(any(reasons.values()))} | {name: float(x) for name, x in reasons.items()}


def noise_fid() -> float:
    """Return the FID of as many images of uniform noise as digits has held-out images, on its own features,
    against its training images; always the same images.
    """
    cpu, quiet = torch.device("cpu"), Progress(None)
    data = prepare(Digits(), progress=quiet)
    extractor = DigitsFeatures().build(data, device=cpu, progress=quiet)
    real = reference(extractor, data, device=cpu, progress=quiet)
    n, rng = len(data.test), torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, *data.shape), generator=rng, dtype=torch.uint8)
    found = score_images(
        [(images, None)], n, scores=[FID()], extractor=extractor, references=[real], of="ema", seed=0
    )
    return of_ema(found)["fid"]
