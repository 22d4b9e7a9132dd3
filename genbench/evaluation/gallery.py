"""The pictures that a run leaves: sample grids, and the processes of models that have one."""

from pathlib import Path

import torch
from torch import Tensor

from genbench.data import ImageData, to_float, to_uint8
from genbench.evaluation.pictures import save_grid
from genbench.evaluation.samples import held_out_order
from genbench.generator import Decodes, ForwardProcess, Generator, Latent, Trajectory
from genbench.metrics import Drawn, Reference, nearest_features, nearest_images
from genbench.runtime import rng
from genbench.runtime.memory import FREE, memory_for
from genbench.runtime.processes import ALONE, Ranks
from genbench.tracking import Tracker

__all__ = ["Gallery"]

GRID = 64  # images of a grid
CLASSES = 20  # the most rows of a conditional model's grid
REBUILT, COLUMNS = 32, 8  # test images that are shown with their reconstructions, and how many in a row
SOUGHT = 1000  # samples whose nearest training images are looked for
ROWS, FRAMES = 6, 12  # images and states of a process, or of a way between two codes


class Gallery:
    """Draws pictures into a run's `samples/` folder and shows them to the tracker.

    Every picture starts from the same random numbers: the grids of one training show the same images grow.
    """

    def __init__(
        self,
        folder: Path,
        tracker: Tracker,
        data: ImageData,
        *,
        seed: int,
        device: torch.device,
        samples_per_class: int = 8,
        ranks: Ranks = ALONE,
    ) -> None:
        self.ranks = ranks
        self.folder, self.tracker, self.data = folder, tracker, data
        self.seed, self.device, self.samples_per_class = seed, device, samples_per_class
        self.order = held_out_order(data, seed)

    def real(self) -> None:
        """Training images, to compare with."""
        save_grid(self.data.train.images[:GRID], self.folder / "real.png")

    def samples(self, model: Generator, images_seen: int) -> Path:
        """A grid of samples; of a conditional model, a row a class."""
        y = class_rows(model, self.samples_per_class, self.device)
        n, columns = (GRID, None) if y is None else (len(y), self.samples_per_class)
        with rng.fork(self.device), memory_for(f"drawing {n} samples at once on {self.device}", FREE):
            x = self.ranks.images(n, y, lambda n, y: model.sample(n, y, rng=self.rng()))
        return self.show("samples", to_uint8(x), images_seen, columns)

    @torch.no_grad()
    def codes(self, model: Generator, images_seen: int) -> None:
        """What becomes of codes, of models that have some: rebuilt test images, ways between two codes."""
        if isinstance(model, Latent):
            self.reconstructions(model, images_seen)
        if isinstance(model, Decodes):
            with rng.fork(self.device):
                start, end, y = self.ends(model)
                shares = torch.linspace(0, 1, FRAMES, device=self.device).tolist()
                states = torch.stack([model.decode(slerp(start, end, share), y) for share in shares])
            self.frames("interpolation", states, images_seen)

    @torch.no_grad()
    def reconstructions(self, model: Latent, images_seen: int) -> Path:
        """Rows of test images, each above what is rebuilt from their codes."""
        n = min(REBUILT, len(self.order) // COLUMNS * COLUMNS)
        with rng.fork(self.device):
            x, y = self.test_images(model, self.order[:n])
            rows = zip(x.split(COLUMNS), model.reconstruct(x, y).split(COLUMNS), strict=True)
        above = torch.cat([image for row in rows for image in row])
        return self.show("reconstructions", to_uint8(above), images_seen, COLUMNS)

    def ends(self, model: Decodes) -> tuple[Tensor, Tensor, Tensor | None]:
        """Two codes a row, (ROWS, *latent_shape) each, with one label for both (of a conditional model)."""
        if isinstance(model, Latent):
            x, y = self.test_images(model, self.pairs(model))
            start, end = model.encode(x, y).chunk(2)
            return start, end, None if y is None else y[:ROWS]
        y = classes_in_turn(model, ROWS, self.device)
        both = None if y is None else torch.cat([y, y])
        start, end = model.prior(2 * ROWS, both, rng=self.rng()).chunk(2)
        return start, end, y

    def pairs(self, model: Generator) -> Tensor:
        """Indices of test images, (2 ROWS,): row i goes from the i-th to the one ROWS further on.

        Of one class each for a conditional model.
        """
        labels = self.data.test.labels
        if labels is None or not model.num_classes:
            return self.order[torch.arange(2 * ROWS) % len(self.order)]
        present = labels.unique()
        members = [(labels == present[row % len(present)]).nonzero().flatten() for row in range(ROWS)]
        return torch.stack([*(m[0] for m in members), *(m[-1] for m in members)])

    def test_images(self, model: Generator, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """Test images in [-1, 1], with labels for a conditional model."""
        images, y = self.data.test.gather(index, self.device)
        return to_float(images), y if model.num_classes else None

    def processes(self, model: Generator, images_seen: int) -> None:
        """The way from noise to samples and from data to noise, of models that have one."""
        with rng.fork(self.device):
            if isinstance(model, Trajectory):
                y = classes_in_turn(model, ROWS, self.device)
                self.frames(
                    "trajectory", model.trajectory(ROWS, y, rng=self.rng(), frames=FRAMES), images_seen
                )
            if isinstance(model, ForwardProcess):
                x = to_float(self.data.train.images[:ROWS]).to(self.device)
                self.frames("forward", model.forward_process(x, rng=self.rng(), frames=FRAMES), images_seen)

    def neighbours(self, drawn: Drawn, train: Reference, images_seen: int) -> Path:
        """The samples that come nearest to training images; beneath each the training image nearest to it in
        pixels, and the one nearest in features.

        Of features, the nearest of those that the reference keeps.
        """
        distances, in_pixels = nearest_images(train.images, drawn.images[:SOUGHT])
        nearest = distances.argsort()[: 2 * COLUMNS]
        in_features = train.index[nearest_features(train.features, drawn.features[nearest])[1]]
        rows = (part.split(COLUMNS) for part in (nearest, in_pixels[nearest], in_features))
        images = [
            torch.cat([drawn.images[mine], *(train.images.images[index] for index in theirs)])
            for mine, *theirs in zip(*rows, strict=True)
        ]
        return self.show("neighbours", torch.cat(images), images_seen, COLUMNS)

    def frames(self, name: str, states: Tensor, images_seen: int) -> None:
        """One process, a row an image; states (F, N, C, H, W)."""
        self.show(name, to_uint8(states).transpose(0, 1).flatten(0, 1), images_seen, len(states))

    def show(self, name: str, images: Tensor, images_seen: int, columns: int | None) -> Path:
        """Write one grid and hand it to the tracker, once for all processes; images (N, C, H, W) uint8."""
        path = self.folder / f"{name}_{images_seen:09d}.png"
        if not self.ranks.first:
            return path
        save_grid(images, path, columns=columns)
        self.tracker.image(name, path, images_seen=images_seen)
        return path

    def rng(self) -> torch.Generator:
        """The same stream for every picture."""
        return rng.generator(self.device, self.seed, "gallery")


def classes_in_turn(model: Generator, n: int, device: torch.device) -> Tensor | None:
    """Labels 0, 1, .., K - 1, 0, 1, .. for a conditional model: (n,), or None."""
    return torch.arange(n, device=device) % model.num_classes if model.num_classes else None


def class_rows(model: Generator, each: int, device: torch.device) -> Tensor | None:
    """Labels 0, 0, .., 1, 1, .., `each` of them, for a conditional model, or None."""
    if not model.num_classes:
        return None
    return torch.arange(min(model.num_classes, CLASSES), device=device).repeat_interleave(each)


def slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """The point at `share` of the arc from one code to another, (B, ..) each.

    Codes of a Gaussian prior lie near a sphere, which a straight way leaves.
    Source: Shoemake 1985, Section 3.3; White 2016.
    """
    a, b = start.flatten(1), end.flatten(1)
    angle = torch.acos(torch.cosine_similarity(a, b).clamp(-1 + 1e-6, 1 - 1e-6))[:, None]
    way = (torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b) / torch.sin(angle)
    return way.reshape(start.shape)
