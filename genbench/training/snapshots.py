"""Snapshots of two power averages of the weights during a training, and the averages of other lengths that
are rebuilt from them afterwards.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genbench.errors import Damaged
from genbench.generator import Generator
from genbench.records.files import atomic_file
from genbench.records.units import with_unit
from genbench.training.checkpoint import read
from genbench.training.checkpoint_contents import check_averages, check_kinds
from genbench.training.ema import learned_weights
from genbench.training.power_average import STDS, Profile, exponent_of, mixture, share_of_step

__all__ = ["MOST", "Snapshots", "set_average", "snapshot_bytes", "snapshot_note", "times"]

FILE = re.compile(r"snapshot-(?P<images>[1-9][0-9]{0,17})\.pt")
MOST = 256
"""Snapshots of a run; their number squared enters the time in which an average is rebuilt."""


class Snapshots:
    """Two power averages of all weights that a training moves, written `count` times during it.

    count: snapshots, equally spaced over the budget, the last one at its end. folder: of the run's
    checkpoints; None in a process that writes nothing. A checkpoint holds the averages too, so that a resumed
    training writes what an uninterrupted one does.
    """

    def __init__(self, model: Generator, count: int, folder: Path | None) -> None:
        self.count, self.folder = count, folder
        self.weights = learned_weights(model)
        self.averages = {
            str(std): {name: weight.detach().clone() for name, weight in self.weights.items()} for std in STDS
        }
        self.images_seen, self.reached = 0, 0
        self.taken: list[int] = []
        """Images seen at each snapshot so far."""

    def step(
        self,
        images_seen: int,
        spent: float,
        *,
        finished: bool,
        pause: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Move the averages after a step of the training, and write them where a snapshot is due.

        images_seen: with those of the step. spent: share of the budget, of which every 1 / count is followed
        by a snapshot; finished: the training ends with this step, whatever is spent. pause: makes the block
        in which the clock of the training stands still. Raises OSError where the file cannot be written.
        """
        self.move(images_seen)
        before, self.reached = self.reached, min(int(spent * self.count), self.count)
        if self.reached > before or finished:
            self.taken.append(images_seen)
            if self.folder is not None:
                with pause():
                    self.write(self.folder)

    @torch.no_grad()
    def move(self, images_seen: int) -> None:
        """Move each average towards the weights, by the share of the images since the last call."""
        images, self.images_seen = images_seen - self.images_seen, images_seen
        weights: list[Tensor] = list(self.weights.values())
        for std, average in self.averages.items():
            share = share_of_step(exponent_of(float(std)), images=images, images_seen=images_seen)
            torch._foreach_lerp_(list(average.values()), weights, share)

    def write(self, folder: Path) -> None:
        """Write a snapshot as a whole or not at all, and remove those that this training did not take: it was
        resumed from a checkpoint of before them.
        """
        with atomic_file(folder / file_name(self.images_seen)) as file:
            torch.save({"images_seen": self.images_seen, "averages": self.averages}, file)
        for images in {*times(folder)} - {*self.taken}:
            (folder / file_name(images)).unlink(missing_ok=True)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds of the averages, under the key "snapshots"."""
        counts = {"images_seen": self.images_seen, "reached": self.reached, "taken": list(self.taken)}
        return {"snapshots": {**counts, "averages": self.averages}}

    @torch.no_grad()
    def load(self, state: Mapping[str, Any]) -> None:
        """Restore the averages and counts from the content of a checkpoint, which `resumable` of
        checkpoint_contents has accepted. Raises Damaged where that has no averages.
        """
        if "snapshots" not in state:
            raise Damaged(
                "the checkpoint has no averages of trainer.ema_snapshots: restore it, or train again (the "
                "same command with rerun=true)"
            )
        found = state["snapshots"]
        self.images_seen, self.reached = found["images_seen"], found["reached"]
        self.taken = list(found["taken"])
        for std, average in self.averages.items():
            for name, tensor in average.items():
                tensor.copy_(found["averages"][std][name])


def file_name(images: int) -> str:
    """Return the name of the snapshot that was taken after so many images: snapshot-51200.pt."""
    return f"snapshot-{images}.pt"


def times(folder: Path) -> list[int]:
    """Return the images after which the snapshots in a folder of checkpoints were taken, from the first to
    the last, by the names of the files; [] where there are none.
    """
    found = (FILE.fullmatch(path.name) for path in folder.glob("snapshot-*.pt"))
    return sorted(int(match["images"]) for match in found if match)


def snapshot_bytes(model: Generator) -> int:
    """Compute the bytes of one snapshot, which the averages take in memory too: two sets of the weights that
    the training moves.
    """
    return len(STDS) * sum(
        weight.numel() * weight.element_size() for weight in learned_weights(model).values()
    )


def snapshot_note(model: Generator, count: int) -> str:
    """Return a line on what `count` snapshots of a model take, for the start of a run: memory for the
    averages, and the disk that they and the larger checkpoints need.
    """
    each = snapshot_bytes(model)
    return (
        f"EMA afterwards: {count} snapshots of two averages of the weights, {with_unit(each, 'B')} more of "
        f"memory and {with_unit((count + 2) * each, 'B')} more of disk; then genbench ema RUN"
    )


@torch.no_grad()
def set_average(model: Generator, checkpoints: Path, std: float, *, images_seen: int | None = None) -> float:
    """Set the weights of a trained model to their average of another length, from the snapshots of its
    training; what the training does not move, buffers and frozen weights, stays as it is.

    std: standard deviation of the average's profile, as a share of the training, up to 0.2886. checkpoints:
    the folder of checkpoints of the run. images_seen: of the training so far; later snapshots, which a
    resumed training takes again, are not read (None: all are).
    Returns the distance of the profile of the mixture from that of the average asked for, as a share of its
    norm. Raises ValueError where there are no snapshots, Damaged where one cannot be used; none of a file's
    code is run. Source: Karras et al. 2024, Section 3.2.
    """
    wanted = exponent_of(std)
    found = [images for images in times(checkpoints) if images_seen is None or images <= images_seen]
    if not 0 < len(found) <= MOST:
        raise ValueError(
            f"{checkpoints} holds {len(found)} snapshots, and from 1 to {MOST} are needed: train a run with "
            "trainer.ema_snapshots=32"
        )
    weights = learned_weights(model)
    profiles = [Profile(float(images), exponent_of(each)) for images in found for each in STDS]
    mixed = mixture(profiles, Profile(float(found[-1]), wanted))
    # In float64: shares of opposite signs would lose digits of float32.
    sums = [torch.zeros_like(weight, dtype=torch.float64) for weight in weights.values()]
    for images, shares in zip(found, mixed.weights.view(-1, len(STDS)).tolist(), strict=True):
        averages = read_snapshot(checkpoints, images, weights)
        for each, share in zip(STDS, shares, strict=True):
            tensors = [averages[str(each)][name].double() for name in weights]
            torch._foreach_add_(sums, tensors, alpha=share)
    for weight, total in zip(weights.values(), sums, strict=True):
        weight.copy_(total)
    return mixed.error


def read_snapshot(checkpoints: Path, images: int, weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Read the averages of one snapshot, name -> tensor under each of STDS. Raises Damaged where the file is
    no snapshot of these weights after so many images, is damaged, or is a link out of the run.
    """
    path = checkpoints / file_name(images)
    try:
        state, _ = read(path, checkpoints.parent, next(iter(weights.values())).device)
        check_kinds(state, {"images_seen": int})
        if state["images_seen"] != images:
            raise ValueError(f"it was taken after {state['images_seen']:,} images, its name says {images:,}")
        check_averages(state.get("averages"), weights)
    except ValueError as error:
        raise Damaged(
            f"the snapshot {path} cannot be used ({error}): restore it, or remove it, and the others are used"
        ) from error
    averages: dict[str, Any] = state["averages"]
    return averages
