"""Pictures that a run leaves: sample grids, and, of models that can show it, how samples come about, what
codes rebuild and interpolate, and which samples resemble training images.
"""

import math
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genbench.data import ImageData, to_float, to_uint8
from genbench.evaluation.animation import FRAMES as MOVING
from genbench.evaluation.animation import Format, animated, formats_of, sample_count, save_animation
from genbench.evaluation.figures import codes_figure
from genbench.evaluation.pictures import save_grid
from genbench.evaluation.projection import principal_components
from genbench.evaluation.prompts import PROMPTS, Asked, held_out_captions, in_turn, write_prompts
from genbench.evaluation.samples import held_out_order
from genbench.evaluation.sampling_mode import sampling_mode
from genbench.evaluation.slerp import slerp
from genbench.generator import Decodes, ForwardProcess, Generator, Latent, Trajectory, Y, frame_indices
from genbench.metrics import Drawn, Reference, nearest_features, nearest_images
from genbench.runtime import rng
from genbench.runtime.context import Context
from genbench.runtime.memory import FREE, memory_for
from genbench.runtime.printable import complain
from genbench.tracking import Tracker
from genbench.training.step import model_batch

__all__ = ["CAPTIONS", "CLASSES", "GRID", "Gallery"]

GRID = 64  # images of a grid
CLASSES = 20  # the most rows of a conditional model's grid
CAPTIONS = 8  # rows of the grid of a model of text
ENCODED, AT_ONCE = 1000, 250  # test images whose codes are projected, and how many are encoded at a time
REBUILT, COLUMNS = 32, 8  # test images that are shown with their reconstructions, and how many in a row
SOUGHT = 1000  # samples whose nearest training images are looked for
ROWS, FRAMES = 6, 12  # images and states of a process, or of a way between two codes


class Picture(NamedTuple):
    """Images in rows, as they are written to one file: the name of the file and in the tracker, the images,
    and the number of columns. A plain tuple of these can be sent between processes.
    """

    name: str
    images: Tensor
    """(N, C, H, W) uint8."""
    columns: int | None
    """Number of images in a row; None makes the grid about square."""
    states: Tensor | None = None
    """Of a picture of samples on their way: what an animation shows, (F, N, C, H, W) uint8."""
    labels: Sequence[str] = ()
    """A text in front of each row, such as the caption that its samples are drawn to; or none."""
    moving_labels: Sequence[str] = ()
    """The same of the rows of the animation."""


