"""Scores of images as a mapping, under the names that results and reports have."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genbench.api.images import Images
from genbench.app.load_run import measuring
from genbench.app.words import assigned
from genbench.data import ImageSource
from genbench.evaluation.given_images import GivenImages, checked, checked_captions, checked_labels, read
from genbench.evaluation.image_function import ImageFunction, draw_images
from genbench.evaluation.reevaluate import Reevaluation
from genbench.evaluation.reference_file import read_reference
from genbench.metrics import Metrics
from genbench.runtime.context import Context
from genbench.runtime.device import choose
from genbench.runtime.downloads import downloads

__all__ = ["evaluate"]


@downloads(allowed=True)  # of what the caller names
def evaluate(
    images: Images | np.ndarray | str | Path | ImageFunction,
    data: str = "digits",
    *,
    settings: Sequence[str] = (),
    reference: str | Path | None = None,
    device: str = "auto",
) -> dict[str, float]:
    """Score images against a data set, and as many of its held-out images beside them: values by their full
    names, as in `Run.result.metrics`, fid[digits-cnn-v1,n=359,ref=train,given] say (held-out: ..,test]).

    images: Images, an array uint8 (N, H, W) or (N, H, W, C), the path of a folder of images or of a file of
    arrays (.npz, .npy, .pt, .pth), or a function of (n, seed) that returns such an array. settings: as --set
    of `genbench evaluate`, ["metrics=full", "data.root=PATH", "seed=1"]. reference: a file of statistics, as
    --reference there. device: auto, cpu or cuda. Writes nothing but caches.
    Raises ValueError on images, data or settings that do not fit, Failure where the function raises an error.
    """
    source, metrics, seed = measuring([assigned("data", data), *settings])
    if reference is not None:
        metrics = read_reference(Path(reference)).added_to(metrics)
    context = Context(choose(device), seed)
    reevaluation = Reevaluation(source, metrics, context)
    if reference is not None:
        reevaluation.evaluator(captions=False)  # refuses features of another network before any work
    return reevaluation.images(taken(images, source, metrics, context))["metrics"]


def taken(
    images: Images | np.ndarray | str | Path | ImageFunction,
    source: ImageSource,
    metrics: Metrics,
    context: Context,
) -> GivenImages:
    """Return images of any kind that `evaluate` takes, checked against the shape of the data."""
    shape, num_classes = source.shape, source.num_classes
    if isinstance(images, str | Path):
        if (Path(images) / "run.json").is_file():
            raise ValueError(f"{images} is a run: Run({str(images)!r}).result has its metrics")
        return read(Path(images), shape=shape, num_classes=num_classes, class_names=source.class_names)
    if isinstance(images, Images | np.ndarray):
        given = images if isinstance(images, Images) else Images(images)
        found = checked(given.array, shape, "images")
        if given.captions is not None:
            return GivenImages(found, None, checked_captions(given.captions, len(found), "captions"))
        if given.labels is None:
            return GivenImages(found, None)
        return GivenImages(found, checked_labels(given.labels, len(found), num_classes, "labels"))
    if callable(images):
        return draw_images(
            images, getattr(images, "__name__", type(images).__name__), source, metrics, context
        )
    raise TypeError(
        f"images is a {type(images).__name__}; it must be Images, an array of numpy, a path, or a function "
        "of (n, seed)"
    )
