"""Measurements of a finished run: `python -m benchmarks.publish.measure KIND RUN OUT`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

from benchmarks.publish.planned import Place
from benchmarks.publish.records import FOLDERS
from genbench import app
from genbench.api import load
from genbench.data import ImageData, prepare, to_float, to_uint8
from genbench.evaluation.pictures import save_grid
from genbench.evaluation.samples import held_out_order
from genbench.generator import Inpaints
from genbench.metrics import FID, reference, score_images, take
from genbench.metrics.scores.authenticity import authentic
from genbench.records.files import read_json, write_json_atomic
from genbench.records.metric_name import of_ema
from genbench.runtime.progress import Progress

__all__ = [
    "COMPLETIONS",
    "KINDS",
    "PROMPTS",
    "copies",
    "halves",
    "held_out_fid",
    "main",
    "real",
    "strip",
    "target",
]

SHOWN = 10
"""Samples of a strip."""
PROMPTS = ("a big zero", "a seven above a small three")
"""Texts of a strip, each of half of the samples."""
COMPLETED = 100
"""Held-out images whose lower halves are drawn anew."""
COMPLETIONS = 8
"""Of each of them."""
TIMES = 10
"""A target is so many times the score of real held-out images."""
UNKNOWN = 1.0
"""Target of runs that are listed before it was measured."""
CPU = torch.device("cpu")
TARGET = "target-{samples}.json"


def main(
    kind: Annotated[str, typer.Argument(help="strip, real, halves or copies.")],
    run: Annotated[Path, typer.Argument(help="Directory of a finished run.")],
    out: Annotated[Path, typer.Argument(help="Output file.")],
) -> None:
    """Measure a finished run, and write the result to a file."""
    if kind not in KINDS:
        raise typer.BadParameter(f"{kind!r} is unknown; choose from {', '.join(KINDS)}")
    torch.set_num_threads(1)
    KINDS[kind](run, out)


def strip(run: Path, out: Path) -> None:
    """Write the first ten samples of a run at seed 0, not chosen, as one row of a PNG."""
    model = load(run, device="cpu")
    prompts = PROMPTS if model.generator.takes_text else ()
    images = model.sample(SHOWN, seed=0, prompts=prompts, batch_size=SHOWN)
    images.save_grid(out, columns=SHOWN)


def real(run: Path, out: Path) -> None:
    """Write ten held-out images of a run's data, not chosen, as one row of a PNG like that of its samples."""
    data = data_of(run)
    save_grid(data.test.images[held_out_order(data, 0)[:SHOWN]], out, columns=SHOWN)


def halves(run: Path, out: Path) -> None:
    """Write the squared error of the mean of 8 completions of the lower halves of held-out images, of pixels
    in [0, 1], and that of the mean of the training images in their place.

    The mean of n samples of the true distribution given the upper half has 1 + 1 / n times the least error
    that is possible, so that lower is better; of one sample a blurred guess would be better than the truth.
    """
    data, model = data_of(run), app.load(run, device="cpu")
    if not isinstance(model, Inpaints):
        raise typer.BadParameter(f"{run} is of a model that completes no images")
    given = data.test.images[held_out_order(data, 0)[:COMPLETED]]
    x = to_float(given)
    mask = torch.zeros(len(x), 1, *x.shape[2:], dtype=torch.bool)
    mask[:, :, x.shape[2] // 2 :] = True
    rng = torch.Generator().manual_seed(0)
    completions = [to_uint8(model.inpaint(x, mask, rng=rng)).float() for _ in range(COMPLETIONS)]
    drawn = torch.stack(completions).mean(0)
    mean = data.whole_train.images.float().mean(0, keepdim=True)
    errors = {"halves_mse": drawn, "mean_image_mse": mean.expand(given.shape)}
    place = mask.expand(given.shape)
    found = {
        name: float(((image - given.float())[place] / 255).pow(2).mean()) for name, image in errors.items()
    }
    write_json_atomic(out, {"n": len(given), **found})


def data_of(run: Path) -> ImageData:
    """Return the images of a run."""
    source, _, _ = app.measuring(of_run=run)
    return prepare(source, progress=Progress(None))


def copies(run: Path, out: Path) -> None:
    """Write the share of samples that are no copies of the images that a run was trained on, without those
    set aside, and the same share of held-out images (`genbench.metrics.scores.authenticity`).
    """
    source, metrics, _ = app.measuring(of_run=run)
    quiet = Progress(None)
    data, model = prepare(source, progress=quiet), app.load(run, device="cpu")
    extractor = metrics.features.build(data, device=CPU, progress=quiet)
    n = len(data.test)
    with torch.no_grad():
        drawn = to_uint8(model.eval().sample(n, rng=torch.Generator().manual_seed(0)))
        given = (data.train.images, drawn, data.test.images)
        trained, of_samples, of_held_out = (take(extractor, images, None).features for images in given)
    shares = {
        name: float(authentic(trained, features).double().mean())
        for name, features in (("authentic", of_samples), ("held_out_authentic", of_held_out))
    }
    write_json_atomic(out, {"n": n, "trained": len(trained), **shares})


KINDS: Mapping[str, Callable[[Path, Path], None]] = {
    "strip": strip,
    "real": real,
    "halves": halves,
    "copies": copies,
}


def target(words: Sequence[str], samples: int, where: Place) -> float:
    """Return the FID at which a training ends: ten times that of so many real held-out images, to three
    figures, both against the validation images.

    words: overrides that say of which data and features. What was measured once of the same stands in the
    folder of records, from which a clone reads it; before that no run has a target, and a list needs none.
    """
    path = where.records / TARGET.format(samples=samples)
    known = [word for word in words if word.partition("=")[0] not in FOLDERS]
    found = read_json(path) or {}
    if found.get("of") != known and where.only_listed:
        return UNKNOWN
    if found.get("of") != known:
        found = {"held_out": held_out_fid(words, samples), "n": samples, "of": known}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json_atomic(path, found)
    return float(f"{TIMES * found['held_out']:.3g}")


def held_out_fid(words: Sequence[str], samples: int) -> float:
    """Return the FID of real held-out images against the validation images of a run of some overrides, with
    which its validations compare samples.
    """
    quiet = Progress(None)
    source, metrics, _ = app.measuring([word for word in words if not word.startswith("model=")])
    data = prepare(source, progress=quiet)
    extractor = metrics.features.build(data, device=CPU, progress=quiet)
    real = reference(extractor, data, split="validation", device=CPU, progress=quiet)
    images = data.test.images[held_out_order(data, 0)[:samples]]
    parts = ((part, None) for part in images.split(256))
    found = score_images(
        parts, len(images), scores=[FID()], extractor=extractor, references=[real], of="ema", seed=0
    )
    return of_ema(found)["fid"]


if __name__ == "__main__":
    typer.run(main)