class Gallery:
    """Draws pictures of a model; the first process writes them into a folder and shows them to the tracker.

    Every picture starts from the same random numbers: the grids of one training show the same images grow.
    samples_per_class: columns of a conditional model's grid. animation: the format in which samples are
    shown coming out of noise, of models that draw step by step; None: they are not.
    """

    def __init__(
        self,
        folder: Path,
        tracker: Tracker,
        data: ImageData,
        context: Context,
        *,
        samples_per_class: int = 8,
        animation: Format | None = "webp",
    ) -> None:
        self.folder, self.tracker, self.data, self.context = folder, tracker, data, context
        self.samples_per_class, self.animation = samples_per_class, animation
        self.order = held_out_order(data, context.seed)

    def real(self) -> None:
        """Write a grid of training images to compare samples with, real.png, in the first process; once for
        all of a training, from its start, also where a run is resumed.
        """
        if self.context.first:
            save_grid(self.data.whole_train.images[:GRID], self.folder / "real.png")

    def samples(self, model: Generator, images_seen: int) -> Path:
        """Draw a grid of samples, of a conditional model one row for each class, of a model of text one for
        each of 8 held-out captions, its work shared among the processes; returns the path of its file, whose
        name holds images_seen. The captions are written beside it, into prompts.txt.
        """
        device, each = self.context.device, self.samples_per_class
        y: Y = None
        rows = self.captions(CAPTIONS) if model.takes_text else []
        if model.num_classes:  # a row for each class: 0, 0, .., 1, 1, ..
            classes = torch.arange(min(model.num_classes, CLASSES), device=device)
            y = classes.repeat_interleave(each)
        elif rows:
            y = model.condition([text for text in rows for _ in range(each)]).to(device)
            if self.context.first:
                write_prompts(rows, self.folder / PROMPTS)
        n, columns = (GRID, None) if y is None else (len(y), each)

        def draw(n: int, y: Y) -> Tensor:
            with sampling_mode(model):
                x = model.sample(n, y, rng=self.rng())
            return x.clone()  # an ordinary tensor, which processes can send

        with rng.fork(device), memory_for(f"drawing {n} samples at once on {device}", FREE):
            x = self.context.processes.images(n, y, draw)
        return self.show(Picture("samples", to_uint8(x), columns, labels=rows), images_seen)

    def captions(self, n: int) -> list[str]:
        """Return the first n different captions of held-out images, or fewer where there are not as many."""
        return held_out_captions(self.data, n, self.context.seed)

    def details(self, model: Generator, images_seen: int) -> None:
        """Draw the pictures that only some models have: the way from noise to samples, from data to noise,
        rebuilt test images, and interpolations between two codes. Processes share them, one each.
        """
        drawings = self.drawings(model).values()
        for picture in self.context.processes.map(
            lambda draw: tuple(self.drawn(draw, model)), list(drawings)
        ):
            self.show(Picture._make(picture), images_seen)
        if isinstance(model, Latent):
            self.codes(model, images_seen)

    def drawings(self, model: Generator) -> dict[type, Callable[[Any], Picture]]:
        """Return the methods below that draw a model, by the kind of model that each is for, in the order of
        the tracker; a model may be of several kinds.
        """
        kinds: dict[type, Callable[[Any], Picture]] = {
            Trajectory: self.trajectory,
            ForwardProcess: self.forward_process,
            Latent: self.reconstructions,
            Decodes: self.interpolation,
        }
        return {kind: draw for kind, draw in kinds.items() if isinstance(model, kind)}

    @torch.no_grad()
    def drawn(self, draw: Callable[[Any], Picture], model: Generator) -> Picture:
        """Draw one picture of a model, by one of the methods below, without gradients, and leave torch's
        generators as they were, so that no picture moves a training.
        """
        with rng.fork(self.context.device):
            return draw(model)

    def trajectory(self, model: Trajectory) -> Picture:
        """Draw the states between noise and samples: 6 rows, one for each sample, of 12 states in the order
        of sampling, the classes or held-out captions in turn for a conditional model. An animation shows the
        same samples, and more of their states; of a model of text a row for each caption.
        """
        assert isinstance(model, Generator)  # a trajectory is what some of them have
        moving = 0 if self.animation is None else sample_count(model.shape)
        n, many = max(ROWS, moving), MOVING if moving else FRAMES
        texts = self.captions(math.isqrt(moving) or ROWS) if model.takes_text else []
        while moving and texts and moving % len(texts):  # few captions: rows of an animation are equally long
            texts.pop()
        asked = in_turn(model, n, texts, self.context.device)
        states = animated(model, n, asked.y, stream=self.rng(), frames=many)
        shown = frames("trajectory", states[frame_indices(many, FRAMES), :ROWS], asked.texts[:ROWS])
        if not moving:
            return shown
        # Samples of one caption side by side: 0, k, 2k, .., then 1, k + 1, ..
        order = torch.arange(moving).reshape(-1, len(texts) or 1).T.flatten()
        return shown._replace(states=states[:, order].contiguous(), moving_labels=texts)

    def forward_process(self, model: ForwardProcess) -> Picture:
        """Draw the states between training images and noise: 6 rows, one for each of the first images, of 12
        states in the order of the forward process.
        """
        x = to_float(self.data.whole_train.images[:ROWS]).to(self.context.device)
        return frames("forward", model.forward_process(x, rng=self.rng(), frames=FRAMES))

    def reconstructions(self, model: Latent) -> Picture:
        """Draw 32 held-out test images, or as many full rows of 8 as there are, or a row of fewer than 8,
        each row above the images that are rebuilt from their codes.
        """
        columns = min(COLUMNS, len(self.order))
        n = min(REBUILT, len(self.order) // columns * columns)  # full rows alone
        x, y = model_batch(model, self.data.test, self.order[:n], self.context.device)
        # A row of images, then the row of their reconstructions.
        rows = zip(x.split(columns), model.reconstruct(x, y).split(columns), strict=True)
        above = torch.cat([image for row in rows for image in row])
        return Picture("reconstructions", to_uint8(above), columns)

    @torch.no_grad()
    def codes(self, model: Latent, images_seen: int) -> None:
        """Draw the codes of up to 1,000 held-out test images, projected on their two first principal
        components, in the colours of their classes, where the data has any; in the first process. Codes that
        are not finite have no picture.
        """
        index, path = self.order[:ENCODED], self.path("codes", images_seen)

        def draw() -> bool:
            batches = [
                model_batch(model, self.data.test, part, self.context.device) for part in index.split(AT_ONCE)
            ]
            codes = torch.cat([model.encode(x, y).flatten(1).cpu() for x, y in batches])
            if not bool(codes.isfinite().all()):
                return False
            labels = self.data.test.labels
            found = principal_components(codes)
            codes_figure(
                found.points.numpy(),
                path,
                shares=found.shares,
                labels=None if labels is None else labels[index].numpy(),
                names=self.data.class_names,
            )
            self.tracker.image("codes", path, images_seen=images_seen)
            return True

        with rng.fork(self.context.device):
            self.context.processes.on_first(draw)

    def interpolation(self, model: Decodes) -> Picture:
        """Draw the images of 12 codes on the arc between two codes, for 6 pairs, a row each; of two test
        images where the model encodes, else of two draws of the prior.
        """
        start, end, asked = self.ends(model)
        # On the arc, not the line: see `slerp`.
        shares = torch.linspace(0, 1, FRAMES, device=self.context.device).tolist()
        states = torch.stack([model.decode(slerp(start, end, share), asked.y) for share in shares])
        return frames("interpolation", states, asked.texts)

    def ends(self, model: Decodes) -> tuple[Tensor, Tensor, Asked]:
        """Choose the two codes of each row: of test images where the model encodes, else of its prior.
        Returns them, (6, *latent_shape) each, and one label or caption for both, nothing for an unconditional
        model; of test images the caption is that of the first.
        """
        if isinstance(model, Latent):
            index = self.pairs(model)
            x, y = model_batch(model, self.data.test, index, self.context.device)
            start, end = model.encode(x, y).chunk(2)
            captions = self.data.test.captions if model.takes_text else None
            texts = [] if captions is None else [captions[number] for number in index[:ROWS].tolist()]
            return start, end, Asked(None if y is None else y[:ROWS], texts)
        texts = self.captions(ROWS) if model.takes_text else []
        asked = in_turn(model, ROWS, texts, self.context.device)
        start, end = model.prior(2 * ROWS, asked.repeated(2), rng=self.rng()).chunk(2)
        return start, end, asked

    def pairs(self, model: Generator) -> Tensor:
        """Indices of test images, (2 ROWS,): row i goes from the i-th to the one ROWS further on.

        Of one class each for a conditional model.
        """
        labels = self.data.test.labels
        if labels is None or not model.num_classes:
            return self.order[torch.arange(2 * ROWS) % len(self.order)]
        present = labels.unique()  # a small test split may lack a class
        members = [(labels == present[row % len(present)]).nonzero().flatten() for row in range(ROWS)]
        return torch.stack([*(m[0] for m in members), *(m[-1] for m in members)])

    def neighbours(self, drawn: Drawn | None, train: Reference, images_seen: int) -> None:
        """Show the samples that come nearest to training images; beneath each the training image nearest to
        it in pixels, and the one nearest in features, of those that the reference holds.

        drawn: the samples, in the first process; None in the others.
        """

        def rows() -> Tensor:
            assert drawn is not None
            return nearest_rows(drawn, train)

        images = self.context.processes.on_first(rows)
        self.show(Picture("neighbours", images, COLUMNS), images_seen)

    def show(self, picture: Picture, images_seen: int) -> Path:
        """Write one picture into the folder and pass it to the tracker, in the first process; returns its
        path in all of them. An animation of it follows.
        """
        path = self.path(picture.name, images_seen)
        if self.context.first:
            save_grid(picture.images, path, columns=picture.columns, labels=picture.labels)
            self.tracker.image(picture.name, path, images_seen=images_seen)
            # States that are all alike, of a model that draws in one step after all, show no way.
            if picture.states is not None and not torch.equal(picture.states[0], picture.states[-1]):
                self.show_animation(picture.states, picture.moving_labels, images_seen)
        return path

    def show_animation(self, states: Tensor, labels: Sequence[str], images_seen: int) -> None:
        """Write an animation in the format of the run, with a text in front of each of its rows, if any, and
        pass its WebP or GIF to the tracker. A program for videos that fails costs the video alone, with a
        warning.
        """
        columns = states.shape[1] // len(labels) if labels else None
        first, *others = [
            self.path("animation", images_seen, ending) for ending in formats_of(self.animation)
        ]
        save_animation(states, first, columns=columns, labels=labels)
        self.tracker.image("animation", first, images_seen=images_seen)
        for video in others:
            try:
                save_animation(states, video, columns=columns, labels=labels)
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                complain(f"{video} is not written: {error}")

    def path(self, name: str, images_seen: int, ending: str = "png") -> Path:
        """Return the path of a picture; its name holds images_seen in nine digits, so that names sort by
        progress.
        """
        return self.folder / f"{name}_{images_seen:09d}.{ending}"

    def rng(self) -> torch.Generator:
        """Make a fresh stream of random numbers, the same one for every picture, so that pictures of one
        training differ by the weights alone.
        """
        return self.context.generator("gallery")


def frames(name: str, states: Tensor, labels: Sequence[str] = ()) -> Picture:
    """Make a picture of processes, one row for each of N images and one column for each of F states; states
    (F, N, C, H, W), uint8 or in [-1, 1], on any device. labels: a text in front of each row, or none.
    """
    pixels = to_uint8(states) if states.is_floating_point() else states
    return Picture(name, pixels.transpose(0, 1).flatten(0, 1).cpu(), len(states), labels=labels)


def nearest_rows(drawn: Drawn, train: Reference) -> Tensor:
    """Arrange the 16 samples, or all of fewer, that come nearest to training images, (at most 48, C, H, W)
    uint8: a row of 8 samples, their training images nearest in pixels, those nearest in features; then the
    next 8.
    """
    distances, in_pixels = nearest_images(train.images, drawn.images[:SOUGHT])
    nearest = distances.argsort()[: 2 * COLUMNS]
    in_features = train.index[nearest_features(train.features, drawn.features[nearest])[1]]
    rows = (part.split(COLUMNS) for part in (nearest, in_pixels[nearest], in_features))
    images = [
        torch.cat([drawn.images[mine], *(train.images.images[index] for index in theirs)])
        for mine, *theirs in zip(*rows, strict=True)
    ]
    return torch.cat(images)
