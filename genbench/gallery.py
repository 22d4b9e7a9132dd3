"""The pictures that a run leaves: sample grids, and the processes of models that have one."""

from pathlib import Path

import torch
from torch import Tensor

from genbench import rng
from genbench.data import ImageData, to_float, to_uint8
from genbench.generator import ForwardProcess, Generator, Trajectory
from genbench.pictures import save_frames, save_grid
from genbench.tracking import Tracker

__all__ = ["Gallery"]

GRID = 64  # images of a grid
ROWS, FRAMES = 6, 12  # images and states of a process


class Gallery:
    """Draws pictures into a run's `samples/` folder and shows them to the tracker.

    Every picture starts from the same random numbers: the grids of one training show the same images grow.
    """

    def __init__(
        self, folder: Path, tracker: Tracker, data: ImageData, *, seed: int, device: torch.device
    ) -> None:
        self.folder, self.tracker, self.data = folder, tracker, data
        self.seed, self.device = seed, device

    def real(self) -> None:
        """Training images, to compare with."""
        save_grid(self.data.train.images[:GRID], self.folder / "real.png")

    def samples(self, model: Generator, images_seen: int) -> Path:
        """A grid of samples; of a conditional model, the classes in turn."""
        with rng.fork(self.device):
            x = model.sample(GRID, classes_in_turn(model, GRID, self.device), rng=self.rng())
        path = self.folder / f"samples_{images_seen:09d}.png"
        save_grid(to_uint8(x), path)
        self.tracker.image("samples", path, images_seen=images_seen)
        return path

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

    def frames(self, name: str, states: Tensor, images_seen: int) -> None:
        """One process, a row an image; states (F, N, C, H, W)."""
        path = self.folder / f"{name}_{images_seen:09d}.png"
        save_frames(to_uint8(states), path)
        self.tracker.image(name, path, images_seen=images_seen)

    def rng(self) -> torch.Generator:
        """The same stream for every picture."""
        return rng.generator(self.device, self.seed, "gallery")


def classes_in_turn(model: Generator, n: int, device: torch.device) -> Tensor | None:
    """Labels 0, 1, .., K - 1, 0, 1, .. for a conditional model: (n,), or None."""
    return torch.arange(n, device=device) % model.num_classes if model.num_classes else None
