"""Runs and trained models as objects: train one, load one, draw from it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genbench.api.images import Images
from genbench.app.hub import fetched
from genbench.app.in_process import run_in_process
from genbench.app.load_run import load as load_generator
from genbench.evaluation.draw import drawn, pixels, samples
from genbench.evaluation.interpolation import arcs, interpolated
from genbench.evaluation.prompts import Asked, asked
from genbench.generator import Generator
from genbench.records.result import Result
from genbench.records.run_directory import Run as Directory
from genbench.runtime.context import Context

__all__ = ["Run", "TrainedModel", "load", "train"]


class TrainedModel:
    """A trained model, ready to draw: what `load` returns.

    generator: the torch module behind it (genbench.generator.Generator), in evaluation mode on `device`.
    """

    def __init__(self, generator: Generator) -> None:
        self.generator = generator

    @property
    def device(self) -> torch.device:
        """The device that the model computes on."""
        return next(tensor.device for tensor in self.generator.state_dict().values())

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        label: int | None = None,
        prompts: Sequence[str] = (),
        batch_size: int = 64,
    ) -> Images:
        """Draw n images. The same seed, batch size and device give the same images as `genbench sample`.

        label: class of all images of a conditional model; None takes all classes in turn. prompts: of a model
        of text, one or more, each for equally many of the n images. batch_size: images drawn at once. Raises
        ValueError on a number below 1, a seed below 0, a label that the model lacks, and on prompts that it
        cannot take, or none where it needs them.
        """
        if min(n, batch_size) < 1:
            raise ValueError(f"n is {n} and batch_size {batch_size}; both must be at least 1")
        if seed < 0:
            raise ValueError(f"seed is {seed}; it must be at least 0")
        context = Context(self.device, seed)
        given = asked(self.generator, n, "n", label=label, prompts=prompts, device=self.device)
        parts = drawn(samples(self.generator), n, given.y, batch_size=batch_size, context=context)
        return images(torch.cat([batch for _, batch in parts]), given)

    def interpolate(
        self,
        n: int = 10,
        *,
        pairs: int = 6,
        between: tuple[str | Path, str | Path] | None = None,
        label: int | None = None,
        prompts: Sequence[str] = (),
        seed: int = 0,
    ) -> Images:
        """Draw n images on the arc between two latent codes of each pair, its ends included: (pairs n, ..),
        row by row, as `genbench interpolate` does.

        pairs: of codes of the prior. between: two image files, the only pair. label: the class of all images
        of a conditional model. prompts: of a model of text, each for equally many pairs. Raises ValueError
        where the model has no codes, or cannot encode images.
        """
        if pairs < 1 or seed < 0:
            raise ValueError(f"pairs is {pairs} and seed {seed}; they must be at least 1 and 0")
        context = Context(self.device, seed)
        paths = None if between is None else (Path(between[0]), Path(between[1]))
        found = arcs(self.generator, pairs, between=paths, label=label, prompts=prompts, context=context)
        return images(interpolated(found, n, context), found.asked, n)


def images(drawn: torch.Tensor, given: Asked, times: int = 1) -> Images:
    """Return drawn images (N, C, H, W) uint8 with their labels or captions, each of which was asked for
    `times` images in a row.
    """
    arrays = {name: np.repeat(array, times) for name, array in given.arrays.items()}
    captions = arrays["captions"].tolist() if "captions" in arrays else None
    return Images(pixels(drawn), arrays.get("labels"), captions)


class Run:
    """The directory of a run, finished or not, with what it recorded; nothing in it is changed.

    path: the directory. Raises FileNotFoundError where it holds no run.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if Directory(self.path).record() is None:
            raise FileNotFoundError(f"{path} holds no run: give the directory of one")

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, status={self.status!r})"

    @property
    def status(self) -> str:
        """The status of the run: running, done, failed or stopped."""
        return str(Directory(self.path).status)

    @property
    def result(self) -> Result:
        """The result of a finished run: metrics by their full names, likelihood, reconstruction, cost.
        Raises ValueError where the run is not finished.
        """
        found = Directory(self.path).finished_result()
        if found is None:
            raise ValueError(f"{self.path} is not finished ({self.status}): train it to the end first")
        return found

    @property
    def samples(self) -> list[Path]:
        """The pictures of the run, PNG files: grids of samples, and what else its model draws."""
        return sorted((self.path / "samples").glob("*.png"))

    @property
    def log(self) -> list[dict[str, Any]]:
        """The events of metrics.jsonl in their order: losses and scores by name, with `images_seen`."""
        lines = (self.path / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def load(self, *, weights: str = "ema", device: str = "auto") -> TrainedModel:
        """Return the trained model: as `load`, of this run."""
        return load(self.path, weights=weights, device=device)


def train(overrides: Sequence[str] = (), *, progress: bool = False) -> Run:
    """Train and evaluate one run, and return it; a finished one is found, an interrupted one is resumed.

    overrides: as `genbench train` takes them, ["model=ddpm", "schedule=cosine", "runs_dir=runs"]. progress:
    print bars and tables. Raises genbench.errors.UsageError, before any work, on what cannot be.
    """
    return Run(run_in_process(overrides, progress=progress))


def load(
    path_or_name: str | Path,
    *,
    weights: str = "ema",
    device: str = "auto",
    settings: Mapping[str, object] | None = None,
) -> TrainedModel:
    """Return the trained model of a run.

    path_or_name: its directory, the name of one below ./runs, a folder of `genbench export`, or
    hf:USER/NAME[@REVISION] on the Hub of Hugging Face. weights: "ema", "best" or "raw". device: auto, cpu
    or cuda. settings: of the sampling, by their full keys: {"sampler": "ddim", "sampler.steps": 20}; "steps"
    alone means the one that the model has, sampler.steps or solver.steps, say. Raises FileNotFoundError where
    there is no such run, ValueError where the name fits several or a setting is none of this model.
    """
    found = located(fetched(path_or_name))
    return TrainedModel(load_generator(found, device=device, weights=weights, overrides=settings))


def located(path_or_name: str | Path) -> Path:
    """Return the directory of a run, given by its path or by its name below ./runs."""
    if Path(path_or_name).exists() or len(Path(path_or_name).parts) > 1:
        return Path(path_or_name)
    found = sorted(path.parent for path in Path("runs").glob(f"*/{path_or_name}/run.json"))
    if len(found) > 1:
        raise ValueError(f"{path_or_name} stands for {', '.join(map(str, found))}: give one of these paths")
    return found[0] if found else Path(path_or_name)
